"""Zarr folders as volumes: the finest level of an OME-Zarr image, or a plain array, of zarr v2 or v3."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.sources import VolumeSource

if TYPE_CHECKING:
    from zarr import Array

    from copick_core.volumes.image import Image
    from copick_core.volumes.level_view import LevelView

_DOCUMENTS = (".zattrs", ".zgroup", ".zarray", "zarr.json")


def is_zarr_folder(path: str) -> bool:
    """Whether a folder is a zarr array or group."""
    return any(os.path.exists(os.path.join(path, name)) for name in _DOCUMENTS)


class ZarrSource(VolumeSource):
    """A level of a volume in zarr, read with its axes in order.

    Args:
        path: The folder.
        view: The level.
        voxel_size: In angstrom, or None.
    """

    sequential = True

    def __init__(self, path: str, view: LevelView, voxel_size: float | None) -> None:
        super().__init__(path, view.shape, view.dtype, None if voxel_size is None else (voxel_size,) * 3)
        self._view = view

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box.

        Raises:
            InvalidDataError: A chunk is damaged.
        """
        try:
            return self._view.read([slice(part.start, part.stop, 1) for part in (z, y, x)])
        except MemoryError:
            raise
        except Exception as error:  # a codec may raise anything
            raise InvalidDataError(source=self.name, reason=f"a chunk cannot be read, it is damaged: {error}") from error


def open_zarr(path: str, voxel_size: float | None) -> ZarrSource:
    """Open a zarr folder; ``voxel_size``, in angstrom, replaces what its metadata tell.

    Raises:
        InvalidDataError: Its metadata make no sense, or it has no axes z, y and x.
        LevelNotFoundError: It has no level.
    """
    from copick_core.volumes.level_view import LevelView

    try:
        array, image, size = _level(path, voxel_size)
        return ZarrSource(path, LevelView(array, image, source=path), size)
    except (LevelNotFoundError, MemoryError):
        raise
    except Exception as error:  # zarr raises whatever its parsers meet in metadata that make no sense
        if isinstance(error, InvalidDataError) and error.source == path and voxel_size is not None:
            raise
        reason = error.reason if isinstance(error, InvalidDataError) and error.source == path else str(error)
        way_out = "" if voxel_size is not None else "; voxel_size (in angstrom) replaces the size that they tell"
        raise InvalidDataError(source=path, reason=f"its metadata cannot be used: {reason}{way_out}") from error


def _level(path: str, voxel_size: float | None) -> tuple[Array[Any], Image | None, float | None]:
    """The finest level, the metadata of its image, and its voxel size in angstrom."""
    from zarr.storage import LocalStore

    from copick_core.volumes.levels import open_with_image, voxel_size_of

    if _is_array(path):
        folder, name = os.path.split(os.path.abspath(path))
        return *open_with_image(LocalStore(folder, read_only=True), name, source=path, image=None), voxel_size
    store = LocalStore(path, read_only=True)
    size = voxel_size_of(store, source=path) if voxel_size is None else voxel_size
    return *open_with_image(store, "0", source=path), size


def _is_array(path: str) -> bool:
    if os.path.exists(os.path.join(path, ".zarray")):
        return True
    try:
        with open(os.path.join(path, "zarr.json"), "rb") as file:
            document = json.load(file)
    except FileNotFoundError:
        return False
    return isinstance(document, dict) and document.get("node_type") == "array"
