"""CETS 0.1: what is certain is read, what is not is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from copick_core.errors import InvalidDataError
from copick_core.plugins.choosing import format_that_reads, function_of
from support.points import apart, read, unknown

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


@pytest.mark.parametrize(
    ("item", "tomograms", "reason"),
    [
        (annotation(), [TOMOGRAM], "no coordinate system"),
        (annotation(**IN_VOXELS), [], "no transformation"),
        (annotation(**IN_VOXELS), [TOMOGRAM, {"coordinate_transformations": [{**SCALE, "scale": [2, 2, 2]}]}], "2 transf"),
        (annotation("point_matrix_set_3D", matrix3D=[np.eye(3).tolist()] * 2, **IN_ANGSTROM), [], "give rotation"),
        (annotation(origin3D=[[1, 2]], **IN_ANGSTROM), [], "shape"),
        (annotation(origin3D=[[1, 2, float("nan")]], **IN_ANGSTROM), [], "row 1, origin3D"),
        (annotation(origin3D="many", **IN_ANGSTROM), [], "no array"),
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
