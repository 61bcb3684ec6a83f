"""CETS 0.1: what is certain is read and written, what is not is refused."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from copick_core.errors import InvalidDataError
from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from copick_core.volumes.reading import read_volume
from copick_formats.cets import read_cets
from support.cets_models import Dataset
from support.points import apart, centres, lacking, read, table, unknown, write

MASKS = [("membrane", "mask.mrc"), ("other", "other.mrc")]
POINTS = [[100.5, 200.25, 150.75], [305.0, 420.0, 180.0]]


def system(name, unit):
    kind = "space" if unit == "angstrom" else "array"
    return {"name": name, "axes": [{"name": axis, "axis_unit": unit, "axis_type": kind} for axis in "xyz"]}


VOXELS, ANGSTROM = system("tomogram_voxels", "pixel"), system("tomogram_angstroms", "angstrom")
SCALE = {
    "transformation_type": "scale",
    "name": "voxel_to_angstrom",
    "input": "tomogram_voxels",
    "output": "tomogram_angstroms",
    "scale": [10.5, 10.5, 10.5],
}
TOMOGRAM = {"id": "t", "coordinate_systems": [VOXELS, ANGSTROM], "coordinate_transformations": [SCALE]}
COARSER = {**TOMOGRAM, "id": "u", "coordinate_transformations": [{**SCALE, "scale": [21, 21, 21]}]}
TO_CENTRE = {
    "transformation_type": "sequence",
    "input": "array",
    "output": "physical",
    "sequence": [
        {"transformation_type": "translation", "translation": [-150, -200, -50]},
        {"transformation_type": "scale", "scale": [7.84, 7.84, 7.84]},
    ],
}
CENTRED = {
    "id": "t",
    "coordinate_systems": [system("array", "voxel"), system("physical", "angstrom")],
    "coordinate_transformations": [TO_CENTRE],
}
IN_VOXELS = {
    "coordinate_systems": [system("particle_voxels", "pixel")],
    "coordinate_transformations": [
        {"transformation_type": "identity", "input": "particle_voxels", "output": "tomogram_voxels"}
    ],
}
IN_ANGSTROM = {"coordinate_systems": [ANGSTROM], "coordinate_transformations": []}


def annotation(kind="point_set_3D", **fields):
    return {"annotation_type": kind, "name": "ribosome", "origin3D": POINTS, **fields}


def dataset(tmp_path, *annotations, tomograms=(TOMOGRAM,), **region):
    region = {"id": "TS_1", "tomograms": [*tomograms], "annotations": [*annotations], **region}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "example", "regions": [region]}))
    return path


def test_points_in_voxels_are_scaled_as_the_tomogram_says(tmp_path):
    (found,) = read(dataset(tmp_path, annotation(**IN_VOXELS)), unknown)

    np.testing.assert_array_equal(found.positions, np.array(POINTS) * 10.5)
    assert (found.run, found.object_name) == ("TS_1", "ribosome")


@pytest.mark.parametrize("key", ["annotation_type", "type"])
def test_points_in_angstrom_are_taken_as_they_are(tmp_path, key):
    item = annotation(**IN_ANGSTROM)
    item = {key: item.pop("annotation_type"), **item}

    (found,) = read(dataset(tmp_path, item), unknown)

    np.testing.assert_array_equal(found.positions, POINTS)


def test_transformations_are_applied_in_their_order(tmp_path):
    sequence = {
        "transformation_type": "sequence",
        "input": "here",
        "output": "tomogram_angstroms",
        "sequence": [
            {"transformation_type": "translation", "translation": [1, 2, 3]},
            {"transformation_type": "affine", "affine": [[0, -1, 0], [1, 0, 0], [0, 0, 1]]},
            {"transformation_type": "scale", "scale": [2, 2, 2]},
        ],
    }
    item = annotation(coordinate_systems=[system("here", "pixel")], coordinate_transformations=[sequence])

    (found,) = read(dataset(tmp_path, item), unknown)

    x, y, z = (np.array(POINTS) + np.array([1, 2, 3])).T
    np.testing.assert_allclose(found.positions, np.stack([-y, x, z], 1) * 2)


def test_angstrom_that_begin_in_the_centre_are_counted_from_the_first_voxel(tmp_path):
    to_tomogram = {"transformation_type": "identity", "input": "physical", "output": "physical"}
    item = annotation(coordinate_systems=[system("physical", "angstrom")], coordinate_transformations=[to_tomogram])

    (found,) = read(dataset(tmp_path, item, tomograms=[CENTRED]), unknown)

    np.testing.assert_allclose(found.positions, np.array(POINTS) + np.array([150, 200, 50]) * 7.84, atol=1e-9)


def test_of_several_tomograms_the_one_that_is_named_counts(tmp_path):
    item = annotation(source_tomogram_id="u", **IN_VOXELS)

    (found,) = read(dataset(tmp_path, item, tomograms=[TOMOGRAM, COARSER]), unknown)

    np.testing.assert_array_equal(found.positions, np.array(POINTS) * 21)


@pytest.mark.parametrize(("origin", "begin"), [("corner", [0, 0, 0]), ("centre", [150 * 7.84, 200 * 7.84, 50 * 7.84])])
def test_where_angstrom_begin_can_be_told(tmp_path, origin, begin):
    (found,) = read(dataset(tmp_path, annotation(**IN_ANGSTROM), tomograms=[]), origin=origin)

    np.testing.assert_allclose(found.positions, np.array(POINTS) + begin, atol=1e-9)


def test_directions_in_turned_coordinates_are_refused(tmp_path):
    turn = {"transformation_type": "affine", "input": "here", "output": "tomogram_angstroms"}
    turn["affine"] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    item = annotation("point_vector_set_3D", vector3D=[[0, 0, 1], [1, 0, 0]])
    item |= {"coordinate_systems": [system("here", "angstrom")], "coordinate_transformations": [turn]}

    with pytest.raises(InvalidDataError, match="turned"):
        read(dataset(tmp_path, item), unknown)


@pytest.mark.parametrize("rotation", ["object-to-tomogram", "tomogram-to-object"])
def test_rotations_are_read_as_they_are_said_to_be(tmp_path, rotation):
    matrices = Rotation.random(2, random_state=0).as_matrix()
    item = annotation("point_matrix_set_3D", matrix3D=matrices.tolist(), **IN_ANGSTROM)

    (found,) = read(dataset(tmp_path, item), unknown, rotation=rotation)

    expected = matrices if rotation == "object-to-tomogram" else np.swapaxes(matrices, 1, 2)
    assert apart(found.transforms, expected) < 1e-12


def test_directions_of_points_are_columns(tmp_path):
    item = annotation("point_vector_set_3D", vector3D=[[0, 0, 1], [1, 0, 0]], **IN_ANGSTROM)

    (found,) = read(dataset(tmp_path, item), unknown)

    assert found.columns["vector_x"].tolist() == [0, 1]


@pytest.mark.parametrize("chosen", ["second", "the-id"])
def test_points_can_be_chosen_by_name_or_id(tmp_path, chosen):
    path = str(dataset(tmp_path, annotation(**IN_ANGSTROM), annotation(**{**IN_VOXELS, "name": "second", "id": "the-id"})))

    (found,) = read_cets(path, frame=unknown, name=chosen)

    np.testing.assert_array_equal(found.positions, np.array(POINTS) * 10.5)
    with pytest.raises(InvalidDataError, match="none of the name or id 'third'"):
        [*read_cets(path, frame=unknown, name="third")]


def test_splines_are_filaments(tmp_path):
    path = dataset(tmp_path, annotation("spline_3D", **IN_ANGSTROM), annotation("spline_3D", **IN_VOXELS))

    (found,) = read(path, unknown, kind="filaments")

    np.testing.assert_array_equal(found.polylines[0], POINTS)
    np.testing.assert_array_equal(found.polylines[1], np.array(POINTS) * 10.5)


def test_a_mesh_is_read_from_the_file_that_is_referred_to(tmp_path):
    trimesh.creation.box((10, 20, 30)).export(tmp_path / "surface.ply")
    path = str(dataset(tmp_path, {"annotation_type": "tri_mesh", "name": "membrane", "path": "surface.ply"}))
    chosen = format_that_reads(path, "mesh")

    mesh = function_of(chosen, chosen.reads, "mesh", {})(path)

    assert mesh.extents.tolist() == [10, 20, 30]


def test_a_mesh_in_a_coordinate_system_is_moved_to_the_first_voxel(tmp_path):
    trimesh.creation.box((10, 20, 30)).export(tmp_path / "surface.ply")
    item = {"annotation_type": "tri_mesh", "path": "surface.ply", "coordinate_systems": [system("physical", "angstrom")]}
    path = str(dataset(tmp_path, item, tomograms=[CENTRED]))
    chosen = format_that_reads(path, "mesh")

    mesh = function_of(chosen, chosen.reads, "mesh", {})(path)

    np.testing.assert_allclose(mesh.bounds.mean(0), np.array([150, 200, 50]) * 7.84)


def test_a_mask_is_read_from_the_file_that_is_referred_to(tmp_path):
    labels = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    with mrcfile.new(tmp_path / "mask.mrc", labels) as file:
        file.voxel_size = 7.84
    items = [{"annotation_type": "segmentation_mask_3D", "name": n, "path": p} for n, p in MASKS]
    path = str(dataset(tmp_path, *items))

    with read_volume(path, name="membrane") as volume:
        np.testing.assert_array_equal(volume.slabs(0, 2), labels)
        assert volume.voxel_sizes == (7.84, 7.84, 7.84)
    with pytest.raises(InvalidDataError, match="2 such masks"):
        read_volume(path)


@pytest.mark.parametrize("rotation", ["object-to-tomogram", "tomogram-to-object"])
def test_points_that_are_written_are_read_again(tmp_path, rotation):
    tables = [table(run="TS_1", object_name="ribosome"), table(5, "TS_2", 1, object_name="ribosome")]

    path = write(tmp_path / "a.cets.json", tables, "cets", rotation=rotation)
    again = read(path, unknown, rotation=rotation)

    Dataset.model_validate_json(path.read_text())
    assert [(one.run, one.object_name) for one in again] == [("TS_1", "ribosome"), ("TS_2", "ribosome")]
    for one, two in zip(again, tables, strict=True):
        np.testing.assert_allclose(one.positions, centres(two), atol=1e-9, rtol=0)
        assert apart(one.transforms, two.transforms) < 1e-12


def test_filaments_that_are_written_are_read_again(tmp_path):
    lines = [np.array(POINTS), np.array([*POINTS, [310.0, 430, 190]])]

    path = write(tmp_path / "a.cets.json", [FilamentsTable(lines, run="TS_1")], "cets", kind="filaments")
    (again,) = read(path, unknown, kind="filaments")

    Dataset.model_validate_json(path.read_text())
    for one, two in zip(again.polylines, lines, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9, rtol=0)


def test_no_points_are_written_and_read(tmp_path):
    path = write(tmp_path / "a.cets.json", [table(0)], "cets")

    Dataset.model_validate_json(path.read_text())
    assert len(read(path, unknown)[0].positions) == 0


def test_the_voxels_of_what_is_written_are_those_of_the_project(tmp_path):
    path = write(tmp_path / "a.cets.json", [PicksTable(np.array([[2.0, 3, 4]]) * 7.84, run="TS_1")], "cets")

    region = json.loads(path.read_text())["regions"][0]
    first, second = region["tomograms"][0]["coordinate_transformations"][0]["sequence"]
    point = np.array(region["annotations"][0]["origin3D"][0])
    np.testing.assert_allclose(point / second["scale"] - first["translation"], [2, 3, 4])


def test_what_cets_cannot_hold_is_named(tmp_path):
    points = table(3, scores=np.array([0.5, 1, 1]), columns={"ctf": np.arange(3)}, instance_ids=np.arange(3))
    lines = FilamentsTable([np.array(POINTS)], [4], [True], [0.5], [12.0], [{"by": "hand"}], run="TS_1")

    of_points = lacking(tmp_path / "a", [points], "cets", rotation="object-to-tomogram")
    of_filaments = lacking(tmp_path / "b", [lines], "cets", kind="filaments")

    assert sorted(of_points) == ["ctf", "instance_ids", "scores"]
    assert sorted(of_filaments) == ["by", "instance_ids", "polarity_known", "radius", "scores"]


def test_what_cannot_be_said_is_not_written(tmp_path):
    with pytest.raises(InvalidDataError, match="give rotation"):
        write(tmp_path / "a", [table()], "cets")
    with pytest.raises(InvalidDataError, match="size of the tomogram of run 'TS_1'"):
        write(tmp_path / "b", [table()], "cets", unknown, rotation="object-to-tomogram")


@pytest.mark.parametrize(
    ("item", "tomograms", "reason"),
    [
        (annotation(), [TOMOGRAM], "no coordinate system"),
        (annotation(**IN_VOXELS), [], "no transformation"),
        (annotation(**IN_VOXELS), [TOMOGRAM, COARSER], "2 tomograms"),
        (annotation(source_tomogram_id="v", **IN_VOXELS), [TOMOGRAM], "no such tomogram"),
        (annotation(**IN_ANGSTROM), [], "give origin"),
        (annotation("point_matrix_set_3D", matrix3D=[np.eye(3).tolist()] * 2, **IN_ANGSTROM), [TOMOGRAM], "give rotation"),
        (annotation(origin3D=[[1, 2]], **IN_ANGSTROM), [], "shape"),
        (annotation(origin3D=[[1, 2, float("nan")]], **IN_ANGSTROM), [], "row 1, origin3D"),
        (annotation(origin3D="many", **IN_ANGSTROM), [], "not an array"),
        (annotation("segmentation_mask_3D"), [], "holds no points, but segmentation_mask_3d"),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path, item, tomograms, reason):
    with pytest.raises(InvalidDataError, match=reason):
        read(dataset(tmp_path, item, tomograms=tomograms), unknown)


def test_annotations_that_cannot_be_read_are_named(tmp_path):
    path = dataset(tmp_path, annotation(**IN_ANGSTROM), {"annotation_type": "cuboid_set"})

    with pytest.warns(UserWarning, match="cuboid_set"):
        read(path, unknown)


@pytest.mark.parametrize("items", [[], ["a.ply", "b.ply"], ["missing.ply"]])
def test_a_mesh_that_is_not_certain_is_refused(tmp_path, items):
    for name in items[:2]:
        if name != "missing.ply":
            trimesh.creation.box((1, 1, 1)).export(tmp_path / name)
    path = str(dataset(tmp_path, annotation(**IN_ANGSTROM), *({"annotation_type": "tri_mesh", "path": n} for n in items)))
    chosen = format_that_reads(path, "mesh")

    with pytest.raises(InvalidDataError):
        function_of(chosen, chosen.reads, "mesh", {})(path)
