"""docs/day.md: every command prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

from support.sessions import run_page

PAGE = Path(__file__).parents[2] / "docs" / "day.md"


def without_dates(text):
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def test_every_command_of_the_day_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    commands, wrong = run_page(PAGE, without_dates, monkeypatch, capsys)

    assert wrong == []
    assert commands >= 40
