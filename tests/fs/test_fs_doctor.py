"""Examining a project on local disk and in a bucket."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_backend_fs.records import Record
from copick_core.projects.doctor import doctor, repair
from copick_core.testing import samples
from copick_core.tree import layout
from copick_core.tree.keys import FeaturesKey, PicksKey, RunKey, TomogramKey

RUNS = 20


def test_the_runs_of_a_project_in_a_bucket_are_examined_at_once(server, fs_args):
    files = {"project/ExperimentRuns/TS_3/Picks/notes.json": b"{}"}
    for number in range(RUNS):
        key = PicksKey(f"TS_{number}", "ribo", "me", "1")
        files[f"project/{layout.path(key)}"] = samples.picks_json(0, key.run)
        files[f"project/{layout.marker(RunKey(key.run))}"] = b"meta"
    server.put("lab", files)
    config = {
        "config_type": "filesystem",
        "static_root": "s3://lab/project",
        "static_fs_args": fs_args,
        "pickable_objects": [],
    }
    root = copick_core.open(config)
    server.delay = 0.02

    found = doctor(root)

    assert [item.problem.place for item in found] == ["layer 'static', ExperimentRuns/TS_3/Picks/notes.json"]
    assert server.most_at_once > RUNS // 2


# ---------------------------------------------------------------------------------------- what writers and others have left

OLD = f".staged-{1:x}-{'0' * 32}"
SPACING = "ExperimentRuns/TS_1/VoxelSpacing10.000"
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")


@pytest.fixture(params=["local", "s3-obstore", "s3-s3fs"])
def config(request, tmp_path, server, fs_args):
    """A project with one tomogram and its features, on local disk and in a bucket."""
    config = {"config_type": "filesystem", "pickable_objects": []}
    if request.param == "local":
        config |= {"overlay_root": str(tmp_path / "project")}
    else:
        config |= {"overlay_root": "s3://lab/project", "overlay_fs_args": fs_args, "obstore": request.param == "s3-obstore"}
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 4, 4)), levels=1)
    tomogram.new_features("sobel").from_numpy(np.ones((4, 4, 4)))
    return config


def put(config, server, path, content=b"x"):
    """Put a file into the project, whoever keeps it."""
    if config["overlay_root"].startswith("s3:"):
        server.put("lab", {f"project/{path}": content})
    else:
        target = Path(config["overlay_root"], path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def found_in(config):
    return {item.problem.id: item.problem for item in doctor(copick_core.open(config))}


def test_a_sound_project_has_no_problems(config):
    assert found_in(config) == {}


def test_old_leftovers_are_found_and_deleted(config, server):
    put(config, server, f"{SPACING}/{OLD}/0/0")

    found = doctor(copick_core.open(config))

    assert [(item.problem.id, item.problem.severity) for item in found] == [("staged-leftover", "warning")]
    assert repair(found) == []
    assert found_in(config) == {}


def test_features_without_their_tomogram_are_found_and_left(config, server):
    copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0).new_tomogram("old").from_numpy(np.ones((4, 4, 4)))
    layer = copick_core.open(config).layers.overlay
    layer.delete_path(f"{SPACING}/wbp.zarr")

    problem = found_in(config)["orphan-features"]

    assert problem.key == FeaturesKey("TS_1", 10.0, "wbp", "sobel")
    assert "wbp" in problem.message
    assert problem.repair is None


def test_features_whose_tomogram_is_in_another_layer_are_no_orphans(config, server, tmp_path):
    static = tmp_path / "static"
    root = copick_core.open({**config, "overlay_root": str(static), "overlay_fs_args": {}})
    root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((4, 4, 4)), levels=1)
    copick_core.open(config).layers.overlay.delete_path(f"{SPACING}/wbp.zarr")

    assert found_in({**config, "static_root": str(static)}) == {}


def record(**fields):
    known = {"staged": "", "last": ".zattrs", "owner": "o", "host": "elsewhere", "process": 1, "started": "1"}
    return Record(**{**known, "since": 0.0, "renewed": 0.0, **fields}).encoded()


@pytest.fixture
def bucket(config):
    if not config["overlay_root"].startswith("s3:"):
        pytest.skip("a local volume is replaced in one step")
    return config


def test_an_unfinished_replacement_is_found_and_finished(bucket, server):
    root = copick_core.open(bucket)
    for key in [key for key in server.keys("lab") if f"{SPACING}/wbp.zarr/" in key]:
        content = server._backend.get_object("lab", key).value
        server.put("lab", {key.replace("wbp.zarr", OLD): content})
    for name in (".zattrs", ".zgroup"):
        root.layers.overlay.delete_path(f"{SPACING}/wbp.zarr/{name}")
    put(bucket, server, f"{SPACING}/.replacing-wbp.zarr", record(staged=OLD))

    found = doctor(copick_core.open(bucket))

    [item] = [item for item in found if item.problem.id == "unfinished-replacement"]
    assert (item.problem.key, item.problem.severity) == (TOMOGRAM, "error")
    assert not [other for other in found if other.problem.id == "staged-leftover"]  # it is needed
    assert repair([item]) == []
    assert found_in(bucket) == {}
    assert (copick_core.open(bucket).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy() == 1).all()


def test_an_abandoned_new_volume_is_found_and_removed(bucket, server):
    put(bucket, server, f"{SPACING}/half.zarr/0/0/0/0")
    put(bucket, server, f"{SPACING}/.replacing-half.zarr", record(kind="new", last=""))

    found = doctor(copick_core.open(bucket))

    assert [(item.problem.id, item.problem.key.tomo_type) for item in found] == [("abandoned-new-volume", "half")]
    assert repair(found) == []
    assert found_in(bucket) == {}
    assert not [key for key in server.keys("lab") if "half" in key]


def test_who_is_at_work_is_no_problem_and_not_disturbed(bucket, server):
    now = time.time()
    put(bucket, server, f"{SPACING}/half.zarr/0/0/0/0")
    put(bucket, server, f"{SPACING}/{OLD}/0/0")
    put(bucket, server, f"{SPACING}/.replacing-half.zarr", record(kind="new", last="", renewed=now, staged=OLD))

    assert found_in(bucket) == {}


def test_a_place_that_is_read_only_is_examined_and_not_changed(bucket, server):
    put(bucket, server, f"{SPACING}/half.zarr/0/0/0/0")
    put(bucket, server, f"{SPACING}/.replacing-half.zarr", record(kind="new", last=""))
    before = server.keys("lab")
    config = {k: v for k, v in bucket.items() if not k.startswith("overlay")}
    config |= {"static_root": "s3://lab/project", "static_fs_args": bucket["overlay_fs_args"]}

    problem = found_in(config)["abandoned-new-volume"]

    assert problem.repair is None
    assert server.keys("lab") == before


def test_parts_of_values_that_killed_writers_left_in_a_volume_are_found_and_deleted(config, server):
    if config["overlay_root"].startswith("s3:"):
        pytest.skip("an object is stored whole or not at all")
    name = f"0/0/0/0.{'0' * 32}.partial"
    put(config, server, f"{SPACING}/wbp.zarr/{name}")
    path = Path(config["overlay_root"], SPACING, "wbp.zarr", name)
    assert found_in(config) == {}  # somebody may be writing it
    os.utime(path, (1, 1))

    found = doctor(copick_core.open(config))

    assert [(item.problem.id, item.problem.key) for item in found] == [("partial-file", TOMOGRAM)]
    assert repair(found) == []
    assert not path.exists()
