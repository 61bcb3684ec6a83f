"""Levels that were made elsewhere are stored as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from copick_core.volumes.format import VolumeFormat
from copick_core.volumes.ome import levels, open_level, read_image, voxel_size_of, write_pyramid

FINE, COARSE = np.arange(60.0, dtype="f4").reshape(3, 4, 5), np.full((1, 2, 2), 7, "i2")


@pytest.mark.parametrize(("zarr_format", "version"), [(2, "0.4"), (3, "0.5")])
def test_each_level_keeps_its_voxels_dtype_and_size(zarr_format: Any, version: str) -> None:
    store = MemoryStore()

    write_pyramid(
        store,
        {10.0: FINE, 25.0: COARSE},
        format=VolumeFormat(zarr_format, chunks=2),
        metadata={"method": "mine"},
        name="made elsewhere",
    )

    image = read_image(store)
    assert image is not None
    assert (image.version, levels(store)) == (version, ["0", "1"])
    assert [dataset.scale for dataset in image.datasets] == [(10.0,) * 3, (25.0,) * 3]
    assert voxel_size_of(store) == 10.0
    for level, data in (("0", FINE), ("1", COARSE)):
        array = open_level(store, level)
        np.testing.assert_array_equal(array[...], data)
        assert (array.dtype, array.metadata.zarr_format) == (data.dtype, zarr_format)
        assert array.chunks[-1] == 2
    attributes = zarr.open_group(store, mode="r").attrs.asdict()
    (described,) = (attributes if zarr_format == 2 else attributes["ome"])["multiscales"]
    assert (described["name"], described["metadata"]) == ("made elsewhere", {"method": "mine"})


@pytest.mark.parametrize(
    ("pyramid", "message"),
    [
        ({}, "needs levels by their voxel size"),
        ({10.0: FINE, 0.0: COARSE}, "positive number of angstrom, not \\[10.0, 0.0\\]"),
        ({10.0: FINE, -1.0: COARSE}, "positive number"),
        ({np.inf: FINE}, "positive number"),
        ({np.nan: FINE}, "positive number"),
        ({10.0: FINE, 20.0: COARSE[0]}, r"are \(z, y, x\) and real, not \(2, 2\) of int16"),
        ({10.0: FINE[None]}, r"not \(1, 3, 4, 5\)"),
        ({10.0: FINE.astype(complex)}, "of complex128"),
    ],
)
def test_what_is_no_pyramid_is_refused_before_anything_is_deleted(pyramid: Any, message: str) -> None:
    store = MemoryStore()
    write_pyramid(store, {10.0: FINE})

    with pytest.raises(ValueError, match=message):
        write_pyramid(store, pyramid)

    np.testing.assert_array_equal(open_level(store, "0")[...], FINE)


def test_nothing_of_an_older_volume_is_left() -> None:
    store = MemoryStore()
    write_pyramid(store, {10.0: FINE, 20.0: COARSE})

    write_pyramid(store, {10.0: COARSE})

    assert levels(store) == ["0"]
    assert open_level(store, "0").shape == COARSE.shape
