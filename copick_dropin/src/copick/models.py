"""The classes of copick: those of copick_core, with the signatures and habits that old callers rely on.

Each class adapts the one of copick_core of the same name and is a base class of what :mod:`copick.impl` makes. They take
attributes of their own, which copick_core's handles refuse.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from copick._layout import preset
from copick._members import Cache, Members, accepted
from copick.util import ome
from copick_core import models as core
from copick_core.errors import InvalidDataError
from copick_core.filaments.values import CopickFilament, CopickFilamentCurve, CopickFilamentsFile
from copick_core.models import (
    PANOPTIC_CHANNELS,
    CopickConfig,
    CopickFeaturesMeta,
    CopickLocation,
    CopickMeshMeta,
    CopickPicksFile,
    CopickPoint,
    CopickRunMeta,
    CopickSegmentationMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
    FilamentSpec,
    PickableObject,
)
from copick_core.models.segmentation import NO_COLOR
from copick_core.models.volume import Volume

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike
    from pandas import DataFrame

    from copick_core.volumes.format import FormatOptions, VolumeFormat

__all__ = [
    "COPICK_TYPES",
    "PANOPTIC_CHANNELS",
    "CopickConfig",
    "CopickFeatures",
    "CopickFeaturesMeta",
    "CopickFilament",
    "CopickFilamentCurve",
    "CopickFilaments",
    "CopickFilamentsFile",
    "CopickLocation",
    "CopickMesh",
    "CopickMeshMeta",
    "CopickObject",
    "CopickPicks",
    "CopickPicksFile",
    "CopickPoint",
    "CopickRoot",
    "CopickRun",
    "CopickRunMeta",
    "CopickSegmentation",
    "CopickSegmentationMeta",
    "CopickTomogram",
    "CopickTomogramMeta",
    "CopickVoxelSpacing",
    "CopickVoxelSpacingMeta",
    "FilamentSpec",
    "PickableObject",
]


def _level(zarr_group: str | int | None) -> str | int:
    return "0" if zarr_group is None else zarr_group


class _Volume(Volume[Any]):
    """What all volumes have: the layout of copick 2.0, and its limit of the size of shards."""

    def _format(self, format: FormatOptions) -> VolumeFormat:
        own = {"format", "zarr_format", "chunks", "compressor", "shards"} & self.config.model_fields_set
        return super()._format(format if own or "format" in format else cast("FormatOptions", {"format": preset(), **format}))

    def _write_volume(
        self, data: Any, voxel_size: float, format: FormatOptions, strict: bool | None = None, /, **options: Any
    ) -> None:
        shard = self._format(format).shard_shape(np.shape(data))
        if shard is not None:
            dtype = options.get("dtype")
            ome.check_shard_size(math.prod(shard) * np.dtype(np.asarray(data).dtype if dtype is None else dtype).itemsize)
        super()._write_volume(data, voxel_size, format, strict, **options)


class CopickFeatures(_Volume, core.CopickFeatures, metaclass=Members):
    """A feature map of a tomogram."""

    def numpy(self, zarr_group: str | int | None = None, slices: Any = None) -> Any:
        """Read the feature map, or a region of it; see :meth:`copick_core.models.CopickFeatures.numpy`."""
        return super().numpy(_level(zarr_group), slices)

    def from_numpy(  # type: ignore[override]
        self,
        data: ArrayLike,
        *,
        chunks: tuple[int, ...] | None = None,
        shards: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = True,
        **format: Any,
    ) -> None:
        """Store the feature map as one level.

        Args:
            data: (z, y, x) or (feature, z, y, x).
            chunks: Chunk shape; three numbers for four dimensions get a 1 in front.
            shards: Shard shape, one number for each dimension; by default one shard, or one for each feature.
            dtype: Type to store; that of the data by default.
            metadata: Goes into the metadata of the multiscale image.
            overwrite: Replace what is stored; without it, refuse to.
            **format: Further options of :meth:`copick_core.models.CopickFeatures.from_numpy`.

        Raises:
            ValueError: The data have another number of dimensions, or chunks and shards do not fit.
            FileExistsError: Something is stored, and not ``overwrite``.
        """
        array = np.asanyarray(data)
        if array.ndim not in (3, 4):
            raise InvalidDataError(source=self.key, reason=f"features are (z, y, x) or (feature, z, y, x), not {array.shape}")
        if chunks is not None:
            format["chunks"] = chunks if len(chunks) == array.ndim else (1, *chunks)
        if shards is not None:
            format["shards"] = shards
        super().from_numpy(array, dtype=dtype, metadata=metadata, overwrite=overwrite, **format)

    def set_region(
        self, data: ArrayLike, zarr_group: str | int | None = None, slices: Any = None, update_levels: bool = False
    ) -> None:
        """Write a region; see :meth:`copick_core.models.CopickFeatures.set_region`."""
        super().set_region(data, _level(zarr_group), slices, update_levels)


class CopickTomogram(_Volume, core.CopickTomogram, metaclass=Members):
    """A tomogram."""

    _features = Cache()

    def refresh(self) -> None:
        """List everything below again, at once."""
        super().refresh()
        _ = self.features

    def numpy(
        self, zarr_group: str | int | None = None, x: Any = slice(None), y: Any = slice(None), z: Any = slice(None)
    ) -> Any:
        """Read the tomogram, or a region of it; see :meth:`copick_core.models.CopickTomogram.numpy`."""
        return super().numpy(_level(zarr_group), x, y, z)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int | None = None,
        x: Any = slice(None),
        y: Any = slice(None),
        z: Any = slice(None),
        update_levels: bool = False,
    ) -> None:
        """Write a region; see :meth:`copick_core.models.CopickTomogram.set_region`."""
        super().set_region(data, _level(zarr_group), x, y, z, update_levels)


class CopickVoxelSpacing(core.CopickVoxelSpacing, metaclass=Members):
    """A voxel spacing of a run."""

    _tomograms = Cache()

    def refresh(self) -> None:
        """List everything below again, at once."""
        super().refresh()
        _ = self.tomograms

    def get_tomogram(self, tomo_type: str) -> Any:
        """The first tomogram of a type, or None. Deprecated in copick: a type may have several tomograms."""
        message = "get_tomogram is deprecated, use get_tomograms instead: there may be several tomograms of a type."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return super().get_tomogram(tomo_type)

    def get_tomograms(self, tomo_type: Any = None, **filters: Any) -> Any:
        """Tomograms of a type; filters of other backends are ignored."""
        method = super().get_tomograms
        return method(tomo_type, **accepted(method, filters))


class CopickPicks(core.CopickPicks, metaclass=Members):
    """Picks of one object by one user or tool in one session."""

    full_positions = core.CopickPicks.full_positions

    def df(self, format: str = "relion", **options: Any) -> DataFrame:
        """The picks as a table of RELION; see :func:`copick.util.relion.picks_to_df_relion`.

        Raises:
            ValueError: The format is another one.
        """
        from copick.util import relion

        relion.check_format(format)
        return relion.picks_to_df_relion(self, **options)

    def from_df(self, df: DataFrame, format: str = "relion", **options: Any) -> None:  # type: ignore[override]
        """Replace the picks by those of a table of RELION, and store them.

        Raises:
            ValueError: The format is another one.
        """
        from copick.util import relion

        relion.check_format(format)
        relion.relion_df_to_picks(self, df, **options)


class CopickMesh(core.CopickMesh, metaclass=Members):
    """A mesh."""


class CopickFilaments(core.CopickFilaments, metaclass=Members):
    """Filaments."""


class CopickSegmentation(_Volume, core.CopickSegmentation, metaclass=Members):
    """A segmentation."""

    segmentation_type = core.CopickSegmentation.segmentation_type

    @property
    def color(self) -> Any:
        """RGBA of the object; an invisible grey, as a list, where there is no single object."""
        found = super().color
        return [*found] if found == NO_COLOR else found

    def numpy(
        self,
        zarr_group: str | int | None = None,
        x: Any = slice(None),
        y: Any = slice(None),
        z: Any = slice(None),
        channel: str | int | None = None,
    ) -> Any:
        """Read the segmentation, or a region of it; see :meth:`copick_core.models.CopickSegmentation.numpy`."""
        return super().numpy(_level(zarr_group), x, y, z, channel)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int | None = None,
        x: Any = slice(None),
        y: Any = slice(None),
        z: Any = slice(None),
        channel: str | int | None = None,
        update_levels: bool = False,
        *,
        strict: bool | None = None,
    ) -> None:
        """Write a region; see :meth:`copick_core.models.CopickSegmentation.set_region`."""
        super().set_region(data, _level(zarr_group), x, y, z, channel, update_levels, strict=strict)

    def instance_ids(self, zarr_group: str | int | None = None, object_name: str | None = None) -> Any:
        """Ids of the instances; see :meth:`copick_core.models.CopickSegmentation.instance_ids`."""
        return super().instance_ids(_level(zarr_group), object_name)

    def segments(self, zarr_group: str | int | None = None) -> Any:
        """Sorted (object name, instance) pairs; see :meth:`copick_core.models.CopickSegmentation.segments`."""
        return super().segments(_level(zarr_group))

    def label_volume(self, zarr_group: str | int | None = None) -> Any:
        """Labels of a panoptic segmentation; see :meth:`copick_core.models.CopickSegmentation.label_volume`."""
        return super().label_volume(_level(zarr_group))

    def instance_volume(self, object_name: str, zarr_group: str | int | None = None) -> Any:
        """Instances of one object; see :meth:`copick_core.models.CopickSegmentation.instance_volume`."""
        return super().instance_volume(object_name, _level(zarr_group))


class CopickObject(_Volume, core.CopickObject, metaclass=Members):
    """An object that can be annotated, with its density map."""

    def numpy(
        self, zarr_group: str | int | None = None, x: Any = slice(None), y: Any = slice(None), z: Any = slice(None)
    ) -> Any:
        """Read the density map, or a region of it; see :meth:`copick_core.models.CopickObject.numpy`."""
        return super().numpy(_level(zarr_group), x, y, z)

    def set_region(
        self,
        data: ArrayLike,
        zarr_group: str | int | None = None,
        x: Any = slice(None),
        y: Any = slice(None),
        z: Any = slice(None),
        update_levels: bool = False,
    ) -> None:
        """Write a region; see :meth:`copick_core.models.CopickObject.set_region`."""
        super().set_region(data, _level(zarr_group), x, y, z, update_levels)

    def has_density_map(self) -> bool:
        """Whether the object has a density map."""
        return self.zarr() is not None


class CopickRun(core.CopickRun, metaclass=Members):
    """A run."""

    _voxel_spacings = Cache()
    _picks = Cache()
    _meshes = Cache()
    _filaments = Cache()
    _segmentations = Cache()

    def refresh(self) -> None:
        """List everything below again, at once."""
        super().refresh()
        _ = self.voxel_spacings
        _ = self.picks
        _ = self.meshes
        _ = self.filaments
        _ = self.segmentations

    get_filaments = core.CopickRun.get_filaments

    @property
    def split(self) -> None:
        """Split for machine learning; only projects of Croissant have it."""
        return None

    def get_picks(self, object_name: Any = None, user_id: Any = None, session_id: Any = None, **filters: Any) -> Any:
        """Picks that pass all filters; those of other backends are ignored."""
        method = super().get_picks
        return method(object_name, user_id, session_id, **accepted(method, filters))

    def get_segmentations(
        self,
        user_id: Any = None,
        session_id: Any = None,
        is_multilabel: bool | None = None,
        name: Any = None,
        voxel_size: Any = None,
        *,
        is_instance: bool | None = False,
        is_panoptic: bool | None = False,
        **filters: Any,
    ) -> Any:
        """Segmentations that pass all filters; those of other backends are ignored."""
        method = super().get_segmentations
        more: dict[str, Any] = {"is_instance": is_instance, "is_panoptic": is_panoptic, **accepted(method, filters)}
        return method(user_id, session_id, is_multilabel, name, voxel_size, **more)

    def user_picks(self) -> Any:
        """Picks of the configuration's user; of all users where it names none."""
        return self._of_user(super().user_picks(), self.picks)

    def user_meshes(self) -> Any:
        """Meshes of the configuration's user; of all users where it names none."""
        return self._of_user(super().user_meshes(), self.meshes)

    def user_segmentations(self) -> Any:
        """Segmentations of the configuration's user; of all users where it names none."""
        return self._of_user(super().user_segmentations(), self.segmentations)

    def user_filaments(self) -> Any:
        """Filaments of the configuration's user; of all users where it names none."""
        return self._of_user(super().user_filaments(), self.filaments)

    def _of_user(self, all_users: Iterable[Any], everything: Iterable[Any]) -> list[Any]:
        user = self.config.user_id
        return [*all_users] if user is None else [entity for entity in everything if entity.user_id == user]


class CopickRoot(core.CopickRoot, metaclass=Members):
    """A project."""

    def refresh(self) -> None:
        """List the runs again, at once."""
        super().refresh()
        _ = self.runs


#: The classes of all that a project consists of.
COPICK_TYPES = (
    CopickRoot,
    CopickRun,
    CopickVoxelSpacing,
    CopickTomogram,
    CopickFeatures,
    CopickPicks,
    CopickMesh,
    CopickSegmentation,
    CopickObject,
    CopickFilaments,
)
