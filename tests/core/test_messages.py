"""Every message that a command can show says what to do at the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The kit for authors of plugins, scripts of shells, and pages for a browser.
_ELSEWHERE = {"testing", "shells.py", "pictures.py", "viewer"}
FILES = sorted(path for path in ROOT.glob("copick_*/src/copick_*/**/*.py") if not _ELSEWHERE & {*path.parts})

#: Calls without arguments or of a root, and arguments with values of Python.
_PYTHON = re.compile(r"\b[a-z_]+\(\)|\broot\.\w+\(|\b(?!series)[a-z_]+=(?:True|False|None|'|\"|,| too|$)")
#: Where no command comes by: for authors of plugins, and for functions that no command calls.
_IN_PYTHON_ONLY = (
    "must implement",
    "open it with read_only=True",
    "editable_curve(",
    "pass polylines= too",
    "pass positions= too",
    "segments() for those of all objects",
    "read_volume(path).data",
    "go on with done=error.report",
    "is neither True nor False",
    "finish_upload() comes before",
    "write its volume with replace_zarr()",
    "give dataset_id=",
    "get_run(",
)
#: Fields of a configuration and options of formats, which are written the same everywhere.
_IN_A_CONFIG = ("zarr_format=3", "shards=None", 'format="ome-0.5"', "give dtype=", "voxel_size=")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts of a file that people may read: no docstrings, nothing that stands in both forms, no help of commands."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr):
            skipped |= {id(part) for part in ast.walk(node.body[0])}
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in {"by_caller", "examples"}:
            skipped |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_with_python_in_them_have_a_form_for_the_command_line(path):
    found = [
        (line, text)
        for line, text in texts(ast.parse(path.read_text()))
        if " " in text and _PYTHON.search(text) and not any(part in text for part in (*_IN_PYTHON_ONLY, *_IN_A_CONFIG))
    ]

    assert found == []
