"""Projects with datasets of the CryoET Data Portal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Self

from copick import models
from copick_backend_portal import entities as portal
from copick_backend_portal.config import CopickConfigCDP
from copick_backend_portal.opening import open_layers
from copick_core import overlay
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
    "CopickConfigCDP",
    "CopickFeaturesCDP",
    "CopickFilamentsCDP",
    "CopickMeshCDP",
    "CopickObjectCDP",
    "CopickPicksCDP",
    "CopickRootCDP",
    "CopickRunCDP",
    "CopickSegmentationCDP",
    "CopickTomogramCDP",
    "CopickVoxelSpacingCDP",
]


class CopickPicksCDP(models.CopickPicks, portal.CopickPicksCDP):
    """Picks from the portal or the overlay."""


class CopickMeshCDP(models.CopickMesh, portal.CopickMeshCDP):
    """A mesh from the overlay."""


class CopickFilamentsCDP(models.CopickFilaments, overlay.CopickFilamentsOverlay):
    """Filaments from the overlay."""


class CopickSegmentationCDP(models.CopickSegmentation, portal.CopickSegmentationCDP):
    """A segmentation from the portal or the overlay."""


class CopickFeaturesCDP(models.CopickFeatures, overlay.CopickFeaturesOverlay):
    """A feature map from the overlay."""


class CopickObjectCDP(models.CopickObject, overlay.CopickObjectOverlay):
    """An object, with its density map in the overlay."""


class CopickTomogramCDP(models.CopickTomogram, portal.CopickTomogramCDP):
    """A tomogram from the portal or the overlay."""

    def _feature_factory(self) -> tuple[type[CopickFeaturesCDP], type[CopickFeaturesMeta]]:
        return CopickFeaturesCDP, CopickFeaturesMeta


class CopickVoxelSpacingCDP(models.CopickVoxelSpacing, portal.CopickVoxelSpacingCDP):
    """A voxel spacing over the portal and the overlay."""

    def _tomogram_factory(self) -> tuple[type[CopickTomogramCDP], type[CopickTomogramMeta]]:
        return CopickTomogramCDP, CopickTomogramMeta


class CopickRunCDP(models.CopickRun, portal.CopickRunCDP):
    """A run of the portal or the overlay."""

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingCDP], type[CopickVoxelSpacingMeta]]:
        return CopickVoxelSpacingCDP, CopickVoxelSpacingMeta

    def _picks_factory(self) -> type[CopickPicksCDP]:
        return CopickPicksCDP

    def _mesh_factory(self) -> tuple[type[CopickMeshCDP], type[CopickMeshMeta]]:
        return CopickMeshCDP, CopickMeshMeta

    def _filaments_factory(self) -> type[CopickFilamentsCDP]:
        return CopickFilamentsCDP

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationCDP], type[CopickSegmentationMeta]]:
        return CopickSegmentationCDP, CopickSegmentationMeta


class CopickRootCDP(models.CopickRoot, portal.CopickRootCDP):
    """A project with datasets of the portal.

    Args:
        config: The project's configuration.
        open_layers: Opens its layers; there is no reason to give another one.
    """

    def __init__(self, config: CopickConfigCDP, open_layers: Callable[[Any], Any] = open_layers) -> None:
        super().__init__(config, open_layers)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from its JSON configuration."""
        with open(path, encoding="utf-8") as file:
            return cls(CopickConfigCDP.model_validate(json.load(file)))

    def _run_factory(self) -> tuple[type[CopickRunCDP], type[CopickRunMeta]]:
        return CopickRunCDP, CopickRunMeta

    def _object_factory(self) -> tuple[type[CopickObjectCDP], type[PickableObject]]:
        return CopickObjectCDP, PickableObject
