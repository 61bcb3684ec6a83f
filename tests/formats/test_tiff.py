"""TIFF files: voxel sizes, byte orders, what is not a volume."""

from __future__ import annotations

import contextlib
import gzip
import os
import subprocess
import sys
import tracemalloc
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
from support.volume_files import VOLUME, patched


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

    with pytest.raises(InvalidDataError, match="not a volume"):
        read_volume(path)


def test_the_microtubule_tomogram_is_10_52_angstrom() -> None:
    volume = read_volume(shared("13pf_MT.tif"))
    store = MemoryStore()

    assert import_volume_into(store, volume) == 10.52
    assert (volume.shape, volume.dtype) == ((36, 206, 94), np.uint8)
    np.testing.assert_array_equal(open_level(store)[:], tifffile.imread(shared("13pf_MT.tif")))


def two_sizes(path: Path) -> Path:
    """Three pages of one size, and two of another."""
    with tifffile.TiffWriter(path) as tiff:
        for z in range(5):
            tiff.write(np.full((16, 24) if z < 3 else (8, 24), z, "u1"), metadata=None, contiguous=False)
    return path


def test_several_series_are_refused_with_their_list(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"a\.tif.*0 with .*\(3, 16, 24\).*1 with .*\(2, 8, 24\).*series=0"):
        read_volume(two_sizes(tmp_path / "a.tif"))


def test_one_of_several_series_can_be_chosen(tmp_path: Path) -> None:
    volume = read_volume(two_sizes(tmp_path / "a.tif"), series=1)

    assert volume.shape == (2, 8, 24)
    assert volume.data[:, 0, 0].tolist() == [3, 4]


@pytest.mark.parametrize("number", [-1, 2])
def test_a_series_that_the_file_lacks_is_refused_with_those_that_it_has(tmp_path: Path, number: int) -> None:
    with pytest.raises(InvalidDataError, match=rf"a\.tif.*no series {number}.*\(2, 8, 24\)"):
        read_volume(two_sizes(tmp_path / "a.tif"), series=number)


BYTES = VOLUME.repeat(4, 1).repeat(4, 2).astype("u1")
LOSSLESS = ["lzw", "zstd", "zlib", "lzma", "packbits"]


@pytest.mark.parametrize("options", [{}, {"predictor": True}, {"tile": (16, 16)}], ids=["strips", "predictor", "tiles"])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_the_common_lossless_compressions_are_read(tmp_path: Path, compression: str, options: dict[str, Any]) -> None:
    if compression == "packbits" and "predictor" in options:
        options = {}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, compression=compression, photometric="minisblack", **options)

    volume = read_volume(path)

    np.testing.assert_array_equal(volume.data, BYTES)
    np.testing.assert_array_equal(volume.box(slice(1, 4), slice(2, 9), slice(3, 7)), BYTES[1:4, 2:9, 3:7])


def test_jpeg_pages_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, compression="jpeg", photometric="minisblack")

    np.testing.assert_array_equal(read_volume(path).data, tifffile.imread(path))


def test_ccitt_pages_are_read(tmp_path: Path) -> None:
    from PIL import Image

    masks = [Image.fromarray(plane > 60) for plane in BYTES]
    masks[0].save(tmp_path / "a.tif", compression="group4", save_all=True, append_images=masks[1:])

    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").data, BYTES > 60)


@pytest.mark.parametrize("compression", ["lzw", "jpeg", "zstd"])
def test_a_compression_that_needs_the_extra_names_the_file_and_the_install_line(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, compression=compression, photometric="minisblack")
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from copick_core.volumes.reading import read_volume\n"
        "from copick_core.errors import MissingDependencyError\n"
        f"try: read_volume({str(path)!r}).data\n"
        "except MissingDependencyError as error: print(error.feature, error.install)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert str(path) in done.stdout
    assert 'pip install "copick-formats[tiff]"' in done.stdout


def test_a_file_whose_last_pages_are_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for plane in BYTES:
            tiff.write(plane, metadata=None, compression="zlib", contiguous=False)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[4].offset
    path.write_bytes(path.read_bytes()[:start])

    with pytest.raises(InvalidDataError, match=r"a\.tif.*breaks off after 4"):
        read_volume(path)


def test_a_page_that_claims_more_than_its_bytes_can_hold_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES[:1], compression="zlib", photometric="minisblack", rowsperstrip=28)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[name].overwrite(30_000)
    volume = read_volume(path)

    tracemalloc.start()
    with pytest.raises(InvalidDataError, match=r"a\.tif.*900,000,000 bytes"):
        volume.box(slice(0, 1), slice(0, 1), slice(0, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22


def test_a_damaged_page_names_file_and_page(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[3].dataoffsets[0]
    patched(path, offset, b"\xff" * 20)

    with pytest.raises(InvalidDataError, match=r"a\.tif: page 3 is damaged"):
        _ = read_volume(path).data


def test_a_packed_tiff_file_is_named_as_such(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", BYTES)
    (tmp_path / "a.tif.gz").write_bytes(gzip.compress((tmp_path / "a.tif").read_bytes()))

    with pytest.raises(InvalidDataError, match=r"a\.tif\.gz: is a packed TIFF"):
        read_volume(tmp_path / "a.tif.gz")


def test_closing_a_volume_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, compression="zlib", photometric="minisblack")
    with read_volume(path) as volume:
        assert str(path) in open_files()

    assert str(path) not in open_files()
    assert volume.shape == BYTES.shape


def open_files() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(link))
    return found
