"""Volumes: what tomograms, feature maps, segmentations and object maps have in common.

Regions are (z, y, x), or (channel, z, y, x), whatever the order of axes in storage; level "0" has full resolution, "1" is
the next coarser one, whatever their names in storage.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, NoReturn, Unpack

from copick_core.errors import (
    BeingReplacedError,
    ConflictError,
    CopickError,
    InvalidDataError,
    LevelNotFoundError,
    by_caller,
    closest,
)
from copick_core.layers.revisions import changes, note_change
from copick_core.models.entity import Entity, K

if TYPE_CHECKING:
    from types import EllipsisType

    import dask.array
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from zarr import Array
    from zarr.abc.store import Store

    from copick_core.models.children import Children
    from copick_core.models.root import CopickRoot
    from copick_core.tree.schema import CopickConfig
    from copick_core.volumes.image import Image
    from copick_core.volumes.labels import LabelCheck
    from copick_core.volumes.ome import FormatOptions, Kind, LevelView, Progress, VolumeFormat
    from copick_core.volumes.sources import VolumeSource

    Index = int | slice | EllipsisType

ALL = slice(None)

#: Seconds for which a read begins again when the volume is replaced under it.
_PATIENCE = 15.0

#: zarr format of each preset of the configuration.
_FORMATS: Mapping[str, Literal[2, 3]] = {"copick-1": 2, "copick-2": 3, "ome-0.5": 3}

#: What places that take any volume fix of its format.
NOTHING_FIXED: Mapping[str, Any] = {}

#: What the finest level is called.
FINEST = frozenset(("0", 0))

#: Levels of a volume of which none has been opened; always replaced, never changed.
NOTHING_OPEN: Mapping[str | int, Any] = {}


class Opened(NamedTuple):
    """An open level.

    Attributes:
        noted: The changes of this process that it was opened after.
        version: Identity of the volume; None where the layer cannot tell.
        array: The level as it is stored.
        image: Metadata of its image, or None.
        attributes: Whether the array's own attributes were read.
    """

    noted: Hashable
    version: Hashable | None
    array: Array[Any]
    image: Image | None
    attributes: bool


class Volume(Entity[K]):
    """An entity whose content is one volume, kept as OME-Zarr."""

    __slots__ = ("_arrays", "_unsaved")

    #: Open levels: of a replaced volume an old one would read nonsense, and of a deleted one nothing but zeros.
    _arrays: Mapping[str | int, Opened]
    #: Created here, nothing stored yet: listings do not know it.
    _unsaved: bool

    config: CopickConfig
    #: How coarser levels are made.
    _pyramid: ClassVar[Kind] = "mean"

    @property
    def _root(self) -> CopickRoot:
        raise NotImplementedError

    @property
    def _siblings(self) -> Children[Any] | None:
        """The children of its parent that it is one of; None for what no storage lists."""
        return None

    def zarr(self) -> Store | None:
        """The zarr store that holds the volume, for ``zarr.open(store)`` and the like; read-only where the entity is."""
        raise NotImplementedError(f"{type(self).__name__} must implement zarr()")

    def array(self, level: str | int = "0") -> Array[Any]:
        """One resolution level as a lazy zarr array, as it is stored; no data are read.

        Args:
            level: Which level, "0" being full resolution: the n-th one, or one by its name.

        Returns:
            The array. Of volumes that copick wrote its axes are (z, y, x) or (channel, z, y, x); those of other programs may
            have other axes, which :attr:`axes` names, while :meth:`numpy` and ``set_region`` keep to (z, y, x).

        Raises:
            LevelNotFoundError: There is no such level (a KeyError that lists the levels).
            InvalidDataError: Its metadata are damaged.
        """
        return self._opened(level, attributes=True).array

    def _opened(self, level: str | int, *, attributes: bool = False) -> Opened:
        """A level as it is stored, with the metadata of its image; opened anew where the volume is known to be another one.

        Args:
            level: Which level.
            attributes: Whether the array's own attributes are wanted, which may take a request more.
        """
        noted = changes(self._key)
        opened = self._arrays.get(level)
        version = None if self._versions_take_requests else self._stored_version()
        if (
            opened is not None
            and opened.noted == noted
            and (opened.attributes or not attributes)
            and (self._versions_take_requests or opened.version == version)
        ):
            return opened
        try:
            opened = self._open(level, noted, version, attributes)
        except (LevelNotFoundError, InvalidDataError):
            # It may have been replaced meanwhile, or be about to be: the layer knows, and finishes what was cut off.
            found = self._stored_version()
            if found is None or found == version:
                raise
            opened = self._open(level, noted, None if self._versions_take_requests else found, attributes)
        self._arrays = {**self._arrays, level: opened}
        if level in FINEST:
            self._learn_opened(opened)
        return opened

    def _learn_opened(self, opened: Opened) -> None:
        """Take note of the finest level, which was opened."""

    def _learn_size(self, shape: tuple[int, ...]) -> None:
        """Take note of the size of the volume, which was written: others may be compared with it."""

    def _open(self, level: str | int, noted: Hashable, version: Hashable | None, attributes: bool) -> Opened:
        from copick_core.volumes import ome

        store = self.zarr()
        if store is None:
            raise LevelNotFoundError(level=str(level), levels=[], source=self.key)
        same = (o for o in self._arrays.values() if o.noted == noted and o.version == version)
        known = ome.UNREAD if self._versions_take_requests else next((o.image for o in same), ome.UNREAD)

        def opened() -> tuple[Array[Any], Image | None]:
            with self._named_where_unreadable(level):
                return ome.open_with_image(
                    store, level, self._first_format, source=str(self.key), image=known, attributes=attributes
                )

        array, image = opened()
        if self._versions_take_requests:
            version = getattr(store, "seen_version", None)
            if version is None:
                # It has no metadata, so nothing said which volume this is: first ask, then open. Asking also removes what a
                # writer that died has left of a new volume, whose chunks would read as zeros now.
                version = self._stored_version()
                array, image = opened()
        return Opened(noted, version, array, image, attributes)

    @property
    def _versions_take_requests(self) -> bool:
        """Whether :meth:`_stored_version` is a request to a server."""
        return False

    def _stored_version(self) -> Hashable | None:
        """Identity of the volume that is stored now, as :meth:`copick_core.layers.Layer.volume_version` gives it."""
        return None

    def _is_the_same(self, opened: Opened) -> bool:
        """Whether what is stored now is the volume that was opened, as far as that can be known."""
        if opened.version is None:
            return True
        return self._stored_version() == opened.version

    @property
    def _fixed_format(self) -> Mapping[str, Any]:
        """What the place fixes of the format of its volumes, as :attr:`copick_core.layers.Layer.volume_format` says."""
        return NOTHING_FIXED

    @property
    def _first_format(self) -> Literal[2, 3]:
        """The zarr format that volumes of this project most likely have: it is looked for first."""
        config = self.config
        if "zarr_format" in self._fixed_format:
            found: Literal[2, 3] = self._fixed_format["zarr_format"]
            return found
        return (
            config.zarr_format
            if config.format is None or "zarr_format" in config.model_fields_set
            else _FORMATS[config.format]
        )

    def view(self, level: str | int = "0") -> LevelView:
        """One resolution level with its axes in order, which reads what it is indexed with; no data are read before.

        Args:
            level: Which level, "0" being full resolution.

        Returns:
            The level, (z, y, x) or (channel, z, y, x); the stored axes of a feature map.

        Raises:
            LevelNotFoundError: There is no such level.
            InvalidDataError: The stored volume has other axes of more than one entry.
        """
        from copick_core.volumes.ome import LevelView

        opened = self._opened(level)
        return LevelView(opened.array, opened.image, self._channels, str(self._key))

    @property
    def _channels(self) -> bool | None:
        """Whether there is an axis before z, y and x; None where the stored axes are taken as they are."""
        return False

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes that :meth:`array` has; empty where the metadata name none, as for features of any other kind.

        Raises:
            LevelNotFoundError: Nothing has been written yet.
        """
        opened = self._opened("0")
        array, image = opened.array, opened.image
        axes = None if image is None else image.axes_of(array.ndim)
        return tuple(axis.name for axis in axes or ())

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the finest level: (z, y, x), or (channel, z, y, x).

        Raises:
            LevelNotFoundError: Nothing has been written yet.
            InvalidDataError: The stored volume has other axes of more than one entry.
        """
        return self.view("0").shape

    def dask(self, level: str | int = "0") -> dask.array.Array:
        """One resolution level as a dask array; no data are read until it is computed.

        Its blocks are the chunks (or shards) that are stored. It computes with threads, processes or on a cluster wherever
        the project's storage can be reached from.

        Args:
            level: Name of the level, "0" being full resolution.

        Returns:
            The array, (z, y, x) or (channel, z, y, x).

        Raises:
            LevelNotFoundError: There is no such level.
            MissingDependencyError: dask is not installed (the extra ``copick-core[dask]``).
        """
        import numpy as np

        try:
            from dask.array import from_array
        except ImportError as error:
            from copick_core.errors import MissingDependencyError

            raise MissingDependencyError(feature="A dask array", install='pip install "copick-core[dask]"') from error
        view = self.view(level)
        array = view.array
        # A name of its own each time: what is stored may change, and a cluster keeps results by name.
        meta = np.empty((0,) * array.ndim, array.dtype)
        lazy: dask.array.Array = from_array(  # type: ignore[no-untyped-call]
            array, array.shards or array.chunks, name=False, meta=meta
        )
        kept = sorted(view.order)
        stored = lazy[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
        ordered: dask.array.Array = stored.transpose([kept.index(axis) for axis in view.order])
        return ordered

    @property
    def levels(self) -> list[str]:
        """Names of the resolution levels that are stored, finest first."""
        from copick_core.volumes import ome

        store = self.zarr()
        if store is None:
            return []
        with self._named_where_unreadable():
            return ome.levels(store, source=str(self.key))

    def refresh(self) -> None:
        """Forget what is known about the stored volume; the next access asks again."""
        self._arrays = NOTHING_OPEN
        self._unsaved = self._unsaved and not self._is_stored()

    def delete(self) -> None:
        """Delete the volume from storage; a tomogram with the feature maps in its layer.

        Raises:
            ReadOnlyError: It is read-only.
        """
        self._check_deletable()
        self._delete_data()
        self.refresh()
        if self._siblings is not None:
            self._siblings.remove(self)

    def _is_stored(self) -> bool:
        """Whether storage has the volume now; places that others write to as well override this."""
        return False

    def _read(self, level: str | int, index: tuple[Index, ...]) -> NDArray[Any]:
        from copick_core.volumes import chunk_parts, ome

        cache = self._root._chunk_cache

        def stored(array: Array[Any], region: Sequence[int | slice]) -> Any:
            return chunk_parts.read(array, region) if cache is None else cache.read(array, region, self._key)

        patience = time.monotonic() + _PATIENCE
        while True:
            opened = self._opened(level)
            view = ome.LevelView(opened.array, opened.image, self._channels, str(self._key))

            def read(region: tuple[int | slice, ...], view: LevelView = view) -> Any:
                with self._named_where_unreadable(level):
                    return view.read(region, stored)

            try:
                values = ome.read_region(view, index, read)
            except InvalidDataError:
                if self._is_the_same(opened):
                    raise
            else:
                if self._is_the_same(opened):
                    return values
            # Somebody has replaced the volume meanwhile: this would be a part of the old one and a part of the new one.
            self._arrays = NOTHING_OPEN
            if time.monotonic() > patience:
                way_out = f"It was replaced again and again for {_PATIENCE:.0f} s while it was read. Try again later."
                raise BeingReplacedError(key=self._key, layer=self.layer or "", way_out=way_out)

    def _for_writing(self, level: str | int) -> Opened:
        """Open a level whose regions are to be written.

        Raises:
            ConflictError: It is not stored any more as this handle knows it.
        """
        self._check_writable()
        known = self._arrays.get(level)
        if known is not None and known.noted == changes(self._key):
            self._check_layout(known.array)
        return self._opened(level)

    def _write_region(
        self,
        level: str | int,
        index: tuple[Index, ...],
        data: ArrayLike,
        update_levels: bool,
        opened: Opened | None = None,
    ) -> None:
        from copick_core.volumes import ome

        opened = opened or self._for_writing(level)
        levels = [level]
        pyramid = [ome.LevelView(opened.array, opened.image, self._channels, str(self._key))]
        if update_levels:
            names = self.levels if pyramid[0].image is None else pyramid[0].image.paths
            levels += names[names.index(pyramid[0].path) + 1 :] if pyramid[0].path in names else []
            pyramid += [self.view(name) for name in levels[1:]]
            ome.check_levels(pyramid, self._pyramid)
        try:
            with self._named_in_errors(), self._changing():
                ome.write_region(pyramid[0], index, data)
                ome.update_levels(pyramid, index, self._pyramid)
        except CopickError:
            raise
        except (RuntimeError, zlib.error) as error:  # of chunks that are changed in part, and so read first
            raise self._unreadable(level, error) from error
        finally:
            note_change(self._key)
            noted = changes(self._key)  # of voxels only: these arrays stay good
            kept = {name: o._replace(noted=noted) for name, o in self._arrays.items() if o.version == opened.version}
            self._arrays = kept if self._arrays.get(level) is opened else NOTHING_OPEN
        if not self._is_the_same(opened):
            self._arrays = NOTHING_OPEN
            way_out = "It was replaced while the region was written, which may be in neither volume. Look, and write it again."
            raise BeingReplacedError(key=self._key, layer=self.layer or "", way_out=way_out)

    def _changing(self) -> AbstractContextManager[None]:
        """Encloses the writes of one region; places that can store them together override this."""
        return nullcontext()

    def _check_layout(self, array: Array[Any]) -> None:
        """Refuse to write chunks that what is stored now has no place for: another process may have replaced or deleted it.

        Raises:
            ConflictError: The level is not stored as it was when the array was opened.
        """
        from copick_core.volumes import ome

        found: str | None = None
        with suppress(LevelNotFoundError):
            again, _ = ome.open_with_image(array.store, array.path, array.metadata.zarr_format, image=None, attributes=False)
            found = _layout(again)
        if found != (expected := _layout(array)):
            raise ConflictError(
                key=self._key,
                layer=self.layer or "",
                expected=expected,
                found=found,
                way_out=f"{by_caller('Call refresh() on the handle', 'Run the command again')}; "
                "what you meant to change may be gone.",
            )

    def _write_volume(
        self, data: Any, voxel_size: float, format: FormatOptions, strict: bool | None = None, /, **options: Any
    ) -> None:
        """Write a whole volume into a fresh store and swap it in."""
        import numpy as np

        from copick_core.volumes import ome

        layout = self._format(format)
        shape = tuple(int(n) for n in np.shape(data))
        inspect = self._inspector(shape, strict)
        with self._named_in_errors(), self._replace_store() as store:
            ome.write_volume(store, data, voxel_size, kind=self._pyramid, format=layout, inspect=inspect, **options)
            self._judge(inspect, strict)
        self._learn_size(shape)

    def _inspector(self, shape: tuple[int, ...], strict: bool | None) -> LabelCheck | None:
        """Complain of the size of a volume that is to be written, and give what is to look at its voxels."""
        return None

    def _judge(self, inspect: LabelCheck | None, strict: bool | None) -> None:
        """Complain of what was seen, while the volume is not in its place yet."""

    def _import_volume(
        self,
        source: Any,
        own_size: float | None,
        levels: int,
        dtype: DTypeLike | None,
        strict: bool | None = None,
        /,
        *,
        voxel_size: float | None = None,
        transpose: str | Sequence[int] | None = None,
        flip: str | Sequence[int] | None = None,
        progress: Progress | None = None,
        file_format: str | None = None,
        read_options: Mapping[str, Any] | None = None,
        **format: Unpack[FormatOptions],
    ) -> None:
        """Stream a volume into a fresh store and swap it in; ``own_size`` is the voxel size that this entity must have."""
        from copick_core.volumes.importing import import_volume_into
        from copick_core.volumes.orientation import orient
        from copick_core.volumes.reading import opened_volume

        self._check_writable()
        layout = self._format(format)
        options = {"voxel_size": voxel_size, "file_format": file_format, **(read_options or {})}
        with opened_volume(source, **options) as whole:
            volume = orient(whole, transpose, flip)
            size = self._import_size(volume, own_size)
            dtype = self._import_dtype(volume, dtype)
            inspect = self._inspector(volume.shape, strict)
            with self._named_in_errors(), self._replace_store() as store:
                written: dict[str, Any] = {"levels": levels, "dtype": dtype, "format": layout, "kind": self._pyramid}
                import_volume_into(store, volume, size, progress=progress, inspect=inspect, **written)
                self._judge(inspect, strict)
            self._learn_size(volume.shape)

    def _import_size(self, volume: VolumeSource, own_size: float | None) -> float | None:
        """The voxel size to store; that of this entity, if it has one.

        Raises:
            InvalidDataError: The volume has another one.
        """
        from copick_core.tree.keys import voxel_size_key

        size = volume.voxel_size
        if own_size is not None:
            if size is not None and voxel_size_key(size) != voxel_size_key(own_size):
                raise InvalidDataError(
                    source=volume.name,
                    reason=f"has voxels of {size} angstrom, but {self.key} has voxels of {own_size} angstrom. Import it at a "
                    f"voxel spacing of {size}, or pass voxel_size={own_size} if that is what its voxels really are",
                )
            return own_size
        return size

    def _import_dtype(self, volume: VolumeSource, dtype: DTypeLike | None) -> DTypeLike | None:
        """The type to store an imported volume as."""
        return dtype

    def _format(self, format: FormatOptions) -> VolumeFormat:
        """The format of one volume: as it is asked for, and else as the project is configured."""
        from copick_core.volumes.ome import layout_of

        config = self.config
        configured: dict[str, Any] = {
            name: getattr(config, name) for name in ("zarr_format", "chunks", "compressor", "shards")
        }
        for name in format.keys() - configured.keys() - {"format"}:
            hint = closest(name, [*configured, "format", "levels", "dtype"])
            raise TypeError(f"There is no argument {name!r} for writing {self._key}.{hint}")
        if config.format is not None:  # of the other fields, only what the configuration itself says goes before it
            configured = {name: value for name, value in configured.items() if name in config.model_fields_set}
        fixed = self._fixed_format
        with self._named_in_errors():
            layout = layout_of({"format": config.format}, {**configured, **fixed}, format)
        for name, value in fixed.items():
            if getattr(layout, name) != value:
                reason = f"its place stores {name}={value!r} only, not {getattr(layout, name)!r}; leave the argument out"
                raise InvalidDataError(source=self._key, reason=reason)
        return layout

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        """Say which volume it is that an argument does not fit."""
        try:
            yield
        except InvalidDataError as error:
            self._raise_named(error)
        except CopickError:
            raise
        except ValueError as error:
            raise InvalidDataError(source=self._key, reason=str(error)) from error

    @contextmanager
    def _named_where_unreadable(self, level: str | int | None = None) -> Iterator[None]:
        """Say which volume it is whose stored bytes make no sense; what zarr and its codecs raise does not."""
        try:
            yield
        except InvalidDataError as error:
            self._raise_named(error)
        except CopickError:
            raise
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, ArithmeticError, EOFError, zlib.error) as error:
            raise self._unreadable(level, error) from error

    def _raise_named(self, error: InvalidDataError) -> NoReturn:
        from copick_core.volumes.labels import UNNAMED

        if str(self._key) in str(error.source):
            raise error
        source = self._key if error.source == UNNAMED else f"{self._key}: {error.source}"
        raise InvalidDataError(source=source, reason=error.reason, index=error.index) from error

    def _unreadable(self, level: str | int | None, error: Exception) -> InvalidDataError:
        what = "it" if level is None else f"level {str(level)!r}"
        return InvalidDataError(
            source=self._key,
            reason=f"{what} cannot be read: {error or type(error).__name__}. Its files may be damaged or incomplete: "
            "copy or write the volume again",
        )

    @contextmanager
    def _replace_store(self) -> Iterator[Store]:
        """A fresh store that takes the volume's place when the block succeeds."""
        self._check_writable()
        try:
            with self._staged_store() as store:
                yield store
        finally:
            note_change(self._key)
        self._arrays = NOTHING_OPEN
        self._unsaved = False
        if self._siblings is not None:
            self._siblings.add(self)  # or a list that was made while it was not stored would stay without it

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        """Where a new volume is written; places that can stage it elsewhere first override this."""
        store = self.zarr()
        if store is None:
            raise NotImplementedError(f"{type(self).__name__} has no store to write to")
        yield store


def _layout(array: Array[Any]) -> str:
    """All that decides how an array's chunks are stored and named."""
    return str({**array.metadata.to_dict(), "attributes": None})
