"""Entities over a read-only and a writable place, as all backends of copick have them."""

from copick_core.overlay import (
    CopickFeaturesOverlay,
    CopickFilamentsOverlay,
    CopickMeshOverlay,
    CopickObjectOverlay,
    CopickPicksOverlay,
    CopickRootOverlay,
    CopickRunOverlay,
    CopickSegmentationOverlay,
    CopickTomogramOverlay,
    CopickVoxelSpacingOverlay,
)

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
