"""Feature maps of tomograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from copick_core.models.volume import NOTHING_OPEN, Volume
from copick_core.tree.keys import FeaturesKey

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from copick_core.models.children import Children
    from copick_core.models.root import CopickRoot
    from copick_core.models.tomogram import CopickTomogram
    from copick_core.models.volume import Index
    from copick_core.tree.schema import CopickConfig, CopickFeaturesMeta
    from copick_core.volumes.importing import ImportOptions
    from copick_core.volumes.ome import FormatOptions


class CopickFeatures(Volume[FeaturesKey]):
    """A feature map that was computed on a tomogram: scalar, vector or tensor valued, of any dimensionality.

    Args:
        tomogram: The tomogram.
        meta: Its metadata.
        config: Configuration; that of the tomogram by default.

    Attributes:
        tomogram: The tomogram.
        config: The project's configuration.
    """

    __slots__ = ("config", "tomogram")

    def __init__(self, tomogram: CopickTomogram, meta: CopickFeaturesMeta, config: CopickConfig | None = None) -> None:
        parent = tomogram.key
        self.tomogram = tomogram
        self.config = config or tomogram.config
        self._meta = meta
        self._key = FeaturesKey(parent.run, parent.voxel_size, parent.tomo_type, meta.feature_type, parent.variant)
        self._arrays = NOTHING_OPEN
        self._unsaved = True

    @property
    def tomo_type(self) -> str:
        """Type of the tomogram that it was computed on."""
        return self._key.tomo_type

    @property
    def feature_type(self) -> str:
        """Type of the features."""
        return self._key.feature_type

    def numpy(self, zarr_group: str | int = "0", slices: tuple[Index, ...] | None = None) -> NDArray[Any]:
        """Read the feature map, or a region of it.

        Args:
            zarr_group: Resolution level.
            slices: One index for each dimension, as NumPy takes them; None for everything.

        Raises:
            LevelNotFoundError: There is no such level.
            RegionTooLargeError: The region does not fit into free memory.
            InvalidDataError: What is stored is damaged or incomplete.
        """
        return self._read(zarr_group, (...,) if slices is None else tuple(slices))

    def from_numpy(
        self,
        data: ArrayLike,
        levels: int = 1,
        dtype: DTypeLike | None = None,
        overwrite: bool = True,
        metadata: Mapping[str, Any] | None = None,
        **format: Unpack[FormatOptions],
    ) -> None:
        """Store the feature map, or replace it.

        Args:
            data: Array of any dimensionality; the last three axes of arrays with three or four are z, y, x.
            levels: Resolution levels to write; more than 1 needs three or four dimensions.
            dtype: Type to store; that of the data by default.
            overwrite: Replace what is stored; without it, refuse to.
            metadata: Goes into the metadata of the multiscale image, which arrays with three or four dimensions have.
            **format: ``format``, ``zarr_format``, ``chunks``, ``compressor``, ``shards`` of this volume, as
                :class:`~copick_core.volumes.ome.VolumeFormat` takes them; by default those of the configuration.

        Raises:
            ReadOnlyError: The feature map is read-only.
            AlreadyExistsError: Something is stored, and not ``overwrite``.
            InvalidDataError: Several levels, or metadata, of something that is not a volume were given.
        """
        import numpy as np

        from copick_core.errors import AlreadyExistsError, InvalidDataError, by_caller
        from copick_core.volumes import ome

        if not overwrite and self._is_stored():
            raise AlreadyExistsError(
                key=self._key,
                layer=self.layer,
                way_out=by_caller("Pass overwrite=True to replace it.", "Pass --if-exists replace to replace it."),
            )
        data = np.asanyarray(data)
        layout = self._format(format)
        if data.ndim in (3, 4):
            axes: dict[str, Any] = {"axes": "zyx"} if data.ndim == 3 else {"axes": "czyx", "channel": layout.feature_axis}
            size = self.tomogram.voxel_spacing.voxel_size
            self._write_volume(data, size, format, levels=levels, dtype=dtype, metadata=metadata, **axes)
            return
        if levels != 1 or metadata:
            what = "no multiscale metadata" if metadata else "one level only"
            raise InvalidDataError(source=self.key, reason=f"an array with {data.ndim} dimensions has {what}")
        with self._named_in_errors(), self._replace_store() as store:
            ome.write_array(store, data, dtype=dtype, format=layout)

    def import_volume(
        self, source: Any, levels: int = 1, dtype: DTypeLike | None = None, **options: Unpack[ImportOptions]
    ) -> None:
        """Replace the feature map by a volume (z, y, x) that is read piece by piece, whatever its size.

        Args:
            source: As :meth:`CopickTomogram.import_volume` takes it, which see for errors too.
            levels: Number of resolution levels.
            dtype: Type to store; that of the source by default.
            **options: ``voxel_size``, ``transpose``, ``flip``, ``progress`` and the options of :meth:`from_numpy`; see
                :meth:`CopickTomogram.import_volume`.
        """
        self._import_volume(source, self.tomogram.voxel_spacing.voxel_size, levels, dtype, **options)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int = "0",
        slices: tuple[Index, ...] | None = None,
        update_levels: bool = False,
    ) -> None:
        """Write a region of one level; only the chunks that it touches are written.

        Args:
            data: Values, of the region's shape or broadcastable to it.
            zarr_group: Resolution level.
            slices: One index for each dimension; None for everything.
            update_levels: Also recompute what depends on the region in all coarser levels; if that is interrupted, they keep
                the old values.

        Raises:
            ReadOnlyError: The feature map is read-only.
            LevelNotFoundError: There is no such level.
            InvalidDataError: Coarser levels that are to be updated have sizes that no pyramid has; nothing was written.
            ConflictError: Another process has deleted the volume, or replaced it by one of another shape, type or chunking.
        """
        self._write_region(zarr_group, (...,) if slices is None else tuple(slices), data, update_levels)

    @property
    def _channels(self) -> None:
        return None

    @property
    def _root(self) -> CopickRoot:
        return self.tomogram.voxel_spacing.run.root

    @property
    def _siblings(self) -> Children[CopickFeatures]:
        return self.tomogram._features_children

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return ("tomo_type", self.tomo_type), ("feature_type", self.feature_type)
