"""Entry points of everything that is installed, read straight from the folders on ``sys.path``.

importlib-metadata finds the same, and takes half of the time of ``copick-core --help`` for it: it imports the parsers of
e-mails and of archives, and asks every distribution for its name. It still reads what is not a folder, such as a zip file, and
tells the name and version of a distribution whose folder does not say them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib_metadata import Distribution

_ENDINGS = (".dist-info", ".egg-info")
#: Modules of the finders that look through the folders of ``sys.path``, as is done here.
_OF_FOLDERS = ("_frozen_importlib_external", "importlib_metadata")


class Installation:
    """An installed distribution.

    Args:
        folder: Its ``.dist-info`` or ``.egg-info`` folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def entry_points(self) -> str:
        """The text of its file of entry points; empty if it has none."""
        try:
            with open(f"{self.folder}/entry_points.txt", "rb", buffering=0) as file:  # hundreds are opened: the fastest way
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    @property
    def name(self) -> str:
        """Its name, in small letters and with hyphens, as pip takes it."""
        return _normalized(self._told[0] or self._header("Name") or self._stem)

    @property
    def version(self) -> str:
        """Its version; empty if it has none."""
        return self._told[1] or self._header("Version")

    @property
    def _stem(self) -> str:
        return os.path.splitext(os.path.basename(self.folder))[0]

    @property
    def _told(self) -> tuple[str, str]:
        """Name and version as its folder tells them, which is ``name-version.dist-info`` by the packaging standards."""
        name, _, version = self._stem.partition("-")
        return (name, version) if name and version and self.folder.endswith(".dist-info") else ("", "")

    @cached_property
    def _distribution(self) -> Distribution:
        from importlib_metadata import PathDistribution

        return PathDistribution(Path(self.folder))

    def _header(self, name: str) -> str:
        try:
            return self._distribution.metadata[name] or ""
        except (FileNotFoundError, KeyError):  # it has no metadata, or not this header
            return ""


class _Elsewhere(Installation):
    """A distribution that is not a folder, or that a finder of its own brings."""

    def __init__(self, distribution: Distribution) -> None:
        super().__init__("")
        self._distribution = distribution

    def entry_points(self) -> str:
        return self._distribution.read_text("entry_points.txt") or ""


class EntryPoint(NamedTuple):
    """One line of a distribution's entry points.

    Attributes:
        group: The group that it stands in.
        name: Its name.
        value: The module, with ``:`` and an attribute where it is not the module that is meant.
        distribution: The distribution that brings it.
    """

    group: str
    name: str
    value: str
    distribution: Installation

    def load(self) -> Any:
        """Import what it names."""
        module, _, attributes = self.value.partition("[")[0].strip().partition(":")
        found: Any = import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            found = getattr(found, attribute)
        return found


def entry_points() -> list[EntryPoint]:
    """The entry points of all installed distributions; of two of one name, the first on ``sys.path`` counts."""
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for name, distribution in _distributions():
        if name not in seen:
            seen.add(name)
            found += _parsed(distribution)
    return found


def _parsed(distribution: Installation) -> Iterator[EntryPoint]:
    group = ""
    for line in distribution.entry_points().splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith(("#", ";")):
            name, equals, value = line.partition("=")
            if equals:
                yield EntryPoint(group, name.strip(), value.strip(), distribution)


def _distributions() -> Iterator[tuple[str, Installation]]:
    """Everything that is installed, by its name in small letters and with hyphens."""
    for place in sys.path:
        try:
            names = os.listdir(place or ".")
        except NotADirectoryError:
            yield from _elsewhere(_in_archive(place))
            continue
        except OSError:
            continue  # such as the standard library's archive, which most interpreters have no file for
        for name in names:
            if name.endswith(_ENDINGS):
                yield _normalized(name[: name.rindex(".")].partition("-")[0]), Installation(os.path.join(place, name))
    for finder in sys.meta_path:
        if getattr(finder, "__module__", "") not in _OF_FOLDERS and hasattr(finder, "find_distributions"):
            yield from _elsewhere(finder.find_distributions())


def _in_archive(place: str) -> Iterable[Any]:
    """What is installed in a place that is not a folder."""
    from importlib_metadata import distributions

    return distributions(path=[place])


def _elsewhere(distributions: Iterable[Any]) -> Iterator[tuple[str, Installation]]:
    for found in distributions:
        one = _Elsewhere(found)
        yield _normalized(one.name), one


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
