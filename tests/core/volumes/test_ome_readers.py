"""What we write, read by ome-zarr, the reference implementation of OME-NGFF, and by napari's plugin."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

import copick_core
from support.environments import IndexUnreachableError, python_with

NAPARI_READS = Path(__file__).parents[2] / "support" / "napari_reads.py"
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


@pytest.mark.slow
def test_napari_reads_every_level_with_axes_and_scales(project_config: Any) -> None:
    try:
        python = python_with("napari-ome-zarr", "0.10.0")
    except IndexUnreachableError as error:
        pytest.skip(f"napari's reader cannot be installed: {error}")
    volumes = {}
    for number, options in enumerate(FORMATS.values()):
        root = copick_core.open(project_config(overlay=f"overlay{number}", chunks=(16, 16, 16), **options))
        volumes |= {entity.zarr().root: entity for entity in write_all_kinds(root).values()}

    command = [python, NAPARI_READS, *volumes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    for [layer], entity in zip(json.loads(done.stdout), volumes.values(), strict=True):
        arrays = [entity.numpy(level) for level in entity.levels]
        assert layer == {
            "kind": "image",
            "axes": ["z", "y", "x"],
            "scale": [10.012] * 3,
            "units": ["angstrom"] * 3,
            "channel_axis": 0 if arrays[0].ndim == 4 else None,
            "levels": [hashlib.sha256(array).hexdigest() for array in arrays],
        }
