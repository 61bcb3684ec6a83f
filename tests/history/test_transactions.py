"""Writes are commits: one each, or all of a transaction."""

from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.errors import ConflictError, InvalidDataError, ReadOnlyError
from support.histories import messages, picks


def test_a_write_commits_by_itself_and_says_who_and_what(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    picks(root, "TS_1", "alice", 1)

    newest, first = root.history()

    assert (newest.author, newest.message) == ("alice", "alice: add picks 'ribosome' of alice/1 in run 'TS_1'")
    assert [str(change) for change in newest.changes] == ["added picks 'ribosome' of alice/1 in run 'TS_1'"]
    assert [str(change) for change in first.changes] == ["added run 'TS_1'"]
    assert newest.time >= first.time


def test_a_region_with_its_coarser_levels_is_one_commit(root: CopickRootIcechunk) -> None:
    spacing = root.new_run("TS_1").new_voxel_spacing(10.0)
    tomogram = spacing.new_tomogram("wbp")
    tomogram.from_numpy(np.ones((20, 20, 20), np.float32), levels=3)
    before = len(root.history())

    part = slice(0, 10)
    tomogram.set_region(np.full((10, 10, 10), 5.0), z=part, y=part, x=part, update_levels=True)

    assert len(root.history()) == before + 1
    assert root.history()[0].message == "alice: change a region of tomogram 'wbp' at 10.000 of run 'TS_1'"
    assert tomogram.numpy("1")[0, 0, 0] == 5.0


def test_a_transaction_is_one_commit_across_runs_and_kinds(root: CopickRootIcechunk) -> None:
    with root.transaction("a first pass"):
        for run in ("TS_1", "TS_2"):
            picks(root, run, "alice", 1)
        root.get_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((8, 8, 8), np.float32))

    (commit,) = root.history()
    assert (commit.message, commit.author) == ("alice: a first pass", "alice")
    assert len(commit.changes) == 6  # two runs, two picks, a voxel spacing, a tomogram


def test_nobody_sees_a_transaction_before_it_ends(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    root.new_run("TS_1")

    with root.transaction("new runs"):
        root.new_run("TS_2")
        seen = [run.name for run in bob.runs]
        mine = [run.name for run in root.runs]
    bob.refresh()

    assert (seen, mine, [run.name for run in bob.runs]) == (["TS_1"], ["TS_1", "TS_2"], ["TS_1", "TS_2"])


def test_an_error_in_a_transaction_drops_all_of_it(root: CopickRootIcechunk) -> None:
    stored = picks(root, "TS_1", "alice", 1)

    def half() -> None:
        with root.transaction("half of it"):
            stored.from_numpy([[2, 0, 0]])
            root.new_run("TS_2")
            raise KeyError("TS_3")

    with pytest.raises(KeyError):
        half()

    stored.refresh()
    assert stored.numpy()[0].tolist() == [[1, 0, 0]]
    assert [run.name for run in root.runs] == ["TS_1"]
    assert "alice: half of it" not in messages(root)


def test_a_volume_that_fails_inside_a_transaction_leaves_the_old_one(root: CopickRootIcechunk) -> None:
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((8, 8, 8), np.float32))

    with root.transaction("go on after a failure"):
        with pytest.raises(InvalidDataError):
            tomogram.from_numpy(np.full((8, 8, 8), 1j))
        root.new_run("TS_2")

    assert tomogram.numpy().max() == 1
    assert [run.name for run in root.runs] == ["TS_1", "TS_2"]


def test_a_volume_can_be_replaced_twice_in_one_transaction(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")

    with root.transaction("twice"):
        tomogram.from_numpy(np.ones((8, 8, 8), np.float32), levels=2)
        tomogram.from_numpy(np.full((6, 6, 6), 2, np.float32), levels=1)
        inside = tomogram.numpy().max()

    theirs = bob.get_run("TS_1").voxel_spacings[0].tomograms[0]
    assert (inside, theirs.levels, theirs.shape, theirs.numpy().max()) == (2, ["0"], (6, 6, 6), 2)


def test_independent_entities_of_two_writers_are_rebased(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    root.new_run("TS_1")

    with root.transaction("alice's picks"):
        picks(root, "TS_1", "alice", 1)
        with bob.transaction("bob's picks"):
            picks(bob, "TS_1", "bob", 2)

    root.refresh()
    assert sorted(p.user_id for p in root.get_run("TS_1").picks) == ["alice", "bob"]
    assert messages(root)[:2] == ["alice: alice's picks", "bob: bob's picks"]


def test_the_same_entity_of_two_writers_is_a_conflict_that_names_it(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    theirs = bob.get_run("TS_1").picks[0]

    def both() -> None:
        with root.transaction("mine"):
            stored.from_numpy([[2, 0, 0]])
            theirs.from_numpy([[3, 0, 0]])

    with pytest.raises(ConflictError, match="bob: change picks") as caught:
        both()

    assert caught.value.key == stored.key
    stored.refresh()
    assert stored.numpy()[0].tolist() == [[3, 0, 0]]


def test_a_stale_handle_gets_a_conflict_without_a_transaction(root: CopickRootIcechunk, bob: CopickRootIcechunk) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    bob.get_run("TS_1").picks[0].from_numpy([[3, 0, 0]])

    with pytest.raises(ConflictError):
        stored.from_numpy([[2, 0, 0]])

    assert len(root.history()) == 3


def test_transactions_do_not_nest(root: CopickRootIcechunk) -> None:
    with root.transaction("outer"), pytest.raises(InvalidDataError, match="outer"), root.transaction("inner"):
        pass


def test_a_transaction_without_a_write_commits_nothing(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")

    with root.transaction("nothing"):
        pass

    assert messages(root) == ["alice: add run 'TS_1'"]


def test_a_stack_with_a_history_as_overlay_has_transactions(config: dict[str, Any], tmp_path: Any) -> None:
    below = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "static"),
        "pickable_objects": config["pickable_objects"],
    }
    picks(copick_core.open(below), "TS_1", "tool", 1, 2)
    stack = copick_core.open({"config_type": "stack", "overlay": config, "static": [below], "user_id": "carol"})

    with stack.transaction("a copy, corrected"):
        stack.get_run("TS_1").new_picks("ribosome", "1", "carol").from_numpy([[9, 0, 0]])

    assert (stack.history()[0].author, stack.history()[0].message) == ("carol", "carol: a copy, corrected")
    assert [p.user_id for p in stack.as_of(stack.history()[0].id).get_run("TS_1").picks] == ["tool", "carol"]


def test_a_project_as_it_was_refuses_transactions(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")

    with pytest.raises(ReadOnlyError), root.as_of("main").transaction("late"):
        pass
