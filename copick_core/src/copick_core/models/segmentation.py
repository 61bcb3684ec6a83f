"""Segmentations: binary, multilabel, instance and panoptic."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from copick_core.errors import InvalidDataError
from copick_core.models.entity import Annotation, check_flags
from copick_core.models.volume import ALL, NOTHING_OPEN, Volume
from copick_core.tree.keys import SegmentationKey, SegmentationType, voxel_size_key
from copick_core.tree.layout import SEGMENTATION_FOLDERS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from copick_core.models.children import Children
    from copick_core.models.root import CopickRoot
    from copick_core.models.run import CopickRun
    from copick_core.models.volume import Index
    from copick_core.tree.schema import CopickConfig, CopickSegmentationMeta
    from copick_core.volumes.importing import ImportOptions
    from copick_core.volumes.labels import LabelCheck
    from copick_core.volumes.ome import FormatOptions
    from copick_core.volumes.sources import VolumeSource

#: Channels of a panoptic segmentation, in order.
PANOPTIC_CHANNELS = ("label", "instance")
#: Color of what has no single object: grey, invisible until a viewer maps its values to colors.
NO_COLOR = (128, 128, 128, 0)


def segmentation_type(is_multilabel: bool | None, is_instance: bool | None, is_panoptic: bool | None) -> SegmentationType:
    """The type that three flags name.

    Raises:
        InvalidDataError: More than one is set, or one is neither true nor false.
    """
    check_flags(is_multilabel=is_multilabel, is_instance=is_instance, is_panoptic=is_panoptic)
    flags: dict[SegmentationType, bool | None] = {
        "multilabel": is_multilabel,
        "instance": is_instance,
        "panoptic": is_panoptic,
    }
    named = [name for name, is_set in flags.items() if is_set]
    if len(named) > 1:
        raise InvalidDataError(
            source="segmentation", reason=f"it has one type, and cannot be {' and '.join(named)} at once; set one flag"
        )
    return named[0] if named else "binary"


@functools.cache
def segmentation_types(
    is_multilabel: bool | None, is_instance: bool | None, is_panoptic: bool | None
) -> frozenset[SegmentationType] | None:
    """The types that three flags let through, of which None stands for both values; None for all types."""
    flags = {"multilabel": is_multilabel, "instance": is_instance, "panoptic": is_panoptic}
    types = frozenset(t for t in SEGMENTATION_FOLDERS if all(f is None or f == (t == name) for name, f in flags.items()))
    return types if len(types) < len(SEGMENTATION_FOLDERS) else None


class CopickSegmentation(Volume[SegmentationKey], Annotation[SegmentationKey]):
    """A segmentation volume.

    ========== ======================= =======================================================
    type       array                   values
    ========== ======================= =======================================================
    binary     (z, y, x)               0 and 1 (or the label) for one object
    multilabel (z, y, x)               labels of objects
    instance   (z, y, x)               ids of the instances of one object
    panoptic   (2, z, y, x)            channel "label": labels of objects; channel "instance"
    ========== ======================= =======================================================

    Args:
        run: The run.
        meta: Its metadata.

    Attributes:
        run: The run.
        config: The project's configuration.
    """

    __slots__ = ("config", "run")

    _pyramid = "nearest"

    def __init__(self, run: CopickRun, meta: CopickSegmentationMeta, config: CopickConfig | None = None) -> None:
        self.run = run
        self.config = config or run.config
        kind = segmentation_type(meta.is_multilabel, meta.is_instance, meta.is_panoptic)
        self._key = SegmentationKey(run.name, voxel_size_key(meta.voxel_size), meta.name, meta.user_id, meta.session_id, kind)
        self._meta = meta
        self._arrays = NOTHING_OPEN
        self._unsaved = True

    @property
    def name(self) -> str:
        """Name: that of the object, or any for multilabel and panoptic ones."""
        return self._key.name

    @property
    def voxel_size(self) -> float:
        """Voxel size in angstrom."""
        return self._key.voxel_size

    @property
    def segmentation_type(self) -> SegmentationType:
        """``"binary"``, ``"multilabel"``, ``"instance"`` or ``"panoptic"``."""
        return self._key.segmentation_type

    @property
    def is_multilabel(self) -> bool:
        """Whether voxels hold labels of several objects."""
        return self._key.segmentation_type == "multilabel"

    @property
    def is_instance(self) -> bool:
        """Whether voxels hold ids of instances of one object."""
        return self._key.segmentation_type == "instance"

    @property
    def is_panoptic(self) -> bool:
        """Whether voxels hold a label and an instance id."""
        return self._key.segmentation_type == "panoptic"

    @property
    def directory(self) -> str:
        """Name of the folder of the run that segmentations of this type are kept in."""
        return SEGMENTATION_FOLDERS[self.segmentation_type]

    @property
    def color(self) -> tuple[int, int, int, int]:
        """RGBA color of the object; invisible grey where there is no single object."""
        obj = None if self.is_multilabel or self.is_panoptic else self.run.root.get_object(self.name)
        return NO_COLOR if obj is None else obj.color

    # ------------------------------------------------------------------ data

    def numpy(
        self,
        zarr_group: str | int = "0",
        x: Index = ALL,
        y: Index = ALL,
        z: Index = ALL,
        channel: str | int | None = None,
    ) -> NDArray[Any]:
        """Read the segmentation, or a region of it.

        Args:
            zarr_group: Resolution level, "0" being full resolution.
            x: Index along x: a slice or an int, as NumPy takes them.
            y: Index along y.
            z: Index along z.
            channel: Channel of a panoptic segmentation, "label" (0) or "instance" (1); None for both.

        Returns:
            Array (z, y, x), or (2, z, y, x) for all channels of a panoptic one; without axes that an int was given for.

        Raises:
            LevelNotFoundError: There is no such level (a KeyError that lists the levels).
            RegionTooLargeError: The region does not fit into free memory.
            InvalidDataError: What is stored is damaged or incomplete.
            InvalidDataError: ``channel`` was given for another type.
        """
        return self._read(zarr_group, self._region(z, y, x, channel))

    def from_numpy(
        self,
        data: ArrayLike,
        levels: int = 1,
        dtype: DTypeLike | None = None,
        *,
        strict: bool | None = None,
        **format: Unpack[FormatOptions],
    ) -> None:
        """Replace the segmentation and its pyramid (nearest neighbour).

        Args:
            data: (z, y, x), or (2, z, y, x) with channels label and instance for a panoptic one.
            levels: Number of resolution levels.
            dtype: Integer type to store; by default the smallest unsigned one that holds all values, at least uint8
                (uint16 for instance and panoptic ones).
            strict: Refuse labels that no object has, and a size that no tomogram of this voxel size has, instead of warning of
                them; storage is asked for the sizes then. By default as the configuration says.
            **format: ``format``, ``zarr_format``, ``chunks``, ``compressor``, ``shards`` of this volume, as
                :class:`~copick_core.volumes.ome.VolumeFormat` takes them; by default those of the configuration.

        Raises:
            InvalidDataError: A value would be changed by the type (negative, fractional, not finite, too large), or is no
                label of the project (panoptic); names the voxel. Or ``strict`` refuses them. Nothing was written.
            ReadOnlyError: The segmentation is read-only.

        Warns:
            UserWarning: Once for each segmentation, if values of a binary or multilabel one are labels of no object, or no
                tomogram of its voxel size that is known has its size.
        """
        import numpy as np

        from copick_core.volumes import ome

        self._check_writable()
        data = np.asanyarray(data)
        ndim = 4 if self.is_panoptic else 3
        if data.ndim != ndim or (self.is_panoptic and data.shape[0] != len(PANOPTIC_CHANNELS)):
            wants = "(2, z, y, x) with channels label and instance" if self.is_panoptic else "(z, y, x)"
            raise InvalidDataError(
                source=self._key,
                reason=f"{self.segmentation_type} segmentations are {wants}, not {data.shape}",
            )
        if dtype is None:
            dtype = ome.smallest_unsigned(data, self._narrowest, source=str(self._key))  # chunks are cast as they are made
        else:
            data = ome.cast_lossless(data, dtype, source=str(self._key))
        options: dict[str, Any] = {"levels": levels, "dtype": dtype}
        if self.is_panoptic:
            ome.check_panoptic(data, self._object_labels(), source=str(self._key))
            options["axes"] = "czyx"
            options["metadata"] = {"copick": {"segmentation_type": "panoptic", "channels": list(PANOPTIC_CHANNELS)}}
        self._write_volume(data, self.voxel_size, format, strict, **options)

    def import_volume(
        self,
        source: Any,
        levels: int = 1,
        dtype: DTypeLike | None = None,
        *,
        strict: bool | None = None,
        **options: Unpack[ImportOptions],
    ) -> None:
        """Replace the segmentation by labels that are read piece by piece, whatever their size.

        Args:
            source: As :meth:`CopickTomogram.import_volume` takes it.
            levels: Number of resolution levels.
            dtype: As in :meth:`from_numpy`; without it the source is read twice.
            strict: As in :meth:`from_numpy`.
            **options: ``voxel_size``, ``transpose``, ``flip``, ``progress`` and the options of :meth:`from_numpy`; see
                :meth:`CopickTomogram.import_volume`.

        Raises:
            InvalidDataError: The segmentation is panoptic, a value would be changed by the type, or the source is none for
                this segmentation; what was stored before is still there.
            UnknownFormatError: No installed format reads the file; the message gives the line that installs one.
            ReadOnlyError: The segmentation is read-only.
        """
        if self.is_panoptic:
            raise InvalidDataError(
                source=self._key,
                reason="it has two channels, which no volume file holds; read both with "
                "copick_core.volumes.reading.read_volume(path).data "
                "and give them to from_numpy(numpy.stack([label, instance]))",
            )
        self._import_volume(source, self.voxel_size, levels, dtype, strict, **options)

    def _import_dtype(self, volume: VolumeSource, dtype: DTypeLike | None) -> DTypeLike | None:
        from copick_core.volumes.labels import smallest_unsigned

        if dtype is not None:
            return dtype
        narrowest = self._narrowest
        for start, slab in volume.each_slab():
            narrowest = smallest_unsigned(slab, narrowest, source=volume.name, origin=(start, 0, 0))
        return narrowest

    def _inspector(self, shape: tuple[int, ...], strict: bool | None) -> LabelCheck | None:
        from copick_core.models import plausibility

        plausibility.check_size(self, shape, plausibility.is_strict(self._root, strict))
        return plausibility.label_check(self)

    def _judge(self, inspect: LabelCheck | None, strict: bool | None) -> None:
        from copick_core.models import plausibility

        plausibility.check_labels(self, inspect, plausibility.is_strict(self._root, strict))

    @property
    def _channels(self) -> bool:
        return self.is_panoptic

    @property
    def _narrowest(self) -> np.dtype[Any]:
        """The narrowest type that labels are stored as by default."""
        import numpy as np

        return np.dtype("uint16" if self.is_instance or self.is_panoptic else "uint8")

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int = "0",
        x: Index = ALL,
        y: Index = ALL,
        z: Index = ALL,
        channel: str | int | None = None,
        update_levels: bool = False,
        *,
        strict: bool | None = None,
    ) -> None:
        """Write a region of one level; only the chunks that it touches are written.

        Args:
            data: Values, of the region's shape or broadcastable to it.
            zarr_group: Resolution level.
            x: Index along x: a slice or an int.
            y: Index along y.
            z: Index along z.
            channel: Channel of a panoptic segmentation; None for both.
            update_levels: Also recompute what depends on the region in all coarser levels; if that is interrupted, they keep
                the old values.
            strict: Refuse labels that no object has, as :meth:`from_numpy` does.

        Raises:
            InvalidDataError: A value would be changed by the stored type, or is not a label of the project (panoptic), or
                coarser levels that are to be updated have sizes that no pyramid has; nothing was written.
            ReadOnlyError: The segmentation is read-only.
            LevelNotFoundError: There is no such level.
            ConflictError: Another process has deleted the volume, or replaced it by one of another shape, type or chunking.
        """
        import numpy as np

        from copick_core.models.plausibility import label_check
        from copick_core.volumes import ome

        self._check_writable()
        index = self._region(z, y, x, channel)
        opened = self._for_writing(zarr_group)
        values = ome.cast_lossless(np.asanyarray(data), opened.array.dtype, source=str(self._key))
        if self.is_panoptic:
            both = self._read(zarr_group, (ALL, *index[1:]))
            with self._named_in_errors():
                both[... if channel is None else self._channel(channel)] = values
            ome.check_panoptic(both.reshape(2, 1, 1, -1), self._object_labels(), source=str(self._key))
        elif check := label_check(self):
            check(values)
            self._judge(check, strict)
        self._write_region(zarr_group, index, values, update_levels, opened)

    def instance_ids(self, zarr_group: str | int = "0", object_name: str | None = None) -> NDArray[np.integer[Any]]:
        """Ids of the instances, sorted, without 0.

        Args:
            zarr_group: Resolution level.
            object_name: The object whose instances are wanted; needed for panoptic segmentations, where each object counts
                its own. :meth:`segments` lists those of all objects.

        Raises:
            InvalidDataError: The segmentation has no instances, or it is panoptic and no object is given.
        """
        import numpy as np

        if not (self.is_instance or self.is_panoptic):
            raise InvalidDataError(source=self._key, reason="only instance and panoptic segmentations have instances")
        if self.is_instance:
            found = [np.unique(block) for block in self._blocks(zarr_group)]
        else:
            if object_name is None:
                raise InvalidDataError(
                    source=self._key,
                    reason="each object of a panoptic segmentation counts its own instances. Pass object_name, or use "
                    "segments() for those of all objects",
                )
            label = self._object_label(object_name)
            found = [np.unique(b[1][b[0] == label]) for b in self._blocks(zarr_group)]
        ids = np.unique(np.concatenate(found)) if found else np.empty(0, self.view(zarr_group).dtype)
        present: NDArray[np.integer[Any]] = ids[ids != 0]
        return present

    def segments(self, zarr_group: str | int = "0") -> list[tuple[str, int]]:
        """Pairs of object name and instance id that occur in a panoptic segmentation, sorted."""
        import numpy as np

        self._check_panoptic()
        pairs = {tuple(p) for b in self._blocks(zarr_group) for p in np.unique(b.reshape(2, -1), axis=1).T.tolist() if p[0]}
        names = {o.label: o.name for o in self.run.root.pickable_objects}
        return sorted((names.get(label, str(label)), instance) for label, instance in pairs)

    def label_volume(self, zarr_group: str | int = "0") -> NDArray[Any]:
        """The labels of a panoptic segmentation, (z, y, x)."""
        self._check_panoptic()
        return self.numpy(zarr_group, channel="label")

    def instance_volume(self, object_name: str, zarr_group: str | int = "0") -> NDArray[Any]:
        """The instance ids of one object in a panoptic segmentation, (z, y, x); 0 elsewhere."""
        self._check_panoptic()
        both = self.numpy(zarr_group)
        both[1][both[0] != self._object_label(object_name)] = 0
        instances: NDArray[Any] = both[1]
        return instances

    @property
    def _root(self) -> CopickRoot:
        return self.run.root

    @property
    def _siblings(self) -> Children[CopickSegmentation]:
        return self.run._segmentations_children

    def _check_panoptic(self) -> None:
        if not self.is_panoptic:
            raise InvalidDataError(source=self._key, reason=f"{self.segmentation_type} segmentations are not panoptic")

    def _channel(self, channel: str | int) -> int:
        if channel in PANOPTIC_CHANNELS:
            return PANOPTIC_CHANNELS.index(channel)
        if channel in (0, 1):
            return int(channel)
        raise InvalidDataError(
            source=self._key,
            reason=f"channel {channel!r} does not exist; there are 'label' (0) and 'instance' (1)",
        )

    def _region(self, z: Index, y: Index, x: Index, channel: str | int | None) -> tuple[Index, ...]:
        if not self.is_panoptic:
            if channel is not None:
                raise InvalidDataError(source=self._key, reason=f"{self.segmentation_type} segmentations have no channels")
            return (z, y, x)
        return (ALL if channel is None else self._channel(channel), z, y, x)

    def _blocks(self, level: str | int) -> Iterator[NDArray[Any]]:
        """The volume in slabs along z of a chunk's depth, all channels at once."""
        view = self.view(level)
        depth, step = view.shape[-3], view.inner[-3]
        for start in range(0, depth, step):
            yield self._read(level, (..., slice(start, start + step), ALL, ALL))

    def _object_labels(self) -> list[int]:
        return [o.label for o in self.run.root.pickable_objects if o.label is not None]

    def _object_label(self, object_name: str) -> int:
        label = self.run._object(object_name).label
        if label is None:
            raise InvalidDataError(source=f"object {object_name!r}", reason="it has no label")
        from copick_core.models.plausibility import warn_of_shared

        warn_of_shared(self, self.run.root, label)
        return label

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return (
            ("user_id", self.user_id),
            ("session_id", self.session_id),
            ("name", self.name),
            ("segmentation_type", self.segmentation_type),
            ("voxel_size", self.voxel_size),
        )
