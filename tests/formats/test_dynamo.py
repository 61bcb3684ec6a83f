"""Tables of Dynamo; dynamotable and eulerangles are the oracles."""

from __future__ import annotations

import dynamotable
import eulerangles
import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from support.points import apart, read, table, unknown, write
from support.shared_data import shared


def data(name):
    return shared(f"formats/{name}")


def row(**cells):
    from copick_formats.dynamo import NAMES

    return " ".join(str(cells.get(name, 0)) for name in NAMES[:35])


def tbl(tmp_path, *rows):
    path = tmp_path / "a.tbl"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_positions_and_shifts_are_those_of_dynamotable():
    expected = dynamotable.read(data("dynamo_35.tbl"))

    found = read(data("dynamo_35.tbl"), unknown, voxel_size=2.0)

    assert [t.run for t in found] == ["1", "2"]
    np.testing.assert_allclose(np.concatenate([t.positions for t in found]), expected[["x", "y", "z"]] * 2.0)
    np.testing.assert_allclose(np.concatenate([t.transforms for t in found])[:, :3, 3], expected[["dx", "dy", "dz"]] * 2.0)
    np.testing.assert_allclose(np.concatenate([t.scores for t in found]), expected["cc"])


def test_rotations_are_those_of_relion_by_eulerangles():
    expected = dynamotable.read(data("dynamo_35.tbl"))
    relion = eulerangles.convert_eulers(expected[["tdrot", "tilt", "narot"]].to_numpy(), "dynamo", "relion")
    matrix = eulerangles.euler2matrix(relion, axes="zyz", intrinsic=True, right_handed_rotation=True)

    found = read(data("dynamo_35.tbl"))

    assert apart(np.concatenate([t.transforms for t in found]), np.swapaxes(matrix, 1, 2)) < 1e-12


def test_complex_cells_are_kept_as_they_are_written():
    expected = dynamotable.read(data("dynamo_complex.tbl"))

    found = read(data("dynamo_complex.tbl"), unknown, voxel_size=1.0)

    assert found[0].columns["daxis"].tolist() == [str(v) for v in expected["daxis"]]


def test_runs_are_named_by_the_list_beside():
    assert [t.run for t in read(data("dynamo_complex.tbl"))] == ["tomo_ts01.mrc_15.00Apx"]


def test_what_is_written_is_what_dynamotable_reads(tmp_path):
    one = table(40, "3", scores=np.linspace(0, 1, 40), columns={"class": np.arange(40)})

    found = dynamotable.read(write(tmp_path / "a.tbl", [one], "dynamo"))

    np.testing.assert_allclose(found[["x", "y", "z"]], one.positions / 7.84, rtol=1e-11)
    np.testing.assert_allclose(found["cc"], one.scores)
    assert found["class"].tolist() == [*range(40)]
    assert {*found["tomo"]} == {3}


@pytest.mark.parametrize("matlab", [False, True])
def test_a_table_survives(tmp_path, matlab):
    one = table(40, "3", scores=np.linspace(0, 1, 40))

    (again,) = read(write(tmp_path / "a.tbl", [one], "dynamo", matlab=matlab), matlab=matlab)

    np.testing.assert_allclose(again.positions, one.positions, atol=1e-8, rtol=0)
    np.testing.assert_allclose(again.transforms[:, :3, 3], one.transforms[:, :3, 3], atol=1e-8, rtol=0)
    assert apart(again.transforms, one.transforms) < 1e-7


def test_a_real_table_survives_to_its_last_digit(tmp_path):
    path = data("dynamo_35.tbl")

    again = write(tmp_path / "a.tbl", read(path), "dynamo")

    before, after = dynamotable.read(path), dynamotable.read(again)
    angles = ["tdrot", "tilt", "narot"]
    np.testing.assert_array_equal(before.drop(columns=angles), after.drop(columns=angles))


def test_counting_from_1_is_an_option(tmp_path):
    path = tbl(tmp_path, row(x=11, y=1, z=2, tomo=1))

    assert read(path, voxel_size=2.0, matlab=True)[0].positions.tolist() == [[20, 0, 2]]


def test_the_list_of_tomograms_is_made(tmp_path):
    write(tmp_path / "a.tbl", [table(1, "TS_1"), table(1, "TS_2")], "dynamo", doc=str(tmp_path / "a.doc"))

    assert [t.run for t in read(tmp_path / "a.tbl")] == ["TS_1", "TS_2"]


def test_runs_without_numbers_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="give doc"):
        write(tmp_path / "a.tbl", [table(1, "TS_1"), table(1, "TS_2")], "dynamo")


@pytest.mark.parametrize("cell", ["NaN", "Inf", "x"])
def test_a_cell_that_is_no_number_is_named_by_row_and_column(tmp_path, cell):
    path = tbl(tmp_path, row(tomo=1), row(tomo=1, y=cell))

    with pytest.raises(InvalidDataError, match="row 2, column y"):
        read(path)


def test_a_row_that_is_cut_off_is_named(tmp_path):
    path = tbl(tmp_path, row(tomo=1), row(tomo=1)[:-4])

    with pytest.raises(InvalidDataError, match="row 2, column ref"):
        read(path)


def test_an_unknown_voxel_size_is_an_error(tmp_path):
    with pytest.raises(InvalidDataError, match="give voxel_size"):
        read(tbl(tmp_path, row(tomo=1)), unknown)
