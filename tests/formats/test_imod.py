"""IMOD models; imodmodel is the oracle."""

from __future__ import annotations

import warnings

import imodmodel
import numpy as np
import pytest

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from support.points import lacking, read, table, unknown, write
from support.shared_data import shared

NAMES = ["imod_objects.mod", "imod_origin_sizes.mod", "imod_slicer.mod"]


@pytest.mark.parametrize("name", NAMES)
def test_points_are_those_of_imodmodel(name):
    path = shared(f"formats/{name}")
    expected = imodmodel.ImodModel.from_file(path)

    found = read(path, unknown)

    points = [np.concatenate([c.points for c in o.contours]) for o in expected.objects if o.contours]
    assert len(found) == len(points)
    for one, two in zip(found, points, strict=True):
        np.testing.assert_allclose(one.positions, (two - [0.5, 0.5, 0.0]) * expected.header.pixelsize * 10, rtol=1e-6)


def test_contours_and_sizes_of_points_are_columns():
    found = read(shared("formats/imod_origin_sizes.mod"), unknown)

    assert found[1].columns["contour"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert any("size" in one.columns for one in found)


def test_where_the_first_voxel_lies_is_an_option():
    path = shared("formats/imod_slicer.mod")

    shifted = read(path, unknown, voxel_centre=(0, 0, 0))[0].positions - read(path, unknown)[0].positions

    np.testing.assert_allclose(shifted, np.broadcast_to([0.5 * 16.14545, 0.5 * 16.14545, 0], (4, 3)), atol=1e-6)


def test_a_written_model_is_read_by_imodmodel(tmp_path):
    one = PicksTable(table(9).positions, object_name="ribosome", columns={"contour": np.repeat([0, 1, 2], 3)})

    expected = imodmodel.ImodModel.from_file(write(tmp_path / "a.mod", [one], "imod"))

    assert [len(c.points) for c in expected.objects[0].contours] == [3, 3, 3]
    assert expected.objects[0].header.name in ("ribosome", b"ribosome")
    assert (expected.header.units, expected.header.pixelsize) == (-10, np.float32(7.84))


def test_points_survive_to_float32(tmp_path):
    one = PicksTable(table(50).positions, object_name="ribosome")

    (again,) = read(write(tmp_path / "a.mod", [one], "imod"), unknown)

    half = np.spacing(np.float32((one.positions / 7.84).max() + 1)) / 2 * 7.84
    np.testing.assert_allclose(again.positions, one.positions, atol=float(half) * 1.01, rtol=0)
    assert again.object_name == "ribosome"


def test_what_a_model_has_no_place_for_is_named(tmp_path):
    one = table(3, scores=np.array([0.1, 0.2, 0.3]), instance_ids=np.array([1, 2, 3]), columns={"class": np.arange(3)})

    assert {*lacking(tmp_path / "a.mod", [one], "imod")} == {"orientations", "scores", "instance_ids", "class"}


def test_several_runs_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="one file for each"):
        write(tmp_path / "a.mod", [PicksTable(np.zeros((1, 3)), run=run) for run in "ab"], "imod")


@pytest.mark.parametrize("size", [4, 100, 250, 420, 440, -5])
def test_a_model_that_is_cut_off_is_refused(tmp_path, size):
    whole = write(tmp_path / "a.mod", [PicksTable(np.ones((9, 3)))], "imod").read_bytes()
    (tmp_path / "b.mod").write_bytes(whole[:size])

    with pytest.raises(InvalidDataError, match="cut off"):
        read(tmp_path / "b.mod", name="imod")


def test_a_coordinate_that_is_not_finite_is_named(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(tmp_path / "a.mod", [PicksTable(np.array([[1, 2, 3], [1, np.nan, 3]]))], "imod")

    with pytest.raises(InvalidDataError, match="point 2 of contour 1"):
        read(path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_object_of_a_model_can_be_chosen(number):
    path = shared("formats/imod_origin_sizes.mod")
    expected = imodmodel.ImodModel.from_file(path).objects[number - 1]

    (found,) = read(path, unknown, object_number=number)

    assert len(found.positions) == sum(len(contour.points) for contour in expected.contours)


@pytest.mark.parametrize("number", [0, 4])
def test_an_object_that_a_model_does_not_have_is_an_error(number):
    with pytest.raises(InvalidDataError, match=f"has no object {number}, but 3"):
        read(shared("formats/imod_origin_sizes.mod"), unknown, object_number=number)
