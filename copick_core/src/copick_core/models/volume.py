"""Volumes: what tomograms, feature maps, segmentations and object maps have in common.

Arrays are (z, y, x), or (channel, z, y, x); levels are named "0" (full resolution), "1", "2", ….
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from copick_core.models.entity import Entity, K

if TYPE_CHECKING:
    from types import EllipsisType

    from numpy.typing import ArrayLike, NDArray
    from zarr import Array
    from zarr.abc.store import Store

    from copick_core.ome import VolumeFormat
    from copick_core.schema import CopickConfig

    Index = int | slice | EllipsisType

ALL = slice(None)


class Volume(Entity[K]):
    """An entity whose content is one volume, kept as OME-Zarr."""

    __slots__ = ("_arrays", "_unsaved")

    _arrays: dict[str, Any]
    #: Created here, nothing stored yet: listings do not know it.
    _unsaved: bool

    config: CopickConfig

    def zarr(self) -> Store | None:
        """The zarr store that holds the volume, for ``zarr.open(store)`` and the like; read-only where the entity is."""
        raise NotImplementedError(f"{type(self).__name__} must implement zarr()")

    def array(self, level: str | int = "0") -> Array[Any]:
        """One resolution level as a lazy zarr array; no data are read.

        Args:
            level: Name of the level, "0" being full resolution.

        Returns:
            The array, (z, y, x) or (channel, z, y, x).

        Raises:
            LevelNotFoundError: There is no such level (a KeyError that lists the levels).
        """
        level = str(level)
        array = self._arrays.get(level)
        if array is None:
            from copick_core import ome
            from copick_core.errors import LevelNotFoundError

            store = self.zarr()
            if store is None:
                raise LevelNotFoundError(level=level, levels=[], source=self.key)
            array = self._arrays[level] = ome.open_level(store, level, source=str(self.key))
        return array

    @property
    def levels(self) -> list[str]:
        """Names of the resolution levels that are stored, finest first."""
        from copick_core import ome

        store = self.zarr()
        return [] if store is None else ome.levels(store)

    def refresh(self) -> None:
        """Forget what is known about the stored volume; the next access asks again."""
        self._arrays = {}

    def _read(self, level: str | int, index: tuple[Index, ...]) -> NDArray[Any]:
        from copick_core import ome

        return ome.read_region(self.array(level), index)

    def _write_region(self, level: str | int, index: tuple[Index, ...], data: ArrayLike) -> None:
        from copick_core import ome

        self._check_writable()
        ome.write_region(self.array(level), index, data)

    def _write_volume(self, data: Any, voxel_size: float, **options: Any) -> None:
        """Write a whole volume into a fresh store and swap it in."""
        from copick_core import ome

        with self._replace_store() as store:
            ome.write_volume(store, data, voxel_size, format=self._format(), **options)

    def _format(self) -> VolumeFormat:
        from copick_core.ome import VolumeFormat

        config = self.config
        return VolumeFormat(
            zarr_format=config.zarr_format,
            chunks=config.chunks,
            compressor=config.compressor,
            shards=config.shards,
        )

    @contextmanager
    def _replace_store(self) -> Iterator[Store]:
        """A fresh store that takes the volume's place when the block succeeds."""
        self._check_writable()
        with self._staged_store() as store:
            yield store
        self._arrays = {}
        self._unsaved = False

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        """Where a new volume is written; places that can stage it elsewhere first override this."""
        store = self.zarr()
        if store is None:
            raise NotImplementedError(f"{type(self).__name__} has no store to write to")
        yield store
