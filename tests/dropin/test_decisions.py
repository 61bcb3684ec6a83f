"""Every decision of the drop-in has its reason in the docs."""

from __future__ import annotations

from support.environments import REPOSITORY


def test_every_row_of_the_decisions_says_what_why_and_how():
    table = (REPOSITORY / "docs" / "dropin.md").read_text(encoding="utf-8").partition("## What it decides")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]

    assert len(rows) > 25
    assert [row for row in rows if len(row) != 3 or not all(row)] == []
