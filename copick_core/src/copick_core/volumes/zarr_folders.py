"""Zarr folders as volumes."""

from __future__ import annotations

import os

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.sources import ArraySource, VolumeSource

_DOCUMENTS = (".zattrs", ".zgroup", ".zarray", "zarr.json")


def is_zarr_folder(path: str) -> bool:
    """Whether a folder is a zarr array or group."""
    return any(os.path.exists(os.path.join(path, name)) for name in _DOCUMENTS)


def open_zarr(path: str, voxel_size: float | None) -> VolumeSource:
    """A zarr folder: level "0" of an OME-Zarr image, or a plain array."""
    import zarr
    from zarr.errors import NodeNotFoundError
    from zarr.storage import LocalStore

    from copick_core.volumes.levels import open_level, voxel_size_of

    store = LocalStore(path, read_only=True)
    try:
        size = voxel_size_of(store) if voxel_size is None else voxel_size
        try:
            array = zarr.open_array(store, mode="r")
        except NodeNotFoundError:
            array = open_level(store, "0", source=path)
    except LevelNotFoundError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        way_out = "" if voxel_size is not None else "; voxel_size (in angstrom) replaces the size that they tell"
        raise InvalidDataError(source=path, reason=f"its metadata cannot be used: {error}{way_out}") from error
    return ArraySource(array, path, None if size is None else (size, size, size))
