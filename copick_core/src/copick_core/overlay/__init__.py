"""The hierarchy over a stack of layers.

A project's layers are any number of read-only static ones and at most one writable overlay. Picks, meshes, filaments,
segmentations, tomograms and feature maps of all layers are listed side by side, static ones first, and each says which layer
it is in. Runs and voxel spacings are the union over the layers: one handle spans them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core import deferred

if TYPE_CHECKING:
    from copick_core.overlay.containers import CopickRunOverlay, CopickTomogramOverlay, CopickVoxelSpacingOverlay
    from copick_core.overlay.leaves import (
        CopickFeaturesOverlay,
        CopickFilamentsOverlay,
        CopickMeshOverlay,
        CopickObjectOverlay,
        CopickPicksOverlay,
        CopickSegmentationOverlay,
    )
    from copick_core.overlay.root import CopickRootOverlay

__all__ = [
    "CopickFeaturesOverlay",
    "CopickFilamentsOverlay",
    "CopickMeshOverlay",
    "CopickObjectOverlay",
    "CopickPicksOverlay",
    "CopickRootOverlay",
    "CopickRunOverlay",
    "CopickSegmentationOverlay",
    "CopickTomogramOverlay",
    "CopickVoxelSpacingOverlay",
]

#: Where each class lives. They are imported when they are used: opening a project needs none but that of its root.
_HOMES = {
    "CopickFeaturesOverlay": "copick_core.overlay.leaves",
    "CopickFilamentsOverlay": "copick_core.overlay.leaves",
    "CopickMeshOverlay": "copick_core.overlay.leaves",
    "CopickObjectOverlay": "copick_core.overlay.leaves",
    "CopickPicksOverlay": "copick_core.overlay.leaves",
    "CopickRootOverlay": "copick_core.overlay.root",
    "CopickRunOverlay": "copick_core.overlay.containers",
    "CopickSegmentationOverlay": "copick_core.overlay.leaves",
    "CopickTomogramOverlay": "copick_core.overlay.containers",
    "CopickVoxelSpacingOverlay": "copick_core.overlay.containers",
}


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)
