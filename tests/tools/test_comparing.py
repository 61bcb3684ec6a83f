"""Comparing picks: who found what."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.errors import AddressError, InvalidDataError
from copick_tools.comparing import compare, match

points = st.lists(st.tuples(*[st.floats(-50, 50)] * 3), max_size=12).map(lambda rows: np.array(rows, float).reshape(-1, 3))


@pytest.fixture
def picked(root):
    """Alice has three points in TS_1, a model two of them and a false one; in TS_2 it has only a false one."""
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1", "alice").from_numpy([[0, 0, 0], [100, 0, 0], [0, 300, 0]])
    run.new_picks("ribosome", "0", "model").from_numpy([[3, 4, 0], [100, 0, 0], [500, 500, 500]])
    root.new_run("TS_2").new_picks("ribosome", "0", "model").from_numpy([[1, 1, 1]])
    return root


def test_matched_missed_and_false_points_are_counted_in_each_run_and_in_all(picked):
    found = compare(picked.select("ribosome:alice", "picks"), picked.select("ribosome:model", "picks"), 10)

    assert [(a.matched, a.missed, a.false, a.distance) for a in found.values()] == [
        (2, 1, 2, 2.5),
        (2, 1, 1, 2.5),
        (0, 0, 1, None),
    ]
    assert [*found] == ["", "TS_1", "TS_2"]
    assert found["TS_1"].f_score == pytest.approx(2 / 3)
    assert found["TS_2"].recall is None


def test_a_point_is_where_its_translation_puts_it(picked):
    transforms = np.eye(4)[None].repeat(1, axis=0)
    transforms[:, :3, 3] = [3, 0, 0]
    picked.get_run("TS_2").new_picks("ribosome", "1", "alice").from_numpy([[-2, 1, 1]], transforms)

    found = compare(picked.select("ribosome:alice", "picks"), picked.select("ribosome:model", "picks"), 1)

    assert found["TS_2"].distance == pytest.approx(0)


@pytest.mark.parametrize("address", ["nothing", "*"])
def test_picks_of_no_object_or_of_several_are_not_compared(picked, address):
    picked.get_run("TS_1").new_picks("proteasome", "1", "alice").from_numpy([[0, 0, 0]])

    with pytest.raises(AddressError):
        compare(picked.select(address, "picks"), picked.select("ribosome:model", "picks"), 10)


@pytest.mark.parametrize("distance", [0, -1, float("nan")])
def test_a_distance_is_above_0(picked, distance):
    with pytest.raises(InvalidDataError):
        compare(picked.select("ribosome:alice", "picks"), picked.select("ribosome:model", "picks"), distance)


@given(points, points, st.floats(0.5, 60))
def test_pairs_are_those_that_taking_the_nearest_of_all_pairs_first_gives(first, second, distance):
    ones, others, apart = match(first, second, distance)

    every = sorted((float(np.linalg.norm(b - a)), i, j) for i, a in enumerate(first) for j, b in enumerate(second))
    expected: list[tuple[int, int]] = []
    for d, i, j in every:
        if d <= distance and i not in {e[0] for e in expected} and j not in {e[1] for e in expected}:
            expected.append((i, j))
    assert [*zip(ones.tolist(), others.tolist(), strict=True)] == expected
    assert (apart <= distance).all()
