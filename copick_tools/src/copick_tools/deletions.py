"""Deleting entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from copick_core.errors import NotFoundError
from copick_core.layers.revisions import note_change
from copick_core.projects.selection import Row, Selection, handle_of
from copick_core.tree.keys import CONTAINER_KINDS, Key, Kind, child_kinds
from copick_tools.plans import Change, Plan, Progress, Report, Step

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay


@dataclass(frozen=True)
class Deletion:
    """Deletes one entity, with everything below it."""

    layer: Layer
    key: Key
    changes: tuple[Change, ...]
    source: str = ""

    def run(self, verify: bool) -> None:
        """Delete it; what somebody else has deleted is done."""
        try:
            self.layer.delete(self.key)
        except NotFoundError:
            return
        finally:
            note_change(self.key)


def plan_delete(selection: Selection) -> Plan:
    """Plan to delete entities, with everything below them.

    Args:
        selection: What is deleted: entities of one kind.

    Returns:
        The plan; it lists what is below each entity too.

    Raises:
        AddressError: The selection has several kinds; lists them.
        ReadOnlyError: One of them is in a read-only layer.
    """
    return _plan("Delete", selection.root, selection.one_kind("deleted"))


def delete(selection: Selection, *, progress: Progress | None = None) -> Report:
    """Delete entities; see :func:`plan_delete`."""
    return plan_delete(selection).run(progress=progress)


def _plan(title: str, root: CopickRootOverlay, rows: Sequence[Row]) -> Plan:
    steps: list[Step] = []
    for key, layer in rows:
        handle_of(root, key, layer)._check_deletable()
        holder = layer or root._writable(key)
        changes = [Change("delete", below, holder.name) for below in (key, *_below(holder, key))]
        steps.append(Deletion(holder, key, tuple(changes)))
    return Plan(title, steps, afterwards=root.refresh)


def _below(layer: Layer, key: Key) -> list[Key]:
    """Everything in a layer that is deleted with an entity."""
    if key.kind not in CONTAINER_KINDS and key.kind is not Kind.TOMOGRAM:
        return []
    found: list[Key] = []
    for kind in child_kinds(key.kind):
        for child in sorted(layer.list(kind, key)):  # type: ignore[arg-type]
            found += [child, *_below(layer, child)]
    return found
