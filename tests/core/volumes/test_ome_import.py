"""Volumes from files: headers, byte orders, voxel sizes, orientation, and streaming them into a store."""

from __future__ import annotations

import bz2
import gzip
import json
import logging
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore, MemoryStore

from copick_core.errors import InvalidDataError, MissingDependencyError, RegionTooLargeError
from copick_core.volumes.ome import VolumeFormat, open_level, voxel_size_of, write_array, write_volume
from copick_core.volumes.sources import VolumeSource, import_volume_into, read_volume
from support.counting_store import CountingStore
from support.shared_data import data_file

VOLUME = (np.random.default_rng(0).standard_normal((7, 6, 5)) * 40 + 60).clip(0, 127).astype("f4")
SMALL = VolumeFormat(chunks=4)


def write_mrc(path: Path, volume: np.ndarray = VOLUME, size: float | tuple[float, ...] = 10.012, extended: int = 0) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = size
        if extended:
            file.set_extended_header(np.arange(extended, dtype=np.uint8).view("V1"))
    return path


def write_em(path: Path, volume: np.ndarray, machine: int, code: int) -> Path:
    order = ">" if machine in (0, 3, 4, 5) else "<"
    z, y, x = volume.shape
    header = bytes([machine, 0, 0, code]) + struct.pack(f"{order}3i", x, y, z)
    path.write_bytes(header.ljust(512, b"\0") + volume.astype(volume.dtype.newbyteorder(order)).tobytes())
    return path


def shared(name: str) -> Path:
    path = data_file(name)
    if path is None:
        pytest.skip(f"the shared test data ({name}) is not here; set COPICK_TEST_DATA")
    return path


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


def test_odd_axis_orders_are_told_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mrc(tmp_path / "a.mrc")
    raw = bytearray(path.read_bytes())
    raw[64:76] = struct.pack("<3i", 3, 2, 1)
    path.write_bytes(raw)

    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(read_volume(path).data, VOLUME)

    assert "(3, 2, 1)" in caplog.text


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


@pytest.mark.parametrize("machine", [5, 6])
@pytest.mark.parametrize(("code", "dtype"), [(1, "i1"), (2, "i2"), (4, "i4"), (5, "f4"), (9, "f8")])
def test_em_files_are_read(tmp_path: Path, machine: int, code: int, dtype: str) -> None:
    path = write_em(tmp_path / "a.em", VOLUME.astype(dtype), machine, code)

    volume = read_volume(path)

    assert (volume.shape, volume.voxel_size) == ((7, 6, 5), None)
    np.testing.assert_array_equal(volume.data, VOLUME.astype(dtype))


def test_em_files_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    path = write_em(tmp_path / "a.em", VOLUME, 6, 7)

    with pytest.raises(InvalidDataError, match="EM file"):
        read_volume(path)


def test_complex_em_files_are_refused(tmp_path: Path) -> None:
    path = write_em(tmp_path / "a.em", VOLUME.astype("c8"), 6, 8)

    with pytest.raises(InvalidDataError, match="complex64"):
        read_volume(path)


AXES = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]


def scaled(*scale: float) -> list[Any]:
    return [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]


@pytest.mark.parametrize(
    "image",
    [
        {"axes": AXES, "datasets": scaled(1, 2, 3)},
        {"axes": AXES, "datasets": scaled(1, 1)},
        {"axes": AXES, "datasets": ["0"]},
        {"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": ["scale"]}]},
        {"axes": [axis | {"unit": "pixel"} for axis in AXES], "datasets": scaled(1, 1, 1)},
    ],
    ids=["no cubes", "too short", "no dataset", "no transformation", "no unit of length"],
)
def test_zarr_folders_that_tell_no_sensible_voxel_size_are_named_and_take_one(tmp_path: Path, image: Any) -> None:
    write_volume(LocalStore(tmp_path / "image.zarr"), VOLUME, 10.0)
    (tmp_path / "image.zarr" / ".zattrs").write_text(json.dumps({"multiscales": [image]}))

    with pytest.raises(InvalidDataError, match=r"image\.zarr.* voxel_size"):
        read_volume(tmp_path / "image.zarr")
    assert read_volume(tmp_path / "image.zarr", voxel_size=12.0).voxel_size == 12.0


def test_zarr_folders_are_read_with_their_voxel_size(tmp_path: Path) -> None:
    write_volume(LocalStore(tmp_path / "image.zarr"), VOLUME, 10.52)
    write_array(LocalStore(tmp_path / "array.zarr"), VOLUME)

    assert read_volume(tmp_path / "image.zarr").voxel_size == 10.52
    assert read_volume(tmp_path / "array.zarr").voxel_size is None
    np.testing.assert_array_equal(read_volume(tmp_path / "array.zarr" / "0").data, VOLUME)


def test_arrays_are_volumes_and_may_be_given_a_voxel_size() -> None:
    volume = read_volume(VOLUME, voxel_size=12)

    assert volume.voxel_size == 12.0
    assert volume.data is not None
    assert isinstance(read_volume(volume), VolumeSource)
    with pytest.raises(InvalidDataError, match=r"\(6, 5\)"):
        read_volume(VOLUME[0])


def test_unknown_files_are_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "folder").mkdir()

    with pytest.raises(InvalidDataError, match=r"\.mrc"):
        read_volume(tmp_path / "a.png")
    with pytest.raises(InvalidDataError, match="zarr folder"):
        read_volume(tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match=r"b\.mrc"):
        read_volume(tmp_path / "b.mrc")


@pytest.mark.parametrize(("name", "package"), [("a.mrc", "mrcfile"), ("a.tif", "tifffile")])
def test_a_missing_package_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingDependencyError, match=r'pip install "copick-core\[io\]"'):
        read_volume(tmp_path / name)


def test_data_larger_than_memory_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = read_volume(write_mrc(tmp_path / "a.mrc"))
    monkeypatch.setattr("copick_core.volumes.sources.available_memory", lambda: 100)

    with pytest.raises(RegionTooLargeError, match="840 bytes"):
        _ = volume.data


AXES = st.permutations([0, 1, 2])
FLIPS = st.lists(st.integers(0, 2), max_size=3)


@pytest.mark.parametrize("kind", ["mrc", "gz", "tif", "array"])
@settings(max_examples=25, deadline=None)
@given(axes=AXES, flips=FLIPS)
def test_transpose_then_flip_as_numpy_does(
    tmp_path_factory: pytest.TempPathFactory, kind: str, axes: list[int], flips: list[int]
) -> None:
    source = oriented_source(tmp_path_factory.getbasetemp(), kind)
    expected = VOLUME.transpose(axes)
    for axis in flips:
        expected = np.flip(expected, axis)
    store = MemoryStore()

    import_volume_into(
        store, source, 1.0, levels=2, format=SMALL, transpose=",".join(map(str, axes)), flip=", ".join(map(str, flips))
    )

    whole = MemoryStore()
    write_volume(whole, expected, 1.0, levels=2, format=SMALL)
    for level in range(2):
        np.testing.assert_array_equal(open_level(store, level)[:], open_level(whole, level)[:])


def oriented_source(folder: Path, kind: str) -> Any:
    if kind == "array":
        return VOLUME
    if kind == "tif":
        tifffile.imwrite(folder / "turned.tif", VOLUME, compression="zlib")
        return folder / "turned.tif"
    path = write_mrc(folder / "turned.mrc")
    if kind == "gz":
        (folder / "turned.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
        return folder / "turned.mrc.gz"
    return path


@pytest.mark.parametrize("options", [{"transpose": "0,1"}, {"transpose": "0,0,1"}, {"flip": "3"}, {"flip": "z"}])
def test_what_are_no_axes_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        import_volume_into(MemoryStore(), VOLUME, 1.0, **options)


def test_every_chunk_is_written_once_and_none_is_read(tmp_path: Path) -> None:
    store = CountingStore()
    volume = np.random.default_rng(0).standard_normal((40, 33, 20)).astype("f4")

    import_volume_into(store, write_mrc(tmp_path / "a.mrc", volume), format=VolumeFormat(chunks=8), levels=3)

    written = store.chunks_of("set")
    assert len(written) == len(set(written)) == 5 * 5 * 3 + 3 * 3 * 2 + 2 * 2 * 1
    assert store.chunks_of("get") == []
    whole = MemoryStore()
    write_volume(whole, volume, 1.0, format=VolumeFormat(chunks=8))
    for level in range(3):
        np.testing.assert_array_equal(open_level(store, level)[:], open_level(whole, level)[:])


def test_large_files_are_read_in_bricks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.level_stream._BRICK_BYTES", 4 * 8 * 20 * 8)
    reads: list[tuple[int, int, int, int]] = []
    volume = read_volume(write_mrc(tmp_path / "a.mrc", np.ones((20, 20, 20), "f4")))
    read = volume.read
    monkeypatch.setattr(volume, "read", lambda *box: reads.append(box) or read(*box))
    told: list[tuple[int, int]] = []

    import_volume_into(
        MemoryStore(), volume, format=VolumeFormat(chunks=8), progress=lambda done, total: told.append((done, total))
    )

    assert reads == [(z, min(z + 8, 20), y, min(y + 8, 20)) for z in (0, 8, 16) for y in (0, 8, 16)]
    assert told[-1] == (8000, 8000)


def test_the_microtubule_tomogram_is_10_52_angstrom() -> None:
    volume = read_volume(shared("13pf_MT.tif"))
    store = MemoryStore()

    assert import_volume_into(store, volume) == 10.52
    assert (volume.shape, volume.dtype) == ((36, 206, 94), np.uint8)
    np.testing.assert_array_equal(open_level(store)[:], tifffile.imread(shared("13pf_MT.tif")))


@pytest.mark.parametrize(("name", "size"), [("beta-tubulin.mrc", 5.144), ("EMD-3197.map", 11.4)])
def test_real_maps_are_read_as_mrcfile_reads_them(name: str, size: float) -> None:
    volume = read_volume(shared(name))

    assert (volume.shape, volume.voxel_size) == ((20, 20, 20), size)
    np.testing.assert_array_equal(volume.data, mrcfile.read(shared(name)))
