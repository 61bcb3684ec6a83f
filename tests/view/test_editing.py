"""Editing the picks of a run: what is stored, when nothing is, and what drafts keep."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import copick_core
from copick_core.errors import AlreadyExistsError, ConflictError, ReadOnlyError
from copick_view.viewer.drafts import Draft, apply, difference, digest
from copick_view.viewer.editing import RunEditor
from copick_view.viewer.points import new_point, stored_points
from support.objects import OBJECTS

PLACES = [[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]]


@pytest.fixture
def project(project_config):
    """Configuration of a project in a folder, with one run."""
    config = project_config(session_id="1")
    root = copick_core.open(config)
    run = root.new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((16, 16, 16), np.float32))
    run.new_picks("ribosome", "1", "alice").from_numpy(PLACES, scores=[0.5, 0.75], columns={"halfset": [1, 2]})
    return config


@pytest.fixture
def editor(project, tmp_path):
    """An editor of the project's run."""
    return RunEditor(copick_core.open(project), "TS_1", drafts=tmp_path / "drafts")


def _stored(project, name="ribosome", session="1", user="alice"):
    found = copick_core.open(project).get_run("TS_1").get_picks(name, user, session)
    return found[0].numpy()[0].tolist() if found else None


def _add(editor, name, place):
    editor.change({name: {**editor.own[name].shown, f"new{place[0]}": new_point(place)}})


def test_an_added_point_is_stored_after_those_that_were_there(editor, project):
    _add(editor, "ribosome", (70.0, 80.0, 90.0))

    editor.store()

    assert _stored(project) == [*PLACES, [70.0, 80.0, 90.0]]


def test_points_that_were_not_touched_keep_their_scores_and_columns(editor, project):
    shown = dict(editor.own["ribosome"].shown)
    del shown["p0"]
    editor.change({"ribosome": shown})

    editor.store()

    picks = copick_core.open(project).get_run("TS_1").get_picks("ribosome")[0]
    assert picks.scores().tolist() == [0.75]
    assert picks.columns["halfset"].tolist() == [2]


def test_nothing_is_stored_before_it_is_asked_for(editor, project):
    _add(editor, "ribosome", (70.0, 80.0, 90.0))

    assert _stored(project) == PLACES
    assert str(editor.changes["ribosome"]) == "1 added"


def test_the_first_point_of_an_object_makes_new_picks(editor, project):
    _add(editor, "proteasome", (1.0, 2.0, 3.0))

    editor.store()

    assert _stored(project, "proteasome") == [[1.0, 2.0, 3.0]]


def test_an_assigned_point_takes_all_that_it_has_to_the_other_object(editor, project):
    assert editor.assign(["p1"], "ribosome", "proteasome") == 1

    editor.store()

    assert _stored(project) == PLACES[:1]
    run = copick_core.open(project).get_run("TS_1")
    assert run.get_picks("proteasome")[0].numpy()[0].tolist() == PLACES[1:]
    assert run.get_picks("proteasome")[0].columns["halfset"].tolist() == [2]


def test_undo_takes_back_one_change_of_several_objects(editor):
    _add(editor, "ribosome", (70.0, 80.0, 90.0))
    editor.assign(["p1"], "ribosome", "proteasome")

    assert editor.undo()
    assert len(editor.own["ribosome"].shown) == 3
    assert editor.own["proteasome"].shown == {}
    assert editor.undo()
    assert editor.changes == {}
    assert not editor.undo()


def test_a_conflict_stores_nothing_of_any_object(editor, project):
    _add(editor, "proteasome", (1.0, 2.0, 3.0))
    _add(editor, "ribosome", (70.0, 80.0, 90.0))
    copick_core.open(project).get_run("TS_1").get_picks("ribosome")[0].from_numpy([[5.0, 5.0, 5.0]])

    with pytest.raises(ConflictError) as raised:
        editor.store()

    assert raised.value.key.object_name == "ribosome"
    assert _stored(project) == [[5.0, 5.0, 5.0]]
    assert _stored(project, "proteasome") is None
    assert set(editor.changes) == {"ribosome", "proteasome"}


def test_picks_that_somebody_else_made_first_are_a_conflict(editor, project):
    _add(editor, "proteasome", (1.0, 2.0, 3.0))
    copick_core.open(project).get_run("TS_1").new_picks("proteasome", "1", "alice", positions=[[9.0, 9.0, 9.0]])

    with pytest.raises(ConflictError):
        editor.store()

    assert _stored(project, "proteasome") == [[9.0, 9.0, 9.0]]


@pytest.mark.parametrize("error", [ReadOnlyError(subject="picks", reason="somebody locked it"), OSError(28, "No space left")])
def test_what_was_stored_before_another_object_failed_is_taken_back(editor, project, monkeypatch, error):
    overlay = editor._root.layers.overlay
    write = type(overlay).write

    def full_disk(self, key, data, **options):
        if key.object_name == "proteasome":
            raise error
        return write(self, key, data, **options)

    monkeypatch.setattr(type(overlay), "write", full_disk)
    _add(editor, "ribosome", (70.0, 80.0, 90.0))
    _add(editor, "proteasome", (1.0, 2.0, 3.0))

    with pytest.raises(type(error)):
        editor.store()

    assert _stored(project) == PLACES
    monkeypatch.undo()
    editor.store()
    assert _stored(project) == [*PLACES, [70.0, 80.0, 90.0]]


def test_saving_as_another_session_leaves_the_first_one_and_goes_on_in_the_other(editor, project):
    _add(editor, "ribosome", (70.0, 80.0, 90.0))

    assert editor.save_as("2") == ["ribosome"]

    assert _stored(project) == PLACES
    assert _stored(project, session="2") == [*PLACES, [70.0, 80.0, 90.0]]
    assert (editor.session_id, editor.changes) == ("2", {})


def test_a_session_that_has_picks_already_is_not_saved_over(editor, project):
    copick_core.open(project).get_run("TS_1").new_picks("ribosome", "2", "alice", positions=[[1.0, 1.0, 1.0]])
    _add(editor, "proteasome", (1.0, 2.0, 3.0))

    with pytest.raises(AlreadyExistsError):
        editor.save_as("2")

    assert _stored(project, "proteasome", session="2") is None
    assert editor.session_id == "1"


def test_own_picks_of_a_read_only_layer_are_copied_when_they_are_stored(project, tmp_path):
    stack = {
        "config_type": "stack",
        "overlay": {"config_type": "filesystem", "overlay_root": str(tmp_path / "mine")},
        "static": [project],
        "pickable_objects": OBJECTS,
        "user_id": "alice",
        "session_id": "1",
    }
    editor = RunEditor(copick_core.open(stack), "TS_1", drafts=tmp_path / "drafts")
    _add(editor, "ribosome", (70.0, 80.0, 90.0))

    editor.store()

    assert _stored(project) == PLACES
    found = copick_core.open(stack).get_run("TS_1").get_picks("ribosome")[-1]
    assert found.layer == "overlay"
    assert len(found.points) == 3
    assert found.columns["halfset"].tolist()[:2] == [1, 2]


def test_a_project_without_a_user_cannot_be_edited(project, tmp_path):
    editor = RunEditor(copick_core.open({**project, "user_id": None}), "TS_1", drafts=tmp_path / "drafts")

    assert "no user" in str(editor.why_not())
    with pytest.raises(ReadOnlyError):
        editor.store()


def test_a_draft_of_a_killed_process_is_offered_and_brings_its_edits_back(project, tmp_path):
    edits = """
import json, os, signal, sys
import copick_core
from pathlib import Path
from copick_view.viewer.editing import RunEditor
from copick_view.viewer.points import moved, new_point
editor = RunEditor(copick_core.open(json.loads(sys.argv[1])), "TS_1", drafts=Path(sys.argv[2]))
shown = dict(editor.own["ribosome"].shown)
del shown["p0"]
shown["p1"] = moved(shown["p1"], (40.0, 50.0, 66.5))
editor.change({"ribosome": {**shown, "n": new_point((1.0, 2.0, 3.0))}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    folder = tmp_path / "drafts"
    done = subprocess.run([sys.executable, "-c", edits, json.dumps(project), str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    editor = RunEditor(copick_core.open(project), "TS_1", drafts=folder)

    (left,) = editor.left_drafts()

    assert str(left.edits["ribosome"]) == "1 added, 1 moved, 1 deleted"
    assert editor.take_draft(left) == 0
    editor.store()
    assert _stored(project) == [[40.0, 50.0, 66.5], [1.0, 2.0, 3.0]]
    assert RunEditor(copick_core.open(project), "TS_1", drafts=folder).left_drafts() == []
    assert list(folder.iterdir()) == []


@pytest.fixture
def history(tmp_path):
    """Configuration of a project with a history, with the same run."""
    pytest.importorskip("icechunk", reason="icechunk is not installed (copick-core[history])")
    config = {"config_type": "icechunk", "overlay_root": str(tmp_path / "history"), "pickable_objects": OBJECTS}
    config = {**config, "user_id": "alice", "session_id": "1"}
    run = copick_core.open(config).new_run("TS_1")
    run.new_picks("ribosome", "1", "alice", positions=PLACES)
    return config


def test_all_objects_are_one_commit_of_a_history(history, tmp_path):
    editor = RunEditor(copick_core.open(history), "TS_1", drafts=tmp_path / "drafts")
    before = len([*editor._root.history()])
    _add(editor, "ribosome", (70.0, 80.0, 90.0))
    _add(editor, "proteasome", (1.0, 2.0, 3.0))

    editor.store()

    commits = [*editor._root.history()]
    assert (len(commits) - before, commits[0].message) == (1, "alice: picks of ribosome, proteasome in TS_1")
    assert _stored(history) == [*PLACES, [70.0, 80.0, 90.0]]


def test_a_commit_that_fails_stores_nothing_and_can_be_tried_again(history, tmp_path, monkeypatch):
    editor = RunEditor(copick_core.open(history), "TS_1", drafts=tmp_path / "drafts")
    _add(editor, "ribosome", (70.0, 80.0, 90.0))
    _add(editor, "proteasome", (1.0, 2.0, 3.0))
    overlay = editor._root.layers.overlay
    write = type(overlay).write

    def full_disk(self, key, data, **options):
        if key.object_name == "proteasome":
            raise ReadOnlyError(subject=key, reason="the disk is full")
        return write(self, key, data, **options)

    monkeypatch.setattr(type(overlay), "write", full_disk)
    with pytest.raises(ReadOnlyError):
        editor.store()
    monkeypatch.undo()

    assert (_stored(history), _stored(history, "proteasome")) == (PLACES, None)
    editor.store()
    assert (_stored(history), _stored(history, "proteasome")) == ([*PLACES, [70.0, 80.0, 90.0]], [[1.0, 2.0, 3.0]])


STORE_AND_DIE = """
import json, os, signal, sys
import copick_core
from pathlib import Path
from copick_view.viewer.editing import RunEditor
from copick_view.viewer.points import new_point
editor = RunEditor(copick_core.open(json.loads(sys.argv[1])), "TS_1", drafts=Path(sys.argv[2]))
for name in ("ribosome", "proteasome"):
    editor.change({name: {**editor.own[name].shown, "n": new_point((1.0, 2.0, 3.5))}})
layer = type(editor._root.layers.overlay)
write = layer.write
def deadly(self, key, data, **options):
    if (key.object_name, sys.argv[3]) == ("proteasome", "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    found = write(self, key, data, **options)
    if (key.object_name, sys.argv[3]) == ("proteasome", "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    return found
layer.write = deadly
editor.store()
"""


def _killed_while_storing(project, folder, when):
    command = [sys.executable, "-c", STORE_AND_DIE, json.dumps(project), str(folder), when]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    return RunEditor(copick_core.open(project), "TS_1", drafts=folder)


def test_a_process_killed_between_two_files_leaves_exactly_what_is_missing(project, tmp_path):
    editor = _killed_while_storing(project, tmp_path / "drafts", "before")
    assert (_stored(project), _stored(project, "proteasome")) == ([*PLACES, [1.0, 2.0, 3.5]], None)

    (left,) = editor.left_drafts()
    editor.take_draft(left)
    editor.store()

    assert ([*left.edits], left.stored) == (["proteasome"], ("ribosome",))
    assert (_stored(project), _stored(project, "proteasome")) == ([*PLACES, [1.0, 2.0, 3.5]], [[1.0, 2.0, 3.5]])


def test_a_process_killed_after_the_last_file_leaves_nothing_to_store(project, tmp_path):
    editor = _killed_while_storing(project, tmp_path / "drafts", "after")

    assert editor.left_drafts() == []
    assert list((tmp_path / "drafts").iterdir()) == []


def test_edits_made_after_a_store_that_failed_are_offered_whole(project, editor, tmp_path):
    draft = Draft(editor._draft._where, tmp_path / "drafts")
    stored = editor.own["ribosome"].stored
    draft.storing({"ribosome": digest(stored)})
    draft.note("ribosome", difference(stored, {**stored, "n": new_point((1.0, 2.0, 3.0))}))
    draft.leave()

    (left,) = editor.left_drafts()

    assert str(left.edits["ribosome"]) == "1 added"


def test_the_draft_of_a_living_process_is_not_offered(editor, project, tmp_path):
    _add(editor, "ribosome", (1.0, 2.0, 3.0))

    assert RunEditor(copick_core.open(project), "TS_1", drafts=tmp_path / "drafts").left_drafts() == []


def test_a_draft_is_another_one_for_another_user_session_and_project(editor, project, tmp_path):
    other = RunEditor(copick_core.open(project), "TS_1", session_id="2", drafts=tmp_path / "drafts")

    assert editor._draft._where != other._draft._where


def test_edits_of_points_that_are_gone_are_counted_and_left_out():
    before = stored_points([new_point((1.0, 1.0, 1.0)), new_point((2.0, 2.0, 2.0))])
    edits = difference(before, {"p1": before["p1"], "n": new_point((3.0, 3.0, 3.0))})
    now = stored_points([new_point((2.0, 2.0, 2.0))])

    points, missing = apply(edits, now)

    assert missing == 1
    assert [p.location.x for p in points.values()] == [2.0, 3.0]


def test_a_line_that_was_cut_off_does_not_spoil_a_draft(tmp_path):
    draft = Draft("place", tmp_path)
    draft.note("ribosome", difference({}, {"n": new_point((1.0, 2.0, 3.0))}))
    path = next(tmp_path.iterdir())
    copy = path.with_name("place-copy.jsonl")
    copy.write_bytes(path.read_bytes() + b'{"at": "2026-')

    (left,) = draft.left()

    assert (left.path, len(left.edits["ribosome"])) == (copy, 1)
