"""Points of filaments to curves: control points for a polyline, and whether a curve still describes some points.

Points are float64 (n, 3), x, y, z in angstrom.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.filaments.curves import FloatArray, checked_points, curve_anchors, evaluate_curve, lengths
from copick_core.filaments.kinds import CURRENT_FRACTION, MIN_POINT_DISTANCE

#: Distances that are computed at once; 24 MB for each of a few arrays.
_AT_ONCE = 1 << 20


def distances_to_polyline(queries: npt.ArrayLike, polyline: npt.ArrayLike) -> FloatArray:
    """Distances of points to a polyline.

    Args:
        queries: (q, 3) in angstrom.
        polyline: Vertices (n, 3) in angstrom; a single one is a point.

    Returns:
        (q,), the distance of each point to the nearest place on the polyline, in angstrom.

    Raises:
        InvalidDataError: The polyline has no vertex.
    """
    points, vertices = checked_points(queries), checked_points(polyline)
    if not len(vertices):
        raise InvalidDataError(source="polyline", reason="it has no vertex")
    if len(vertices) == 1:
        return np.asarray(np.linalg.norm(points - vertices, axis=1))
    starts, steps = vertices[:-1], np.diff(vertices, axis=0)
    squares = np.einsum("ij,ij->i", steps, steps)
    distances = np.empty(len(points))
    size = max(1, _AT_ONCE // len(starts))
    for first in range(0, len(points), size):
        offsets = points[first : first + size, None] - starts
        along = np.einsum("qij,ij->qi", offsets, steps)
        along = np.clip(np.divide(along, squares, out=np.zeros_like(along), where=squares > 0), 0, 1)
        offsets -= along[:, :, None] * steps
        distances[first : first + size] = np.sqrt(np.einsum("qij,qij->qi", offsets, offsets).min(axis=1))
    return distances


def curve_is_current(
    points: npt.ArrayLike,
    control_points: npt.ArrayLike,
    step: float,
    kind: str = "catmull-rom",
    degree: int | None = None,
    knots: npt.ArrayLike | None = None,
) -> bool:
    """Whether a curve describes points: its ends lie at theirs, and all its anchors on their polyline.

    Args:
        points: Points of the filament, (n, 3) in angstrom.
        control_points: (m, 3) in angstrom.
        step: Step of the curve in angstrom; anchors may be off by a hundredth of it.
        kind: Kind of the curve.
        degree: Degree of a B-spline.
        knots: Knots of a B-spline.

    Returns:
        False also for curves that cannot be evaluated, and for fewer than 2 points.
    """
    try:
        vertices = checked_points(points)
        anchors = curve_anchors(control_points, kind, degree, knots)
    except InvalidDataError:
        return False
    if len(vertices) < 2 or len(anchors) < 2:
        return False
    allowed = CURRENT_FRACTION * step
    ends = np.linalg.norm(anchors[[0, -1]] - vertices[[0, -1]], axis=1)
    return bool((ends <= allowed).all() and (distances_to_polyline(anchors, vertices) <= allowed).all())


def control_points_from_polyline(points: npt.ArrayLike, tolerance: float) -> FloatArray:
    """Choose points of a polyline as control points of a centripetal Catmull-Rom curve that follows it.

    Starting with both ends, the point that lies farthest from the curve is added until none is farther than the tolerance.

    Args:
        points: Vertices (n, 3) in angstrom.
        tolerance: Largest distance in angstrom of a vertex from the curve.

    Returns:
        Control points (m, 3) in angstrom: some of the vertices, in their order.

    Raises:
        InvalidDataError: The tolerance is not positive, there are fewer than 2 distinct vertices, or the polyline is closed.
    """
    if not tolerance > 0:
        raise InvalidDataError(source="tolerance", reason=f"it must be positive, in angstrom, not {tolerance!r}")
    vertices = checked_points(points)
    vertices = vertices[np.concatenate([[True], lengths(vertices) > MIN_POINT_DISTANCE])] if len(vertices) else vertices
    if len(vertices) < 2:
        raise InvalidDataError(source="polyline", reason="it needs at least two distinct points")
    if np.linalg.norm(vertices[-1] - vertices[0]) <= MIN_POINT_DISTANCE:
        raise InvalidDataError(
            source="polyline", reason="it is closed: it ends where it starts; control points are those of open curves"
        )
    chosen = [0, len(vertices) - 1]
    while True:
        distances = distances_to_polyline(vertices, evaluate_curve(vertices[chosen], tolerance))
        farthest = int(np.argmax(distances))
        if distances[farthest] <= tolerance or farthest in chosen:
            return vertices[chosen]
        chosen = sorted([*chosen, farthest])


def reverse_knots(knots: npt.ArrayLike) -> FloatArray:
    """Knots of a B-spline that runs the other way.

    Example:
        >>> reverse_knots([0, 0, 1, 3, 3])
        array([0., 0., 2., 3., 3.])
    """
    u = np.asarray(knots, dtype=np.float64)
    return (u[0] + u[-1] - u)[::-1] if u.size else u


def median_spacing(points: npt.ArrayLike) -> float:
    """Median distance of neighbouring points in angstrom; 0 for fewer than two points."""
    vertices = checked_points(points)
    return float(np.median(lengths(vertices))) if len(vertices) > 1 else 0.0


__all__ = ["control_points_from_polyline", "curve_is_current", "distances_to_polyline", "median_spacing", "reverse_knots"]
