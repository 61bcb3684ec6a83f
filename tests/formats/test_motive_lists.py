"""Motive lists of TOM and STOPGAP; emfile and starfile are the oracles, Dynamo's convention that of rotations."""

from __future__ import annotations

import emfile
import eulerangles
import numpy as np
import pytest
import starfile

from copick_core.errors import InvalidDataError
from support.points import apart, read, table, unknown, write
from support.shared_data import shared


def data(name):
    return shared(f"formats/{name}")


def relion_matrices(phi, psi, theta):
    """By way of Dynamo (tdrot, tilt, narot = -psi, -theta, -phi) and RELION, with eulerangles."""
    relion = eulerangles.convert_eulers(np.stack([-psi, -theta, -phi], 1), "dynamo", "relion")
    matrix = eulerangles.euler2matrix(relion, axes="zyz", intrinsic=True, right_handed_rotation=True)
    return np.swapaxes(matrix, 1, 2)


def test_a_list_is_what_emfile_reads():
    _, content = emfile.read(data("tom_motl.em"))
    rows = content[0].T.astype(float)

    found = read(data("tom_motl.em"), unknown, voxel_size=2.0)

    (numbers,) = ({*rows[4].astype(int)},)
    assert {t.run for t in found} == {str(n) for n in numbers}
    order = np.concatenate([np.flatnonzero(rows[4] == int(t.run)) for t in found])
    np.testing.assert_allclose(np.concatenate([t.positions for t in found]), (rows[7:10, order].T - 1) * 2)
    np.testing.assert_allclose(np.concatenate([t.transforms for t in found])[:, :3, 3], rows[10:13, order].T * 2)
    np.testing.assert_allclose(np.concatenate([t.scores for t in found]), rows[0, order])
    np.testing.assert_allclose(np.concatenate([t.columns["class"] for t in found]), rows[19, order])
    phi, psi, theta = rows[16:19, order]
    assert apart(np.concatenate([t.transforms for t in found]), relion_matrices(phi, psi, theta)) < 1e-12


@pytest.mark.parametrize("n", [1, 20, 33])
def test_a_list_survives_to_float32(tmp_path, n):
    one = table(n, "7", scores=np.linspace(0, 1, n), columns={"class": np.arange(n) % 3})

    (again,) = read(write(tmp_path / "a.em", [one], "em"), name="em")

    half = np.spacing(np.float32(np.abs(one.positions / 7.84 + 1).max())) / 2 * 7.84
    np.testing.assert_allclose(again.positions, one.positions, atol=float(half) * 1.001, rtol=0)
    assert apart(again.transforms, one.transforms) < 1e-6
    np.testing.assert_array_equal(again.scores, one.scores.astype("f4"))
    np.testing.assert_array_equal(again.columns["class"], one.columns["class"])


def test_a_written_list_is_20_rows_to_emfile(tmp_path):
    write(tmp_path / "a.em", [table(5, "7"), table(6, "9")], "em")

    _, content = emfile.read(tmp_path / "a.em")

    assert content.shape == (1, 11, 20)
    assert content[0, :, 4].tolist() == [7] * 5 + [9] * 6
    assert content[0, :, 3].tolist() == [*range(1, 12)]


def test_another_row_can_hold_the_tomogram(tmp_path):
    content = np.ones((1, 2, 20), "f4")
    content[0, :, 6] = [4, 5]
    emfile.write(tmp_path / "a.em", content)

    assert [t.run for t in read(tmp_path / "a.em", tomogram_row=7)] == ["4", "5"]


def test_a_volume_is_no_list(tmp_path):
    emfile.write(tmp_path / "a.em", np.zeros((4, 5, 6), "f4"))

    with pytest.raises(InvalidDataError, match="not a motive list"):
        read(tmp_path / "a.em")


def test_a_value_that_is_not_finite_is_named(tmp_path):
    content = np.ones((1, 2, 20), "f4")
    content.view("u4")[0, 1, 8] = 0x7FA00000  # a NaN that NumPy warns of
    emfile.write(tmp_path / "a.em", content)

    with pytest.raises(InvalidDataError, match="row 9 of particle 2"):
        read(tmp_path / "a.em")


def test_a_stopgap_list_is_what_starfile_reads():
    expected = starfile.read(data("stopgap_motl.star"))

    (found,) = read(data("stopgap_motl.star"), unknown, voxel_size=3.0)

    assert found.run == "24"
    np.testing.assert_allclose(found.positions, (expected[["orig_x", "orig_y", "orig_z"]] - 1) * 3)
    np.testing.assert_allclose(found.transforms[:, :3, 3], expected[["x_shift", "y_shift", "z_shift"]] * 3)
    assert apart(found.transforms, relion_matrices(*(expected[name].to_numpy() for name in ("phi", "psi", "the")))) < 1e-12
    assert found.columns["halfset"].tolist() == expected["halfset"].tolist()


def test_a_stopgap_list_survives(tmp_path):
    before = read(data("stopgap_motl.star"))

    again = write(tmp_path / "a.star", before, "stopgap")

    one, two = starfile.read(data("stopgap_motl.star")), starfile.read(again)
    places = ["orig_x", "orig_y", "orig_z", "x_shift", "y_shift", "z_shift"]
    np.testing.assert_allclose(two[places], one[places], atol=1e-8, rtol=0)
    np.testing.assert_array_equal(
        two[["motl_idx", "class", "halfset", "score"]], one[["motl_idx", "class", "halfset", "score"]]
    )
    assert apart(read(again)[0].transforms, before[0].transforms) < 1e-7


def test_two_stopgap_lists_in_a_file_are_refused(tmp_path):
    path = write(tmp_path / "a.star", [table(2, "7")], "stopgap")
    text = path.read_text()
    path.write_text(text + text.replace("data_stopgap_motivelist", "data_other"))

    with pytest.raises(InvalidDataError, match="data_stopgap_motivelist and data_other"):
        read(path, name="stopgap")
