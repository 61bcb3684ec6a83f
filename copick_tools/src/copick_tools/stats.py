"""Counts of what a project has: by kind, run, object and user."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from copick_core.projects.selection import Selection
from copick_core.tree.addresses import Address
from copick_core.tree.keys import Kind

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay

#: What a count is by, and the fields of keys that it may be.
_BY = {"run": ("run",), "object": ("object_name", "name", "tomo_type"), "user": ("user_id",), "session": ("session_id",)}


def stats(
    root: CopickRootOverlay, address: Address | str = "*", *, kind: Kind | str | None = None, points: bool = False
) -> dict[str, Any]:
    """Count the entities that an address matches.

    One that several layers hold counts once.

    Args:
        root: The project.
        address: What is counted.
        kind: The one kind that is wanted.
        points: Whether the points of picks are counted too, for which all of them are read.

    Returns:
        For each kind that was found: ``total``, and counts ``by_run``, ``by_object`` (the name of segmentations, the type of
        tomograms), ``by_user`` and ``by_session``; with ``points`` also ``points`` and ``points_by_object`` of picks.
    """
    rows = dict(Selection(root, address, kind).rows())  # of several layers the last one, which is the overlay
    found: dict[str, Any] = {}
    for one in Kind:
        keys = [key for key in rows if key.kind is one]
        if not keys:
            continue
        counts: dict[str, Any] = {"total": len(keys)}
        for name, fields in _BY.items():
            field = next((field for field in fields if hasattr(keys[0], field)), None)
            if field is not None and one not in (Kind.RUN, Kind.OBJECT):
                counts[f"by_{name}"] = dict(sorted(Counter(str(getattr(key, field)) for key in keys).items()))
        found[one.value] = counts
    if points and Kind.PICKS.value in found:
        by_object: Counter[str] = Counter()
        for key, layer in rows.items():
            if key.kind is Kind.PICKS and layer is not None:
                by_object[key.object_name] += len(layer.load_picks(key)[0])
        found[Kind.PICKS.value] |= {"points": by_object.total(), "points_by_object": dict(sorted(by_object.items()))}
    return found
