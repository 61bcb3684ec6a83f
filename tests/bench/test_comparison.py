"""The comparison of projects sees every kind of difference."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from support.comparison import differences
from support.reference_scripts.dump import Dump


def _project() -> Dump:
    dump = Dump()
    dump.add("runs/a/picks/x", {"points": [0.1], "unit": "angstrom"})
    dump.arrays["runs/a/picks/x#0/positions"] = np.array([[0.0, 1.0, 2.0]])
    return dump


def test_equal_projects_have_no_differences() -> None:
    assert differences(_project(), _project()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda dump: dump.records.clear(),
        lambda dump: dump.add("runs/a/picks/x", {}),
        lambda dump: dump.records["runs/a/picks/x#0"].update(unit="nanometre"),
        lambda dump: dump.records["runs/a/picks/x#0"].update(points=[np.nextafter(0.1, 1).item()]),
        lambda dump: dump.records["runs/a/picks/x#0"].update(extra=None),
        lambda dump: dump.records["runs/a/picks/x#0"].pop("unit"),
        lambda dump: dump.arrays.clear(),
        lambda dump: dump.arrays.update({"runs/a/picks/x#0/positions": np.array([[-0.0, 1.0, 2.0]])}),
        lambda dump: dump.arrays.update({"runs/a/picks/x#0/positions": np.array([[0.0, 1.0, 3.0]])}),
        lambda dump: dump.arrays.update({"runs/a/picks/x#0/positions": np.array([[0, 1, 2]])}),
        lambda dump: dump.arrays.update({"runs/a/picks/x#0/positions": np.array([0.0, 1.0, 2.0])}),
    ],
)
def test_a_difference_is_told_once(change: Callable[[Dump], object]) -> None:
    changed = copy.deepcopy(_project())

    change(changed)

    assert len(differences(_project(), changed)) == 1
