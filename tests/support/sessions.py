"""Pages of the documents that show a session at the command line, run as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from copick_core.__main__ import main


def run_page(
    page: Path, plain: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[tuple[str, str]]]:
    """Run the commands and the Python of a page, in the current folder.

    Args:
        page: The page, in Markdown.
        plain: Takes out of a text what differs from run to run, such as dates.
        monkeypatch: Takes the variables that the page exports.
        capsys: Captures what is printed.

    Returns:
        How many commands there were, and those that printed something else than the page shows, with what they printed.
    """
    commands, wrong = 0, []
    names: dict[str, Any] = {}
    for language, block in re.findall(r"```(console|python)\n(.*?)```", page.read_text(), re.DOTALL):
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
            if plain(printed.out + printed.err) != plain(expected):
                wrong.append((command, printed.out + printed.err))
    return commands, wrong
