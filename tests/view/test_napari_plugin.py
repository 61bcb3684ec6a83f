"""The plugin in the real napari, without a window: entities as layers, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

import copick_core
from copick_view.napari_plugin.paths import Place, place_of
from support.environments import IndexUnreachableError, python_with
from support.objects import OBJECTS

SESSION = Path(__file__).parents[1] / "support" / "napari_session.py"
RED = [230 / 255, 60 / 255, 60 / 255, 1.0]
TURN = np.array([[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
DENSITY = np.random.default_rng(0).standard_normal((8, 10, 12)).astype(np.float32)
POINTS = np.array([[15.0, 25.5, 35.0], [10.0, 20.0, 30.0], [1.25, 2.5, 3.75]])
ALICE = "TS_1/ribosome:alice/1"


@pytest.fixture(scope="session")
def packages():
    """The folder of napari's packages."""
    try:
        python = python_with("napari", "0.9.2")
    except IndexUnreachableError as error:
        pytest.skip(f"napari cannot be installed: {error}")
    return python.parents[1] / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


@pytest.fixture
def session(packages):
    """Run steps in a session of napari."""

    def run(*steps):
        command = [sys.executable, SESSION, packages, json.dumps(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def project(tmp_path):
    """A project with one of everything in one run: (root, what napari opens it by)."""
    root = copick_core.new_config(
        tmp_path / "config.json", tmp_path / "data", pickable_objects=OBJECTS, user_id="alice", session_id="9"
    )
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(DENSITY, levels=2)
    transforms = np.stack([TURN, np.eye(4), TURN.T])
    columns = {"half": ["a", "b", "a"], "depth": [1.5, 2.5, 3.5]}
    values = {"positions": POINTS, "transforms": transforms, "instance_ids": [3, 2, 1], "scores": [0.5, 0.25, 1.0]}
    run.new_picks("ribosome", "1", **values, columns=columns)
    labels = np.zeros(DENSITY.shape, np.uint8)
    labels[2:4] = 1
    run.new_segmentation(10.0, "membrane", "1").from_numpy(labels, levels=2)
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = trimesh.creation.box((10.0, 20.0, 30.0))
    mesh.store()
    run.new_filaments("membrane", "1").from_numpy([[[0.0, 0.0, 0.0], [10.0, 20.0, 30.0]]])
    return root, str(tmp_path / "config.json")


def url(config, address):
    return str(Place(config, address))


def reopened(config):
    return copick_core.open(config).get_run("TS_1")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("copick://./config.json#TS_1/", Place("./config.json", "TS_1/")),
        ("copick://config.json#TS_1/a#b:c/1", Place("config.json", "TS_1/a#b:c/1")),
        ("copick://localhost/data/config.json#TS_1/wbp@10.0", Place("/data/config.json", "TS_1/wbp@10.0")),
        ("copick://s3://lab/project#TS_1/", Place("s3://lab/project", "TS_1/")),
        ("copick://localhost/data/config.json", Place("/data/config.json")),
    ],
)
def test_a_path_names_project_and_address_and_leads_back(text, place):
    assert place_of(text) == place
    assert str(place) == text


@pytest.mark.slow
def test_a_run_opens_as_image_labels_surface_paths_vectors_and_points(session, project):
    _, config = project

    [layers] = session(["open", url(config, "TS_1/")])

    image, labels, surface, shapes, vectors, points = layers
    assert [layer["kind"] for layer in layers] == ["image", "labels", "surface", "shapes", "vectors", "points"]
    assert {tuple(layer["units"]) for layer in layers} == {("angstrom",) * 3}
    assert (image["name"], image["scale"]) == ("TS_1/wbp@10.0", [10.0] * 3)
    assert image["shapes"] == [[8, 10, 12], [4, 5, 6]]
    assert image["sum"] == pytest.approx(float(DENSITY.astype(float).sum()))
    assert (labels["sum"], labels["painted"]) == (240.0, True)
    assert labels["color of 1"] == [round(c / 255, 3) for c in OBJECTS[1]["color"]]
    assert (surface["vertices"], surface["volume"]) == (8, pytest.approx(6000.0))
    assert shapes["data"] == [[[0.0, 0.0, 0.0], [30.0, 20.0, 10.0]]]
    assert points["data"] == POINTS[:, ::-1].tolist()
    assert points["size"] == [240.0] * 3
    assert points["features"] == {"row": [0, 1, 2], "instance_id": [3, 2, 1], "score": [0.5, 0.25, 1.0]}
    # The third axis of each transform, (z, y, x), as long as the object is wide.
    assert vectors["data"][0] == [POINTS[0, ::-1].tolist(), [0.0, 0.0, 240.0]]
    assert vectors["data"][1] == [POINTS[1, ::-1].tolist(), [240.0, 0.0, 0.0]]


@pytest.mark.slow
def test_one_address_opens_as_its_layers_and_a_config_as_its_only_run(session, project):
    _, config = project

    outcomes = session(
        ["open", url(config, "TS_1/wbp@10.0")], ["open", url(config, ALICE)], ["open", config], ["open", url(config, "TS_9/")]
    )

    assert [layer["kind"] for layer in outcomes[0]] == ["image"]
    assert {layer["kind"] for layer in outcomes[1]} == {"points", "vectors", "shapes"} - {"shapes"}
    assert len(outcomes[2]) == 6
    assert outcomes[3]["error"] == "NotFoundError"


@pytest.mark.slow
def test_points_that_are_added_moved_and_deleted_are_stored_with_all_else_kept(session, project):
    _, config = project
    ours = "TS_1/ribosome:alice/1"

    outcomes = session(
        ["open", url(config, ours)],
        ["add point", ours, [70.0, 60.0, 50.0]],
        ["move point", ours, 1, [31.0, 21.0, 11.0]],
        ["delete point", ours, 0],
        ["save", config, ours],
        ["save", config, ours],
    )

    (picks,) = reopened(config).picks
    positions, transforms = picks.numpy()
    assert outcomes[-1] == outcomes[-2] == [str(Place(config, ours))]
    assert positions.tolist() == [[11.0, 21.0, 31.0], POINTS[2].tolist(), [50.0, 60.0, 70.0]]
    np.testing.assert_array_equal(transforms, [np.eye(4), TURN.T, np.eye(4)])
    assert picks.instance_ids().tolist() == [2, 1, 0]
    assert picks.scores().tolist() == [0.25, 1.0, 1.0]
    assert picks.columns["half"].tolist() == ["b", "a", None]
    np.testing.assert_array_equal(picks.columns["depth"], [2.5, 3.5, np.nan])


@pytest.mark.slow
def test_labels_that_are_painted_are_stored_with_their_levels(session, project):
    _, config = project
    name = "TS_1/membrane:alice/1@10.0"

    outcomes = session(["open", url(config, name)], ["paint", name, [7, 9, 11], 1], ["save", config, name])

    (segmentation,) = reopened(config).segmentations
    data = segmentation.numpy()
    assert outcomes[-1] == [str(Place(config, name))]
    assert (data[7, 9, 11], int(data.sum()), segmentation.levels) == (1, 241, ["0", "1"])


@pytest.mark.slow
def test_what_others_made_is_stored_as_the_users_own(session, project):
    root, config = project
    run = root.get_run("TS_1")
    run.new_picks("ribosome", "0", "tool", positions=POINTS)
    run.new_segmentation(10.0, "membrane", "0", user_id="tool").from_numpy(np.ones(DENSITY.shape, np.uint8))
    picks, labels = "TS_1/ribosome:tool/0", "TS_1/membrane:tool/0@10.0"

    outcomes = session(
        ["open", url(config, picks)],
        ["open", url(config, labels)],
        ["add point", picks, [70.0, 60.0, 50.0]],
        ["paint", labels, [0, 0, 0], 0],
        ["save", config, picks, labels],
        ["save", config, picks],
    )

    found = {(p.user_id, p.session_id): len(p.numpy()[0]) for p in reopened(config).picks}
    assert found == {("alice", "1"): 3, ("tool", "0"): 3, ("alice", "9"): 4}
    assert {s.session_id: int(s.numpy().sum()) for s in reopened(config).segmentations} == {"1": 240, "0": 960, "9": 959}
    assert sorted(outcomes[4]) == [str(Place(config, f"TS_1/{n}")) for n in ("membrane:alice/9@10.0", "ribosome:alice/9")]
    assert outcomes[5]["error"] == "StoreError"


@pytest.mark.slow
def test_what_somebody_else_stored_meanwhile_is_a_conflict_and_stays(session, project, tmp_path):
    _, config = project
    (file,) = tmp_path.rglob("*ribosome.json")
    theirs = file.read_text().replace("15.0", "16.0")

    outcomes = session(
        ["open", url(config, ALICE)],
        ["delete point", ALICE, 0],
        ["write", str(file), theirs],
        ["save", config, ALICE],
        ["save", url(config, "TS_1/ribosome:alice/2"), ALICE],
    )

    assert outcomes[3]["error"] == "ConflictError"
    assert file.read_text() == theirs
    assert outcomes[4] == [url(config, "TS_1/ribosome:alice/2")]
    (mine,) = reopened(config).get_picks(session_id="2")
    np.testing.assert_array_equal(mine.numpy()[1], [np.eye(4), TURN.T])


@pytest.mark.slow
def test_layers_made_in_napari_are_stored_at_an_address(session, project):
    _, config = project

    outcomes = session(
        ["new points", [[1, 2, 3]], [10.0, 10.0, 10.0]],
        ["save", config, "new"],
        ["save", url(config, "TS_1/proteasome"), "new"],
        ["save", url(config, "TS_1/proteasome:bob/2"), "new"],
        ["new labels", list(DENSITY.shape), [10.0, 10.0, 10.0]],
        ["save", url(config, "TS_1/membrane:bob/2"), "new [1]"],
        ["save", url(config, "TS_1/membrane:bob/3@20.0.copick"), "new [1]"],
    )

    assert "made in napari" in outcomes[1]["message"]
    assert "one entity" in outcomes[2]["message"]
    assert "angstrom" in outcomes[6]["message"]
    assert {outcomes[i]["error"] for i in (1, 2, 6)} == {"StoreError"}
    (picks,) = reopened(config).get_picks("proteasome")
    assert (picks.user_id, picks.numpy()[0].tolist()) == ("bob", [[30.0, 20.0, 10.0]])
    (segmentation,) = reopened(config).get_segmentations(user_id="bob")
    assert int(segmentation.numpy().sum()) == 120


@pytest.mark.slow
def test_a_project_without_an_overlay_refuses(session, project, tmp_path):
    _, config = project
    content = json.loads(Path(config).read_text())
    content["static_root"] = content.pop("overlay_root")
    static = tmp_path / "static.json"
    static.write_text(json.dumps(content))

    outcomes = session(["open", url(str(static), ALICE)], ["save", str(static), ALICE])

    assert outcomes[1]["error"] == "ReadOnlyError"


@pytest.mark.slow
def test_other_json_is_left_to_other_plugins(session, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("[1, 2, 3]")

    [outcome] = session(["open", str(other)])

    assert "refused the file" in outcome["message"]
