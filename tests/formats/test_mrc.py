"""MRC files: modes, byte orders, voxel sizes, packed and damaged files."""

from __future__ import annotations

import bz2
import gzip
import itertools
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from zarr.storage import MemoryStore

from copick_core.errors import InvalidDataError, RegionTooLargeError
from copick_core.volumes.importing import import_volume_into
from copick_core.volumes.ome import VolumeFormat, open_level, voxel_size_of
from copick_core.volumes.reading import read_volume
from support.shared_data import shared
from support.volume_files import VOLUME, patched, write_mrc

SMALL = VolumeFormat(chunks=4)


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f2", "f4"])
def test_every_real_mrc_mode_is_read(tmp_path: Path, dtype: str) -> None:
    volume = read_volume(write_mrc(tmp_path / "a.mrc", VOLUME.astype(dtype)))

    assert (volume.shape, volume.dtype, volume.voxel_size) == ((7, 6, 5), np.dtype(dtype), 10.012)
    np.testing.assert_array_equal(volume.data, VOLUME.astype(dtype))
    np.testing.assert_array_equal(volume.slabs(2, 5), VOLUME.astype(dtype)[2:5])
    np.testing.assert_array_equal(volume.read(1, 3, 2, 6), VOLUME.astype(dtype)[1:3, 2:6])


@pytest.mark.parametrize("extension", [".mrc", ".map", ".rec", ".st", ".MRC"])
def test_extended_headers_are_skipped(tmp_path: Path, extension: str) -> None:
    path = write_mrc(tmp_path / f"a{extension}", extended=1337)

    np.testing.assert_array_equal(read_volume(path).data, VOLUME)


def test_big_endian_mrc_files_are_read(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", VOLUME.astype(">f4"))
    store = MemoryStore()

    import_volume_into(store, path, format=SMALL)

    assert read_volume(path).dtype == np.dtype(">f4")
    assert open_level(store).dtype == np.dtype("<f4")
    np.testing.assert_array_equal(open_level(store)[:], VOLUME)


@pytest.mark.parametrize(("extension", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_mrc_files_are_read(tmp_path: Path, extension: str, pack: Callable[[bytes], bytes]) -> None:
    plain = write_mrc(tmp_path / "a.mrc", extended=80)
    path = tmp_path / f"a.mrc{extension}"
    path.write_bytes(pack(plain.read_bytes()))

    volume = read_volume(path)

    assert volume.voxel_size == 10.012
    np.testing.assert_array_equal(volume.data, VOLUME)
    np.testing.assert_array_equal(volume.box(slice(1, 4), slice(0, 6), slice(2, 3)), VOLUME[1:4, :, 2:3])


def test_bytes_of_old_imod_files_are_unsigned(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", VOLUME.astype("i1"))
    raw = bytearray(path.read_bytes())
    raw[152:160] = struct.pack("<2i", 1146047817, 0)
    raw[1024] = 200
    path.write_bytes(raw)

    volume = read_volume(path)

    assert volume.dtype == np.uint8
    assert volume.data[0, 0, 0] == 200


@pytest.mark.parametrize("mode", [3, 4, 101])
def test_modes_that_are_no_real_volume_are_refused(tmp_path: Path, mode: int) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    raw = bytearray(path.read_bytes())
    raw[12:16] = struct.pack("<i", mode)
    path.write_bytes(raw)

    with pytest.raises(InvalidDataError, match=r"a\.mrc"):
        read_volume(path)


def test_a_file_that_is_cut_off_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(InvalidDataError, match=r"1,863 bytes.*1,864"):
        read_volume(path)


@pytest.mark.parametrize("packing", [gzip, bz2], ids=["gzip", "bzip2"])
def test_a_compressed_mrc_file_is_read_whatever_it_is_called(tmp_path: Path, packing: Any) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    path.write_bytes(packing.compress(path.read_bytes()))

    np.testing.assert_array_equal(read_volume(path).data, VOLUME)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(write_mrc(tmp_path / "a.mrc").read_bytes())[:-20])

    with pytest.raises(InvalidDataError, match="unpacked"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.mrc.gz", "a.em.gz", "a.em.bz2"])
@pytest.mark.parametrize("damage", [b"\xff" * 40, b""], ids=["stream", "beginning"])
def test_whatever_cannot_be_unpacked_is_refused_by_name(tmp_path: Path, name: str, damage: bytes) -> None:
    packed = bytearray((bz2 if name.endswith("bz2") else gzip).compress(write_mrc(tmp_path / "a.mrc").read_bytes()))
    packed[15:55] = damage
    (tmp_path / name).write_bytes(packed if damage else b"no archive" * 200)

    with pytest.raises(InvalidDataError, match=name):
        read_volume(tmp_path / name)


def test_a_volume_stack_without_sampling_is_one_volume(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    raw = bytearray(path.read_bytes())
    raw[36:40], raw[88:92] = struct.pack("<i", 0), struct.pack("<i", 401)
    path.write_bytes(raw)

    assert read_volume(path).shape == VOLUME.shape


def test_text_is_no_mrc_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_text("hello")

    with pytest.raises(InvalidDataError, match=r"a\.mrc"):
        read_volume(path)


def test_a_file_without_voxel_size_needs_one(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", size=0.0)
    store = MemoryStore()

    with pytest.raises(InvalidDataError, match="voxel_size"):
        import_volume_into(store, path)

    assert import_volume_into(store, path, 7.5) == 7.5
    assert voxel_size_of(store) == 7.5


def test_voxels_that_are_no_cubes_are_refused_unless_told(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", size=(10.0, 10.0, 20.0))

    with pytest.raises(InvalidDataError, match=r"20\.0, 10\.0, 10\.0"):
        import_volume_into(MemoryStore(), path)

    assert import_volume_into(MemoryStore(), path, 10.0) == 10.0


def test_data_larger_than_memory_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = read_volume(write_mrc(tmp_path / "a.mrc"))
    monkeypatch.setattr("copick_core.volumes.free_memory.available_memory", lambda: 100)
    monkeypatch.setattr("copick_core.volumes.free_memory.SMALL", 0)

    with pytest.raises(RegionTooLargeError, match="840 bytes"):
        _ = volume.data


@pytest.mark.parametrize(("name", "size"), [("beta-tubulin.mrc", 5.144), ("EMD-3197.map", 11.4)])
def test_real_maps_are_read_as_mrcfile_reads_them(name: str, size: float) -> None:
    volume = read_volume(shared(name))

    assert (volume.shape, volume.voxel_size) == ((20, 20, 20), size)
    np.testing.assert_array_equal(volume.data, mrcfile.read(shared(name)))


def with_axes(path: Path, volume: np.ndarray, order: tuple[int, int, int]) -> Path:
    """Store a volume (z, y, x) with its columns, rows and sections along other axes (1 = x, 2 = y, 3 = z)."""
    write_mrc(path, np.ascontiguousarray(volume.transpose([3 - axis for axis in reversed(order)])), size=0.0)
    z, y, x = volume.shape
    patched(path, 28, struct.pack("<3i", x, y, z) + struct.pack("<3f", 10.0 * x, 10.0 * y, 10.0 * z))
    return patched(path, 64, struct.pack("<3i", *order))


@pytest.mark.parametrize("packing", [None, gzip], ids=["plain", "gzip"])
@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_axes_are_turned_to_z_y_x_as_the_header_says(tmp_path: Path, order: tuple[int, int, int], packing: Any) -> None:
    path = with_axes(tmp_path / "a.mrc", VOLUME, order)
    if packing:
        path.write_bytes(packing.compress(path.read_bytes()))

    volume = read_volume(path)

    assert (volume.shape, volume.voxel_size) == (VOLUME.shape, 10.0)
    np.testing.assert_array_equal(volume.data, VOLUME)
    np.testing.assert_array_equal(volume.box(slice(1, 4), slice(2, 6), slice(3, 5)), VOLUME[1:4, 2:6, 3:5])


def test_voxel_sizes_belong_to_axes_and_not_to_columns_and_rows(tmp_path: Path) -> None:
    path = with_axes(tmp_path / "a.mrc", VOLUME, (3, 2, 1))
    patched(path, 40, struct.pack("<3f", 5 * 10.0, 6 * 20.0, 7 * 30.0))

    assert read_volume(path).voxel_sizes == (30.0, 20.0, 10.0)


def test_an_order_of_axes_that_is_none_is_refused(tmp_path: Path) -> None:
    path = patched(write_mrc(tmp_path / "a.mrc"), 64, struct.pack("<3i", 1, 1, 3))

    with pytest.raises(InvalidDataError, match=r"a\.mrc.*\(1, 1, 3\)"):
        read_volume(path)


def test_old_files_without_an_order_of_axes_are_x_y_z(tmp_path: Path) -> None:
    path = patched(write_mrc(tmp_path / "a.mrc"), 64, bytes(12))

    np.testing.assert_array_equal(read_volume(path).data, VOLUME)


@pytest.mark.parametrize("name", ["a.ccp4", "a.mrcs", "a.ali", "a.dat", "a.tif"])
def test_content_tells_an_mrc_file_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(read_volume(write_mrc(tmp_path / name)).data, VOLUME)


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali", ".preali"])
def test_old_files_without_a_map_id_are_known_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    path = patched(write_mrc(tmp_path / f"a{suffix}"), 208, bytes(4))

    np.testing.assert_array_equal(read_volume(path).data, VOLUME)


@pytest.mark.parametrize("size", [-1, 2**31 - 1])
def test_an_extended_header_that_the_file_cannot_have_is_refused_before_it_is_allocated(tmp_path: Path, size: int) -> None:
    path = patched(write_mrc(tmp_path / "a.mrc"), 92, struct.pack("<i", size))

    tracemalloc.start()
    with pytest.raises(InvalidDataError, match=r"a\.mrc"):
        read_volume(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**22


def test_sizes_whose_product_overflows_are_refused(tmp_path: Path) -> None:
    path = patched(write_mrc(tmp_path / "a.mrc"), 0, struct.pack("<3i", 2**31 - 1, 2**31 - 1, 2**31 - 1))

    with pytest.raises(InvalidDataError, match="cut off"):
        read_volume(path)
