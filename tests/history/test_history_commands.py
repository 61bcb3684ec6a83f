"""The commands of a project with a history."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.__main__ import main
from support.histories import messages, picks


@pytest.fixture(autouse=True)
def _project(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("COPICK_CONFIG", str(tmp_path / "config.json"))


def test_log_as_json_has_who_when_and_what(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)

    assert main(["log", "-n", "1", "--json"]) == 0

    (commit,) = json.loads(capsys.readouterr().out)
    (newest,) = root.history(limit=1)
    assert commit == {
        "id": newest.id,
        "time": newest.time.isoformat(),
        "author": "alice",
        "message": newest.message,
        "changes": [{"what": "added", "kind": "picks", "address": "TS_1/ribosome:alice/1"}],
    }


def test_a_deleted_tag_is_gone_and_its_name_is_taken(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)
    assert main(["tag", "monday"]) == 0

    assert main(["tag", "monday", "--delete"]) == 0

    assert root.tags() == {}
    assert main(["tag", "monday"]) != 0
    assert "deleted tags stay taken" in capsys.readouterr().err


def test_tags_and_branches_are_listed_as_json(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)
    assert main(["tag", "monday"]) == main(["branch", "new", "trial"]) == 0
    capsys.readouterr()
    newest = next(iter(root.history())).id

    assert main(["tag", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"tag": "monday", "commit": newest}]
    assert main(["branch", "list", "--json"]) == 0
    listed = {row["branch"]: (row["commit"], row["current"]) for row in json.loads(capsys.readouterr().out)}
    assert listed == {"main": (newest, True), "trial": (newest, False)}


def test_gc_deletes_only_when_it_is_told_to(root: CopickRootIcechunk, config: dict[str, Any], capsys: Any) -> None:
    stored = picks(root, "TS_1", "alice", 0)
    for x in range(1, 4):
        stored.from_numpy([[x, y, 0] for y in range(200)])
    count = len(root.history())

    assert main(["gc", "--older-than", "2100-01-01"]) == 0
    dry = capsys.readouterr().out
    assert len(root.history()) == count
    assert main(["gc", "--older-than", "2100-01-01", "--delete"]) == 0

    assert dry.startswith(f"would forget {count - 1} commits")
    assert capsys.readouterr().out.startswith(f"forgot {count - 1} commits")
    kept = copick_core.open(config)
    assert messages(kept) == messages(root)[:1]
    assert kept.get_run("TS_1").picks[0].numpy()[0][:, 0].tolist() == [3] * 200


def test_merge_lists_conflicts_and_the_exit_code_says_so(root: CopickRootIcechunk, capsys: Any) -> None:
    stored = picks(root, "TS_1", "alice", 1, 2)
    assert main(["branch", "new", "strict"]) == 0
    picks(root.on_branch("strict"), "TS_1", "alice").delete()
    stored.from_numpy([[1, 0, 0], [2, 5, 5]])

    assert main(["branch", "merge", "strict", "--dry-run"]) == 1

    assert "conflict picks 'ribosome' of alice/1 in run 'TS_1'" in capsys.readouterr().out
    assert len(root.get_run("TS_1").picks) == 1


def test_render_draws_a_project_as_it_was(root: CopickRootIcechunk, tmp_path: Path) -> None:
    run = root.new_run("TS_1")
    density = np.random.default_rng(1).normal(size=(16, 32, 32)).astype("f4")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(density)
    root.new_tag("bare")
    assert main(["render", "--run", "TS_1", "-o", str(tmp_path / "before.png")]) == 0
    picks(root, "TS_1", "alice", *range(20, 300, 20))

    assert main(["render", "--run", "TS_1", "-o", str(tmp_path / "now.png")]) == 0
    assert main(["render", "--run", "TS_1", "--as-of", "bare", "-o", str(tmp_path / "then.png")]) == 0

    before, now, then = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("before", "now", "then"))
    assert np.array_equal(before, then)
    assert now.shape != then.shape or not np.array_equal(now, then)


def facts(capsys: Any, *words: str) -> Any:
    """What a command prints as JSON; its exit code goes unseen."""
    capsys.readouterr()
    main([*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_restore_tells_as_json_what_it_changed(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_tag("monday")
    picks(root, "TS_1", "alice").delete()

    restored = facts(capsys, "restore", "--all", "--as-of", "monday")

    assert restored == [{"what": "added", "kind": "picks", "address": "TS_1/ribosome:alice/1"}]
    assert facts(capsys, "restore", "--all", "--as-of", "monday") == []


def test_what_makes_and_deletes_tags_and_branches_tells_the_commit_as_json(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)
    newest = next(iter(root.history())).id

    assert facts(capsys, "tag", "monday") == {"tag": "monday", "commit": newest}
    assert facts(capsys, "branch", "new", "trial") == {"branch": "trial", "commit": newest}
    assert facts(capsys, "branch", "delete", "trial") == {"branch": "trial", "commit": None}
    assert facts(capsys, "tag", "monday", "--delete") == {"tag": "monday", "commit": None}


def test_merge_lists_what_it_takes_and_the_conflicts_as_json(root: CopickRootIcechunk, capsys: Any) -> None:
    stored = picks(root, "TS_1", "alice", 1, 2)
    assert main(["branch", "new", "strict"]) == 0
    picks(root.on_branch("strict"), "TS_1", "alice").delete()
    picks(root.on_branch("strict"), "TS_2", "bob", 3)
    stored.from_numpy([[1, 0, 0], [2, 5, 5]])

    merged = facts(capsys, "branch", "merge", "strict", "--dry-run")

    assert merged["conflicts"] == [{"kind": "picks", "address": "TS_1/ribosome:alice/1"}]
    assert {"what": "added", "kind": "picks", "address": "TS_2/ribosome:bob/1"} in merged["taken"]
    assert merged["combined"] == []


def test_gc_tells_as_json_which_commits_go(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1)
    older = {commit.id for commit in root.history()[1:]}

    found = facts(capsys, "gc", "--older-than", "2100-01-01")

    assert found["deleted"] is False
    assert {*found["commits"]} == older
    assert {"objects", "bytes"} <= {*found}
