"""What the tree of a browser shows: runs, what is in a run by kind, and which of it passes a filter."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from copick_core.cli.words import printable
from copick_core.projects.selection import Selection
from copick_core.tree.addresses import Address, address_of, parse
from copick_core.tree.keys import KINDS, Key, Kind, RunKey

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay


@dataclass(frozen=True)
class Entry:
    """A line of the tree that stands for an entity.

    Attributes:
        key: The entity.
        layer: The layer that holds it; None for runs, which span layers.
    """

    key: Key
    layer: Layer | None = None

    @property
    def address(self) -> str:
        """The address of the entity."""
        return str(address_of(self.key))

    @property
    def run(self) -> str:
        """Name of the run that it is, or is in."""
        return str(getattr(self.key, "run", getattr(self.key, "name", "")))

    @property
    def object_name(self) -> str | None:
        """The object that a review of it concerns; None for the run as a whole."""
        name = getattr(self.key, "name", None) if self.key.kind is Kind.SEGMENTATION else None
        return getattr(self.key, "object_name", name)

    @property
    def label(self) -> str:
        """What the tree shows of it: the address without the run, and where it is stored."""
        if self.layer is None:
            return printable(self.run)
        name = self.address.partition("/")[2] or self.address
        return printable(f"{name}  {self.layer.name}{', read-only' if self.layer.read_only else ''}")


class Filter:
    """Which runs, and what in them, the tree shows.

    Args:
        text: Part of the names of runs, a pattern for them (``TS_*``), or an address (``TS_*/ribosome:alice``); empty for all.

    Raises:
        AddressError: The text has a slash, and is not an address.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self.address: Address | None = parse(self.text) if "/" in self.text else None
        if self.address is not None and self.address.kinds == {Kind.RUN}:
            self.text, self.address = self.text.partition("/")[0], None

    def runs(self, root: CopickRootOverlay) -> list[Entry]:
        """Runs of a project that pass; with an address, those in which something does."""
        if self.address is not None:
            found = {Entry(key).run for key, _ in Selection(root, self.address).rows() if key.kind is not Kind.OBJECT}
            return [Entry(RunKey(name)) for name in sorted(found)]
        names = [run.name for run in root.runs]
        wanted = self.text.lower()
        if any(c in wanted for c in "*?["):
            names = [name for name in names if fnmatchcase(name.lower(), wanted)]
        return [Entry(RunKey(name)) for name in names if any(c in wanted for c in "*?[") or wanted in name.lower()]

    def inside(self, root: CopickRootOverlay, run: str) -> dict[str, list[Entry]]:
        """What is in a run and passes, by the plural of its kind; features follow their tomograms."""
        rows = [row for text in ("*", "*@*:*") for row in Selection(root, _of_run(text, run)).rows()]
        if self.address is not None:
            passing = {row[0] for row in Selection(root, self.address).rows()}
            rows = [row for row in rows if row[0] in passing]
        found: dict[str, list[Entry]] = {}
        for kind in Kind:
            entries = [Entry(key, layer) for key, layer in rows if key.kind is kind and layer is not None]
            if entries:
                found[KINDS[kind].plural.replace("_", " ")] = sorted(entries, key=lambda entry: entry.address)
        return found


def _of_run(text: str, run: str) -> Address:
    """An address in one run, whatever characters its name has."""
    return parse(f"{address_of(RunKey(run))!s}{text}")
