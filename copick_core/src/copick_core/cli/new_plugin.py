"""``new-plugin``: write the skeleton of a plugin, as a small package whose tests run at once.

The files lie in ``templates/``: ``common`` is part of every package. Skeletons of commands, formats and wrappers work; the
tests of a backend fail where something is to be filled in.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import click

from copick_core import __version__, plugins
from copick_core.cli.parameters import examples, json_option
from copick_core.errors import InvalidNameError

if TYPE_CHECKING:
    from copick_core.plugins.discovery import Registry

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SUFFIX = ".template"


@dataclass(frozen=True)
class Skeleton:
    """What sets the skeletons of one kind of plugin apart.

    Attributes:
        template: Folder of its files.
        kind: The word in the package's name.
        group: Entry-point group.
        summary: The package in one line.
        dependencies: What it needs besides copick-core.
        extras: Extras of copick-core that its tests need.
    """

    template: str
    kind: str
    group: str
    summary: str
    dependencies: tuple[str, ...] = ()
    extras: str = "fs,testing"


SKELETONS = {
    "backend": Skeleton("backend", "backend", "copick.backends", "copick projects in $name", extras="testing"),
    "paths": Skeleton("paths", "backend", "copick.backends", "copick projects in $name", extras="testing"),
    "command": Skeleton(
        "command", "command", "copick_core.commands", "count what the runs of a project hold", ("click>=8.2",)
    ),
    "format": Skeleton("format", "format", "copick.formats", "points as lines of x y z in angstrom"),
    "wrapper": Skeleton("wrapper", "wrapper", "copick.wrappers", "waits before every call of a layer"),
}
#: Names that a project's own options or words of the framework take.
_TAKEN: dict[str, set[str]] = {"backend": {"stack"}, "command": set(), "format": set(), "wrapper": set()}


@examples(
    "copick-core new-plugin backend lab_store --paths",
    "copick-core new-plugin command count_points",
)
@click.command
@click.argument("kind", type=click.Choice(["backend", "command", "format", "wrapper"]))
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), help="Folder in which the package is made.")
@click.option("--paths", is_flag=True, help="A backend for storage that keeps bytes under paths with slashes.")
@json_option
def new_plugin(kind: str, name: str, into: Path, paths: bool, as_json: bool) -> None:
    """Write the skeleton of a plugin, with its tests.

    NAME is in lower-case letters, digits and underscores: the config_type of a backend, the name of a command, a format or
    a wrapper.
    """
    if paths and kind != "backend":
        raise click.UsageError("--paths is for backends")
    folder = write_package(kind, name, into, paths=paths)
    written = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    sys.stdout.write(json.dumps({"folder": str(folder), "files": written}, indent=2) if as_json else str(folder))
    sys.stdout.write("\n")
    filled = "The tests that fail say what to fill in." if kind == "backend" else "It works as it is; change it."
    sys.stderr.write(f'Next: cd {folder}; pip install -e ".[test]"; pytest. {filled}\n')


def write_package(kind: str, name: str, into: Path, *, paths: bool = False) -> Path:
    """Write the skeleton of a plugin.

    Args:
        kind: ``"backend"``, ``"command"``, ``"format"`` or ``"wrapper"``.
        name: Its name, in lower-case letters, digits and underscores: the ``config_type`` of a backend, the name of a
            format or wrapper, and with "-" for "_" the command that is typed.
        into: Where its folder is made.
        paths: Write a backend over :class:`~copick_core.layers.path_layer.PathLayer`, for storage that keeps bytes under
            paths.

    Returns:
        The folder, ``copick_{kind}_{name}``.

    Raises:
        InvalidNameError: The name cannot be that of a Python package, or is taken by another plugin of this kind.
        FileExistsError: The folder exists.
    """
    skeleton = SKELETONS["paths" if paths else kind]
    typed = name.replace("_", "-") if kind == "command" else name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidNameError(what=f"{kind} name", name=name, reason="use lower-case letters, digits and underscores")
    if typed in _registry(kind).names() or typed in plugins.known()[f"{kind}s"] or typed in _TAKEN[kind]:
        raise InvalidNameError(what=f"{kind} name", name=name, reason=f"there is a {kind} of this name")
    package = f"copick_{skeleton.kind}_{name}"
    words = {
        "name": name,
        "Name": "".join(part.capitalize() for part in name.split("_")),
        "typed": typed,
        "package": package,
        "dashed_package": package.replace("_", "-"),
        "group": skeleton.group,
        "summary": skeleton.summary.replace("$name", name),
        "version": ".".join(__version__.split(".")[:2]),
        "dependencies": "".join(f'"{dependency}", ' for dependency in skeleton.dependencies),
        "extras": skeleton.extras,
    }
    folder = into / package
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise FileExistsError(f"{folder} already exists. Remove it, or choose another folder.") from None
    for template in ("common", skeleton.template):
        for path, text in _templates(files("copick_core.cli") / "templates" / template):
            file = folder / Template(path).substitute(words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(Template(text).substitute(words), encoding="utf-8")
    return folder


def _registry(kind: str) -> Registry[Any]:
    registry: Registry[Any] = getattr(plugins, f"{kind}s")
    return registry


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Paths and texts of the files below a folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield above + entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
