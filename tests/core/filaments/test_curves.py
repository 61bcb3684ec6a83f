"""Curves to points: against worked examples, and against the definition written out for one number at a time."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.filaments.curves import check_curve, checked_points, curve_anchors, evaluate_curve

CORNER = [(0, 0, 0), (100, 0, 0), (100, 60, 0)]
ARCH = [(0, 0, 0), (10, 30, 0), (60, 30, 0), (90, 0, 0)]
CLAMPED = [0] * 4 + [1] * 4


# ------------------------------------------------------------------------------- the definition, slowly and one by one


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def mixed(a, b, start, end, t):
    return tuple(((end - t) * x + (t - start) * y) / (end - start) for x, y in zip(a, b, strict=True))


def catmull_rom_pieces(points, alpha):
    first = tuple(2 * a - b for a, b in zip(points[0], points[1], strict=True))
    last = tuple(2 * a - b for a, b in zip(points[-1], points[-2], strict=True))
    extended = [first, *points, last]
    for i in range(len(points) - 1):
        q = extended[i : i + 4]
        t = [0.0]
        for k in range(3):
            t.append(t[k] + distance(q[k], q[k + 1]) ** alpha)

        def at(fraction, q=q, t=t):
            now = t[1] + fraction * (t[2] - t[1])
            a = [mixed(q[k], q[k + 1], t[k], t[k + 1], now) for k in range(3)]
            b = [mixed(a[k], a[k + 1], t[k], t[k + 2], now) for k in range(2)]
            return mixed(b[0], b[1], t[1], t[2], now)

        yield distance(q[1], q[2]), at


def linear_pieces(points):
    for a, b in pairwise(points):
        yield distance(a, b), lambda f, a=a, b=b: mixed(a, b, 0.0, 1.0, f)


def basis(i, p, t, u, end):
    """Cox and de Boor's recursion; the last span is closed."""
    if p == 0:
        return float(u[i] <= t < u[i + 1] or (t == end and u[i] < u[i + 1] == end))
    left = 0.0 if u[i + p] == u[i] else (t - u[i]) / (u[i + p] - u[i]) * basis(i, p - 1, t, u, end)
    right = 0.0
    if u[i + p + 1] != u[i + 1]:
        right = (u[i + p + 1] - t) / (u[i + p + 1] - u[i + 1]) * basis(i + 1, p - 1, t, u, end)
    return left + right


def bspline_pieces(points, p, u):
    for j in range(p, len(points)):
        if u[j] == u[j + 1]:
            continue

        def at(f, j=j):
            t = u[j + 1] if f == 1 else u[j] + f * (u[j + 1] - u[j])
            weights = [basis(i, p, t, u, u[-1]) for i in range(len(points))]
            return tuple(sum(w * point[axis] for w, point in zip(weights, points, strict=True)) for axis in range(3))

        yield sum(distance(points[k], points[k + 1]) for k in range(j - p, j)), at


def by_definition(pieces, step):
    found, end = [], None
    for length, at in pieces:
        m = max(16, math.ceil(16 * length / step))
        fine = [at(k / m) for k in range(m + 1)]
        along = [0.0]
        for a, b in pairwise(fine):
            along.append(along[-1] + distance(a, b))
        if along[-1] == 0:
            continue
        n = max(1, math.ceil(along[-1] / step - 1e-9))
        for k in range(n):
            wanted = k * along[-1] / n
            i = max(j for j in range(m) if along[j] <= wanted)
            found.append(mixed(fine[i], fine[i + 1], along[i], along[i + 1], wanted))
        end = fine[-1]
    return np.array([*found, end])


# ------------------------------------------------------------------------------------------------------------ examples


def test_a_catmull_rom_curve_has_the_points_of_the_worked_example():
    expected = [
        (0, 0, 0),
        (25.362690, -1.786508, 0),
        (50.623087, -4.789439, 0),
        (75.991888, -6.458414, 0),
        (100, 0, 0),
        (104.916442, 19.307686, 0),
        (102.246949, 39.633773, 0),
        (100, 60, 0),
    ]

    np.testing.assert_allclose(evaluate_curve(CORNER, 30), expected, atol=1e-6, rtol=0, strict=False)


def test_a_polyline_has_the_points_of_the_worked_example():
    expected = [(x, 0, 0) for x in (0, 25, 50, 75, 100)] + [(100, 30, 0), (100, 60, 0)]

    assert evaluate_curve(CORNER, 30, "linear").tolist() == np.array(expected, float).tolist()


def test_a_bspline_has_the_points_of_the_worked_example():
    expected = [
        (0, 0, 0),
        (12.865582, 16.155376, 0),
        (32.817744, 22.312453, 0),
        (53.728795, 20.473390, 0),
        (73.253887, 12.698906, 0),
        (90, 0, 0),
    ]

    np.testing.assert_allclose(evaluate_curve(ARCH, 25, "bspline", None, 3, CLAMPED), expected, atol=1e-6, rtol=0)


# ------------------------------------------------------------------------------------------------------ the definition


def random_points(seed, n):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 60, (n, 3)), axis=0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_catmull_rom_curves_follow_their_definition(seed, alpha):
    points, step = random_points(seed, 2 + seed), 7.0 + 9 * seed

    expected = by_definition(catmull_rom_pieces([*map(tuple, points)], alpha), step)

    np.testing.assert_allclose(evaluate_curve(points, step, alpha=alpha), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_polylines_follow_their_definition(seed):
    points, step = random_points(seed, 2 + seed), 3.0 + 17 * seed

    expected = by_definition(linear_pieces([*map(tuple, points)]), step)

    np.testing.assert_allclose(evaluate_curve(points, step, "linear"), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("inner", [(), (0.5,), (0.2, 0.2, 0.9)])
def test_bsplines_follow_their_definition(degree, inner):
    inner = tuple(sorted({*inner})) if degree == 1 else inner
    points = random_points(degree, degree + 1 + len(inner))
    knots = [0.0] * (degree + 1) + [*inner] + [1.0] * (degree + 1)

    expected = by_definition(bspline_pieces([*map(tuple, points)], degree, knots), 11.0)

    found = evaluate_curve(points, 11.0, "bspline", None, degree, knots)
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


def test_a_long_filament_is_as_exact_as_a_short_one():
    points = np.cumsum(np.full((400, 3), 70.0), axis=0)
    points[::2, 1] += 20

    whole = evaluate_curve(points, 8.0)

    expected = by_definition(catmull_rom_pieces([*map(tuple, points)], 0.5), 8.0)
    np.testing.assert_allclose(whole, expected, atol=1e-9, rtol=0)


# ----------------------------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize(
    ("kind", "degree", "knots"),
    [("catmull-rom", None, None), ("linear", None, None), ("bspline", 3, [0, 0, 0, 0, 0.3, 1, 1, 1, 1])],
)
def test_every_anchor_is_one_of_the_points(kind, degree, knots):
    points = random_points(3, 5)

    found, anchors = evaluate_curve(points, 13.0, kind, None, degree, knots), curve_anchors(points, kind, degree, knots)

    assert len(anchors) >= 3
    for anchor in anchors:
        assert np.linalg.norm(found - anchor, axis=1).min() < 1e-9


def test_neighbours_are_at_most_a_step_apart():
    found = evaluate_curve(random_points(1, 9), 13.0)

    assert np.linalg.norm(np.diff(found, axis=0), axis=1).max() <= 13.0


def test_control_points_are_points_exactly():
    points = random_points(2, 6)

    found = {tuple(point) for point in evaluate_curve(points, 21.0).tolist()}

    assert {tuple(point) for point in points.tolist()} <= found


def test_anchors_of_a_bspline_lie_at_its_knots():
    anchors = curve_anchors([*ARCH, (95, 0, 0)], "bspline", 3, [0, 0, 0, 0, 0.5, 1, 1, 1, 1])

    np.testing.assert_allclose(anchors, [(0, 0, 0), (55, 22.5, 0), (95, 0, 0)], atol=1e-12)


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (("nurbs", CORNER, 1), "none of catmull-rom, linear, bspline"),
        (("linear", [(0, 0), (1, 1)], 1), r"shape \(n, 3\)"),
        (("linear", [(0, 0, 0)], 1), "two control points"),
        (("linear", [(0, 0, 0), (0, 0, 1e-7)], 1), "coincide"),
        (("linear", CORNER, 0), "step"),
        (("linear", CORNER, math.inf), "step"),
        (("catmull-rom", CORNER, 1, 1.5), "alpha"),
        (("bspline", ARCH, 1), "degree and knots"),
        (("bspline", ARCH, 1, None, 6, CLAMPED), "from 1 to 5"),
        (("bspline", ARCH[:3], 1, None, 3, CLAMPED), "4 control points"),
        (("bspline", ARCH, 1, None, 3, CLAMPED[1:]), "8 knots"),
        (("bspline", ARCH, 1, None, 3, [math.nan, *CLAMPED[1:]]), "not finite"),
        (("bspline", ARCH, 1, None, 3, CLAMPED[::-1]), "non-decreasing"),
        (("bspline", ARCH, 1, None, 3, [0, 0, 0, 0.1, 1, 1, 1, 1]), "clamped"),
        (("bspline", ARCH, 1, None, 3, [0] * 8), "clamped"),
        (("bspline", [*ARCH, *ARCH], 1, None, 3, [0, 0, 0, 0, 2, 2, 2, 2, 9, 9, 9, 9]), "more than 3 times"),
    ],
    ids=str,
)
def test_a_curve_that_cannot_be_evaluated_is_refused(curve, reason):
    with pytest.raises(InvalidDataError, match=reason):
        check_curve(*curve)


def test_the_first_point_that_is_not_finite_is_named():
    with pytest.raises(InvalidDataError) as caught:
        check_curve("linear", [(0, 0, 0), (1, math.inf, 0), (math.nan, 0, 0)], 1)

    assert caught.value.index == 1


def test_a_bspline_without_length_is_refused():
    with pytest.raises(InvalidDataError, match="no length"):
        evaluate_curve([(1, 2, 3)] * 4, 1, "bspline", None, 3, CLAMPED)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([[1, 2], [3, 4]], r"points must have the shape \(n, 3\), not \(2, 2\)"),
        ([1, 2, 3], r"not \(3,\)"),
        ([[[1, 2, 3]]], r"not \(1, 1, 3\)"),
        ([[1, 2], [3]], r"points are not an array of shape \(n, 3\)"),
        ([["a", 2, 3]], r"points are not an array of shape \(n, 3\)"),
    ],
)
def test_what_are_no_points_is_refused_with_its_shape(points, reason):
    with pytest.raises(InvalidDataError, match=reason) as caught:
        checked_points(points)

    assert caught.value.source == "curve"


@pytest.mark.parametrize("nothing", [[], np.empty((0, 3)), np.empty((0, 7)), [[]]])
def test_no_points_are_an_array_of_none(nothing):
    assert checked_points(nothing).shape == (0, 3)


@pytest.mark.parametrize(("place", "index"), [(0, 0), (2, 2)])
def test_control_points_that_coincide_are_named_by_the_first(place, index):
    points = [(float(n), 0.0, 0.0) for n in range(4)]
    points[place + 1] = points[place]

    with pytest.raises(InvalidDataError, match=f"control points {place} and {place + 1} coincide") as caught:
        check_curve("catmull-rom", points, 1)

    assert caught.value.index == index


def test_a_curve_needs_two_control_points():
    for kind in ("catmull-rom", "linear"):
        with pytest.raises(InvalidDataError, match=f"a {kind} curve needs at least two control points, not 1"):
            check_curve(kind, [(0, 0, 0)], 1)
        check_curve(kind, [(0, 0, 0), (1, 0, 0)], 1)


KNOTS = [0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 2.0]
FOUR = [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 0)]


@pytest.mark.parametrize(
    ("degree", "knots", "points", "reason"),
    [
        (None, KNOTS, FOUR, "needs a degree and knots"),
        (2, None, FOUR, "needs a degree and knots"),
        (0, KNOTS, FOUR, "integer from 1 to 5, not 0"),
        (6, KNOTS, FOUR, "integer from 1 to 5, not 6"),
        (2.5, KNOTS, FOUR, "integer from 1 to 5, not 2.5"),
        (2, KNOTS, FOUR[:2], "needs at least 3 control points, not 2"),
        (2, KNOTS[:-1], FOUR, "with 4 control points needs 7 knots, not 6"),
        (2, [*KNOTS[:-1], float("nan")], FOUR, "a knot is not finite"),
        (2, [0.0, 0.0, 0.0, 3.0, 2.0, 2.0, 2.0], FOUR, "non-decreasing"),
        (2, [0.0, 0.0, 0.5, 1.0, 2.0, 2.0, 2.0], FOUR, "the first 3 equal, and the last 3"),
        (2, [0.0, 0.0, 0.0, 1.0, 1.5, 2.0, 2.0], FOUR, "the first 3 equal, and the last 3"),
        (2, [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0], FOUR, "no others with them"),
        (2, [1.0] * 7, FOUR, "must be clamped"),
        (1, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0], FOUR, "an interior knot is repeated more than 1 times"),
    ],
)
def test_what_makes_no_bspline_says_why(degree, knots, points, reason):
    with pytest.raises(InvalidDataError, match=reason):
        check_curve("bspline", points, 1, None, degree, knots)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_parametrisation_is_between_0_and_1(alpha):
    with pytest.raises(InvalidDataError, match="alpha must be between 0 and 1"):
        check_curve("catmull-rom", FOUR, 1, alpha)
    for possible in (0, 1, None):
        check_curve("catmull-rom", FOUR, 1, possible)


@pytest.mark.parametrize("step", [0, -1, float("inf"), float("nan")])
def test_a_step_is_a_finite_number_above_0(step):
    with pytest.raises(InvalidDataError, match="step must be a finite number above 0"):
        check_curve("linear", FOUR, step)
