"""Projects on file systems."""

from __future__ import annotations

import json
import os
from typing import Self

from copick import models
from copick_backend_fs import filesystem as fs
from copick_backend_fs.config import CopickConfigFSSpec
from copick_core.tree.schema import (
    CopickFeaturesMeta,
    CopickMeshMeta,
    CopickRunMeta,
    CopickSegmentationMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
    PickableObject,
)

__all__ = [
    "CopickConfigFSSpec",
    "CopickFeaturesFSSpec",
    "CopickFilamentsFSSpec",
    "CopickMeshFSSpec",
    "CopickObjectFSSpec",
    "CopickPicksFSSpec",
    "CopickRootFSSpec",
    "CopickRunFSSpec",
    "CopickSegmentationFSSpec",
    "CopickTomogramFSSpec",
    "CopickVoxelSpacingFSSpec",
]


class CopickPicksFSSpec(models.CopickPicks, fs.CopickPicksFSSpec):
    """Picks on a file system."""


class CopickMeshFSSpec(models.CopickMesh, fs.CopickMeshFSSpec):
    """A mesh on a file system."""


class CopickFilamentsFSSpec(models.CopickFilaments, fs.CopickFilamentsFSSpec):
    """Filaments on a file system."""


class CopickSegmentationFSSpec(models.CopickSegmentation, fs.CopickSegmentationFSSpec):
    """A segmentation on a file system."""


class CopickFeaturesFSSpec(models.CopickFeatures, fs.CopickFeaturesFSSpec):
    """A feature map on a file system."""


class CopickObjectFSSpec(models.CopickObject, fs.CopickObjectFSSpec):
    """An object on a file system; its paths are those of its density map."""


class CopickTomogramFSSpec(models.CopickTomogram, fs.CopickTomogramFSSpec):
    """A tomogram on a file system."""

    def _feature_factory(self) -> tuple[type[CopickFeaturesFSSpec], type[CopickFeaturesMeta]]:
        return CopickFeaturesFSSpec, CopickFeaturesMeta


class CopickVoxelSpacingFSSpec(models.CopickVoxelSpacing, fs.CopickVoxelSpacingFSSpec):
    """A voxel spacing on a file system."""

    def _tomogram_factory(self) -> tuple[type[CopickTomogramFSSpec], type[CopickTomogramMeta]]:
        return CopickTomogramFSSpec, CopickTomogramMeta


class CopickRunFSSpec(models.CopickRun, fs.CopickRunFSSpec):
    """A run on a file system."""

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingFSSpec], type[CopickVoxelSpacingMeta]]:
        return CopickVoxelSpacingFSSpec, CopickVoxelSpacingMeta

    def _picks_factory(self) -> type[CopickPicksFSSpec]:
        return CopickPicksFSSpec

    def _mesh_factory(self) -> tuple[type[CopickMeshFSSpec], type[CopickMeshMeta]]:
        return CopickMeshFSSpec, CopickMeshMeta

    def _filaments_factory(self) -> type[CopickFilamentsFSSpec]:
        return CopickFilamentsFSSpec

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationFSSpec], type[CopickSegmentationMeta]]:
        return CopickSegmentationFSSpec, CopickSegmentationMeta


class CopickRootFSSpec(models.CopickRoot, fs.CopickRootFSSpec):
    """A project on file systems.

    Relative locations start at the working folder, as in copick.
    """

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from its JSON configuration."""
        with open(path, encoding="utf-8") as file:
            return cls(CopickConfigFSSpec.model_validate(json.load(file)))

    def _run_factory(self) -> tuple[type[CopickRunFSSpec], type[CopickRunMeta]]:
        return CopickRunFSSpec, CopickRunMeta

    def _object_factory(self) -> tuple[type[CopickObjectFSSpec], type[PickableObject]]:
        return CopickObjectFSSpec, PickableObject
