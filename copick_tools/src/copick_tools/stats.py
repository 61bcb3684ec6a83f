"""Counts of what a project has: by kind, run, object and user."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from copick_core.layers.provenance import provenance_of
from copick_core.projects.selection import Selection
from copick_core.tree.addresses import Address
from copick_core.tree.keys import CONTAINER_KINDS, Key, Kind

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: What a count is by, and the fields of keys that it may be.
_BY = {"run": ("run",), "object": ("object_name", "name", "tomo_type"), "user": ("user_id",), "session": ("session_id",)}


def stats(
    root: CopickRootOverlay,
    address: Address | str = "*",
    *,
    kind: Kind | str | None = None,
    points: bool = False,
    tools: bool = False,
) -> dict[str, Any]:
    """Count the entities that an address matches.

    One that several layers hold counts once.

    Args:
        root: The project.
        address: What is counted.
        kind: The one kind that is wanted.
        points: Whether the points of picks are counted too, for which all of them are read.
        tools: Whether entities are counted by the tool that made them too, for which all of them are read.

    Returns:
        For each kind that was found: ``total``, and counts ``by_run``, ``by_object`` (the name of segmentations, the type of
        tomograms), ``by_user`` and ``by_session``; with ``points`` also ``points`` and ``points_by_object`` of picks; with
        ``tools`` also ``by_tool``, where ``""`` is what nothing says.
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
        if tools and one not in CONTAINER_KINDS and one is not Kind.OBJECT:
            made = ((provenance_of(layer, key) or {}).get("tool") or "" for key in keys if (layer := rows[key]) is not None)
            counts["by_tool"] = dict(sorted(Counter(made).items()))
        found[one.value] = counts
    if points and Kind.PICKS.value in found:
        by_object: Counter[str] = Counter()
        for key, layer in rows.items():
            if key.kind is Kind.PICKS and layer is not None:
                by_object[key.object_name] += len(layer.load_picks(key)[0])
        found[Kind.PICKS.value] |= {"points": by_object.total(), "points_by_object": dict(sorted(by_object.items()))}
    return found


def was_made_by(layer: Layer, key: Key, name: str) -> bool:
    """Whether a tool, a function or a user made an entity, or what it is a copy of.

    Args:
        layer: The layer that holds the entity.
        key: The entity.
        name: Such as ``"copick-core merge"``, ``"merge"``, ``"my_module:segment"`` or ``"alice"``.
    """
    made = provenance_of(layer, key)
    while made:
        tool = str(made.get("tool", ""))
        if name in (tool, tool.removeprefix("copick-core "), made.get("function"), made.get("by")):
            return True
        made = made.get("original")
    return False
