"""What an index spares in requests to a bucket: counted on a real S3 server on loopback."""

import pytest

import copick_core
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
