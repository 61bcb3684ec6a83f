"""``review``, ``ls --state`` and the contact sheet: what they print, refuse and return."""

from __future__ import annotations

import json

import pytest

import copick_core
from copick_core.__main__ import main
from tools.conftest import fill


@pytest.fixture
def project(project_config, tmp_path, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**project_config(), "user_id": "alice"}))
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    return fill(copick_core.open(path))


def printed(capsys, *words):
    """What a command prints as JSON."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_set_prints_what_it_has_set(project, capsys):
    assert main(["review", "set", "TS_*/ribosome", "rejected", "--note", "drifted", "--by", "bob"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" on ")[0] for line in lines] == [f"TS_{n}/  ribosome: rejected by bob" for n in (1, 2)]
    assert all(line.endswith(", drifted") for line in lines)
    assert project.reviews.get("TS_2", "ribosome").note == "drifted"


def test_next_prints_the_run_that_it_has_taken(project, capsys):
    main(["review", "set", "TS_1/", "done"])
    capsys.readouterr()

    assert printed(capsys, "review", "next", "ribosome", "--by", "bob")["run"] == "TS_2"
    assert project.reviews.get("TS_2", "ribosome").by == "bob"


def test_next_exits_with_1_where_somebody_has_every_run(project, capsys):
    main(["review", "set", "*/", "taken"])
    capsys.readouterr()

    assert main(["review", "next"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "No run is left: all are taken or finished.\n")


def test_summary_counts_runs_by_state(project, capsys):
    main(["review", "set", "TS_1/ribosome", "done"])
    capsys.readouterr()

    assert main(["review", "summary"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "           open  taken  done  checked  rejected",
        "whole run     2      0     0        0         0",
        "ribosome      1      0     1        0         0",
    ]
    assert printed(capsys, "review", "summary", "membrane") == {
        "membrane": {"open": 2, "taken": 0, "done": 0, "checked": 0, "rejected": 0}
    }


def test_ls_prints_the_reviews_of_runs(project, capsys):
    project.reviews.set("TS_1", "done", "ribosome")
    project.reviews.set("TS_1", "taken", by="bob")

    assert main(["ls", "--state"]) == 0
    lines = [line.partition(" on ")[0] for line in capsys.readouterr().out.splitlines()]

    assert lines == ["TS_1/  taken by bob", "TS_1/  ribosome: done by alice", "TS_2/  open"]


def test_ls_lists_only_what_is_in_a_state(project, capsys):
    project.reviews.set("TS_1", "done", "ribosome")

    rows = printed(capsys, "ls", "*/ribosome", "--kind", "picks", "--state", "done")

    assert [row["address"] for row in rows] == ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]
    assert rows[0]["reviews"][0]["state"] == "done"
    assert [row["address"] for row in printed(capsys, "ls", "--state", "open")] == ["TS_2/"]


def test_an_object_without_a_review_has_that_of_the_run(project, capsys):
    project.reviews.set("TS_1", "rejected")

    rows = printed(capsys, "ls", "TS_1/wbp@10.0", "--state")

    assert rows[0]["reviews"][0]["state"] == "rejected"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["review", "set", "TS_1/ribosome:alice", "done"], "a review is of a run or of an object in it"),
        (["review", "set", "TS_1/ribo*", "done"], "which has no pattern"),
        (["review", "set", "TS_9/", "done"], "'TS_9/' is not in layer"),
        (["review", "set", "TS_1/", "dne"], "'dne' is not one of: open, taken, done, checked, rejected"),
        (["review", "set", "TS_1/ribosom", "done"], "ribosome"),
        (["ls", "--state", "dne"], "'dne' is not one of"),
    ],
)
def test_mistakes_are_named(project, capsys, words, message):
    assert main(words) == 1
    assert message in capsys.readouterr().err
    assert project.reviews.of() == {"TS_1": [], "TS_2": []}


def test_the_contact_sheet_shows_states(project, tmp_path):
    project.reviews.set("TS_1", "rejected", "ribosome", note="a <bad> one", by="bob")

    assert main(["render", "-o", str(tmp_path / "all.html")]) == 0

    page = (tmp_path / "all.html").read_text()
    assert "ribosome: rejected by bob" in page
    assert "a &lt;bad&gt; one" in page
