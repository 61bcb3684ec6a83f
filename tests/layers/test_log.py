"""The wrapper ``log``, as a configuration asks for it."""

import json
import logging
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import zarr

import copick_core
from copick_core.errors import ConfigError, NotFoundError
from copick_core.tree.keys import PicksKey
from copick_layers.log import LogLayer


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def config(tmp_path):
    return {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "data"),
        "pickable_objects": [{"name": "ribosome", "is_particle": True}],
        "wrappers": [{"name": "log", "path": str(tmp_path / "logs" / "calls.jsonl")}],
    }


def test_calls_are_counted_and_timed_by_method(config):
    root = copick_core.open(config)
    for name in ("TS_1", "TS_2", "TS_3"):
        root.new_run(name)

    calls = root.layers.overlay.statistics["ensure"]

    assert (calls.count, calls.errors) == (3, 0)
    assert calls.seconds >= calls.slowest > 0


def test_a_call_that_raises_counts_as_an_error_and_raises(config, tmp_path):
    layer = copick_core.open(config).layers.overlay

    with pytest.raises(NotFoundError):
        layer.read(PicksKey("TS_1", "ribosome", "ana", "1"))

    assert layer.statistics["read"].errors == 1
    assert lines(tmp_path / "logs" / "calls.jsonl")[-1]["error"] == "NotFoundError"


def test_reset_counts_from_zero(config):
    root = copick_core.open(config)
    assert root.runs == []

    root.layers.overlay.reset()

    assert root.layers.overlay.statistics == {}


def test_chunks_of_an_open_volume_are_counted(config):
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.zeros((4, 4, 8), np.float32), levels=1, chunks=(4, 4, 4))
    layer = tomogram.voxel_spacing.run.root.layers.overlay
    array = tomogram.array()
    layer.reset()

    array[:, :, 4:]

    assert {method: calls.count for method, calls in layer.statistics.items()} == {"zarr.get": 1}


def test_values_that_are_written_to_a_volume_are_counted(config):
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")

    tomogram.from_numpy(np.ones((4, 4, 8), np.float32), levels=1, chunks=(4, 4, 4))

    written = tomogram.voxel_spacing.run.root.layers.overlay.statistics["zarr.set"]
    assert (written.count, written.errors) == (5, 0)  # two chunks, the array's document, and two of the group


def test_a_line_names_the_chunk(config, tmp_path):
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 4, 4), np.float32), levels=1)

    tomogram.numpy()

    read = [line for line in lines(tmp_path / "logs" / "calls.jsonl") if line["method"] == "zarr.get"]
    assert (read[-1]["key"], read[-1]["value"]) == ("tomogram 'wbp' at 10.000 of run 'TS_1'", "0/0/0/0")


def test_a_store_is_plain_in_another_process(config):
    tomogram = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 4, 4), np.float32), levels=1)

    store = pickle.loads(pickle.dumps(tomogram.zarr()))

    assert zarr.open_array(store, path="0", mode="r")[0, 0, 0] == 1


def test_each_call_is_a_line_of_the_file(config, tmp_path):
    copick_core.open(config).new_run("TS_1")

    ensured = [line for line in lines(tmp_path / "logs" / "calls.jsonl") if line["method"] == "ensure"]

    assert [(line["layer"], line["key"], line["error"]) for line in ensured] == [("overlay", "run 'TS_1'", None)]


def test_each_call_is_logged_at_debug(config, caplog):
    with caplog.at_level(logging.DEBUG, logger="copick_layers.log"):
        copick_core.open(config).new_run("TS_1")

    assert any("overlay: ensure run 'TS_1' took" in message for message in caplog.messages)


def test_workers_of_map_runs_log_to_the_same_file(config, tmp_path):
    root = copick_core.open(config)
    names = [root.new_run(f"TS_{i}").name for i in range(4)]

    copick_core.map_runs(partial(_pick), root, names, workers=2)

    processes = {line["process"] for line in lines(tmp_path / "logs" / "calls.jsonl") if line["method"] == "write"}
    assert processes
    assert processes.isdisjoint({lines(tmp_path / "logs" / "calls.jsonl")[0]["process"]})


def _pick(run):
    run.new_picks("ribosome", "1", "ana").from_numpy([[1, 2, 3]])
    assert run.root.layers.overlay.unwrap(LogLayer)


def test_a_remote_file_is_refused(config):
    config["wrappers"][0]["path"] = "s3://bucket/calls.jsonl"

    with pytest.raises(ConfigError, match=r"wrappers\[0\]\.path: .*local file"):
        copick_core.open(config)


def test_a_project_without_the_log_does_not_import_it(tmp_path):
    code = (
        "import sys, copick_core\n"
        f"copick_core.open({{'config_type': 'filesystem', 'overlay_root': {str(tmp_path)!r}}}).runs\n"
        "print([m for m in sys.modules if m.startswith('copick_layers')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
