"""What changed between two versions of picks, point by point, and versions of two people brought together."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: How far apart, in angstrom, two points without instance ids may lie to be taken for one point that was moved.
MOVED_WITHIN = 50.0

#: A location: x, y, z in angstrom.
Position = tuple[float, float, float]


@dataclass(frozen=True)
class PointsDiff:
    """How two versions of picks differ.

    Attributes:
        added: Locations of points that only the second version has; x, y, z in angstrom.
        moved: Locations of points before and after; equal where something else of the point has changed. A point is known
            again by its instance id where that is unique and not 0, and else by the nearest point within 50 angstrom.
        removed: Locations of points that only the first version has.
    """

    added: tuple[Position, ...]
    moved: tuple[tuple[Position, Position], ...]
    removed: tuple[Position, ...]

    def __str__(self) -> str:
        return f"{len(self.added)} points added, {len(self.moved)} moved, {len(self.removed)} removed"


def compare(before: bytes, after: bytes) -> PointsDiff:
    """Compare two versions of a picks file."""
    pairs, removed, added = _paired(_points(before), _points(after))
    return PointsDiff(
        tuple(map(_position, added)),
        tuple((_position(old), _position(new)) for old, new in pairs),
        tuple(map(_position, removed)),
    )


def brought_together(base: bytes | None, ours: bytes, theirs: bytes) -> bytes | None:
    """Make one version of picks of two that began as one.

    What either side added, moved or removed stays so.

    Args:
        base: The version that both began with; None if each began with nothing.
        ours: Our version; the file's other fields are taken from it.
        theirs: Their version.

    Returns:
        The picks file; None if both changed one point, each in another way.
    """
    start = [] if base is None else _points(base)
    mine, other = _points(ours), _points(theirs)
    changed = [_changes(start, side) for side in (mine, other)]
    for point in changed[0].keys() & changed[1].keys():
        if changed[0][point] != changed[1][point]:
            return None
    kept = Counter(map(_text, start))
    here = Counter(map(_text, mine))
    there = Counter(map(_text, other))
    result = list(mine)
    gone = kept - there - (kept - here)  # what both removed alike is gone once
    for text, number in gone.items():
        for _ in range(number):
            result.remove(next(point for point in result if _text(point) == text))
    new = there - kept - (here - kept)  # what both added alike is there once
    result += [json.loads(text) for text, number in new.items() for _ in range(number)]
    content: dict[str, Any] = {**json.loads(ours), "points": result}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def _changes(start: Sequence[Mapping[str, Any]], side: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """What became of each point of the start that a side has changed; None where it was removed."""
    pairs, removed, _ = _paired(start, side)
    return {**{_text(old): _text(new) for old, new in pairs}, **{_text(point): None for point in removed}}


def _paired(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Mapping[str, Any], Mapping[str, Any]]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Points that were moved, those that only the first has, and those that only the second has."""
    old, new = _without(before, after), _without(after, before)
    pairs = []
    for find in (_by_id, _nearest):
        for first, second in find(old, new):
            pairs.append((first, second))
            old.remove(first)
            new.remove(second)
    return pairs, old, new


def _without(points: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The points that the others do not have, each as often as it is there more."""
    left = Counter(map(_text, others))
    found = []
    for point in points:
        text = _text(point)
        if left[text]:
            left[text] -= 1
        else:
            found.append(point)
    return found


def _by_id(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    ids = [Counter(point.get("instance_id") or 0 for point in points) for points in (old, new)]
    known = {point["instance_id"]: point for point in new if point.get("instance_id") and ids[1][point["instance_id"]] == 1}
    return [(p, known[i]) for p in old if (i := p.get("instance_id")) in known and ids[0][i] == 1]


def _nearest(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    import numpy as np

    if not old or not new:
        return []
    first, second = (np.array([_position(point) for point in points]) for points in (old, new))
    near: list[tuple[float, int, int]] = []
    for i, position in enumerate(first):
        distances = np.sqrt(((second - position) ** 2).sum(1))
        near += [(float(distances[j]), i, int(j)) for j in np.flatnonzero(distances <= MOVED_WITHIN)]
    pairs, taken, used = [], set(), set()
    for _, i, j in sorted(near):
        if i not in taken and j not in used:
            taken.add(i)
            used.add(j)
            pairs.append((old[i], new[j]))
    return pairs


def _points(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(data).get("points") or []
    return found


def _text(point: Mapping[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)


def _position(point: Mapping[str, Any]) -> Position:
    location = point.get("location") or {}
    x, y, z = (float(location.get(axis, math.nan)) for axis in "xyz")
    return x, y, z
