"""docs/from-copick-1.md is true: what has moved is where it says, everything else has kept its name and its arguments."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "from-copick-1.md").read_text(encoding="utf-8")
MOVED = re.findall(r"^\| (`copick\..*?) \| (.*?) \|$", TEXT, re.M)
MISSING = TEXT.split("## Not here", 1)[1].split("## Every name", 1)[0]
#: What the reference publishes: positional parameters of the methods of its classes, and nothing for what is not a method.
SURFACE = """
import inspect, json
from copick.impl import filesystem
surface = {}
for cls in vars(filesystem).values():
    if inspect.isclass(cls) and cls.__name__.startswith("Copick") and cls.__module__.startswith("copick."):
        checks = getattr(cls, "__pydantic_decorators__", None)
        checks = {*checks.field_validators, *checks.model_validators} if checks else set()
        members = {name: getattr(cls, name, None) for name in {*dir(cls), *getattr(cls, "model_fields", {})} - checks}
        surface[cls.__name__] = {
            name: [p.name for p in inspect.signature(member).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
            if inspect.isfunction(member)
            else []
            for name, member in members.items()
            if not name.startswith("_")
        }
print(json.dumps(surface))
"""
RESOLVE = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        getattr(importlib.import_module(module), attribute)
"""


def names(cells: list[str], prefix: str) -> list[str]:
    return [name for cell in cells for name in re.findall(rf"`({prefix}[\w.]+)`", cell)]


def found(name: str) -> object:
    """What a dotted name leads to."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            target = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            target = getattr(target, part)
        return target
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", names([here for _, here in MOVED], r"copick_"))
def test_what_has_moved_is_where_the_table_says(name: str) -> None:
    assert found(name) is not None


@pytest.mark.reference
def test_what_has_moved_was_where_the_table_says(reference) -> None:
    there = names([old for old, _ in MOVED], r"copick\.")

    subprocess.run([*reference.interpreter, "-c", RESOLVE, *there], check=True)

    assert len(there) >= len(MOVED) > 5


@pytest.mark.reference
def test_every_other_public_name_of_the_released_classes_is_here_with_its_arguments(reference) -> None:
    done = subprocess.run([*reference.interpreter, "-c", SURFACE], check=True, capture_output=True, text=True)
    filesystem = importlib.import_module("copick_backend_fs.filesystem")
    homes = [filesystem, *map(importlib.import_module, ("copick_backend_fs", "copick_core.overlay", "copick_core.models"))]
    surface = json.loads(done.stdout)
    differences = []
    for cls, members in surface.items():
        ours = next((getattr(home, cls) for home in homes if hasattr(home, cls)), None)
        for name, parameters in members.items():
            if f"`{name}" in MISSING:
                continue
            member = inspect.getattr_static(ours, name, None)
            if member is None and name not in getattr(ours, "model_fields", {}):
                differences.append(f"{cls}.{name} is missing")
            elif parameters and inspect.isfunction(member):
                mine = [*inspect.signature(member).parameters]
                if mine[: len(parameters)] != parameters:
                    differences.append(f"{cls}.{name}{parameters} has {mine}")

    assert differences == []
    assert sum(map(len, surface.values())) > 500
