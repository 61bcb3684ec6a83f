"""What keeps two threads, and two processes, apart; and what is shown while they meet."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest

import copick_core
from copick_backend_icechunk import reading
from copick_backend_icechunk.commits import Committer
from copick_backend_icechunk.objects import LocalObjects
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.errors import ConflictError
from copick_core.layers.atomic import locked
from copick_core.tree.keys import PicksKey, RunKey, TomogramKey
from support.locks import waits_after, waits_for

PICKS = PicksKey("TS_1", "ribosome", "alice", "1")


def tomogram(root: CopickRootIcechunk) -> Any:
    spacing = root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True)
    made = spacing.new_tomogram("wbp", exist_ok=True)
    made.from_numpy(np.zeros((8, 8, 8), "f4"), levels=1)
    return made


def write_in_transaction(root: CopickRootIcechunk) -> None:
    with root.transaction("one"):
        root.new_run("TS_9")


# ------------------------------------------------------------------------------------------------------ between threads

#: Calls that wait for the lock of a branch.
OF_A_BRANCH: dict[str, Callable[[Committer], object]] = {
    "repository": lambda commits: commits.repository(),
    "walked": lambda commits: commits.walked(),
    "disconnect": lambda commits: commits.disconnect(),
    "pin": lambda commits: commits.pin(commits.branches()["main"]),
    "advance": lambda commits: commits._advance(commits._view),  # type: ignore[arg-type]
    "drop": lambda commits: commits.drop(commits._transaction),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", OF_A_BRANCH)
def test_what_a_branch_knows_is_changed_by_one_thread_at_a_time(root: CopickRootIcechunk, call: str) -> None:
    root.new_run("TS_1")
    commits = root.history_layer.commits

    assert waits_for(commits._lock, lambda: OF_A_BRANCH[call](commits))


@pytest.mark.parametrize(("call", "before"), [("view", "_tip"), ("examine", "repository")])
def test_a_newer_commit_is_shown_by_one_thread_at_a_time(root: CopickRootIcechunk, call: str, before: str) -> None:
    root.new_run("TS_1")
    commits = root.history_layer.commits
    commits.stale = True

    assert waits_after(before, commits, commits._lock, getattr(commits, call))


def test_a_transaction_begins_while_no_other_does(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    commits = root.history_layer.commits

    assert waits_after("existing", commits, commits._lock, lambda: commits.drop(commits.begin("mine")))


@pytest.mark.parametrize("call", ["a file", "a volume"])
def test_writes_of_a_transaction_come_one_after_the_other(root: CopickRootIcechunk, call: str) -> None:
    stored = tomogram(root)
    with root.transaction("both"):
        lock = root.history_layer.commits.open_transaction()._lock

        assert waits_for(lock, lambda: root.new_run("TS_2") if call == "a file" else stored.from_numpy(np.ones((8, 8, 8))))


def test_a_volume_of_a_transaction_is_staged_apart_from_its_writes(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    with root.transaction("both"):
        transaction = root.history_layer.commits.open_transaction()

        assert waits_for(transaction._lock, lambda: transaction.staging().__enter__())


def test_a_snapshot_is_inspected_once(root: CopickRootIcechunk, config: dict[str, Any]) -> None:
    root.new_run("TS_1")
    view = copick_core.open(config).history_layer.commits.view()

    assert waits_for(view._lock, lambda: view.tree)


def test_regions_of_one_volume_are_changed_by_one_thread_at_a_time(root: CopickRootIcechunk) -> None:
    stored = tomogram(root)
    layer = root.history_layer
    stored.set_region(np.ones((8, 8, 8), "f4"))

    (lock,) = layer._volume_locks.values()

    assert waits_for(lock, lambda: stored.set_region(np.ones((8, 8, 8), "f4")))
    assert waits_for(layer._lock, lambda: stored.set_region(np.ones((8, 8, 8), "f4")))


# ---------------------------------------------------------------------------------------------------- between processes

#: Calls that commit to a local repository, which holds the lock of its folder meanwhile.
COMMITTING: dict[str, Callable[[CopickRootIcechunk], object]] = {
    "a file": lambda root: root.new_run("TS_2"),
    "a volume": tomogram,
    "a region": lambda root: root.get_run("TS_1").voxel_spacings[0].tomograms[0].set_region(np.ones((8, 8, 8), "f4")),
    "a transaction": write_in_transaction,
    "expiry": lambda root: root.expire(datetime.now() + timedelta(days=1)),
}


@pytest.mark.parametrize("call", COMMITTING)
def test_commits_to_a_folder_come_one_after_the_other(root: CopickRootIcechunk, tmp_path: Path, call: str) -> None:
    tomogram(root)

    assert waits_for(locked(str(tmp_path / "history")), lambda: COMMITTING[call](root))


def test_a_repository_is_made_by_one_process_at_a_time(root: CopickRootIcechunk, tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()

    assert waits_for(locked(str(tmp_path / "history")), root.history_layer.commits.existing)


def test_the_file_of_a_branch_is_mended_while_nobody_commits(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    root.history_layer.commits.existing()
    os.unlink(tmp_path / "history" / "refs" / "branch.main" / "ref.json")
    opened = copick_core.open(config).history_layer.commits

    assert waits_for(locked(str(tmp_path / "history")), opened.repository)
    assert opened.repository() is not None


@pytest.mark.filterwarnings("ignore:.*as after a power cut")
def test_a_branch_is_set_to_its_last_good_commit_while_nobody_commits(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    root.new_run("TS_1")
    good = root.history()[0].id
    root.new_run("TS_2")
    for lost in (f"snapshots/{root.history()[0].id}", "refs/branch.main/ref.json"):
        os.unlink(tmp_path / "history" / lost)
    opened = copick_core.open(config)
    commits = opened.history_layer.commits
    commits._guessed = True
    LocalObjects(str(tmp_path / "history")).write_branch("main", b'{"snapshot":"1CECHNKREP0F1RSTCMT0"}')

    assert waits_after("last_good", reading, locked(str(tmp_path / "history")), commits.view)
    assert commits.branches() == {"main": good}


@pytest.mark.filterwarnings("ignore:.*last good one")
def test_a_branch_is_repaired_while_nobody_commits(root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path) -> None:
    root.new_run("TS_1")
    good = root.history()[0].id
    root.new_run("TS_2")
    os.unlink(tmp_path / "history" / "snapshots" / root.history()[0].id)
    commits = copick_core.open(config).history_layer.commits
    commits.view()

    assert waits_for(locked(str(tmp_path / "history")), commits.repair)
    assert (commits.good, commits.damaged_tip, commits.branches()) == (None, None, {"main": good})


# ------------------------------------------------------------------------------------------------------------- crowding


@pytest.mark.parametrize("kind", ["a file", "a volume", "a transaction"])
def test_who_is_always_overtaken_gives_up_and_says_so(
    root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    stored = tomogram(root)
    tried = []

    def overtaken(*args: Any) -> str:
        tried.append(1)
        raise icechunk.ConflictError("a", "b")

    monkeypatch.setattr("copick_backend_icechunk.commits._TRIES", 3)
    monkeypatch.setattr(root.history_layer.commits, "_store", overtaken)
    calls: dict[str, tuple[Callable[[], object], object]] = {
        "a file": (lambda: root.history_layer.write(PICKS, b"{}"), PICKS),
        "a volume": (lambda: stored.from_numpy(np.ones((8, 8, 8))), TomogramKey("TS_1", 10.0, "wbp")),
        "a transaction": (lambda: write_in_transaction(root), RunKey("TS_9")),
    }

    with pytest.raises(ConflictError) as raised:
        calls[kind][0]()

    error = raised.value
    assert len(tried) == 3
    assert (error.key, error.layer, error.expected, error.found) == (calls[kind][1], str(tmp_path / "history"), None, None)
    assert "Others committed 3 times meanwhile; try again." in str(error)


def test_a_repository_that_is_whole_shows_what_it_showed_before(root: CopickRootIcechunk) -> None:
    commits = root.history_layer.commits
    before_there_is_one = commits.examine()
    root.new_run("TS_1")
    shown = commits.view()

    assert (before_there_is_one, commits.examine()) == (False, False)
    assert commits.view() is shown


@pytest.mark.parametrize("kind", ["a file", "a volume", "a transaction"])
def test_who_is_overtaken_once_tries_again(root: CopickRootIcechunk, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    stored = tomogram(root)
    commits = root.history_layer.commits
    store, tried = commits._store, []

    def overtaken_once(*args: Any) -> str:
        tried.append(1)
        if len(tried) == 1:
            raise icechunk.ConflictError("a", "b")
        return store(*args)

    monkeypatch.setattr(commits, "_store", overtaken_once)
    calls: dict[str, Callable[[], object]] = {
        "a file": lambda: root.history_layer.write(PICKS, b"{}"),
        "a volume": lambda: stored.from_numpy(np.ones((8, 8, 8), "f4"), levels=1),
        "a transaction": lambda: write_in_transaction(root),
    }
    before = len(root.history())

    calls[kind]()

    assert (len(tried), len(root.history())) == (2, before + 1)
    assert commits.view().tree is not None
    found = {"a file": root.history_layer.exists(PICKS), "a transaction": root.history_layer.exists(RunKey("TS_9"))}
    assert found.get(kind, stored.numpy().min() == 1)
