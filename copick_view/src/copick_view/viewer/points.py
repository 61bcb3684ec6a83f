"""Points of picks as annotations of the viewer, and back.

The viewer keeps coordinates as float32. What comes back is therefore matched by the annotation's id, and a coordinate that
still has the float32 value of what is stored keeps its stored value, with all else that the point has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.tree.schema import CopickLocation, CopickPoint

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Points by the id of their annotation, in the order in which they are stored.
Points = dict[str, CopickPoint]
#: A place in angstrom: x, y, z.
Place = tuple[float, float, float]


def stored_points(points: Iterable[CopickPoint]) -> Points:
    """Give ids to points that were read: ``p0``, ``p1`` and so on."""
    return {f"p{index}": point for index, point in enumerate(points)}


def centre(point: CopickPoint) -> Place:
    """Where the centre of a particle is shown: its location plus the translation of its transform, in angstrom."""
    x, y, z = (row[3] for row in point.transformation_[:3])
    return point.location.x + x, point.location.y + y, point.location.z + z


def as_annotations(points: Points, radius: float | None) -> list[dict[str, Any]]:
    """Points as annotations of the viewer: spheres of a radius in angstrom, or plain points without one."""
    if radius is None:
        return [{"type": "point", "id": name, "point": [*centre(point)]} for name, point in points.items()]
    return [
        {"type": "ellipsoid", "id": name, "center": [*centre(point)], "radii": [radius] * 3} for name, point in points.items()
    ]


def edited(known: Points, shown: Sequence[Mapping[str, Any]]) -> Points:
    """Points as they are after annotations were added, moved or deleted.

    Args:
        known: The points that were shown.
        shown: The annotations as the viewer has them now; those that are neither points nor spheres are left out.

    Returns:
        The points that are left, in their order, then new ones. Those that were not moved are the same objects.
    """
    places = {str(a["id"]): place for a in shown if (place := _place(a)) is not None}
    kept = {name: moved(point, places[name]) for name, point in known.items() if name in places}
    new = {name: new_point(place) for name, place in places.items() if name not in known}
    return {**kept, **new}


def moved(point: CopickPoint, place: Place) -> CopickPoint:
    """A point whose centre is elsewhere; the same object if all its coordinates have the float32 values of the place."""
    shifts = [row[3] for row in point.transformation_[:3]]
    changes = {
        axis: _shortest(new) - shift
        for axis, was, new, shift in zip("xyz", centre(point), place, shifts, strict=True)
        if np.float32(was) != np.float32(new)
    }
    if not changes:
        return point
    return point.model_copy(update={"location": point.location.model_copy(update=changes)})


def new_point(place: Place) -> CopickPoint:
    """A point that was added at a place: without orientation, score 1."""
    x, y, z = (_shortest(value) for value in place)
    return CopickPoint(location=CopickLocation(x=x, y=y, z=z))


def _place(annotation: Mapping[str, Any]) -> Place | None:
    values = annotation.get({"point": "point", "ellipsoid": "center"}.get(str(annotation.get("type", "point")), ""))
    if values is None or len(values) != 3:
        return None
    x, y, z = (float(value) for value in values)
    return x, y, z


def _shortest(value: float) -> float:
    """The float with the fewest digits that has the float32 value of another one: 123.4 for 123.40000152587890625."""
    return float(str(np.float32(value)))
