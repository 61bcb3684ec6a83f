"""Pruning: picks without points, leftovers of dead writers, and unknown files."""

from __future__ import annotations

import json

import pytest

from copick_core.__main__ import main
from copick_core.errors import ConflictError, InvalidDataError
from copick_core.layers import ANY
from copick_core.tree.keys import PicksKey
from copick_tools.pruning import WHAT, plan_prune, prune
from tools.conftest import LEFTOVER, UNKNOWN, changed, contents, files, litter, stored

EMPTY = PicksKey("TS_2", "ribosome", "carol", "2")


@pytest.fixture
def littered(project):
    return litter(project)


@pytest.fixture
def folder(project_config, tmp_path, monkeypatch):
    """A littered project in a folder, which ``COPICK_CONFIG`` names."""
    import copick_core
    from tools.conftest import fill

    (tmp_path / "config.json").write_text(json.dumps(project_config()))
    monkeypatch.setenv("COPICK_CONFIG", str(tmp_path / "config.json"))
    return litter(fill(copick_core.open(tmp_path / "config.json")))


def test_planning_changes_nothing_and_pruning_deletes_what_the_plan_lists(littered):
    before, there, everything = contents(littered), files(littered), stored(littered)

    plan = plan_prune(littered, what=WHAT)

    assert stored(littered) == everything
    report = plan.run()
    assert changed(before, contents(littered)) == plan.keys == report.keys == {EMPTY}
    assert there - files(littered) == plan.paths == report.paths == there


def test_unknown_files_stay_unless_they_are_asked_for(littered):
    there = files(littered)

    prune(littered)

    assert files(littered) == there - {LEFTOVER}


def test_leftovers_and_unknown_files_stay_where_only_empty_picks_are_pruned(littered):
    there = files(littered)

    assert prune(littered, what=["empty"]).keys == {EMPTY}
    assert files(littered) == there


def test_only_picks_of_the_address_are_pruned(littered):
    assert prune(littered, "TS_1/*", what=["empty"]).keys == set()


def test_picks_that_got_points_meanwhile_are_not_deleted(littered):
    plan = plan_prune(littered, what=["empty"])
    littered.entity("TS_2/ribosome:carol/2", "picks").from_numpy([[1.0, 2.0, 3.0]])

    with pytest.raises(ConflictError, match="no longer empty"):
        plan.run()

    assert littered.entity("TS_2/ribosome:carol/2", "picks").points


def test_picks_that_cannot_be_read_are_skipped(littered):
    broken = PicksKey("TS_1", "ribosome", "alice", "1")
    littered.layers.overlay.write(broken, b"{", if_revision=ANY)
    littered.refresh()

    plan = plan_prune(littered)

    assert [skipped.key for skipped in plan.skipped] == [broken]
    assert plan.keys == {EMPTY}


def test_an_unknown_word_is_refused(littered):
    with pytest.raises(InvalidDataError, match="leftovers"):
        plan_prune(littered, what=["leftover"])


def test_nothing_is_pruned_where_nobody_can_be_asked(folder, capsys):
    before, there = contents(folder), files(folder)

    assert main(["prune"]) == 2

    error = capsys.readouterr().err
    assert f"delete {UNKNOWN} in overlay" in error
    assert "pass --yes" in error
    assert (contents(folder), files(folder)) == (before, there)


def test_yes_deletes_no_unknown_file_unless_it_is_named(folder, capsys):
    assert main(["prune", "--yes"]) == 0
    assert files(folder) == {UNKNOWN}
    assert main(["prune", "--yes", "--what", "unknown", "--json"]) == 0

    assert files(folder) == set()
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["done"] == [
        {"action": "delete", "path": UNKNOWN, "layer": "overlay"}
    ]


def test_an_address_prunes_picks_only(folder, capsys):
    assert main(["prune", "*", "--yes"]) == 0
    assert main(["prune", "*", "--what", "unknown"]) == 2

    assert files(folder) == {LEFTOVER, UNKNOWN}
    assert "leave it out" in capsys.readouterr().err
