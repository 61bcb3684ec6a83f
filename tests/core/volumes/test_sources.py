"""Volumes from arrays and zarr folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import LocalStore, MemoryStore

from copick_core.errors import InvalidDataError, UnknownFormatError
from copick_core.volumes.importing import import_volume_into
from copick_core.volumes.ome import write_array, write_volume
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
