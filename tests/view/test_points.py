"""Points of picks as annotations of the viewer, and back."""

from __future__ import annotations

import json

import numpy as np

from copick_core.tree.schema import CopickPoint
from copick_view.viewer.points import as_annotations, centre, edited, stored_points


def _point(x: float, y: float, z: float, **fields) -> CopickPoint:
    return CopickPoint(location={"x": x, "y": y, "z": z}, **fields)


def _as_the_viewer_gives_it_back(annotations: list[dict]) -> list[dict]:
    """Coordinates go through float32, and through JSON."""
    rounded = json.loads(json.dumps(annotations))
    for annotation in rounded:
        for name in ("point", "center", "radii"):
            if name in annotation:
                annotation[name] = [float(np.float32(v)) for v in annotation[name]]
    return rounded


def test_a_point_that_was_not_moved_stays_the_same_object():
    known = stored_points([_point(1234.567891234, 0.1, 2.0 / 3.0, score=0.25)])

    points = edited(known, _as_the_viewer_gives_it_back(as_annotations(known, 60.0)))

    assert points["p0"] is known["p0"]


def test_a_coordinate_that_was_not_moved_keeps_its_stored_value():
    known = stored_points([_point(1234.567891234, 0.1, 2.0 / 3.0, score=0.25, halfset=1)])
    shown = _as_the_viewer_gives_it_back(as_annotations(known, None))
    shown[0]["point"][1] = float(np.float32(55.3))

    points = edited(known, shown)

    assert points["p0"].model_dump() == {
        **known["p0"].model_dump(),
        "location": {"x": 1234.567891234, "y": 55.3, "z": 2.0 / 3.0},
    }


def test_a_point_is_shown_at_its_centre_and_moved_by_its_location():
    shift = [[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, -7.5], [0, 0, 0, 1]]
    known = stored_points([_point(10.0, 20.0, 30.0, transformation_=shift)])
    shown = as_annotations(known, 60.0)
    assert shown[0]["center"] == [15.0, 20.0, 22.5]
    shown[0]["center"] = [16.0, 20.0, 22.5]

    moved = edited(known, shown)["p0"]

    assert (moved.location.x, moved.location.y, moved.location.z) == (11.0, 20.0, 30.0)
    assert centre(moved) == (16.0, 20.0, 22.5)


def test_an_added_point_comes_last_and_has_the_digits_that_float32_has():
    known = stored_points([_point(1.0, 2.0, 3.0)])
    shown = [{"type": "point", "id": "abc", "point": [float(np.float32(123.4)), 5.0, 6.0]}, *as_annotations(known, None)]

    points = edited(known, shown)

    assert list(points) == ["p0", "abc"]
    assert points["abc"].location.x == 123.4


def test_a_point_whose_annotation_is_gone_is_deleted():
    known = stored_points([_point(1.0, 2.0, 3.0), _point(4.0, 5.0, 6.0)])

    assert list(edited(known, as_annotations(known, None)[1:])) == ["p1"]


def test_shapes_that_are_no_points_are_left_out():
    line = {"type": "line", "id": "l", "pointA": [0, 0, 0], "pointB": [1, 1, 1]}

    assert edited({}, [line]) == {}
