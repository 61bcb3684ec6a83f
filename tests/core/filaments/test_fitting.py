"""Points of filaments to curves."""

from __future__ import annotations

import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.filaments.curves import evaluate_curve
from copick_core.filaments.fitting import (
    control_points_from_polyline,
    curve_is_current,
    distances_to_polyline,
    median_spacing,
    reverse_knots,
)

CORNER = [(0, 0, 0), (100, 0, 0), (100, 60, 0)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [((50, 3, 4), 5), ((-3, 4, 0), 5), ((100, 63, 4), 5), ((103, 30, -4), 5), ((100, 0, 0), 0)],
)
def test_the_distance_is_that_to_the_nearest_segment(query, expected):
    assert distances_to_polyline([query], CORNER).tolist() == [expected]


def test_the_distance_to_one_vertex_is_that_between_two_points():
    assert distances_to_polyline([(3, 4, 0)], [(0, 0, 0)]).tolist() == [5]


def test_a_repeated_vertex_does_not_matter():
    assert distances_to_polyline([(1, 2, 0)], [(0, 0, 0), (0, 0, 0), (9, 0, 0)]).tolist() == [2]


def test_many_distances_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    queries, polyline = rng.normal(0, 50, (300, 3)), np.cumsum(rng.normal(0, 5, (5000, 3)), axis=0)

    together = distances_to_polyline(queries, polyline)

    assert together[[0, 150, 299]] == pytest.approx([distances_to_polyline(queries[[i]], polyline)[0] for i in (0, 150, 299)])


def test_a_curve_describes_the_points_that_it_gives():
    assert curve_is_current(evaluate_curve(CORNER, 30), CORNER, 30)


@pytest.mark.parametrize(
    ("points", "control_points"),
    [
        (evaluate_curve(CORNER, 30) + np.array([0, 0, 0.31]), CORNER),
        (evaluate_curve(CORNER, 30)[:-1], CORNER),
        (evaluate_curve(CORNER, 30)[::-1], CORNER),
        (evaluate_curve(CORNER, 30), [CORNER[0], (100, 0, 1), CORNER[2]]),
        ([(0, 0, 0)], CORNER),
    ],
    ids=["moved", "cut off", "reversed", "edited", "one point"],
)
def test_a_curve_does_not_describe_other_points(points, control_points):
    assert not curve_is_current(points, control_points, 30)


def test_a_hundredth_of_a_step_does_not_matter():
    assert curve_is_current(evaluate_curve(CORNER, 30) + np.array([0, 0, 0.29]), CORNER, 30)


@pytest.mark.parametrize("curve", [("nurbs",), ("bspline", 3, [0, 1]), ("bspline",)], ids=str)
def test_a_curve_that_cannot_be_evaluated_describes_nothing(curve):
    assert not curve_is_current(CORNER, CORNER, 30, *curve)


def test_control_points_follow_a_polyline_within_the_tolerance():
    points = evaluate_curve([(0, 0, 0), (200, 50, 0), (300, 300, 40), (500, 300, 90)], 10)

    chosen = control_points_from_polyline(points, 2.0)

    assert distances_to_polyline(points, evaluate_curve(chosen, 2.0)).max() <= 2.0
    assert len(chosen) < 12
    assert {tuple(point) for point in chosen.tolist()} <= {tuple(point) for point in points.tolist()}


def test_a_straight_line_needs_its_ends_only():
    points = [(x, 0, 0) for x in range(50)]

    assert control_points_from_polyline(points, 1).tolist() == [[0, 0, 0], [49, 0, 0]]


@pytest.mark.parametrize(
    "points", [[(1, 1, 1), (1, 1, 1)], [(1, 1, 1)], [*CORNER, CORNER[0]]], ids=["one place", "one point", "closed"]
)
def test_a_polyline_that_no_open_curve_follows_is_refused(points):
    with pytest.raises(InvalidDataError):
        control_points_from_polyline(points, 1)


@pytest.mark.parametrize("tolerance", [0, -1, float("nan")])
def test_a_tolerance_that_is_not_positive_is_refused_by_its_name(tolerance):
    with pytest.raises(InvalidDataError) as caught:
        control_points_from_polyline(CORNER, tolerance)

    assert caught.value.source == "tolerance"


def test_reversed_knots_run_the_other_way():
    assert reverse_knots([0, 0, 1, 3, 3]).tolist() == [0, 0, 2, 3, 3]


def test_the_median_spacing_is_that_of_neighbours():
    assert median_spacing([(0, 0, 0), (1, 0, 0), (1, 3, 0), (1, 3, 9)]) == 3
    assert median_spacing([(0, 0, 0)]) == 0


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "it needs at least two distinct points"),
        ([(1, 1, 1)], "it needs at least two distinct points"),
        ([(1, 1, 1), (1, 1, 1)], "it needs at least two distinct points"),
        ([*CORNER, CORNER[0]], "it is closed: it ends where it starts"),
    ],
)
def test_a_polyline_that_no_open_curve_follows_says_why(points, reason):
    with pytest.raises(InvalidDataError) as caught:
        control_points_from_polyline(points, 1)

    assert caught.value.source == "polyline"
    assert caught.value.reason.startswith(reason)


def test_there_is_no_distance_to_nothing():
    with pytest.raises(InvalidDataError, match="it has no vertex") as caught:
        distances_to_polyline([(0, 0, 0)], [])

    assert caught.value.source == "polyline"
    assert distances_to_polyline([], CORNER).shape == (0,)


def test_distances_to_one_vertex_are_those_of_each_point():
    assert distances_to_polyline([(3, 4, 0), (0, 0, 2)], [(0, 0, 0)]).tolist() == [5, 2]


def test_repeated_vertices_are_no_control_points():
    points = [(0, 0, 0), (0, 0, 0), (10, 0, 0), (10, 0, 0), (10, 10, 0), (10, 10, 0)]

    assert control_points_from_polyline(points, 0.1).tolist() == [[0, 0, 0], [10, 0, 0], [10, 10, 0]]


def test_knots_that_do_not_begin_at_0_keep_their_ends():
    assert reverse_knots([2, 2, 3, 7, 7]).tolist() == [2, 2, 6, 7, 7]
    assert reverse_knots([]).tolist() == []


def test_two_points_have_a_spacing():
    assert median_spacing([(0, 0, 0), (0, 0, 7)]) == 7
    assert median_spacing([]) == 0.0


@pytest.mark.parametrize("points", [[], [CORNER[0]]], ids=["no point", "one point"])
def test_no_curve_is_that_of_fewer_than_two_points(points):
    assert curve_is_current(np.reshape(points, (-1, 3)), CORNER, 30) is False


def test_a_curve_that_cannot_be_evaluated_is_that_of_no_points():
    assert curve_is_current(CORNER, CORNER, 30, "of tomorrow") is False
    assert curve_is_current([[0.0, 0.0]], CORNER, 30) is False


@pytest.mark.parametrize(
    ("points", "tolerance", "source", "reason"),
    [
        (CORNER, 0, "tolerance", "it must be positive, in angstrom, not 0"),
        (CORNER, float("nan"), "tolerance", "it must be positive, in angstrom, not nan"),
        ([CORNER[0]] * 3, 1, "polyline", "it needs at least two distinct points"),
        (
            [*CORNER, CORNER[0]],
            1,
            "polyline",
            "it is closed: it ends where it starts; control points are those of open curves",
        ),
    ],
)
def test_what_has_no_control_points_is_named_with_the_reason(points, tolerance, source, reason):
    with pytest.raises(InvalidDataError) as caught:
        control_points_from_polyline(points, tolerance)

    assert (caught.value.source, caught.value.reason) == (source, reason)


def test_a_distance_to_nothing_is_refused():
    with pytest.raises(InvalidDataError) as caught:
        distances_to_polyline(CORNER, np.empty((0, 3)))

    assert (caught.value.source, caught.value.reason) == ("polyline", "it has no vertex")
