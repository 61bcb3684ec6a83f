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


# ----------------------------------------------------------------------------------------------------- what is printed


def printed(capsys: Any, *words: str) -> str:
    """What a command prints; its exit code goes unseen."""
    capsys.readouterr()
    main([*words])
    return str(capsys.readouterr().out)


def test_log_prints_a_line_for_each_commit_with_its_tag_and_what_several_entities_became(
    root: CopickRootIcechunk, capsys: Any
) -> None:
    root.new_run("TS_0")
    root.new_tag("monday")
    with root.transaction("much"):
        for number in range(1, 8):
            root.new_run(f"TS_{number}")
    much, first = root.history()

    lines = printed(capsys, "log").splitlines()

    assert lines[0] == f"{much.id[:8]}  {much.time.astimezone():%Y-%m-%d %H:%M}  alice: much"
    assert lines[1:7] == [*(f"            added run 'TS_{n}'" for n in range(1, 6)), "            … and 2 more"]
    assert lines[7:] == [f"{first.id[:8]}  {first.time.astimezone():%Y-%m-%d %H:%M}  alice: add run 'TS_0'  [monday]"]
    assert printed(capsys, "log", "-n", "1").splitlines() == lines[:7]


def test_diff_and_restore_print_every_entity(root: CopickRootIcechunk, capsys: Any) -> None:
    root.new_run("TS_0")
    root.new_tag("before")
    for number in range(1, 8):
        root.new_run(f"TS_{number}")
    changes = [f"added run 'TS_{number}'" for number in range(1, 8)]

    assert printed(capsys, "diff", "before").splitlines() == changes
    assert printed(capsys, "restore", "--all", "--as-of", "before").splitlines() == [
        line.replace("added", "removed") for line in changes
    ]
    assert printed(capsys, "restore", "--all", "--as-of", "before") == "Nothing differs.\n"
    assert printed(capsys, "restore", "TS_0/", "--as-of", "before") == "Nothing differs.\n"
    never = "Nothing matches 'TS_9/', neither now nor as of before.\n"
    assert printed(capsys, "restore", "TS_9/", "--as-of", "before") == never


def test_diff_tells_as_json_how_points_differ(root: CopickRootIcechunk, capsys: Any) -> None:
    stored = picks(root, "TS_1", "alice", 0)
    root.new_tag("before")
    stored.from_numpy([[10, 0, 0], [900, 0, 0]])

    (change,) = facts(capsys, "diff", "before")

    assert (change["what"], change["address"]) == ("changed", "TS_1/ribosome:alice/1")
    assert change["points"] == {"added": [[900, 0, 0]], "moved": [[[0, 0, 0], [10, 0, 0]]], "removed": []}


def test_a_restored_entity_has_the_message_that_was_given(root: CopickRootIcechunk, capsys: Any) -> None:
    stored = picks(root, "TS_1", "alice", 0)
    root.new_tag("before")
    stored.from_numpy([[10, 0, 0]])

    printed(capsys, "restore", "TS_1/", "--as-of", "before", "-m", "undo")

    assert messages(root)[0] == "alice: undo"
    assert printed(capsys, "restore", "--all", "--as-of", "before") == "Nothing differs.\n"


def test_tags_and_branches_are_printed_with_their_commits(root: CopickRootIcechunk, capsys: Any) -> None:
    root.new_run("TS_1")
    first = root.history()[0].id
    root.new_run("TS_2")
    newest = root.history()[0].id

    assert printed(capsys, "tag", "monday", "--at", first) == ""
    assert printed(capsys, "branch", "new", "trial", "--at", "monday") == ""

    assert printed(capsys, "tag") == f"{first[:8]}  monday\n"
    assert printed(capsys, "branch", "list") == f"* {newest[:8]}  main\n  {first[:8]}  trial\n"
    assert "delete" in printed(capsys, "branch")
    assert printed(capsys, "branch", "delete", "trial") == ""
    assert {*root.branches()} == {"main"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["restore", "--as-of", "monday"], "name either ADDRESS or --all"),
        (["restore", "TS_1/", "--all", "--as-of", "monday"], "name either ADDRESS or --all"),
        (["tag", "--delete"], "name the tag"),
        (["tag", "--at", "monday"], "name the tag"),
    ],
)
def test_what_is_not_named_or_named_twice_is_asked_for(
    root: CopickRootIcechunk, capsys: Any, words: list[str], complaint: str
) -> None:
    root.new_run("TS_1")
    root.new_tag("monday")

    assert main(words) == 2

    assert complaint in capsys.readouterr().err


def test_a_project_without_a_history_is_named(tmp_path: Path, capsys: Any) -> None:
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"config_type": "filesystem", "overlay_root": str(tmp_path / "o"), "pickable_objects": []}))

    assert main(["log", "-c", str(plain)]) == 2

    assert (
        f'the project of {plain} has no history: only a writable layer with "config_type": "icechunk" keeps one'
        in " ".join(capsys.readouterr().err.split())
    )


@pytest.mark.parametrize(("prefer", "shown"), [(None, ""), ("ours", ": ours is taken"), ("theirs", ": theirs is taken")])
def test_merge_prints_what_it_takes_combines_and_prefers(
    root: CopickRootIcechunk, capsys: Any, prefer: str | None, shown: str
) -> None:
    stored, other = picks(root, "TS_1", "alice", 0), picks(root, "TS_1", "bob", 0)
    root.new_branch("trial")
    theirs = root.on_branch("trial")
    for project, x in ((root, 10), (theirs, 20)):
        project.get_run("TS_1").get_picks(user_id="alice")[0].from_numpy([[x, 0, 0]])
        project.get_run("TS_1").get_picks(user_id="bob")[0].from_numpy([[0, 0, 0], [x * 100, 0, 0]])
    theirs.new_run("TS_2")

    words = ["branch", "merge", "trial", *([] if prefer is None else ["--prefer", prefer])]
    lines = printed(capsys, *words, *(["--dry-run"] if prefer is None else [])).splitlines()

    key = "picks 'ribosome' of {}/1 in run 'TS_1'".format
    taken = ["added run 'TS_2'", *([f"changed {key('alice')}"] if prefer == "theirs" else [])]
    assert lines == [*sorted(taken, reverse=True), f"combined {key('bob')}", f"conflict {key('alice')}{shown}"] or lines == [
        *sorted(taken),
        f"combined {key('bob')}",
        f"conflict {key('alice')}{shown}",
    ]
    stored.refresh()
    other.refresh()
    assert stored.numpy()[0][0, 0] == (20 if prefer == "theirs" else 10)
    assert len(other.numpy()[0]) == (2 if prefer is None else 3)


def test_gc_says_that_garbage_goes_or_is_there(root: CopickRootIcechunk, capsys: Any) -> None:
    picks(root, "TS_1", "alice", 1).from_numpy([[2, 0, 0]])

    assert printed(capsys, "gc", "--older-than", "2100-01-01").endswith("bytes) are garbage already\n")
    assert printed(capsys, "gc", "--older-than", "2100-01-01", "--delete").endswith("bytes) deleted\n")


@pytest.mark.parametrize(
    "words",
    [
        ["log"],
        ["diff", "monday"],
        ["restore", "--all", "--as-of", "monday"],
        ["tag"],
        ["branch", "list"],
        ["gc", "--older-than", "2000-01-01"],
    ],
    ids=lambda words: words[0],
)
def test_json_is_indented_by_two(root: CopickRootIcechunk, capsys: Any, words: list[str]) -> None:
    root.new_run("TS_1")
    root.new_tag("monday")
    root.new_run("TS_2")

    out = printed(capsys, *words, "--json")

    assert out == json.dumps(json.loads(out), indent=2) + "\n"
    assert out.count("\n") > 1
