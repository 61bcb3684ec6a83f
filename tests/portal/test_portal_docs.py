"""docs/portal.md is true: its commands and code run, and print what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from copick_core.__main__ import main

TEXT = (Path(__file__).parents[2] / "docs" / "portal.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python|text)\n(.*?)```", TEXT, re.S)


def run_command(portal, line: str) -> str:
    arguments = shlex.split(line)[4:]
    if arguments[0] == "new-config":
        arguments += ["--graphql-url", portal.graphql.url, "--s3-endpoint-url", portal.s3.url]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(arguments) == 0
    return output.getvalue()


@pytest.fixture
def outputs(portal, tmp_path, monkeypatch):
    """What each block printed, and what the page says that it prints."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed, said = [], []
    for kind, block in BLOCKS:
        if kind == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(block, names)
            printed.append(output.getvalue())
        elif kind == "text":
            said.append(block)
        else:
            commands = re.split(r"^\$ ", block, flags=re.M)[1:]
            for command in commands:
                line, _, shown = command.partition("\n")
                result = run_command(portal, f"$ {line}")
                if shown:
                    printed.append(result)
                    said.append(shown)
    return printed, said


def test_the_page_prints_what_it_says(outputs):
    printed, said = outputs

    assert printed == said


def test_the_page_leaves_the_picks_where_it_says(outputs):
    assert Path("overlay/ExperimentRuns/501/Picks/ana_1_cytosolic-ribosome.json").exists()
