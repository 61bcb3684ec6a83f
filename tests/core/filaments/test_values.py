"""Value models of filaments."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from copick_core.errors import InvalidDataError
from copick_core.models import CopickFilament, CopickFilamentCurve, CopickFilamentsFile

LINE = [(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (20.0, 0.0, 0.0)]
CORNER = [(0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (100.0, 60.0, 0.0)]
ARCH = [(0.0, 0.0, 0.0), (10.0, 30.0, 0.0), (60.0, 30.0, 0.0), (90.0, 0.0, 0.0)]
SPLINE = {"kind": "bspline", "control_points": ARCH, "step": 25, "degree": 3, "knots": [0] * 4 + [1] * 4, "smoothing": 7}


@pytest.fixture
def curved():
    return CopickFilament.from_control_points(2, CORNER, 30, score=0.5, radius=125, metadata={"by": "hand"})


@pytest.mark.parametrize(
    "points", [np.array(LINE), np.array(LINE, int), [*map(np.array, LINE)], [[0, 0, 0], [10, 0, 0], [20, 0, 0]]]
)
def test_points_are_given_as_any_array(points):
    assert CopickFilament(instance_id=1, points=points).points == LINE


@pytest.mark.parametrize(
    "fields",
    [
        {"instance_id": 0},
        {"instance_id": 2**63},
        {"points": LINE[:1]},
        {"points": [*LINE, (0, 0, float("nan"))]},
        {"points": [(0, 0), (1, 1)]},
        {"radius": 0},
        {"score": float("inf")},
        {"curve": {"kind": "", "control_points": LINE, "step": 1}},
        {"curve": {"kind": "linear", "control_points": LINE, "step": 0}},
        {"curve": {"kind": "linear", "control_points": LINE, "step": 1, "smoothing": -1}},
        {"curve": {"kind": "nurbs", "control_points": [(0, 0, float("nan"))], "step": 1}},
    ],
    ids=str,
)
def test_impossible_values_are_refused(fields):
    with pytest.raises(ValidationError):
        CopickFilament(**{"instance_id": 1, "points": LINE, **fields})


def test_what_is_assigned_is_checked():
    filament = CopickFilament(instance_id=1, points=LINE)

    with pytest.raises(ValidationError):
        filament.points = [(0, 0, 0), (1, 1, float("inf"))]

    assert filament.points == LINE


def test_a_curve_leaves_out_what_is_not_set_and_keeps_what_it_does_not_know():
    curve = CopickFilamentCurve(kind="catmull-rom", control_points=LINE, step=10, degree=None, tension=0.1)

    assert curve.model_dump() == {"kind": "catmull-rom", "control_points": LINE, "step": 10.0, "alpha": 0.5, "tension": 0.1}


def test_a_curve_of_an_unknown_kind_is_kept_and_not_evaluated():
    curve = CopickFilamentCurve(kind="nurbs", control_points=LINE[:1], step=1, weights=[2])

    assert curve.model_dump() == {"kind": "nurbs", "control_points": LINE[:1], "step": 1.0, "weights": [2]}
    assert (curve.is_known, curve.passes_through_control_points) == (False, False)
    assert curve.anchors().tolist() == [[0, 0, 0]]
    with pytest.raises(InvalidDataError, match="nurbs"):
        curve.evaluate()


def test_a_filament_of_a_curve_has_its_points(curved):
    assert len(curved.points) == 8
    assert curved.curve_is_current()
    assert np.array_equal(curved.curve.evaluate(), curved.numpy())


@pytest.mark.parametrize("kind", ["bspline", "nurbs"])
def test_control_points_make_no_curve_that_needs_more(kind):
    with pytest.raises(InvalidDataError, match="use from_curve"):
        CopickFilament.from_control_points(1, LINE, 5, kind=kind)


def test_alpha_is_that_of_catmull_rom_curves_only():
    assert CopickFilament.from_control_points(1, LINE, 5, kind="linear").curve.alpha is None
    assert CopickFilament.from_control_points(1, LINE, 5, alpha=None).curve.alpha == 0.5


def test_new_control_points_keep_everything_else(curved):
    moved = curved.with_control_points([(0, 0, 9), *CORNER[1:]])

    assert moved.curve.control_points[0] == moved.points[0] == (0, 0, 9)
    assert moved.curve_is_current()
    assert moved.model_dump(exclude={"points", "curve"}) == curved.model_dump(exclude={"points", "curve"})
    assert (moved.curve.kind, moved.curve.step) == ("catmull-rom", 30)


def test_a_current_bspline_keeps_its_knots():
    moved = CopickFilament.from_curve(1, {**SPLINE, "source": "fit"}).with_control_points([*ARCH[:2], (60, 35, 0), ARCH[3]], 5)

    curve = moved.curve.model_dump()
    assert (curve["kind"], curve["knots"], curve["smoothing"], curve["source"]) == ("bspline", [0] * 4 + [1] * 4, 7, "fit")
    assert curve["step"] == 5


def test_a_bspline_takes_no_other_number_of_control_points():
    with pytest.raises(InvalidDataError, match="needs 4 control points, not 3"):
        CopickFilament.from_curve(1, SPLINE).with_control_points(ARCH[:3])


def test_control_points_of_an_outdated_curve_make_a_new_one():
    filament = CopickFilament.from_curve(1, SPLINE)
    filament.points = LINE

    moved = filament.with_control_points([(0, 0, 0), (5, 5, 0)])

    assert moved.curve.model_dump() == {
        "kind": "catmull-rom",
        "control_points": [(0, 0, 0), (5, 5, 0)],
        "step": 10,
        "alpha": 0.5,
    }


def test_a_current_curve_is_edited_as_it_is(curved):
    assert curved.editable_curve() is curved.curve
    assert curved.editable_curve(kinds=("bspline",)) is not curved.curve


def test_a_curve_is_fitted_to_points_without_one():
    curve = CopickFilament(instance_id=1, points=LINE).editable_curve(tolerance=3, step=7)

    assert curve.model_dump() == {"kind": "catmull-rom", "control_points": [LINE[0], LINE[2]], "step": 7.0, "alpha": 0.5}


def test_points_in_one_place_have_no_step():
    with pytest.raises(InvalidDataError, match="median"):
        CopickFilament(instance_id=1, points=[LINE[1]] * 3).editable_curve()


def test_control_points_to_edit_are_an_array(curved):
    assert curved.editable_control_points().tolist() == [[*map(float, point)] for point in CORNER]


@pytest.mark.parametrize(
    "curve", [SPLINE, {"kind": "catmull-rom", "control_points": CORNER, "step": 30}], ids=lambda c: c["kind"]
)
def test_a_reversed_filament_has_a_reversed_curve(curve):
    filament = CopickFilament.from_curve(1, curve)

    reversed_ = filament.reversed()

    assert reversed_.points == filament.points[::-1]
    assert reversed_.curve_is_current()
    assert reversed_.reversed() == filament


def test_what_scipy_fits_is_a_bspline():
    padded = np.arange(8.0)

    curve = CopickFilamentCurve.from_tck(([0, 0, 0, 0, 1, 1, 1, 1], [padded, padded, padded], 3), 5, smoothing=1, scale=2)

    assert (curve.kind, curve.degree, curve.smoothing) == ("bspline", 3, 1)
    assert curve.control_points == [(0, 0, 0), (2, 2, 2), (4, 4, 4), (6, 6, 6)]


def test_a_curve_in_the_plane_is_refused():
    with pytest.raises(InvalidDataError, match="2 arrays"):
        CopickFilamentCurve.from_tck(([0, 0, 1, 1], [[0, 1], [0, 1]], 1), 5)


def test_ids_are_unique_in_a_file():
    filament = CopickFilament(instance_id=5, points=LINE)

    with pytest.raises(ValidationError, match="instance_id 5 is not unique: filament 0 has it too"):
        CopickFilamentsFile(pickable_object_name="mt", user_id="ann", session_id="1", filaments=[filament, filament])
