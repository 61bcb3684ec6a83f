"""Entities on file systems: what :mod:`copick_core.overlay` has, and where each entity lies.

These classes add nothing but paths, which :mod:`copick_backend_fs.places` has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from copick_backend_fs.places import Placed, PlacedFile, files_of
from copick_core.overlay import (
    CopickFeaturesOverlay,
    CopickFilamentsOverlay,
    CopickMeshOverlay,
    CopickObjectOverlay,
    CopickPicksOverlay,
    CopickRunOverlay,
    CopickSegmentationOverlay,
    CopickTomogramOverlay,
    CopickVoxelSpacingOverlay,
)

if TYPE_CHECKING:
    from copick_backend_fs.places import FilesLayer
    from copick_core.tree.schema import (
        CopickFeaturesMeta,
        CopickMeshMeta,
        CopickSegmentationMeta,
        CopickTomogramMeta,
        CopickVoxelSpacingMeta,
    )


class CopickPicksFSSpec(PlacedFile, CopickPicksOverlay):
    """Picks on a file system."""

    __slots__ = ()


class CopickMeshFSSpec(PlacedFile, CopickMeshOverlay):
    """A mesh on a file system."""

    __slots__ = ()


class CopickFilamentsFSSpec(PlacedFile, CopickFilamentsOverlay):
    """Filaments on a file system."""

    __slots__ = ()


class CopickSegmentationFSSpec(Placed, CopickSegmentationOverlay):
    """A segmentation on a file system."""

    __slots__ = ()


class CopickFeaturesFSSpec(Placed, CopickFeaturesOverlay):
    """A feature map on a file system."""

    __slots__ = ()


class CopickObjectFSSpec(Placed, CopickObjectOverlay):
    """An object on a file system; its paths are those of its density map."""

    __slots__ = ()

    def _home(self) -> FilesLayer | None:
        return files_of(self._find()) or super()._home()


class CopickTomogramFSSpec(Placed, CopickTomogramOverlay):
    """A tomogram on a file system."""

    __slots__ = ()

    def _feature_factory(self) -> tuple[type[CopickFeaturesFSSpec], type[CopickFeaturesMeta]]:
        return CopickFeaturesFSSpec, super()._feature_factory()[1]


class CopickVoxelSpacingFSSpec(Placed, CopickVoxelSpacingOverlay):
    """A voxel spacing on a file system."""

    __slots__ = ()

    def _tomogram_factory(self) -> tuple[type[CopickTomogramFSSpec], type[CopickTomogramMeta]]:
        return CopickTomogramFSSpec, super()._tomogram_factory()[1]


class CopickRunFSSpec(Placed, CopickRunOverlay):
    """A run on a file system."""

    __slots__ = ()

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingFSSpec], type[CopickVoxelSpacingMeta]]:
        return CopickVoxelSpacingFSSpec, super()._voxel_spacing_factory()[1]

    def _picks_factory(self) -> type[CopickPicksFSSpec]:
        return CopickPicksFSSpec

    def _mesh_factory(self) -> tuple[type[CopickMeshFSSpec], type[CopickMeshMeta]]:
        return CopickMeshFSSpec, super()._mesh_factory()[1]

    def _filaments_factory(self) -> type[CopickFilamentsFSSpec]:
        return CopickFilamentsFSSpec

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationFSSpec], type[CopickSegmentationMeta]]:
        return CopickSegmentationFSSpec, super()._segmentation_factory()[1]
