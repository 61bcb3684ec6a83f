"""Pruning: deleting picks that are empty, what dead writers have left, and files that are nothing of a project."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from copick_core.errors import ConflictError, CopickError, InvalidDataError, closest
from copick_core.projects.selection import Selection
from copick_core.tree.keys import Kind
from copick_tools.deletions import Deletion
from copick_tools.plans import Change, Plan, Progress, Report, Skipped

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.layers.problems import Removal
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.keys import Key

#: What can be pruned: picks without a point, what writers that died have left, and files whose names are not valid.
What = Literal["empty", "leftovers", "unknown"]
WHAT: tuple[What, ...] = ("empty", "leftovers", "unknown")


@dataclass(frozen=True)
class DeleteEmpty(Deletion):
    """Deletes picks that have no point."""

    def run(self, verify: bool) -> None:
        """Delete them.

        Raises:
            ConflictError: Somebody has added points meanwhile; nothing was deleted.
        """
        if self.layer.exists(self.key) and (points := _points(self.layer, self.key)):
            way_out = "They are no longer empty: prune again."
            raise ConflictError(
                key=self.key, layer=self.layer.name, expected="no point", found=f"{points} points", way_out=way_out
            )
        super().run(verify)


@dataclass(frozen=True)
class Remove:
    """Deletes a file or a folder that is not an entity."""

    removal: Removal
    changes: tuple[Change, ...]
    source: str = ""

    def run(self, verify: bool) -> None:
        """Delete it; what somebody else has deleted is done."""
        try:
            self.removal.apply()
        except FileNotFoundError:
            return


def plan_prune(root: CopickRootOverlay, address: str = "*", *, what: Collection[What] = ("empty", "leftovers")) -> Plan:
    """Plan to delete from the overlay what nobody needs.

    Args:
        root: The project.
        address: Which picks are looked at.
        what: ``"empty"``: picks without a point. ``"leftovers"``: what writers that died more than a week ago have left.
            ``"unknown"``: files and folders that are never listed, because their names are not valid; look at them first.

    Returns:
        The plan; nothing has been changed. Picks that cannot be read are skipped.

    Raises:
        AddressError: The address is not valid.
        InvalidDataError: ``what`` has another word.
    """
    for word in what:
        if word not in WHAT:
            reason = f"{word!r} is not one of: {', '.join(WHAT)}.{closest(word, WHAT)}".rstrip(".")
            raise InvalidDataError(source="what", reason=reason)
    plan = Plan("Prune", afterwards=root.refresh)
    overlay = root.layers.overlay
    if overlay is None:
        return plan
    if "empty" in what:
        for key, layer in Selection(root, address, Kind.PICKS).rows():
            if layer is not overlay:
                continue
            try:
                points = _points(layer, key)
            except (CopickError, OSError) as error:
                plan.skipped.append(Skipped(key, f"it cannot be read: {error}"))
                continue
            if not points:
                plan.steps.append(DeleteEmpty(layer, key, (Change("delete", key, layer.name),)))
    for problem in overlay.problems() if {*what} & {"leftovers", "unknown"} else ():
        word = "unknown" if problem.repair is None else "leftovers"
        if word in what and problem.removal is not None:
            change = Change("delete", None, overlay.name, path=problem.removal.path)
            plan.steps.append(Remove(problem.removal, (change,)))
    return plan


def prune(
    root: CopickRootOverlay,
    address: str = "*",
    *,
    what: Collection[What] = ("empty", "leftovers"),
    progress: Progress | None = None,
) -> Report:
    """Delete what nobody needs; :func:`plan_prune` describes the arguments."""
    return plan_prune(root, address, what=what).run(progress=progress)


def _points(layer: Layer, key: Key) -> int:
    return len(layer.load_picks(key)[0])
