"""docs/history.md: every command prints what the page shows, but for ids and times."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from copick_core.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "history.md"


def without_ids(text: str) -> str:
    """The text with ids and times that are the same in every run."""
    text = re.sub(r"(?m)^([* ] )?[0-9A-Z]{8}(?=  )", lambda found: f"{found[1] or ''}########", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "####-##-## ##:##", text)


def test_every_command_of_the_page_prints_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong, commands = [], 0
    names: dict[str, Any] = {}
    for language, block in re.findall(r"```(console|python)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if language == "python":
            exec(block, names)
            continue
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            words = shlex.split(command)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                monkeypatch.setenv(name, value)
                continue
            main(words[1:])
            printed = capsys.readouterr()
            commands += 1
            if without_ids(printed.out + printed.err) != without_ids(expected):
                wrong.append((command, printed.out + printed.err))

    assert wrong == []
    assert commands >= 12
