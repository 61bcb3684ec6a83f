"""Tomograms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from copick_core.errors import InvalidDataError
from copick_core.models.children import Children
from copick_core.models.entity import check_metadata, count
from copick_core.models.features import CopickFeatures
from copick_core.models.parent import Parent
from copick_core.models.volume import ALL, NOTHING_OPEN, Volume
from copick_core.tree.keys import FeaturesKey, Kind, TomogramKey
from copick_core.tree.names import checked_name, spellings
from copick_core.tree.schema import CopickConfig, CopickFeaturesMeta, CopickTomogramMeta

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from copick_core.models.root import CopickRoot
    from copick_core.models.volume import Index, Opened
    from copick_core.models.voxel_spacing import CopickVoxelSpacing
    from copick_core.volumes.importing import ImportOptions
    from copick_core.volumes.ome import FormatOptions

_FEATURES = Kind.FEATURES


class CopickTomogram(Parent, Volume[TomogramKey]):
    """A tomogram of a certain type at a voxel spacing.

    Args:
        voxel_spacing: The voxel spacing.
        meta: Its metadata.
        config: Configuration; that of the voxel spacing by default.

    Attributes:
        voxel_spacing: The voxel spacing.
        config: The project's configuration.
    """

    __slots__ = ("_features_children", "config", "voxel_spacing")

    _features_children: Children[CopickFeatures]
    config: CopickConfig

    def __init__(
        self, voxel_spacing: CopickVoxelSpacing, meta: CopickTomogramMeta, config: CopickConfig | None = None
    ) -> None:
        parent = voxel_spacing.key
        self.voxel_spacing = voxel_spacing
        self.config = config or voxel_spacing.config
        self._meta = meta
        self._key = TomogramKey(parent.run, parent.voxel_size, meta.tomo_type)
        self._arrays = NOTHING_OPEN
        self._unsaved = True
        self._features_children = Children(voxel_spacing._tomograms_children.lock)

    @property
    def tomo_type(self) -> str:
        """Type of the tomogram, for example its reconstruction method."""
        return self._key.tomo_type

    # ------------------------------------------------------------------ features

    @property
    def features(self) -> list[CopickFeatures]:
        """Feature maps computed on this tomogram; listed when first asked for."""
        return self._features_children.all(self.query_features)

    def query_features(self) -> list[CopickFeatures]:
        """List the feature maps from storage."""
        return self._query(_FEATURES)

    def get_features(self, feature_type: str) -> CopickFeatures | None:
        """The feature map of a type (the static one if there are two), or None."""
        keys = [self._feature_key(name) for name in spellings(feature_type)]
        return next((f for key in keys for f in self._features_children.get(key, partial(self._probe, key))), None)

    def new_features(self, feature_type: str, exist_ok: bool = False, **kwargs: Any) -> CopickFeatures:
        """Make a feature map; it becomes visible to others when data are written to it.

        Args:
            feature_type: Type; sanitised, with a warning if that changes it.
            exist_ok: Give the existing one instead of failing; a read-only one is copied into the overlay.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            AlreadyExistsError: There is one of that type, and not ``exist_ok``.
            InvalidNameError: The type cannot be stored.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_features, kwargs)
        key = self._feature_key(checked_name("feature_type", feature_type))
        names = {"tomo_type": key.tomo_type, "feature_type": key.feature_type}
        feature_cls, meta_cls = self._feature_factory()
        return self._new(self._features_children, key, exist_ok, lambda: feature_cls(self, meta_cls(**names, **kwargs)))

    def delete_features(self) -> None:
        """Delete all feature maps of this tomogram.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._features_children.delete(self.features)

    def refresh_features(self) -> None:
        """Forget the feature maps; the next access lists them again."""
        self._refresh(self._features_children)

    def _feature_key(self, feature_type: str) -> FeaturesKey:
        key = self.key
        return FeaturesKey(key.run, key.voxel_size, key.tomo_type, feature_type, key.variant)

    def _existing(self, found: Sequence[Any], exist_ok: bool) -> Any:
        """What ``new_…`` gives for a key that is taken."""
        return self.voxel_spacing.run._existing(found, exist_ok)

    def _feature_factory(self) -> tuple[type[CopickFeatures], type[CopickFeaturesMeta]]:
        """Classes of feature maps and of their metadata."""
        return self._class(Kind.FEATURES, CopickFeatures), CopickFeaturesMeta

    # ------------------------------------------------------------------ data

    def numpy(self, zarr_group: str | int = "0", x: Index = ALL, y: Index = ALL, z: Index = ALL) -> NDArray[Any]:
        """Read the tomogram, or a region of it.

        Args:
            zarr_group: Resolution level, "0" being full resolution.
            x: Index along x: a slice or an int, as NumPy takes them.
            y: Index along y.
            z: Index along z.

        Returns:
            Array (z, y, x), without the axes that an int was given for.

        Raises:
            LevelNotFoundError: There is no such level (a KeyError that lists the levels).
            RegionTooLargeError: The region does not fit into free memory.
            InvalidDataError: What is stored is damaged or incomplete.
        """
        return self._read(zarr_group, (z, y, x))

    def from_numpy(
        self,
        data: ArrayLike,
        levels: int = 3,
        dtype: DTypeLike | None = "float32",
        **format: Unpack[FormatOptions],
    ) -> None:
        """Replace the tomogram and its pyramid.

        Coarser levels are means of 2 x 2 x 2 voxels; at odd edges, of the voxels that are there.

        Args:
            data: Density, (z, y, x).
            levels: Number of resolution levels.
            dtype: Type to store; None for that of the data.
            **format: ``format``, ``zarr_format``, ``chunks``, ``compressor``, ``shards`` of this volume, as
                :class:`~copick_core.volumes.ome.VolumeFormat` takes them; by default those of the configuration.

        Raises:
            ReadOnlyError: The tomogram is read-only.
        """
        self._write_volume(data, self.voxel_spacing.voxel_size, format, levels=levels, dtype=dtype)

    def import_volume(
        self,
        source: Any,
        levels: int = 3,
        dtype: DTypeLike | None = "float32",
        **options: Unpack[ImportOptions],
    ) -> None:
        """Replace the tomogram by a volume that is read piece by piece, whatever its size.

        If that fails or is interrupted, what was stored before is still there and nothing else is.

        Args:
            source: Path of a zarr folder or of a file that an installed format reads, anything with ``shape``, ``dtype``
                and slicing (NumPy, dask, zarr), or what :func:`copick_core.volumes.reading.read_volume` gave.
            levels: Number of resolution levels.
            dtype: Type to store; None for that of the source.
            **options: ``voxel_size``: that of the source in angstrom, instead of what it tells. ``transpose``: its axes in
                their new order, such as ``"2,1,0"``; ``flip``: axes that are to run backwards after that, such as ``"0"``.
                ``progress``: called with the number of voxels written, and of all. ``file_format``: name of the file's
                format, instead of the one that claims its content; ``read_options``: its options. ``zarr_format``, ``chunks``,
                ``compressor``, ``shards`` as in :meth:`from_numpy`.

        Raises:
            InvalidDataError: The source cannot be read, its voxels are not cubes, or they are not of the size of the voxel
                spacing (the message names both sizes). A source that tells no size is taken to have that of the spacing.
            UnknownFormatError: No installed format reads the file; the message gives the line that installs one.
            ReadOnlyError: The tomogram is read-only.
        """
        self._import_volume(source, self.voxel_spacing.voxel_size, levels, dtype, **options)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int = "0",
        x: Index = ALL,
        y: Index = ALL,
        z: Index = ALL,
        update_levels: bool = False,
    ) -> None:
        """Write a region of one level; only the chunks that it touches are written.

        Args:
            data: Values, of the region's shape (z, y, x) or broadcastable to it.
            zarr_group: Resolution level.
            x: Index along x: a slice or an int.
            y: Index along y.
            z: Index along z.
            update_levels: Also recompute what depends on the region in all coarser levels; if that is interrupted, they keep
                the old values.

        Raises:
            ReadOnlyError: The tomogram is read-only.
            LevelNotFoundError: There is no such level.
            InvalidDataError: Coarser levels that are to be updated have sizes that no pyramid has; nothing was written.
            ConflictError: Another process has deleted the volume, or replaced it by one of another shape, type or chunking.
        """
        self._write_region(zarr_group, (z, y, x), data, update_levels)

    def refresh(self) -> None:
        """Forget feature maps and what is known about the stored volume."""
        super().refresh()
        self._root._sizes.get(self._key.run, {}).pop((self._key, self.layer), None)
        self.refresh_features()

    def _learn_opened(self, opened: Opened) -> None:
        from copick_core.volumes.ome import LevelView

        with suppress(InvalidDataError):  # of other axes: its size says nothing
            self._learn_size(LevelView(opened.array, opened.image, self._channels, str(self._key)).shape)

    def _learn_size(self, shape: tuple[int, ...]) -> None:
        self._root._sizes.setdefault(self._key.run, {})[self._key, self.layer] = tuple(shape)

    @property
    def _root(self) -> CopickRoot:
        return self.voxel_spacing.run.root

    @property
    def _siblings(self) -> Children[CopickTomogram]:
        return self.voxel_spacing._tomograms_children

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return ("tomo_type", self.tomo_type), ("len(features)", count(self._features_children.listed))
