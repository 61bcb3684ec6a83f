"""What an index spares in requests to a bucket: counted on a real S3 server on loopback."""

import numpy as np
import pytest

import copick_core
from copick_core.tree.keys import PicksKey
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
def opened(server, tmp_path):
    def make(**options):
        return copick_core.open(
            {
                "config_type": "filesystem",
                "overlay_root": "s3://lab/project",
                "overlay_fs_args": {"endpoint_url": server.url, "key": "someone", "secret": "do-not-tell"},
                "pickable_objects": OBJECTS,
                "user_id": "alice",
                "wrappers": [{"name": "index", "path": str(tmp_path / "index.sqlite"), **options}],
            }
        )

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


def test_a_build_asks_each_folder_once(server, opened):
    with server.counting() as counts:
        opened().layers.overlay.unwrap(IndexLayer).update()

    # Of each run: its folder, its picks, its meshes and its spacing; of the project: its runs, twice, and its objects.
    assert counts == {"LIST": 4 * RUNS + 3}


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
    assert counts == {"LIST": 4 * RUNS + 3}


def points_of(layer):
    return dict(layer.index.select("SELECT run, points FROM entities WHERE kind = 'picks' AND user = 'alice'"))


def test_what_others_did_not_change_stays_described_and_costs_one_list_a_folder(server, opened):
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
    # More than the lists of what there is: the picks of each run once more, and the version of the one tomogram.
    assert counts["LIST"] == 5 * RUNS + 4
    assert {name: number for name, number in counts.items() if name != "LIST"} == {"HEAD": 1}


def test_what_was_written_through_the_index_and_then_changed_by_others_is_noticed(server, opened):
    root = opened()
    layer = root.layers.overlay.unwrap(IndexLayer)
    layer.update()
    root.get_run("TS_001").new_picks("ribosome", "9").from_numpy([[1.0, 2.0, 3.0]] * 3)
    server.put("lab", {"project/ExperimentRuns/TS_001/Picks/alice_9_ribosome.json": b"{}"})

    assert layer.changed() == {PicksKey("TS_001", "ribosome", "alice", "9")}
    layer.update()

    query = "SELECT points FROM entities WHERE kind = 'picks' AND run = 'TS_001' AND session = '9'"
    assert layer.index.select(query) == [(None,)]
