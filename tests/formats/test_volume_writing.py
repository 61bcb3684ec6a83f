"""Volumes to files; mrcfile, emfile, tifffile, pynrrd and zarr are the oracles."""

from __future__ import annotations

import emfile
import mrcfile
import nrrd
import numpy as np
import pytest
import tifffile
import zarr

from copick_core.errors import InvalidDataError
from copick_core.plugins.choosing import function_of
from copick_core.plugins.discovery import formats
from copick_core.volumes import sources
from copick_core.volumes.reading import read_volume

NAMES = ["mrc", "em", "tiff", "nrrd", "ome-zarr"]
VOLUME = np.random.default_rng(0).normal(size=(7, 6, 5)).astype("f4")


def save(path, array, name, voxel_size=7.84, **options):
    chosen = formats.get(name)
    function_of(chosen, chosen.writes, "volume", options)(str(path), read_volume(array, voxel_size=voxel_size), **options)
    return path


def load(path, name):
    if name == "nrrd":
        return nrrd.read(str(path), index_order="C")[0]
    if name == "ome-zarr":
        return zarr.open(str(path), mode="r")["0"][:]
    if name == "mrc":
        return mrcfile.read(path)
    return emfile.read(path)[1] if name == "em" else tifffile.imread(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_formats_own_library_reads_the_same_voxels(tmp_path, name, monkeypatch):
    monkeypatch.setattr(sources, "_SLAB_BYTES", 200)  # more slabs than one

    found = load(save(tmp_path / f"a.{name}", VOLUME, name), name)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VOLUME)


def test_mrcfile_finds_nothing_wrong_with_what_is_written(tmp_path, capsys):
    path = save(tmp_path / "a.mrc", VOLUME, "mrc")

    assert mrcfile.validate(path)
    with mrcfile.open(path) as file:
        assert float(file.voxel_size.x) == pytest.approx(7.84)
        assert float(file.header.rms) == pytest.approx(VOLUME.std(), rel=1e-5)


@pytest.mark.parametrize("name", ["mrc", "tiff", "nrrd", "ome-zarr"])
def test_the_voxel_size_survives(tmp_path, name):
    assert read_volume(save(tmp_path / f"a.{name}", VOLUME, name)).voxel_size == pytest.approx(7.84)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "?"])
def test_labels_never_change(tmp_path, name, dtype):
    labels = np.arange(7 * 6 * 5).reshape(7, 6, 5).astype(dtype)

    np.testing.assert_array_equal(load(save(tmp_path / f"a.{name}", labels, name), name), labels)


@pytest.mark.parametrize(("name", "value"), [("mrc", 2**24 + 1), ("em", 2**53 + 1), ("tiff", 2**53 + 1)])
def test_labels_that_do_not_fit_are_refused(tmp_path, name, value):
    labels = np.full((2, 2, 2), value, np.int64)

    with pytest.raises(InvalidDataError, match=str(value)):
        save(tmp_path / f"a.{name}", labels, name)


def test_fractions_are_rounded_only_where_that_is_asked_for(tmp_path):
    with pytest.raises(InvalidDataError, match="dtype='float32'"):
        save(tmp_path / "a.mrc", VOLUME.astype("f8"), "mrc")

    np.testing.assert_array_equal(load(save(tmp_path / "a.mrc", VOLUME.astype("f8"), "mrc", dtype="float32"), "mrc"), VOLUME)


def test_pages_of_a_tiff_are_compressed_where_that_is_asked_for(tmp_path):
    path = save(tmp_path / "a.tif", np.zeros((8, 64, 64), "u1"), "tiff", compression="zlib")

    assert path.stat().st_size < 8 * 64 * 64
    assert not tifffile.imread(path).any()


def test_nrrd_files_have_the_voxel_size_in_angstrom_along_each_axis(tmp_path):
    header = nrrd.read_header(str(save(tmp_path / "a.nrrd", VOLUME, "nrrd")))

    np.testing.assert_array_equal(header["space directions"], np.eye(3) * 7.84)
    assert header["space units"] == ["angstrom"] * 3
    assert header["sizes"].tolist() == [5, 6, 7]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_ome_zarr_folder_has_levels_and_is_imported_again(tmp_path, zarr_format):
    labels = np.arange(8 * 8 * 8, dtype="u2").reshape(8, 8, 8)

    path = save(tmp_path / "a.zarr", labels, "ome-zarr", levels=2, zarr_format=zarr_format)

    group = zarr.open_group(str(path), mode="r")
    assert (group.metadata.zarr_format, group["1"].shape) == (zarr_format, (4, 4, 4))
    assert {*np.unique(group["1"][:])} <= {*np.unique(labels)}
    np.testing.assert_array_equal(read_volume(path).data, labels)


def test_an_ome_zarr_folder_needs_a_voxel_size(tmp_path):
    with pytest.raises(InvalidDataError, match="voxel size"):
        save(tmp_path / "a.zarr", VOLUME, "ome-zarr", voxel_size=None)
