"""Points, and what else a picks file may hold."""

import numpy as np
import pytest
from pydantic import ValidationError

from copick_core.picks.schema import CopickPicksFile, CopickPoint

IDENTITY = np.eye(4).tolist()
LOCATION = {"x": 1.0, "y": 2.0, "z": 3.0}


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (IDENTITY[:3], "must be a 4 x 4 matrix"),
        ([*IDENTITY, IDENTITY[3]], "must be a 4 x 4 matrix"),
        ([row[:3] for row in IDENTITY], "must be a 4 x 4 matrix"),
        ([*IDENTITY[:3], [0.0, 0.0, 0.0, 1.001]], "must be 0, 0, 0, 1"),
        ([*IDENTITY[:3], [0.0, 1e-6, 0.0, 1.0]], "must be 0, 0, 0, 1"),
        ([*IDENTITY[:3], [0.0, 0.0, 0.0, -1.0]], "must be 0, 0, 0, 1"),
    ],
)
def test_a_matrix_that_is_no_transformation_is_refused(matrix, reason):
    with pytest.raises(ValidationError, match=reason):
        CopickPoint(location=LOCATION, transformation_=matrix)
    with pytest.raises(ValueError, match=reason):
        CopickPoint(location=LOCATION).transformation = matrix


@pytest.mark.parametrize("last", [[0.0, 0.0, 0.0, 1.0], [1e-9, -1e-9, 0, 1.000001]])
def test_a_last_row_that_is_as_good_as_0_0_0_1_is_taken(last):
    assert CopickPoint(location=LOCATION, transformation_=[*IDENTITY[:3], last]).transformation_[3] == last


def test_a_point_without_an_orientation_has_none():
    point = CopickPoint(location=LOCATION, transformation_=None)

    np.testing.assert_array_equal(point.transformation, np.eye(4))
    assert (point.transformation.dtype, point.instance_id, point.score) == (np.float64, 0, 1.0)
    point.transformation = 2 * np.diag([1, 1, 1, 0.5])
    np.testing.assert_array_equal(point.transformation, np.diag([2, 2, 2, 1.0]))


def test_points_do_not_share_their_orientation():
    first, second = (CopickPoint(location=LOCATION) for _ in range(2))

    first.transformation_[0][3] = 5.0

    assert second.transformation_ == IDENTITY


@pytest.mark.parametrize("cls", [CopickPoint, CopickPicksFile])
def test_keys_that_no_model_knows_are_kept(cls):
    fields = (
        {"location": LOCATION} if cls is CopickPoint else dict.fromkeys(("pickable_object_name", "user_id", "session_id"), "a")
    )

    assert cls(**fields, note="edge").model_dump()["note"] == "edge"
