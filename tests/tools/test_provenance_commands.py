"""Where entities came from: what merge, cp, mv and sync write, and what show, ls and stats print."""

from __future__ import annotations

import json

import pytest

import copick_core
from copick_core.__main__ import main
from copick_core.layers.provenance import provenance_of, recording
from copick_core.tree.keys import PicksKey
from copick_tools.merging import merge
from copick_tools.transfers import copy, move, sync
from tools.conftest import fill

ALICE, BOB = (PicksKey("TS_1", "ribosome", user, "1") for user in ("alice", "bob"))


@pytest.fixture
def local(project_config, tmp_path, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**project_config(), "user_id": "alice"}))
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    return fill(copick_core.open(path))


def made(root, key):
    return provenance_of(root.layers.overlay, key)


def test_merged_picks_say_what_they_were_merged_from(project):
    merge(project.select("TS_1/ribosome", "picks"), "*:merged/1", 60.0, at_least=1)

    found = made(project, PicksKey("TS_1", "ribosome", "merged", "1"))
    assert (found["tool"], found["by"]) == ("copick-core merge", "alice")
    assert found["arguments"] == {"distance": 60.0, "at_least": 1}
    assert [one["address"] for one in found["inputs"]] == ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]


def test_a_copy_says_what_it_is_a_copy_of_and_stays_the_same_bytes(project):
    copy(project.select("TS_1/ribosome:alice", "picks"), "*:carol")

    carol = PicksKey("TS_1", "ribosome", "carol", "1")
    assert made(project, carol)["tool"] == "copick-core cp"
    assert [one["address"] for one in made(project, carol)["inputs"]] == ["TS_1/ribosome:alice/1"]
    assert b"provenance" not in project.layers.overlay.read(carol)


def test_the_provenance_of_volumes_goes_with_them(project):
    with recording("membrain", version="2"):
        project.get_run("TS_1").get_segmentations("alice")[0].from_numpy([[[1]]])
    copy(project.select("TS_1/membrane", "segmentation"), "*:carol")

    (key,) = project.select("TS_1/membrane:carol").keys()
    assert (made(project, key)["tool"], made(project, key)["original"]["tool"]) == ("copick-core cp", "membrain")


def test_what_was_moved_twice_tells_both(project):
    with recording("detector"):
        project.get_run("TS_1").get_picks("ribosome", "alice")[0].from_numpy([[1.0, 1.0, 1.0]])
    move(project.select("TS_1/ribosome:alice", "picks"), "*:carol")
    move(project.select("TS_1/ribosome:carol", "picks"), "*:dora")

    found = made(project, PicksKey("TS_1", "ribosome", "dora", "1"))
    tools = [found["tool"], found["original"]["tool"], found["original"]["original"]["tool"]]
    assert tools == ["copick-core mv", "copick-core mv", "detector"]


def test_what_was_brought_names_the_project_it_is_from(project, make_root):
    target = make_root("target")

    sync(project, target, "TS_1/ribosome", kind="picks")

    assert (made(target, ALICE)["tool"], made(target, ALICE)["project"]) == ("copick-core sync", "project")


@pytest.mark.parametrize("function", [copy, move])
def test_no_provenance_writes_no_record(project, function):
    function(project.select("TS_1/ribosome:alice", "picks"), "*:carol", provenance=False)

    assert made(project, PicksKey("TS_1", "ribosome", "carol", "1")) is None


def test_show_prints_what_made_an_entity(local, capsys):
    main(["merge", "TS_1/ribosome", "*:merged/1", "--distance", "60"])
    main(["cp", "TS_1/ribosome:merged", "*:final", "--kind", "picks"])
    capsys.readouterr()

    assert main(["show", "TS_1/ribosome:final/1", "--kind", "picks"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("made", "  "))]

    assert lines[0].startswith("made with    copick-core cp 0.1.0 by alice at ")
    assert lines[1] == "             from picks TS_1/ribosome:merged/1"
    assert lines[2].startswith("made with    copick-core merge 0.1.0 by alice at ")
    assert lines[3:] == [
        "             copick_tools.merging:merge, distance=60.0, at_least=1",
        "             from picks TS_1/ribosome:alice/1",
        "             from picks TS_1/ribosome:bob/1",
    ]


def test_show_prints_how_a_file_was_imported(local, tmp_path, capsys):
    (tmp_path / "TS_1.csv").write_text("x,y,z\n1,2,3\n")
    words = ["--session", "1", "--object", "ribosome", "--user", "file", "--format", "csv"]
    assert main(["import", "picks", str(tmp_path / "TS_1.csv"), *words]) == 0
    capsys.readouterr()

    main(["show", "TS_1/ribosome:file/1", "--kind", "picks"])
    lines = capsys.readouterr().out.splitlines()

    made = next(number for number, line in enumerate(lines) if line.startswith("made with"))
    assert lines[made + 1 : made + 3] == [
        "             copick_core.projects.annotation_files:import_picks, file_format=csv",
        f"             from {tmp_path / 'TS_1.csv'}",
    ]


def test_ls_lists_what_a_tool_made(local, capsys):
    with recording("detector", by="bob", function="m:detect"):
        local.get_run("TS_1").get_picks("ribosome", "bob")[0].from_numpy([[1.0, 1.0, 1.0]])
    main(["merge", "TS_1/ribosome", "*:merged/1", "--distance", "60"])
    capsys.readouterr()

    found = {}
    for name in ("detector", "m:detect", "bob", "merge", "copick-core merge", "nobody"):
        main(["ls", "--made-by", name])
        found[name] = capsys.readouterr().out.split()

    bobs, merged = ["TS_1/ribosome:bob/1"], ["TS_1/ribosome:merged/1"]
    assert found == {
        "detector": bobs,
        "m:detect": bobs,
        "bob": bobs,
        "merge": merged,
        "copick-core merge": merged,
        "nobody": [],
    }


def test_stats_count_by_tool(local, capsys):
    main(["merge", "TS_1/ribosome", "*:merged/1", "--distance", "60"])
    capsys.readouterr()

    assert main(["stats", "TS_1/*", "--kind", "picks", "--by", "tool"]) == 0
    assert "  by tool     unknown 2, copick-core merge 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["cp", "TS_1/ribosome:alice", "*:carol", "--kind", "picks", "--no-provenance"],
        ["mv", "TS_1/ribosome:alice", "*:carol", "--kind", "picks", "--no-provenance"],
    ],
)
def test_no_provenance_is_an_option_of_commands(local, words):
    assert main(words) == 0
    assert made(local, PicksKey("TS_1", "ribosome", "carol", "1")) is None
