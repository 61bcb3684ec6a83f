"""Edits a project that `write.py` wrote, through a library's API: ``edit.py LIBRARY CONFIG``."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import trimesh

BLOCK = (slice(2, 9), slice(3, 16), slice(0, 5))


def edit_project(library, config):
    """Change, replace and delete entities of every kind in the first run."""
    module = importlib.import_module(library)
    models = importlib.import_module(f"{library}.models")
    root = module.from_file(str(config))
    rng = np.random.default_rng(5)
    z, y, x = BLOCK
    shape = tuple(index.stop - index.start for index in BLOCK)

    run = root.get_run("TS_001")
    spacing = run.get_voxel_spacing(10.0)
    (tomogram,) = spacing.get_tomograms("wbp")
    tomogram.set_region(rng.normal(size=shape).astype(np.float32), "0", x=x, y=y, z=z)
    tomogram.get_features("mask").set_region(np.ones(shape, np.uint8), "0", BLOCK)
    (labels,) = run.get_segmentations(is_multilabel=True, voxel_size=10.0)
    labels.set_region(rng.integers(0, 300, size=shape), "0", x=x, y=y, z=z)
    (instances,) = run.get_segmentations(is_multilabel=None, is_instance=True, voxel_size=7.841)
    instances.from_numpy(rng.integers(0, 9, size=(6, 5, 4)))
    for segmentation in run.get_segmentations(user_id="membrain", is_multilabel=False):
        segmentation.delete()
    root.get_object("ribosome").set_region(np.zeros((2, 2, 2), np.float32), "0", slice(0, 2), slice(1, 3), slice(2, 4))

    (picks,) = run.get_picks("ribosome", "alice", "1")
    location = models.CopickLocation(x=0.1 + 0.2, y=1 / 3, z=1e22)
    picks.points = [*picks.points[1:], models.CopickPoint(location=location, instance_id=4, score=0.7)]
    picks.store()
    (picks,) = run.get_picks("proteasome", "pytom", "0")
    picks.delete()
    (mesh,) = run.get_meshes("membrane", "alice", "1")
    mesh.mesh = trimesh.Trimesh(rng.uniform(size=(4, 3)).astype(np.float32), [[0, 1, 2], [1, 2, 3]], process=False)
    mesh.store()
    (mesh,) = run.get_meshes("ribosome", "bob", "2")
    mesh.delete()
    (tomogram,) = spacing.get_tomograms("denoised-2")
    for features in tomogram.features:
        features.delete()
    tomogram.delete()
    root.get_run("grid 7.tilt-3").delete()

    root.new_object("apoferritin", True, radius=66.5, exist_ok=True)
    root.save_config(str(config))


def main():
    """Edit the project that the command line names."""
    warnings.filterwarnings("ignore", ".*Check the data")  # extreme values are what is compared
    library, config = sys.argv[1:]
    edit_project(library, Path(config))


if __name__ == "__main__":
    main()
