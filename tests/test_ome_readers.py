"""What we write, read by ome-zarr, the reference implementation of OME-NGFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

import copick_core

DENSITY = np.random.default_rng(0).standard_normal((33, 40, 26)).astype("f4")
LABELS = np.random.default_rng(1).integers(0, 3, DENSITY.shape, np.uint8)
FORMATS: dict[str, dict[str, Any]] = {
    "0.4": {},
    "0.5": {"zarr_format": 3},
    "0.5 with shards": {"zarr_format": 3, "shards": (32, 32, 32)},
}


def write_all_kinds(root: Any) -> dict[str, Any]:
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.012).new_tomogram("wbp")
    tomogram.from_numpy(DENSITY)
    features = tomogram.new_features("sobel")
    features.from_numpy(np.stack([DENSITY, -DENSITY]), levels=2)
    labels = run.new_segmentation(10.012, "membrane", "1")
    labels.from_numpy(LABELS, levels=3)
    panoptic = run.new_segmentation(10.012, "scene", "1", is_panoptic=True)
    panoptic.from_numpy(np.stack([LABELS, LABELS * 7]), levels=2)
    density = root.get_object("ribosome")
    density.from_numpy(DENSITY, 10.012)
    return {"tomogram": tomogram, "features": features, "labels": labels, "panoptic": panoptic, "object": density}


@pytest.mark.parametrize("kind", ["tomogram", "features", "labels", "panoptic", "object"])
@pytest.mark.parametrize("version", FORMATS)
def test_ome_zarr_reads_every_level_with_axes_and_scales(project_config: Any, version: str, kind: str) -> None:
    root = copick_core.open(project_config(chunks=(16, 16, 16), **FORMATS[version]))
    entity = write_all_kinds(root)[kind]

    [node] = Reader(parse_url(Path(entity.zarr().root)))()

    assert [axis["name"] for axis in node.metadata["axes"]] == list("czyx")[-entity.array().ndim :]
    assert {axis["unit"] for axis in node.metadata["axes"] if axis["type"] == "space"} == {"angstrom"}
    assert len(node.data) == len(entity.levels)
    for level, (values, [scale]) in enumerate(zip(node.data, node.metadata["coordinateTransformations"], strict=True)):
        np.testing.assert_array_equal(values, entity.numpy(level))
        assert scale["scale"][-3:] == [10.012 * 2**level] * 3
