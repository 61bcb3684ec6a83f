"""docs/history.md: every command prints what the page shows, but for ids and times."""

from __future__ import annotations

import re
from pathlib import Path

from support.sessions import run_page

PAGE = Path(__file__).parents[2] / "docs" / "history.md"


def without_ids(text: str) -> str:
    """The text with placeholders for ids and times, which differ from run to run."""
    text = re.sub(r"(?m)^([* ] )?[0-9A-Z]{8}(?=  )", lambda found: f"{found[1] or ''}########", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "####-##-## ##:##", text)


def test_every_command_of_the_page_prints_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    commands, wrong = run_page(PAGE, without_ids, monkeypatch, capsys)

    assert wrong == []
    assert commands >= 12
