"""The abstract hierarchy and the value models: what every project is made of, wherever it is stored.

The classes here know how entities hang together, how they are listed once and forgotten on ``refresh()``, how they are
filtered, named and checked. They leave open where anything is stored; :mod:`copick_core.overlay` says that over a stack of
layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core import deferred

if TYPE_CHECKING:
    from copick_core.filaments.values import CopickFilament, CopickFilamentCurve, CopickFilamentsFile
    from copick_core.models.features import CopickFeatures
    from copick_core.models.filaments import CopickFilaments
    from copick_core.models.mesh import CopickMesh
    from copick_core.models.object import CopickObject
    from copick_core.models.picks import CopickPicks
    from copick_core.models.root import CopickRoot
    from copick_core.models.run import CopickRun
    from copick_core.models.segmentation import PANOPTIC_CHANNELS, CopickSegmentation
    from copick_core.models.tomogram import CopickTomogram
    from copick_core.models.voxel_spacing import CopickVoxelSpacing
    from copick_core.tree.filament_spec import FilamentSpec
    from copick_core.tree.schema import (
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
        PickableObject,
    )

__all__ = [
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

#: Where each class lives. They are imported when they are used: opening a project needs none but that of its root.
_HOMES = {
    "PANOPTIC_CHANNELS": "copick_core.models.segmentation",
    "CopickConfig": "copick_core.tree.schema",
    "CopickFeatures": "copick_core.models.features",
    "CopickFeaturesMeta": "copick_core.tree.schema",
    "CopickFilament": "copick_core.filaments.values",
    "CopickFilamentCurve": "copick_core.filaments.values",
    "CopickFilaments": "copick_core.models.filaments",
    "CopickFilamentsFile": "copick_core.filaments.values",
    "CopickLocation": "copick_core.tree.schema",
    "CopickMesh": "copick_core.models.mesh",
    "CopickMeshMeta": "copick_core.tree.schema",
    "CopickObject": "copick_core.models.object",
    "CopickPicks": "copick_core.models.picks",
    "CopickPicksFile": "copick_core.tree.schema",
    "CopickPoint": "copick_core.tree.schema",
    "CopickRoot": "copick_core.models.root",
    "CopickRun": "copick_core.models.run",
    "CopickRunMeta": "copick_core.tree.schema",
    "CopickSegmentation": "copick_core.models.segmentation",
    "CopickSegmentationMeta": "copick_core.tree.schema",
    "CopickTomogram": "copick_core.models.tomogram",
    "CopickTomogramMeta": "copick_core.tree.schema",
    "CopickVoxelSpacing": "copick_core.models.voxel_spacing",
    "CopickVoxelSpacingMeta": "copick_core.tree.schema",
    "FilamentSpec": "copick_core.tree.filament_spec",
    "PickableObject": "copick_core.tree.schema",
}


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)
