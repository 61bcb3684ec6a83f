"""TIFF files: voxel sizes, byte orders, what is no volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from zarr.storage import MemoryStore

from copick_core.errors import InvalidDataError
from copick_core.volumes.importing import import_volume_into
from copick_core.volumes.ome import open_level
from copick_core.volumes.reading import read_volume
from support.shared_data import shared
from support.volume_files import VOLUME


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("unit", "size", "expected"),
    [("nm", 1.052, 10.52), ("micron", 0.001052, 10.52), ("\\u00B5m", 0.001052, 10.52),
     ("A", 10.52, 10.52), ("angstrom", 10.52, 10.52), ("pixel", 1.0, None)],
)  # fmt: skip
def test_imagej_stacks_tell_their_voxel_size(
    tmp_path: Path, compression: str | None, unit: str, size: float, expected: float | None
) -> None:
    path = tmp_path / "a.tif"
    about = {"spacing": size, "unit": unit, "axes": "ZYX"}
    tifffile.imwrite(path, VOLUME, imagej=True, resolution=(1 / size, 1 / size), metadata=about, compression=compression)

    volume = read_volume(path)

    assert volume.voxel_size == expected
    np.testing.assert_array_equal(volume.data, VOLUME)
    np.testing.assert_array_equal(volume.box(slice(3, 5), slice(1, 2), slice(0, 4)), VOLUME[3:5, 1:2, :4])


def test_an_imagej_stack_with_another_spacing_in_z_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VOLUME, imagej=True, resolution=(1, 1), metadata={"spacing": 2.0, "unit": "nm", "axes": "ZYX"})

    with pytest.raises(InvalidDataError, match=r"20\.0, 10\.0, 10\.0"):
        _ = read_volume(path).voxel_size


def test_ome_tiffs_tell_their_voxel_size(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    about = {"axes": "ZYX"} | {f"PhysicalSize{a}": 1.052 for a in "XYZ"} | {f"PhysicalSize{a}Unit": "nm" for a in "XYZ"}
    tifffile.imwrite(path, VOLUME, metadata=about)

    assert read_volume(path).voxel_size == 10.52


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_plain_tiff_has_no_voxel_size(tmp_path: Path, byteorder: Any) -> None:
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, VOLUME, byteorder=byteorder, resolution=(72, 72), photometric="minisblack", metadata=None)

    volume = read_volume(path)

    assert volume.voxel_size is None
    np.testing.assert_array_equal(volume.data, VOLUME)


def test_a_colour_image_is_no_volume(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((20, 30, 3), np.uint8), photometric="rgb")

    with pytest.raises(InvalidDataError, match="no volume"):
        read_volume(path)


def test_the_microtubule_tomogram_is_10_52_angstrom() -> None:
    volume = read_volume(shared("13pf_MT.tif"))
    store = MemoryStore()

    assert import_volume_into(store, volume) == 10.52
    assert (volume.shape, volume.dtype) == ((36, 206, 94), np.uint8)
    np.testing.assert_array_equal(open_level(store)[:], tifffile.imread(shared("13pf_MT.tif")))
