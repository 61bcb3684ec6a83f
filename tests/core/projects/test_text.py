"""Text of every script is written as it is, not escaped: files stay readable, and short."""

import json

import pytest

import copick_core
from copick_core import picks
from copick_core.layers.records import change_document
from copick_core.projects.copying import copy_content
from copick_core.tree.keys import PicksKey, RunKey

HEADER = {"pickable_object_name": "ribosome", "user_id": "ana", "session_id": "1", "unit": "angstrom"}


def config_file(root, folder):
    root.config.description = "Ödland"
    root.save_config(folder / "config.json")
    return (folder / "config.json").read_bytes()


def unknown_keys_of_picks(root, folder):
    point = {"location": {"x": 1.0, "y": 2.0, "z": 3.0, "Ö1": "Ödland"}, "transformation_": [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]}
    point["transformation_"] += [[0, 0, 1.0, 0], [0, 0, 0, 1.0]]
    point |= {"instance_id": 0, "score": 1.0, "Ö2": "Ödland"}
    return picks.encode(picks.decode(json.dumps({**HEADER, "Ö3": "Ödland", "points": [point]}).encode(), "a"))


@pytest.mark.parametrize("values", [["Ödland", "ö"], ["Ödland", None], [{"Ö": "Ödland"}, "ö"]])
def test_columns_are_written_as_they_are(root, values):
    run_picks = root.new_run("TS_1").new_picks("ribosome", "1")
    run_picks.from_numpy([[1.0, 2.0, 3.0]] * 2, columns={"Öde": values})

    data = root.layers.overlay.read(run_picks.key)

    assert data.count("Ö".encode()) >= 2
    assert b"\\u" not in data


def record(root, folder):
    root.new_run("TS_1")
    change_document(root.layers.overlay, RunKey("TS_1"), "reviews", lambda document: {"Ö": "Ödland"})
    return root.layers.overlay.read_record(RunKey("TS_1"), "reviews")[0]


def copy_of_picks(root, folder):
    layer = root.layers.overlay
    made = root.new_run("TS_1").new_picks("ribosome", "1")
    made.from_numpy([[1.0, 2.0, 3.0]], columns={"Öde": ["Ödland"]})
    copy_content(layer, made.key, layer, PicksKey("TS_1", "ribosome", "bob", "2"))
    return layer.read(PicksKey("TS_1", "ribosome", "bob", "2"))


@pytest.mark.parametrize("write", [config_file, unknown_keys_of_picks, record, copy_of_picks], ids=lambda f: f.__name__)
def test_files_hold_text_as_it_is(project_config, tmp_path, write):
    data = write(copick_core.open(project_config()), tmp_path)

    assert "Ödland".encode() in data
    assert b"\\u" not in data
    json.loads(data)
