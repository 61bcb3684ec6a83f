"""Volumes from arrays and zarr folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore

from copick_core.errors import InvalidDataError, UnknownFormatError
from copick_core.volumes.importing import import_volume_into
from copick_core.volumes.ome import VolumeFormat, write_array, write_volume
from copick_core.volumes.orientation import orient
from copick_core.volumes.reading import read_volume
from copick_core.volumes.sources import ArraySource, VolumeSource
from support.volume_files import VOLUME

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


@pytest.mark.parametrize("options", [{"transpose": "0,1"}, {"transpose": "0,0,1"}, {"flip": "3"}, {"flip": "z"}])
def test_what_are_no_axes_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        import_volume_into(MemoryStore(), VOLUME, 1.0, **options)


def test_a_folder_that_is_no_zarr_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(UnknownFormatError, match="folder"):
        read_volume(tmp_path / "folder")


def test_a_file_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"b\.mrc"):
        read_volume(tmp_path / "b.mrc")


def test_what_was_opened_for_an_import_is_closed_and_what_was_given_is_not() -> None:
    class Source(ArraySource):
        closed = False

        def close(self) -> None:
            self.closed = True

    given = Source(VOLUME, voxel_sizes=(1.0, 1.0, 1.0))

    import_volume_into(MemoryStore(), given)
    assert not given.closed
    with given:
        pass
    assert given.closed


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_folders_of_both_formats_are_read(tmp_path: Path, zarr_format: Any) -> None:
    path = tmp_path / "image.zarr"
    write_volume(LocalStore(path), VOLUME, 10.0, format=VolumeFormat(zarr_format=zarr_format))

    volume = read_volume(path)

    assert volume.voxel_size == 10.0
    np.testing.assert_array_equal(volume.data, VOLUME)
    np.testing.assert_array_equal(read_volume(path / "0").data, VOLUME)


def stored_with_axes(path: Path, data: np.ndarray, names: str) -> Path:
    """An OME-Zarr 0.4 image with named axes and one level, "s0"."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("s0", data=data, chunks=(4,) * data.ndim)
    axes = [{"name": n, "type": "space", "unit": "angstrom"} if n in "zyx" else {"name": n} for n in names]
    scale = [{"type": "scale", "scale": [10.0 if n in "zyx" else 1.0 for n in names]}]
    datasets = [{"path": "s0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


@pytest.mark.parametrize("names", ["zyx", "tczyx", "xyz", "yczx"])
def test_axes_of_zarr_folders_are_turned_to_z_y_x_and_those_of_length_1_left_out(tmp_path: Path, names: str) -> None:
    stored = np.einsum("zyx->" + "".join(n for n in names if n in "zyx"), VOLUME)
    stored = np.expand_dims(stored, [i for i, n in enumerate(names) if n not in "zyx"])

    volume = read_volume(stored_with_axes(tmp_path / "a.zarr", stored, names))

    assert volume.voxel_size == 10.0
    np.testing.assert_array_equal(volume.data, VOLUME)
    np.testing.assert_array_equal(volume.box(slice(1, 3), slice(0, 6), slice(2, 5)), VOLUME[1:3, :, 2:5])


def test_a_zarr_folder_with_two_channels_is_refused_by_their_name(tmp_path: Path) -> None:
    path = stored_with_axes(tmp_path / "a.zarr", np.stack([VOLUME, VOLUME]), "czyx")

    with pytest.raises(InvalidDataError, match=r"a\.zarr.*'c' of 2 entries"):
        read_volume(path)


def test_a_damaged_chunk_of_a_zarr_folder_names_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    write_volume(LocalStore(path), VOLUME, 10.0)
    chunk = path / "0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])

    with pytest.raises(InvalidDataError, match=r"image\.zarr.*damaged"):
        _ = read_volume(path).data


@pytest.mark.parametrize(("name", "zarr_format"), [(".zattrs", 2), ("0/.zarray", 2), ("zarr.json", 3), ("0/zarr.json", 3)])
def test_metadata_that_are_no_json_name_the_folder(tmp_path: Path, name: str, zarr_format: Any) -> None:
    path = tmp_path / "image.zarr"
    write_volume(LocalStore(path), VOLUME, 10.0, format=VolumeFormat(zarr_format=zarr_format))
    (path / name).write_text("{")

    with pytest.raises(InvalidDataError, match=r"image\.zarr"):
        read_volume(path)


# ------------------------------------------------------------------------------------------------------- any kind of source


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((2, 3), "f4", r"its shape is \(2, 3\)"),
        ((1, 2, 3, 4), "f4", r"its shape is \(1, 2, 3, 4\)"),
        ((0, 2, 3), "f4", r"its shape is \(0, 2, 3\)"),
        ((2, 3, 0), "f4", r"its shape is \(2, 3, 0\)"),
        ((2, 3, 4), "c8", "complex64 are not real numbers"),
        ((2, 3, 4), "S3", "are not real numbers"),
    ],
)
def test_what_is_no_volume_of_real_numbers_is_refused_by_its_name(shape: Any, dtype: str, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=reason) as caught:
        ArraySource(np.zeros(shape, dtype), "my array")

    assert caught.value.source == "my array"


def test_one_voxel_is_a_volume() -> None:
    assert ArraySource(np.zeros((1, 1, 1), "?")).data.tolist() == [[[False]]]


def test_slabs_cover_a_volume_once_and_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.sources._SLAB_BYTES", 2 * VOLUME[0].nbytes)

    slabs = [*ArraySource(VOLUME).each_slab()]

    assert [start for start, _ in slabs] == [0, 2, 4, 6]
    np.testing.assert_array_equal(np.concatenate([slab for _, slab in slabs]), VOLUME)


def test_a_plane_that_is_larger_than_a_slab_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.sources._SLAB_BYTES", 1)

    assert [slab.shape for _, slab in ArraySource(VOLUME).each_slab()] == [(1, 6, 5)] * 7


def test_a_source_that_is_not_in_memory_is_read_whole_only_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("copick_core.volumes.sources.check_fits", asked.append)
    store = MemoryStore()
    write_array(store, VOLUME)

    np.testing.assert_array_equal(ArraySource(VOLUME).data, VOLUME)
    assert asked == []
    np.testing.assert_array_equal(ArraySource(zarr.open_array(store, path="0")).data, VOLUME)
    assert asked == [VOLUME.nbytes]


def test_a_voxel_size_that_is_given_replaces_that_of_the_source() -> None:
    source = ArraySource(VOLUME, voxel_sizes=(1.0, 2.0, 3.0))
    with pytest.raises(InvalidDataError, match=r"\(1.0, 2.0, 3.0\)"):
        _ = source.voxel_size

    assert read_volume(source, voxel_size=7).voxel_sizes == (7.0, 7.0, 7.0)


def test_a_zarr_folder_has_no_options(tmp_path: Path) -> None:
    write_volume(LocalStore(tmp_path / "image.zarr"), VOLUME, 10.0)

    with pytest.raises(TypeError, match=r"image\.zarr is a zarr folder, which has no option 'series'"):
        read_volume(tmp_path / "image.zarr", series=1)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_that_make_no_sense_name_the_way_out_only_where_there_is_one(tmp_path: Path, zarr_format: Any) -> None:
    path = tmp_path / "image.zarr"
    write_volume(LocalStore(path), VOLUME, 10.0, format=VolumeFormat(zarr_format=zarr_format))
    document = path / "0" / (".zarray" if zarr_format == 2 else "zarr.json")
    document.write_text(json.dumps({**json.loads(document.read_text()), "shape": "large"}))

    with pytest.raises(
        InvalidDataError, match=r"its metadata cannot be used: .*; voxel_size .in angstrom. replaces"
    ) as caught:
        read_volume(path)
    assert caught.value.source == str(path)
    with pytest.raises(InvalidDataError, match="its metadata cannot be used") as caught:
        read_volume(path, voxel_size=10.0)
    assert "replaces the size" not in caught.value.reason


def test_an_array_that_is_turned_around_is_as_free_of_cost_as_before():
    array = np.zeros((2, 3, 4), np.float32)

    turned, stored = (orient(ArraySource(data, "volume"), "2,1,0", "0") for data in (array, zarr.array(array)))

    assert (turned.shape, turned.in_memory) == ((4, 3, 2), True)
    assert not stored.in_memory
