"""docs/day.md: every command prints what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from copick_core.__main__ import main

PAGE = Path(__file__).parents[2] / "docs" / "day.md"


def without_dates(text):
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def test_every_command_of_the_day_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    wrong, commands = [], 0
    for language, block in re.findall(r"```(console|python)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if language == "python":
            exec(block, {})
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
            if without_dates(printed.out + printed.err) != without_dates(expected):
                wrong.append((command, printed.out + printed.err))

    assert wrong == []
    assert commands >= 40
