"""History, time travel, differences, restoring."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.errors import InvalidDataError
from support.histories import messages, picks


def positions(root: CopickRootIcechunk, run: str = "TS_1") -> list[list[float]]:
    (found,) = root.get_run(run).picks
    found.refresh()
    return found.numpy()[0].tolist()


def test_history_of_an_address_has_only_its_commits(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    picks(root, "TS_2", "alice", 1)

    assert [c.message for c in root.history("TS_2/")] == [
        "alice: add picks 'ribosome' of alice/1 in run 'TS_2'",
        "alice: add run 'TS_2'",
    ]
    assert [len(c.changes) for c in root.history("*/ribosome:alice/1")] == [1, 1]
    assert root.history("TS_9/") == []


def test_a_project_is_read_as_it_was_by_id_tag_branch_and_time(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_tag("first")
    first = root.history()[0]
    picks(root, "TS_1", "alice").from_numpy([[2, 0, 0]])

    before = [root.as_of(when) for when in (first.id, first.id[:8], "first", first.time, first.time.isoformat())]

    assert [positions(project) for project in before] == [[[1, 0, 0]]] * 5
    assert positions(root.as_of("main")) == positions(root) == [[2, 0, 0]]
    assert all(project.read_only for project in before)


def test_a_config_opens_a_project_as_it_was(root: CopickRootIcechunk, config: dict[str, Any]) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_tag("first")
    picks(root, "TS_1", "alice").from_numpy([[2, 0, 0]])

    assert positions(copick_core.open({**config, "as_of": "first"})) == [[1, 0, 0]]


def test_a_snapshot_that_does_not_exist_lists_the_tags(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    root.new_tag("first")

    with pytest.raises(InvalidDataError, match=r"not a tag \(first\)"):
        root.as_of("second")
    with pytest.raises(InvalidDataError, match="begins later"):
        root.as_of(datetime(2001, 1, 1))


@pytest.mark.filterwarnings("ignore:.*lie outside of every tomogram")
def test_a_diff_names_what_was_added_changed_and_removed(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1, 1000, 2000)
    picks(root, "TS_1", "bob", 1)
    tomogram = root.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((8, 8, 8), np.float32))
    root.new_tag("before")
    root.get_run("TS_1").get_picks(user_id="alice")[0].from_numpy([[1, 0, 0], [1010, 0, 0], [3000, 0, 0]])
    root.get_run("TS_1").delete_picks(user_id="bob")
    tomogram.set_region(np.zeros((8, 8, 8)))
    root.new_run("TS_2")

    changes = {str(change.key): change for change in root.diff("before")}

    assert {key: change.what for key, change in changes.items()} == {
        "run 'TS_2'": "added",
        "picks 'ribosome' of alice/1 in run 'TS_1'": "changed",
        "picks 'ribosome' of bob/1 in run 'TS_1'": "removed",
        "tomogram 'wbp' at 10.000 of run 'TS_1'": "changed",
    }
    points = changes["picks 'ribosome' of alice/1 in run 'TS_1'"].points
    assert (points.added, points.moved, points.removed) == (
        ((3000, 0, 0),),
        (((1000, 0, 0), (1010, 0, 0)),),
        ((2000, 0, 0),),
    )


def test_a_diff_back_and_forth_is_empty_where_the_content_is_the_same(root: CopickRootIcechunk) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    root.new_tag("before")
    stored.from_numpy([[2, 0, 0]])
    stored.from_numpy([[1, 0, 0]])

    assert root.diff("before") == ()


def test_restoring_an_entity_is_a_commit_and_leaves_others(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    picks(root, "TS_2", "alice", 1)
    root.new_tag("good")
    for run in ("TS_1", "TS_2"):
        root.get_run(run).picks[0].from_numpy([[9, 9, 9]])

    changes = root.restore("TS_1/ribosome:alice/1", "good")

    assert [str(change) for change in changes] == ["changed picks 'ribosome' of alice/1 in run 'TS_1'"]
    assert (positions(root, "TS_1"), positions(root, "TS_2")) == ([[1, 0, 0]], [[9, 9, 9]])
    assert messages(root)[0] == "alice: restore TS_1/ribosome:alice/1 as of good"


def test_restoring_brings_back_what_was_deleted_and_removes_what_is_new(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    tomogram = root.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.arange(512, dtype=np.float32).reshape(8, 8, 8), levels=2)
    root.new_tag("good")
    root.delete_run("TS_1")
    picks(root, "TS_2", "bob", 2)

    root.restore(None, "good")

    assert [run.name for run in root.runs] == ["TS_1"]
    (back,) = root.get_run("TS_1").voxel_spacings[0].tomograms
    assert np.array_equal(back.numpy(), np.arange(512).reshape(8, 8, 8))
    assert back.levels == ["0", "1"]
    assert root.diff("good") == ()


def test_branches_are_apart_and_merge_by_entity(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_branch("second-pass")
    other = root.on_branch("second-pass")
    picks(other, "TS_2", "alice", 2)
    other.get_run("TS_1").picks[0].from_numpy([[1, 0, 0], [500, 0, 0]])
    picks(root, "TS_3", "alice", 3)
    seen = [run.name for run in root.runs]

    merged = root.merge("second-pass")

    assert seen == ["TS_1", "TS_3"]
    assert [run.name for run in root.runs] == ["TS_1", "TS_2", "TS_3"]
    assert positions(root, "TS_1") == [[1, 0, 0], [500, 0, 0]]
    assert (len(merged.taken), merged.combined, merged.conflicts) == (3, (), ())
    assert messages(root)[0] == "alice: merge second-pass into main"
    assert {*root.branches()} == {"main", "second-pass"}


def test_picks_that_both_branches_changed_are_brought_together_by_points(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 0, 1000, 2000)
    root.new_branch("other")
    theirs = root.on_branch("other")
    theirs.get_run("TS_1").picks[0].from_numpy([[0, 0, 0], [1000, 0, 0], [2010, 0, 0], [4000, 0, 0]])
    root.get_run("TS_1").picks[0].from_numpy([[1000, 0, 0], [2000, 0, 0], [3000, 0, 0]])

    merged = root.merge("other")

    assert sorted(positions(root)) == [[1000, 0, 0], [2010, 0, 0], [3000, 0, 0], [4000, 0, 0]]
    assert [change.what for change in merged.combined] == ["changed"]


def test_a_point_that_both_moved_is_a_conflict_and_somebody_is_preferred(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 0, 1000)
    root.new_branch("other")
    root.on_branch("other").get_run("TS_1").picks[0].from_numpy([[0, 0, 0], [1010, 0, 0]])
    root.get_run("TS_1").picks[0].from_numpy([[0, 0, 0], [1020, 0, 0]])

    listed = root.merge("other", dry_run=True).conflicts
    with pytest.raises(copick_core.errors.ConflictError, match="both branches changed picks 'ribosome'"):
        root.merge("other")
    unchanged = positions(root)
    root.merge("other", prefer="theirs")

    assert [str(key) for key in listed] == ["picks 'ribosome' of alice/1 in run 'TS_1'"]
    assert unchanged == [[0, 0, 0], [1020, 0, 0]]
    assert positions(root) == [[0, 0, 0], [1010, 0, 0]]


def test_tags_stay_and_are_not_made_twice(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    root.new_tag("first")
    root.new_run("TS_2")

    with pytest.raises(copick_core.errors.AlreadyExistsError, match="first"):
        root.new_tag("first")

    assert root.tags() == {"first": root.history()[1].id}
    root.delete_tag("first")
    assert root.tags() == {}


def test_a_dry_run_of_expiry_tells_what_expiry_then_removes(root: CopickRootIcechunk) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    root.new_tag("kept")
    for x in (2, 3, 4):
        stored.from_numpy([[x, 0, 0]])
    later = root.history()[0].time + timedelta(seconds=1)

    planned = root.expire(later)
    untouched = len(root.history())
    done = root.expire(later, dry_run=False)

    assert untouched == 5
    assert planned.commits == done.commits
    assert len(done.commits) == 3  # the run, and two changes; the newest commit and the tagged one stay
    assert done.objects > planned.objects == 0
    root.refresh()
    assert positions(root) == [[4, 0, 0]]
    assert positions(root.as_of("kept")) == [[1, 0, 0]]
