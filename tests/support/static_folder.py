"""A project folder that somebody laid out by hand, and what must be seen of it."""

from pathlib import Path

import zarr

from copick_core.testing import samples
from copick_core.tree.keys import (
    FeaturesKey,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)

EXPECTED = {
    RunKey("TS_1"): None,
    VoxelSpacingKey("TS_1", 10.0): None,
    PicksKey("TS_1", "ribo", "me", "1"): [[3, 0, 0.5], [3, 1, 0.5]],
    MeshKey("TS_1", "ribo", "me", "1"): [[0, 0, 0], [4, 1, 0]],
    TomogramKey("TS_1", 10.0, "wbp"): samples.volume(4),
    FeaturesKey("TS_1", 10.0, "wbp", "sobel"): samples.volume(4),
    SegmentationKey("TS_1", 10.0, "ribo", "me", "1"): samples.volume(5),
    ObjectKey("ribo"): samples.volume(6),
}


def lay_out(project):
    """Put one entity of each kind that a reader needs into a folder."""
    run = project / "ExperimentRuns" / "TS_1"
    for folder in ("Picks", "Meshes", "Segmentations", "VoxelSpacing10.000"):
        (run / folder).mkdir(parents=True)
    (run / "Picks" / "me_1_ribo.json").write_bytes(samples.picks_json(3))
    (run / "Meshes" / "me_1_ribo.glb").write_bytes(samples.mesh_glb(3))
    for name in ("VoxelSpacing10.000/wbp.zarr", "VoxelSpacing10.000/wbp_sobel_features.zarr"):
        samples.write_volume(zarr.storage.LocalStore(run / name), samples.volume(4))
    samples.write_volume(zarr.storage.LocalStore(run / "Segmentations" / "10.000_me_1_ribo.zarr"), samples.volume(5))
    samples.write_volume(zarr.storage.LocalStore(project / "Objects" / "ribo.zarr"), samples.volume(6))


def times(project):
    """When each file and folder was changed."""
    return {path: path.stat().st_mtime_ns for path in Path(project).rglob("*")}
