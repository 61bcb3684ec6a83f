"""What expiry forgets and counts, and what a project with a history is opened with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import icechunk
import pytest

import copick_core
from copick_backend_icechunk.config import CopickConfigIcechunk
from copick_backend_icechunk.expiry import Expiry, expire, expired
from copick_backend_icechunk.history_commands import _garbage
from copick_backend_icechunk.opening import open_layers
from copick_backend_icechunk.recovery import last_good
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError
from support.histories import messages, picks


class Repository:
    """Two branches and a tag; expiry forgets the commits that it is told to."""

    def __init__(self, *goes: str) -> None:
        self.asked: list[Any] = []
        times = {"first": 0, "old": 1, "main": 2, "other": 3, "tagged": 4}
        self.infos = {
            name: SimpleNamespace(id=name, parent_id=None if name == "first" else "p", written_at=self.at(day))
            for name, day in times.items()
        }
        self.lines = {"main": ["main", "old", "first"], "trial": ["other", "old", "first"], "tag": ["tagged", "old", "first"]}
        self.goes = goes

    @staticmethod
    def at(day: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)

    def list_branches(self) -> list[str]:
        return ["main", "trial"]

    def list_tags(self) -> list[str]:
        return ["tag"]

    def lookup_branch(self, name: str) -> str:
        return self.lines[name][0]

    lookup_tag = lookup_branch

    def ancestry(self, *, branch: str = "", tag: str = "") -> list[Any]:
        return [self.infos[name] for name in self.lines[branch or tag]]

    def expire_snapshots(self, moment: datetime) -> None:
        self.asked.append(("expire", moment))
        for line in self.lines.values():
            line[:] = [name for name in line if name not in self.goes]

    def garbage_collect(self, moment: datetime, *, dry_run: bool) -> Any:
        self.asked.append(("collect", moment, dry_run))
        names = ("chunks", "manifests", "snapshots", "transaction_logs", "bytes")
        return SimpleNamespace(**{f"{name}_deleted": 2**n for n, name in enumerate(names)})


class Commits:
    """What expiry asks of a branch."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.place = self
        self.done: list[str] = []

    def existing(self) -> Repository:
        return self.repository

    walked = existing

    def disconnect(self) -> None:
        self.done.append("disconnect")

    @contextmanager
    def committing(self) -> Iterator[None]:
        self.done.append("lock")
        yield
        self.done.append("unlock")


@pytest.mark.parametrize("dry_run", [True, False])
def test_expiry_tells_what_goes_and_counts_all_that_is_deleted(dry_run: bool) -> None:
    repository = Repository("old")
    commits: Any = Commits(repository)
    local = datetime(2026, 1, 10, tzinfo=timezone(timedelta(hours=2)))

    found = expire(commits, local, dry_run=dry_run)

    moment = datetime(2026, 1, 9, 22, tzinfo=UTC)
    assert found == Expiry(frozenset({"old"}), 1 + 2 + 4 + 8, 16)
    assert repository.asked == [*([] if dry_run else [("expire", moment)]), ("collect", moment, dry_run)]
    assert commits.done == ["lock", "unlock", *([] if dry_run else ["disconnect"])]
    assert all(one[1].tzinfo is UTC for one in repository.asked)


@pytest.mark.parametrize(("day", "gone"), [(1, set()), (2, {"old"}), (9, {"old"})])
def test_tips_tagged_commits_and_the_beginning_are_kept(day: int, gone: set[str]) -> None:
    assert expired(Repository(), Repository.at(day)) == gone  # type: ignore[arg-type]


def test_what_would_be_done_is_told_to_those_who_only_read(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_branch("trial")
    root.on_branch("trial").new_run("TS_2")
    then = root.as_of("main")

    assert [str(change) for change in then.merge("trial", dry_run=True).taken] == ["added run 'TS_2'"]
    assert len(then.expire(datetime.now() + timedelta(days=1)).commits) == 1
    assert messages(root)[0].startswith("alice: add picks")
    assert {*root.branches()} == {"main", "trial"}


def test_a_project_as_it_was_has_a_configuration_of_its_own(root: CopickRootIcechunk) -> None:
    root.new_run("TS_1")
    then = root.as_of("main")

    then.config.pickable_objects[0].label = 7
    then.config.user_id = "bob"

    assert (root.config.pickable_objects[0].label, root.config.user_id) == (1, "alice")
    assert type(then) is type(root)
    assert then.history_layer.read_only


def test_a_layer_is_opened_as_the_configuration_says(tmp_path: Path) -> None:
    fields = {"overlay_root": str(tmp_path), "pickable_objects": [], "user_id": "carol", "branch": "trial"}
    then = open_layers(CopickConfigIcechunk(**fields, as_of="monday"))
    now = open_layers(CopickConfigIcechunk(**fields, storage_args={"region": "eu"}))

    (static,) = then.static
    for layer in (static, now.overlay):
        commits = layer.commits  # type: ignore[union-attr]
        assert (commits.branch, commits.author, str(commits.place)) == ("trial", "carol", str(tmp_path))
    assert (then.overlay, static.read_only, static.commits.as_of) == (None, True, "monday")  # type: ignore[attr-defined]
    assert (now.static, now.overlay.read_only) == ((), False)  # type: ignore[union-attr]
    assert now.overlay.commits.place.arguments == {"region": "eu"}  # type: ignore[union-attr]


def test_gc_tells_as_json_what_it_counts(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.new_run("TS_1")
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("COPICK_CONFIG", str(tmp_path / "config.json"))
    asked: list[Any] = []

    def counted(self: Any, older_than: datetime, *, dry_run: bool = True) -> Expiry:
        asked.append((older_than, dry_run))
        return Expiry(frozenset({"A"}), 3, 4)

    monkeypatch.setattr(CopickRootIcechunk, "expire", counted)
    for words in (["--older-than", "2026-01-01"], ["--older-than", "2026-01-01T12:00:07", "--delete"]):
        assert main(["gc", *words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"deleted": "--delete" in words, "commits": ["A"], "objects": 3, "bytes": 4}

    assert asked == [(datetime(2026, 1, 1), True), (datetime(2026, 1, 1, 12, 0, 7), False)]
    assert (_garbage(True), _garbage(False)) == ("deleted", "are garbage already")


# ------------------------------------------------------------------------------------------------------------ recovery


def lost(root: CopickRootIcechunk, snapshot: str) -> None:
    os.unlink(Path(str(root.history_layer.place), "snapshots", snapshot))


@pytest.mark.filterwarnings("ignore:.*last good one")
def test_the_last_good_commit_is_the_newest_of_its_branch_that_is_whole(
    root: CopickRootIcechunk, config: dict[str, Any]
) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_branch("trial")
    root.on_branch("trial").new_run("TS_2")
    root.new_run("TS_3")
    root.new_run("TS_4")
    newest, second, *_ = [commit.id for commit in root.history()]
    lost(root, newest)
    commits = copick_core.open(config).history_layer.commits
    repository = icechunk.Repository.open(commits.place.storage())
    ask: Any = lambda tip, **options: last_good(repository, commits.place.objects, "main", tip, **options)  # noqa: E731

    assert ask(second, guessed=False, deep=False) == ask(second, guessed=False, deep=True) == second
    assert ask(newest, guessed=False, deep=False) == ask(second, guessed=True, deep=True) == second
    other = last_good(repository, commits.place.objects, "trial", newest, guessed=False, deep=True)
    assert other == root.branches()["trial"]


def test_a_commit_whose_values_are_missing_is_not_whole(root: CopickRootIcechunk, config: dict[str, Any]) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    good = root.history()[0].id
    before = set(Path(config["overlay_root"], "chunks").glob("*"))
    stored.from_numpy([[x * 1.37, x * 2.11, x] for x in range(400)])
    (chunk,) = set(Path(config["overlay_root"], "chunks").glob("*")) - before
    newest = root.history()[0].id
    chunk.unlink()
    commits = root.history_layer.commits
    repository = icechunk.Repository.open(commits.place.storage())

    for deep, found in ((True, good), (False, newest)):
        assert last_good(repository, commits.place.objects, "main", newest, guessed=False, deep=deep) == found


@pytest.mark.filterwarnings("ignore:.*last good one")
def test_a_damaged_project_is_written_to_again_when_somebody_else_has_repaired_it(
    root: CopickRootIcechunk, config: dict[str, Any]
) -> None:
    root.new_run("TS_1")
    root.new_run("TS_2")
    lost(root, root.history()[0].id)
    mine, watching = copick_core.open(config), copick_core.open(config)
    with pytest.raises(InvalidDataError, match="are missing"):
        mine.new_run("TS_3")
    found = [[problem.id for problem in watching.history_layer.problems()]]

    copick_core.open(config).history_layer.problems()[0].repair.apply()  # type: ignore[union-attr]
    found.append([problem.id for problem in watching.history_layer.problems()])
    mine.new_run("TS_3")

    assert found == [["damaged-commits"], []]
    watching.refresh()
    assert [run.name for run in watching.runs] == ["TS_1", "TS_3"]
