"""Points survive being written and read."""

import numpy as np
import pytest
from copick_plugin_example.points import read, write

from copick_core import plugins
from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable

POINTS = np.array([[1.0, 2.5, 3.0], [0.1, 0.2, 0.3]])


def test_points_are_read_as_they_were_written(tmp_path):
    path = str(tmp_path / "points.xyz")

    write(path, [PicksTable(POINTS)])
    [table] = read(path)

    assert np.array_equal(table.positions, POINTS)


def test_a_line_that_is_not_three_numbers_is_named(tmp_path):
    (tmp_path / "points.xyz").write_text("1 2 3\n1 2\n")

    with pytest.raises(InvalidDataError, match="line 2"):
        [*read(str(tmp_path / "points.xyz"))]


def test_points_of_two_objects_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="not 2"):
        write(str(tmp_path / "points.xyz"), [PicksTable(POINTS), PicksTable(POINTS)])


def test_copick_core_finds_the_format():
    assert plugins.formats.get("xyz").suffixes == (".xyz",)
