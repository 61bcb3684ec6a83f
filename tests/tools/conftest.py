"""Projects that the tools work on, on disk, in memory and in a bucket."""

from __future__ import annotations

import hashlib

import fsspec
import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.projects.selection import Selection
from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS, Kind
from support.objects import OBJECTS

EVERYTHING = ["*/", "*/@*", "*", "*@*:*"]


def contents(root):
    """A digest of everything that a project's storage has, by key and layer; asked anew."""
    root.refresh()
    found = {}
    for address in EVERYTHING:
        for key, layer in Selection(root, address).rows():
            if key.kind in FILE_KINDS:
                found[key, layer.name] = hashlib.sha256(layer.read(key)).hexdigest()
            elif key.kind in VOLUME_KINDS and key.kind is not Kind.OBJECT:
                import zarr

                array = zarr.open_array(layer.zarr(key), path="0", mode="r")
                found[key, layer.name] = hashlib.sha256(np.ascontiguousarray(array[:]).tobytes()).hexdigest()
            else:
                found[key, None] = ""
    return found


def stored(root):
    """A digest of every file that a project's storage has, hidden ones too; of memory, of what it holds."""
    if root.config.config_type == "memory":
        return contents(root)
    fs, folder = fsspec.core.url_to_fs(root.config.overlay_root, **root.config.overlay_fs_args)
    fs.invalidate_cache()
    return {path: hashlib.sha256(fs.cat_file(path)).hexdigest() for path in fs.find(folder)}


def changed(before, after):
    """Keys whose content differs between two digests."""
    return {key for key, layer in before.keys() | after.keys() if before.get((key, layer)) != after.get((key, layer))}


def fill(root):
    """Two runs with picks of two users, and in the first one everything else."""
    for name in ("TS_1", "TS_2"):
        run = root.new_run(name)
        for number, user in enumerate(("alice", "bob")):
            run.new_picks("ribosome", "1", user).from_numpy([[1.0 + number, 2.0, 3.0]])
    run = root.get_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    tomogram.new_features("sobel").from_numpy(np.ones((4, 4, 4), np.float32))
    run.new_segmentation(10.0, "membrane", "1", user_id="alice").from_numpy(np.ones((4, 4, 4), np.uint8))
    mesh = run.new_mesh("membrane", "1", "alice")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    root.refresh()
    return root


#: What a writer that died long ago has left, and a file that is nothing of a project.
LEFTOVER, UNKNOWN = f"ExperimentRuns/TS_1/Meshes/.staged-1-{'0' * 32}", "ExperimentRuns/TS_1/Picks/notes.json"


def litter(root):
    """Add empty picks and, where storage has files, a leftover and an unknown one."""
    root.get_run("TS_2").new_picks("ribosome", "2", "carol")
    layer = root.layers.overlay
    for path in (LEFTOVER, UNKNOWN) if hasattr(layer, "write_file") else ():
        layer.write_file(path, b"{}")
    root.refresh()
    return root


def files(root):
    """Paths of the litter that is left."""
    layer = root.layers.overlay
    return {path for path in (LEFTOVER, UNKNOWN) if hasattr(layer, "path_exists") and layer.path_exists(path, folder=False)}


@pytest.fixture(params=["filesystem", "memory", "s3"])
def make_root(request, tmp_path, s3_url):
    """Make an empty project by name, of each kind of storage."""

    def make(name="project"):
        config = {"config_type": "filesystem", "name": name, "pickable_objects": OBJECTS, "user_id": "alice"}
        if request.param == "memory":
            return copick_core.open({**config, "config_type": "memory", "place": f"{tmp_path.name}-{name}"})
        if request.param == "filesystem":
            return copick_core.open({**config, "overlay_root": str(tmp_path / name)})
        args = {"endpoint_url": s3_url, "key": "test", "secret": "test"}
        return copick_core.open(
            {**config, "overlay_root": f"s3://conformance/{tmp_path.name}/{name}", "overlay_fs_args": args}
        )

    return make


@pytest.fixture
def project(make_root):
    """A project with something of each kind."""
    return fill(make_root())
