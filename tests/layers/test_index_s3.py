"""What an index spares in requests to a bucket: counted on a real S3 server on loopback."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import copick_core
from copick_core.tree.keys import PicksKey
from copick_layers.index.commands import index as command
from copick_layers.index.layer import IndexLayer
from support.objects import OBJECTS
from support.s3_server import S3Server

RUNS = 40


@pytest.fixture(scope="module")
def running():
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running):
    running.empty("lab")
    points = b'{"pickable_object_name": "ribosome", "user_id": "alice", "session_id": "1", "points": []}'
    for n in range(RUNS):
        folder = f"project/ExperimentRuns/TS_{n:03}"
        files = {f"{folder}/Picks/{user}_1_ribosome.json": points for user in ("alice", "bob")}
        running.put("lab", {**files, f"{folder}/VoxelSpacing10.000/wbp.zarr/.zattrs": b"{}"})
    return running


@pytest.fixture
def settings(server, tmp_path):
    return {
        "config_type": "filesystem",
        "overlay_root": "s3://lab/project",
        "overlay_fs_args": {"endpoint_url": server.url, "key": "someone", "secret": "do-not-tell"},
        "pickable_objects": OBJECTS,
        "user_id": "alice",
        "wrappers": [{"name": "index", "path": str(tmp_path / "index.sqlite")}],
    }


@pytest.fixture
def opened(settings):
    def make(obstore=True, **options):
        (index,) = settings["wrappers"]
        return copick_core.open({**settings, "obstore": obstore, "wrappers": [{**index, **options}]})

    return make


def looked_at(root):
    return (
        len(root.table("picks")["run"]),
        len(root.table("tomograms")["run"]),
        root.select("*/ribosome:bob").count(),
        root.select("TS_00*/").count(),
    )


def test_a_table_counts_and_filters_take_no_request(server, opened):
    opened().layers.overlay.unwrap(IndexLayer).update()

    with server.counting() as counts:
        found = looked_at(opened())

    assert found == (2 * RUNS, RUNS, RUNS, 10)
    assert counts == {}


#: Of the project: its runs and its objects; and one page of all that is below the runs.
ONE_PAGE = {"LIST": 3}


@pytest.mark.parametrize("obstore", [True, False])
def test_a_build_lists_a_thousand_objects_with_each_request(server, opened, obstore):
    with server.counting() as counts:
        opened(obstore=obstore).layers.overlay.unwrap(IndexLayer).update()

    assert counts == ONE_PAGE
    assert looked_at(opened()) == (2 * RUNS, RUNS, RUNS, 10)


@pytest.mark.parametrize("obstore", [True, False])
def test_names_that_are_no_paths_do_not_disturb_a_build(server, opened, obstore):
    folder = "project/ExperimentRuns/TS_003"
    server.put("lab", dict.fromkeys([f"{folder}/Picks//odd.json", f"{folder}//odd", f"{folder}/Picks/"], b""))

    opened(obstore=obstore).layers.overlay.unwrap(IndexLayer).update()

    assert looked_at(opened()) == (2 * RUNS, RUNS, RUNS, 10)


def volumes(runs, tomograms, chunks):
    """Objects of tomograms in each of some runs."""
    names = [".zattrs", *(f"0/{n}/0/0" for n in range(chunks))]
    folders = [f"project/ExperimentRuns/{run}/VoxelSpacing10.000/{name}.zarr" for run in runs for name in tomograms]
    return {f"{folder}/{name}": b"" for folder in folders for name in names}


@pytest.mark.parametrize("obstore", [True, False])
def test_the_rest_of_a_volume_is_not_listed(server, opened, obstore):
    server.put("lab", volumes(["TS_020"], ["odd", "wbp"], 2100))

    with server.counting() as counts:
        opened(obstore=obstore).layers.overlay.unwrap(IndexLayer).update()

    assert counts == {"LIST": 2 + 3}  # one page ends in each of the two volumes
    assert looked_at(opened()) == (2 * RUNS, RUNS + 1, RUNS, 10)


@pytest.mark.parametrize("obstore", [True, False])
def test_where_volumes_fill_the_pages_each_folder_is_listed_once(server, opened, obstore):
    server.empty("lab")
    server.put("lab", volumes([f"TS_{n:03}" for n in range(4)], ["even", "odd", "wbp"], 1100))

    with server.counting() as counts:
        opened(obstore=obstore).layers.overlay.unwrap(IndexLayer).update()

    # Of the first run a page of each volume, and of what follows; of the others their folder, picks, meshes and spacing.
    assert counts == {"LIST": 2 + 4 + 3 * 4}
    assert looked_at(opened())[1] == 12


def test_the_commands_state_the_requests(server, settings, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(settings))
    shown = {}
    for name in ("build", "check", "info"):
        with server.counting() as counts:
            shown[name] = CliRunner().invoke(command, [name, "-c", str(config)]).output
        assert counts == ({} if name == "info" else ONE_PAGE)

    assert shown["build"] == f"overlay: {RUNS} runs listed with 3 requests\n"
    assert shown["check"] == "overlay: compared with 3 requests\nthe index is up to date\n"
    assert f"({RUNS} runs were listed with 3 requests)" in shown["info"]


def test_checked_runs_are_listed_with_one_request_each(server, opened):
    opened().layers.overlay.unwrap(IndexLayer).update()
    server.put("lab", {"project/ExperimentRuns/TS_000/Picks/eve_1_ribosome.json": b"{}"})
    run = opened(freshness="check").entity("TS_000/", kind="run")

    with server.counting() as counts:
        found = len(run.picks), len(run.segmentations), len(run.meshes)

    assert found == (3, 0, 0)
    assert counts == {"LIST": 1}


def test_after_changes_through_the_index_nothing_is_listed_again(server, opened):
    root = opened()
    root.layers.overlay.unwrap(IndexLayer).update()
    for run in root.runs[:10]:
        run.new_picks("ribosome", "2").from_numpy([[1.0, 2.0, 3.0]])

    with server.counting() as counts:
        found = looked_at(opened())

    assert found == (2 * RUNS + 10, RUNS, RUNS, 10)
    assert counts == {}


def test_changes_by_others_are_found_by_listing_all_again(server, opened):
    opened().layers.overlay.unwrap(IndexLayer).update()
    server.put("lab", {"project/ExperimentRuns/TS_000/Picks/eve_1_ribosome.json": b"{}"})

    with server.counting() as counts:
        found = looked_at(opened(freshness="update"))

    assert found[0] == 2 * RUNS + 1
    assert counts == ONE_PAGE


def points_of(layer):
    return dict(layer.index.select("SELECT run, points FROM entities WHERE kind = 'picks' AND user = 'alice'"))


def test_what_others_did_not_change_stays_described_and_costs_one_request_a_volume(server, opened):
    root = opened()
    root.get_run("TS_002").new_voxel_spacing(20.0).new_tomogram("wbp").from_numpy(np.zeros((4, 4, 4), "f4"), levels=1)
    layer = root.layers.overlay.unwrap(IndexLayer)
    layer.update(everything=True)
    layer.describe()
    server.put("lab", {"project/ExperimentRuns/TS_000/Picks/alice_1_ribosome.json": b"{}"})

    with server.counting() as counts:
        layer.update()

    assert points_of(layer)["TS_000"] is None
    assert [points for run, points in points_of(layer).items() if run != "TS_000"] == [0] * (RUNS - 1)
    assert layer.index.select("SELECT run, levels FROM entities WHERE levels IS NOT NULL") == [("TS_002", 1)]
    # More than the list of what there is, which tells ETags of files: the version of the one tomogram.
    assert counts == {**ONE_PAGE, "HEAD": 1}


def test_what_was_written_through_the_index_and_then_changed_by_others_is_noticed(server, opened):
    root = opened()
    layer = root.layers.overlay.unwrap(IndexLayer)
    layer.update()
    root.get_run("TS_001").new_picks("ribosome", "9").from_numpy([[1.0, 2.0, 3.0]] * 3)
    server.put("lab", {"project/ExperimentRuns/TS_001/Picks/alice_9_ribosome.json": b"{}"})

    assert layer.differences().changed == {PicksKey("TS_001", "ribosome", "alice", "9")}
    layer.update()

    query = "SELECT points FROM entities WHERE kind = 'picks' AND run = 'TS_001' AND session = '9'"
    assert layer.index.select(query) == [(None,)]
