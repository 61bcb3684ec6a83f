"""Curves of filaments to points: Catmull-Rom curves, polylines and B-splines.

Points are float64 (n, 3), x, y, z in angstrom. The definitions are those of copick 1.28 and later, so that both libraries
give the same points for a curve:

1. A curve consists of pieces: one for each pair of consecutive control points, or for each knot span that is not empty.
2. Each piece is sampled finely: at least 16 times, and 16 times for each step of its length.
3. Each piece is sampled again at equal distances of at most ``step`` along the fine samples. It starts exactly at its first
   point, so the anchors of a curve (control points, or B-spline points at knots) are among its points.
4. The end of the last piece ends the curve.

References: Barry and Goldman, SIGGRAPH 1988 (Catmull-Rom as nested interpolation); de Boor, A Practical Guide to Splines.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.filaments.kinds import (
    CURVE_KINDS,
    DEFAULT_ALPHA,
    MAX_DEGREE,
    MIN_POINT_DISTANCE,
    MIN_SAMPLES,
    SAMPLES_PER_STEP,
)

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

#: How much longer than a whole number of steps a piece may be, in steps, before it gets one more point: rounding errors.
_STEP_SLACK = 1e-9


def check_curve(
    kind: str,
    control_points: npt.ArrayLike,
    step: float,
    alpha: float | None = None,
    degree: int | None = None,
    knots: npt.ArrayLike | None = None,
) -> None:
    """Check that a curve can be evaluated.

    Args:
        kind: ``"catmull-rom"``, ``"linear"`` or ``"bspline"``.
        control_points: (n, 3) in angstrom; at least 2, or degree + 1 for B-splines.
        step: Largest distance of neighbouring points in angstrom.
        alpha: Parametrisation of Catmull-Rom curves, 0 (uniform) to 1 (chordal); None for 0.5 (centripetal).
        degree: Degree of a B-spline, 1 to 5.
        knots: Knots of a B-spline, n + degree + 1, not decreasing, clamped at both ends.

    Raises:
        InvalidDataError: It cannot; the message tells why.
    """
    points = checked_points(control_points)
    if not (np.isfinite(step) and step > 0):
        raise _invalid(f"step must be a finite number above 0, not {step!r}")
    if kind == "bspline":
        _check_bspline(len(points), degree, knots)
        return
    if kind not in CURVE_KINDS:
        raise _invalid(f"kind {kind!r} is none of {', '.join(CURVE_KINDS)}")
    if len(points) < 2:
        raise _invalid(f"a {kind} curve needs at least two control points, not {len(points)}")
    close = np.flatnonzero(lengths(points) <= MIN_POINT_DISTANCE)
    if len(close):
        raise _invalid(f"control points {close[0]} and {close[0] + 1} coincide", int(close[0]))
    if kind == "catmull-rom" and alpha is not None and not 0 <= alpha <= 1:
        raise _invalid(f"alpha must be between 0 and 1, not {alpha!r}")


def _check_bspline(n: int, degree: int | None, knots: npt.ArrayLike | None) -> None:
    if degree is None or knots is None:
        raise _invalid("a bspline needs a degree and knots")
    if degree != int(degree) or not 1 <= degree <= MAX_DEGREE:
        raise _invalid(f"the degree of a bspline must be an integer from 1 to {MAX_DEGREE}, not {degree!r}")
    p = int(degree)
    if n < p + 1:
        raise _invalid(f"a bspline of degree {p} needs at least {p + 1} control points, not {n}")
    u = np.asarray(knots, dtype=np.float64)
    if u.shape != (n + p + 1,):
        raise _invalid(f"a bspline of degree {p} with {n} control points needs {n + p + 1} knots, not {u.size}")
    if not np.isfinite(u).all():
        raise _invalid("a knot is not finite")
    if (np.diff(u) < 0).any():
        raise _invalid("the knots must be non-decreasing")
    first, last = u == u[0], u == u[-1]
    if u[0] == u[-1] or first.sum() != p + 1 or last.sum() != p + 1:
        raise _invalid(f"the knots must be clamped: the first {p + 1} equal, and the last {p + 1}, and no others with them")
    if np.unique(u[~(first | last)], return_counts=True)[1].max(initial=0) > p:
        raise _invalid(f"an interior knot is repeated more than {p} times")


def checked_points(points: npt.ArrayLike) -> FloatArray:
    """Points as a float64 array of shape (n, 3).

    Raises:
        InvalidDataError: They have another shape, or one is not finite; ``index`` is the first such point.
    """
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _invalid(f"points are not an array of shape (n, 3): {error}") from error
    if array.size == 0:
        array = array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise _invalid(f"points must have the shape (n, 3), not {array.shape}")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        index = int(np.argmin(finite))
        raise _invalid(f"point {index} is not finite", index)
    return array


def lengths(points: FloatArray) -> FloatArray:
    """Distances (n - 1,) in angstrom between neighbouring points."""
    return np.asarray(np.linalg.norm(np.diff(points, axis=0), axis=1))


def evaluate_curve(
    control_points: npt.ArrayLike,
    step: float,
    kind: str = "catmull-rom",
    alpha: float | None = DEFAULT_ALPHA,
    degree: int | None = None,
    knots: npt.ArrayLike | None = None,
) -> FloatArray:
    """Evaluate a curve at about equal distances.

    Args:
        control_points: (n, 3) in angstrom.
        step: Largest distance of neighbouring points in angstrom.
        kind: ``"catmull-rom"``, ``"linear"`` or ``"bspline"``.
        alpha: Parametrisation of Catmull-Rom curves; None for 0.5.
        degree: Degree of a B-spline.
        knots: Knots of a B-spline.

    Returns:
        Points (m, 3) in angstrom; every anchor of the curve is one of them.

    Raises:
        InvalidDataError: The curve cannot be evaluated (see :func:`check_curve`), or it has no length.

    Example:
        >>> evaluate_curve([[0, 0, 0], [40, 0, 0]], 20, "linear")
        array([[ 0.,  0.,  0.],
               [20.,  0.,  0.],
               [40.,  0.,  0.]])
    """
    check_curve(kind, control_points, step, alpha, degree, knots)
    points = checked_points(control_points)
    if kind == "bspline" and degree is not None and knots is not None:
        samples = _sampled_bspline(points, step, int(degree), np.asarray(knots, dtype=np.float64))
    elif kind == "linear":
        samples = _sampled_polyline(points, step)
    else:
        samples = _sampled_catmull_rom(points, step, DEFAULT_ALPHA if alpha is None else alpha)
    return _resampled(samples, step)


def curve_anchors(
    control_points: npt.ArrayLike, kind: str = "catmull-rom", degree: int | None = None, knots: npt.ArrayLike | None = None
) -> FloatArray:
    """Points that a curve passes through, whatever its step: the control points; for B-splines, those at the knots.

    Args:
        control_points: (n, 3) in angstrom.
        kind: Kind of the curve.
        degree: Degree of a B-spline.
        knots: Knots of a B-spline.

    Returns:
        Anchors (m, 3) in angstrom, in order.

    Raises:
        InvalidDataError: The kind is unknown, or degree and knots make no B-spline.
    """
    points = checked_points(control_points)
    if kind != "bspline":
        if kind not in CURVE_KINDS:
            raise _invalid(f"kind {kind!r} is none of {', '.join(CURVE_KINDS)}")
        return points.copy()
    _check_bspline(len(points), degree, knots)
    u = np.asarray(knots, dtype=np.float64)
    spans = _spans(u, int(degree or 0))
    at_starts = _de_boor(points, u, int(degree or 0), spans, u[spans])
    return np.concatenate([at_starts, points[-1:]])  # clamped knots: the curve ends in its last control point


class _Samples(NamedTuple):
    """Fine samples of all pieces, one piece after another: m + 1 of each, the ends of neighbouring pieces in both."""

    points: FloatArray
    #: Number of samples of each piece.
    counts: IntArray


class _Fractions(NamedTuple):
    """Where the fine samples of all pieces lie."""

    #: Piece of each sample.
    piece: IntArray
    #: Fraction of the piece's parameter interval, 0 to 1.
    fraction: FloatArray
    counts: IntArray


def _fractions(piece_lengths: FloatArray, step: float) -> _Fractions:
    """Spread fine samples over pieces of some lengths."""
    steps = np.maximum(MIN_SAMPLES, np.ceil(SAMPLES_PER_STEP * piece_lengths / step)).astype(np.int64)
    counts = steps + 1
    piece = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return _Fractions(piece, within / steps[piece], counts)


def _sampled_polyline(points: FloatArray, step: float) -> _Samples:
    at = _fractions(lengths(points), step)
    steps = np.diff(points, axis=0)
    return _Samples(points[at.piece] + at.fraction[:, None] * steps[at.piece], at.counts)


def _sampled_catmull_rom(points: FloatArray, step: float, alpha: float) -> _Samples:
    """Sample by Barry and Goldman's nested interpolation; beyond the ends, points are mirrored."""
    at = _fractions(lengths(points), step)
    extended = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    # Four points Q and their parameters t around each piece, which runs from Q1 to Q2.
    gaps = lengths(extended) ** alpha
    q = [extended[k : k + len(points) - 1][at.piece] for k in range(4)]
    t = [np.zeros(len(points) - 1)]
    for k in range(3):
        t.append(t[k] + gaps[k : k + len(points) - 1])
    ends = t[1] + (t[2] - t[1])
    t = [values[at.piece] for values in t]
    now = np.where(at.fraction == 1.0, ends[at.piece], t[1] + at.fraction * (t[2] - t[1]))

    def between(a: FloatArray, b: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
        return ((end - now)[:, None] * a + (now - start)[:, None] * b) / (end - start)[:, None]

    a = [between(q[k], q[k + 1], t[k], t[k + 1]) for k in range(3)]
    b = [between(a[k], a[k + 1], t[k], t[k + 2]) for k in range(2)]
    sampled = between(b[0], b[1], t[1], t[2])
    for fraction, ends_of in ((0.0, points[:-1]), (1.0, points[1:])):
        here = at.fraction == fraction
        sampled[here] = ends_of[at.piece[here]]  # exactly, not as rounding leaves them
    return _Samples(sampled, at.counts)


def _sampled_bspline(points: FloatArray, step: float, degree: int, knots: FloatArray) -> _Samples:
    spans = _spans(knots, degree)
    # Length of the control polygon that acts on a span. Not a difference of cumulated lengths, whose rounding errors could
    # make for one fine sample more or less.
    sides = lengths(points)
    at = _fractions(sum((sides[spans - degree + k] for k in range(degree)), np.zeros(len(spans))), step)
    starts, ends = knots[spans][at.piece], knots[spans + 1][at.piece]
    now = np.where(at.fraction == 1.0, ends, starts + at.fraction * (ends - starts))
    return _Samples(_de_boor(points, knots, degree, spans[at.piece], now), at.counts)


def _spans(knots: FloatArray, degree: int) -> IntArray:
    """Indices j of the knot spans [u_j, u_j+1] of a B-spline that are not empty."""
    inner = np.arange(degree, len(knots) - degree - 1)
    return inner[knots[inner + 1] > knots[inner]]


def _de_boor(points: FloatArray, knots: FloatArray, degree: int, spans: IntArray, at: FloatArray) -> FloatArray:
    """Evaluate a B-spline at parameters that lie in given knot spans, by de Boor's algorithm for all of them at once."""
    d = [points[spans - degree + k] for k in range(degree + 1)]
    for r in range(1, degree + 1):
        for k in range(degree, r - 1, -1):
            low, high = knots[spans - degree + k], knots[spans + 1 + k - r]
            weight = ((at - low) / (high - low))[:, None]
            d[k] = (1 - weight) * d[k - 1] + weight * d[k]
    return d[degree]


def _resampled(samples: _Samples, step: float) -> FloatArray:
    """Sample each piece again at equal distances along its fine samples, and end with the last piece's end."""
    points, counts = samples
    firsts = np.cumsum(counts) - counts
    # Cumulated for each piece by itself: over a long filament, rounding errors would add up.
    along = np.zeros(len(points))
    chords = lengths(points)
    for first, count in zip(firsts.tolist(), counts.tolist(), strict=True):
        np.cumsum(chords[first : first + count - 1], out=along[first + 1 : first + count])
    totals = along[firsts + counts - 1]
    long = totals > 0
    if not long.any():
        raise _invalid("the curve has no length")
    numbers = np.zeros(len(totals), dtype=np.int64)
    numbers[long] = np.maximum(1, np.ceil(totals[long] / step - _STEP_SLACK))
    piece = np.repeat(np.arange(len(totals)), numbers)
    within = np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    wanted = within * totals[piece] / numbers[piece]
    # The fine sample before each wanted one: found among all pieces at once, then kept within its own.
    before = np.cumsum(totals) - totals
    places = np.searchsorted(along + np.repeat(before, counts), wanted + before[piece], side="right") - 1
    places = np.clip(places, firsts[piece], firsts[piece] + counts[piece] - 2)
    gaps = along[places + 1] - along[places]
    fraction = np.divide(wanted - along[places], gaps, out=np.zeros(len(gaps)), where=gaps > 0)
    resampled = points[places] + fraction[:, None] * (points[places + 1] - points[places])
    resampled[within == 0] = points[firsts[piece[within == 0]]]
    last = np.flatnonzero(long)[-1]
    return np.concatenate([resampled, points[firsts[last] + counts[last] - 1][None]])


def _invalid(reason: str, index: int | None = None) -> InvalidDataError:
    return InvalidDataError(source="curve", reason=reason, index=index)


__all__ = ["check_curve", "checked_points", "curve_anchors", "evaluate_curve", "lengths"]
