"""The abstract hierarchy and the value models: what every project is made of, wherever it is stored.

The classes here know how entities hang together, how they are listed once and forgotten on ``refresh()``, how they are
filtered, named and checked. They leave open where anything is stored; :mod:`copick_core.overlay` says that over a stack of
layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from copick_core.filaments.values import CopickFilament, CopickFilamentCurve, CopickFilamentsFile
    from copick_core.tree.filament_spec import FilamentSpec

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


def __getattr__(name: str) -> Any:
    # What filaments hold is imported when it is used: making its models takes a thirtieth of the time that opening takes.
    if name == "FilamentSpec":
        from copick_core.tree.filament_spec import FilamentSpec

        return FilamentSpec
    if name not in ("CopickFilament", "CopickFilamentCurve", "CopickFilamentsFile"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from copick_core.filaments import values

    return getattr(values, name)
