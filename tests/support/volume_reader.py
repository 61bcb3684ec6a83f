"""Reads everything in a volume, and works in an overlay over it, in a process of its own that a test may watch.

As a program, ``volume_reader.py VOLUME`` ends with an error if anything was unpickled, or opened for writing in the volume.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import trimesh

import copick_core

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.link", "os.symlink"}
CHANGES |= {"os.utime", "os.setxattr", "os.removexattr"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def read_everything(root):
    """Call everything that is public and reads."""
    root.jobs(), root.recoverable_jobs(), root.doctor(), root.pickable_objects
    for run in root.runs:
        run.job, run.uploads, run.freshness(), repr(run.models), repr(run.meta), run.voxel_size_info
        for model in run.models:
            model.sha256, model.size, [pair.mask for pair in run.training_pairs(model)]
        for spacing in run.voxel_spacings:
            [tomogram.numpy() for tomogram in spacing.tomograms]
        [(s.numpy(), s.meta, s.from_tool) for s in run.segmentations]
        [(m.mesh, m.blocks()) for m in run.meshes]


def overlay_session(root):
    """Make picks, a mesh, features and a segmentation in the overlay."""
    run = root.get_run("CC7651")
    name = run.segmentations[0].name
    picks = run.new_picks(name, user_id="ana", session_id="1")
    picks.from_numpy(np.ones((3, 3)))
    picks.store()
    mesh = run.new_mesh(name, user_id="ana", session_id="1")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    tomogram = run.voxel_spacings[0].tomograms[0]
    tomogram.new_features("edges").from_numpy(tomogram.numpy().astype(np.float32))
    segmentation = run.new_segmentation(run.voxel_spacings[0].voxel_size, name, "1", False, user_id="ana")
    segmentation.from_numpy(run.segmentations[0].numpy(), dtype=np.uint8)
    return run


def main(folder):
    wrong = []

    def watch(event, args):
        inside = bool(args) and str(args[0]).startswith(folder)
        if event == "pickle.find_class" or (inside and event in CHANGES):
            wrong.append((event, *args))
        if event == "open" and inside and (args[2] or 0) & WRITING:
            wrong.append((event, *args))

    sys.addaudithook(watch)
    root = copick_core.open(
        {"config_type": "compose_volume", "volume_root": folder, "overlay": {"config_type": "memory"}, "write_back": True}
    )
    read_everything(root)
    overlay_session(root)
    assert not wrong, wrong
    assert "joblib" not in sys.modules
    assert "sklearn" not in sys.modules


if __name__ == "__main__":
    main(sys.argv[1])
