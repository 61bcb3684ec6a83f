"""The hierarchy over a stack of layers.

A project's layers are any number of read-only static ones and at most one writable overlay. Picks, meshes, filaments,
segmentations, tomograms and feature maps of all layers are listed side by side, static ones first, and each says which layer
it is in. Runs and voxel spacings are the union over the layers: one handle spans them all.
"""

from __future__ import annotations

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
