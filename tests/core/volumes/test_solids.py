"""Meshes from segmentations, and segmentations from meshes and picks."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import InvalidDataError
from copick_core.volumes.surfaces import mesh_from_segmentation, segmentation_from_mesh, segmentation_from_picks

SIZE = 10.0
SHAPE = (20, 24, 28)


@pytest.fixture
def run():
    objects = [{"name": "membrane", "is_particle": False}, {"name": "ribosome", "is_particle": True, "label": 2}]
    root = copick_core.open({"config_type": "memory", "pickable_objects": objects, "user_id": "ana"})
    return root.new_run("TS_1")


def ball(centre=(10, 12, 14), radius=6.0):
    grid = np.indices(SHAPE)
    return (sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius * radius).astype(np.uint8)


def segmentation(run, labels, **options):
    made = run.new_segmentation(SIZE, "membrane", "0", is_multilabel=True, user_id="tool", **options)
    made.from_numpy(labels, levels=2)
    return made


def test_a_segmentation_of_its_mesh_is_the_segmentation(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = ball()

    mesh = mesh_from_segmentation(segmentation(run, labels), block=8)

    assert mesh.is_watertight
    np.testing.assert_array_equal(segmentation_from_mesh(mesh, SHAPE, SIZE), labels)


def test_a_mesh_lies_where_voxels_are(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3, 5] = 1

    mesh = mesh_from_segmentation(segmentation(run, labels))

    np.testing.assert_allclose(mesh.bounds, [[45, 25, 15], [55, 35, 25]])


@pytest.mark.parametrize(("label", "voxels"), [(None, 7), (1, 4), (2, 3)])
def test_a_label_or_all_have_a_surface(run, label, voxels):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3, 5:9] = 1
    labels[2, 3, 12:15] = 2

    mesh = mesh_from_segmentation(segmentation(run, labels), label)

    assert segmentation_from_mesh(mesh, SHAPE, SIZE).sum() == voxels


def test_a_label_that_is_nowhere_has_no_surface(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    with pytest.raises(InvalidDataError, match="no voxel of label 7"):
        mesh_from_segmentation(segmentation(run, ball()), 7)


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_voxels_inside_are_those_that_a_sphere_contains(shift):
    mesh = trimesh.creation.icosphere(4, 63.0)
    mesh.apply_translation((140 + shift * SIZE, 120, 100))

    labels = segmentation_from_mesh(mesh, SHAPE, SIZE, label=3)

    centres = np.argwhere(np.ones(SHAPE))[:, ::-1] * SIZE
    distance = np.linalg.norm(centres - mesh.centroid, axis=1).reshape(SHAPE)
    assert {*np.unique(labels)} == {0, 3}
    assert labels[distance < 62].all()
    assert not labels[distance > 63].any()


def test_faces_through_centres_of_voxels_count_once():
    mesh = trimesh.creation.box(bounds=[[20, 30, 40], [60, 80, 90]])

    labels = segmentation_from_mesh(mesh, SHAPE, SIZE)

    assert labels.sum() == 4 * 5 * 5


def test_a_mesh_of_a_project_and_one_of_loose_triangles_are_filled(run):
    mesh = trimesh.creation.icosphere(2, 50.0)
    mesh.apply_translation((140, 120, 100))
    loose = trimesh.Trimesh(mesh.triangles.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3), process=False)
    stored = run.new_mesh("membrane", "1", mesh=mesh)

    expected = segmentation_from_mesh(mesh, SHAPE, SIZE)

    np.testing.assert_array_equal(segmentation_from_mesh(loose, SHAPE, SIZE), expected)
    np.testing.assert_array_equal(segmentation_from_mesh(stored, SHAPE, SIZE), expected)


def test_a_mesh_that_reaches_out_is_cut_off():
    mesh = trimesh.creation.box(bounds=[[-500, -500, -500], [500, 500, 95]])

    labels = segmentation_from_mesh(mesh, SHAPE, SIZE)

    assert labels[:10].all()
    assert not labels[10:].any()


def test_an_open_mesh_has_no_inside():
    mesh = trimesh.creation.box((50, 50, 50))
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)

    with pytest.raises(InvalidDataError, match="not closed"):
        segmentation_from_mesh(mesh, SHAPE, SIZE)


def test_spheres_are_about_full_positions(run):
    transforms = np.eye(4)[None].copy()
    transforms[0, :3, 3] = (10, 20, 0)
    picks = run.new_picks("ribosome", "1", positions=[[130, 100, 100]], transforms=transforms)

    np.testing.assert_array_equal(segmentation_from_picks(picks, SHAPE, SIZE, 60.0), ball())


def test_where_spheres_meet_the_nearer_centre_counts():
    labels = segmentation_from_picks([[100, 100, 100], [140, 100, 100]], SHAPE, SIZE, 30.0, [4, 7])

    assert labels[10, 10, 8:17].tolist() == [4, 4, 4, 4, 4, 7, 7, 7, 7]


def test_a_sphere_outside_labels_nothing():
    assert not segmentation_from_picks([[-900, 0, 0]], SHAPE, SIZE, 30.0).any()


@pytest.mark.parametrize(("radius", "label"), [(0, 1), (float("nan"), 1), (10, 256), (10, -1)])
def test_what_makes_no_labels_is_refused(radius, label):
    with pytest.raises(InvalidDataError):
        segmentation_from_picks([[0, 0, 0]], SHAPE, SIZE, radius, label)
