"""Errors at the command line: the way out is a command or an option, never a line of Python."""

from __future__ import annotations

import json
import re

import pytest

import copick_core
from copick_core.__main__ import main
from copick_core.errors import UnknownObjectError, by_caller
from tools.conftest import fill

#: Calls, arguments with values of Python, and attributes of a root.
_PYTHON = re.compile(r"\w\(|\b[a-z_]+=(?:True|False|None|'|\")|\broot\.")


@pytest.fixture
def project(project_config, tmp_path, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names, with a file of points beside it."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**project_config(), "user_id": "alice"}))
    (tmp_path / "TS_1.csv").write_text("x,y,z\n1,2,3\n")
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    monkeypatch.chdir(tmp_path)
    root = fill(copick_core.open(path))
    root.get_run("TS_2").new_picks("ribosome", "2", "carol").from_numpy([[9.0, 9.0, 9.0]])
    return root


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        ("review set TS_1/virus done", "Add it with: copick-core add object virus"),
        ("import picks TS_1.csv --session 9 --object virus", "copick-core add object virus"),
        ("import picks TS_1.csv --session 1 --object ribosome", "--if-exists replace"),
        pytest.param(
            "import picks TS_1.csv --session 1 --object ribosome --executor process",
            "--if-exists replace",
            marks=pytest.mark.slow,
        ),
        ("import picks TS_1.csv --session 9", "--object"),
        ("cp TS_1/ribosome:alice/1 *:bob/1 --kind picks", "--if-exists skip or replace"),
        ("merge TS_2/ribosome:*/1 *:carol/2 --distance 9", "--if-exists skip or replace"),
        ("rm TS_1/membrane:alice/1 --yes", "--kind"),
        ("show TS_1/ribosome:nobody/1 --kind picks", "copick-core ls"),
        ("new-config filesystem --overlay-root data --output config.json", "--force"),
    ],
)
def test_an_error_names_the_option_or_command_that_helps(project, capsys, words, way_out):
    assert main(words.split()) == 1

    printed = "".join(capsys.readouterr())
    assert way_out in printed
    assert not _PYTHON.search(printed)


def test_in_python_the_same_errors_name_functions_again(project):
    main(["review", "set", "TS_1/virus", "done"])

    with pytest.raises(UnknownObjectError, match=r"root\.new_object"):
        project.reviews.set("TS_1", "done", "virus")


def test_a_function_that_a_command_calls_is_told_what_to_do_in_python(project, tmp_path, monkeypatch, capsys):
    (tmp_path / "tool_of_theirs.py").write_text("def pick(run):\n    run.new_picks('virus', '1', 'me')\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["run", "tool_of_theirs:pick", "TS_1/", "--executor", "thread"]) == 1

    assert "root.new_object(...)" in capsys.readouterr().err


def test_a_caller_who_is_no_command_gets_the_words_for_python():
    assert by_caller("in Python", "at the command line") == "in Python"
