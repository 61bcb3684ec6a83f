"""Every decision of the drop-in has its reason in the docs, and every name that they refer to exists."""

from __future__ import annotations

import re
from pkgutil import resolve_name

import pytest

from support.copick_names import AT, INSTEAD
from support.environments import REPOSITORY

NAMES = sorted({name for text in (*AT.values(), *INSTEAD.values()) for name in re.findall(r"`(copick_[\w.]+)`", text)})


def test_every_row_of_the_decisions_says_what_why_and_how():
    table = (REPOSITORY / "docs" / "dropin.md").read_text(encoding="utf-8").partition("## What it decides")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]

    assert len(rows) > 25
    assert [row for row in rows if len(row) != 3 or not all(row)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "copick_core.commands"])
def test_what_the_map_of_names_refers_to_exists(name):
    assert resolve_name(name) is not None


@pytest.mark.parametrize(
    "command", sorted({c for t in (*AT.values(), *INSTEAD.values()) for c in re.findall(r"`copick-core ([a-z-]+)", t)})
)
def test_the_commands_that_the_map_of_names_refers_to_exist(command):
    from copick_core.plugins import commands

    assert command in {*commands.names(), "doctor", "new-config", "new-plugin", "plugins", "--help"}
