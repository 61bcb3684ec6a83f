"""NRRD files are read; pynrrd is the oracle."""

from __future__ import annotations

import nrrd
import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.volumes.reading import read_volume

VOLUME = np.arange(4 * 5 * 6).reshape(4, 5, 6)
ANGSTROM = {"space dimension": 3, "space directions": np.diag([7.84] * 3), "space units": ["angstrom"] * 3}


def made(path, volume=VOLUME, dtype="f4", **header):
    nrrd.write(str(path), volume.astype(dtype), {"encoding": "raw", **header}, index_order="C")
    return str(path)


def edited(path, *pairs):
    content = (path).read_bytes()
    for old, new in pairs:
        assert old in content
        content = content.replace(old, new)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">f4", ">i2"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_voxels_are_those_of_pynrrd(tmp_path, dtype, encoding):
    path = made(tmp_path / "a.nrrd", dtype=dtype, encoding=encoding)

    with read_volume(path) as volume:
        np.testing.assert_array_equal(volume.slabs(0, 4), nrrd.read(path, index_order="C")[0])
        assert volume.box(slice(1, 2), slice(2, 4), slice(3, 5)).tolist() == VOLUME[1:2, 2:4, 3:5].tolist()
        assert (volume.dtype.kind, volume.dtype.itemsize) == (np.dtype(dtype).kind, np.dtype(dtype).itemsize)


@pytest.mark.parametrize(("unit", "expected"), [("angstrom", 7.84), ("nm", 78.4), ("mm", 7.84e7)])
def test_the_voxel_size_is_in_the_unit_of_the_header(tmp_path, unit, expected):
    path = made(tmp_path / "a.nrrd", **{**ANGSTROM, "space units": [unit] * 3})

    with read_volume(path) as volume:
        assert volume.voxel_size == pytest.approx(expected)


def test_spacings_belong_to_axes(tmp_path):
    path = made(tmp_path / "a.nrrd", spacings=[1.0, 2.0, 3.0], units=["nm"] * 3)

    with read_volume(path) as volume:
        assert volume.voxel_sizes == (30.0, 20.0, 10.0)


def test_a_voxel_size_without_unit_is_not_guessed(tmp_path):
    path = made(tmp_path / "a.nrrd", **{"space": "left-posterior-superior", "space directions": np.eye(3)})

    with read_volume(path) as volume:
        assert volume.voxel_sizes is None


def test_content_tells_an_nrrd_file_whatever_it_is_called(tmp_path):
    made(tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").rename(tmp_path / "a.dat")

    with read_volume(str(tmp_path / "a.dat")) as volume:
        assert volume.shape == (4, 5, 6)


def test_bytes_before_the_voxels_are_skipped(tmp_path):
    made(tmp_path / "a.nrrd", dtype="u1")
    path = edited(tmp_path / "a.nrrd", (b"encoding: raw\n", b"encoding: raw\nbyte skip: 5\n"), (b"\n\n", b"\n\nxxxxx"))

    with read_volume(path) as volume:
        np.testing.assert_array_equal(volume.slabs(0, 4), VOLUME)


@pytest.mark.parametrize("directions", [np.diag([1, -1, 1]), np.eye(3)[[1, 0, 2]]])
def test_axes_that_are_turned_or_flipped_are_refused(tmp_path, directions):
    with pytest.raises(InvalidDataError, match="turned or flipped"):
        read_volume(made(tmp_path / "a.nrrd", **{**ANGSTROM, "space directions": directions}))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"dimension: 3", b"dimension: 4", "4 axes"),
        (b"sizes: 6 5 4", b"sizes: 6 5", "header cannot be read"),
        (b"sizes: 6 5 4", b"sizes: 6 5 9", "cut off"),
        (b"sizes: 6 5 4", b"sizes: 6 5 -4", "not a volume"),
        (b"type: float", b"type: block", "'block'"),
        (b"endian: little", b"# nothing", "order of its bytes"),
        (b"encoding: raw", b"encoding: hex", "'hex'"),
        (b"encoding: raw", b"encoding: raw\nline skip: 2", "2 lines"),
        (b"encoding: raw", b"encoding: gzip", "unpacked"),
        (b"encoding: raw", b"encoding: raw\ndata file: /etc/passwd", "another file"),
        (b"encoding: raw", b"encoding: raw\nspacings: 1 2 x", "voxel size"),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path, old, new, reason):
    made(tmp_path / "a.nrrd")

    with pytest.raises(InvalidDataError, match=reason):
        read_volume(edited(tmp_path / "a.nrrd", (old, new)))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, encoding):
    path = made(tmp_path / "a.nrrd", encoding=encoding)
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(content[:-20])

    with pytest.raises(InvalidDataError, match=r"cut off|unpacked"):
        read_volume(path)
