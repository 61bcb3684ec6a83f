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


@pytest.mark.parametrize(
    ("radius", "label", "source", "reason"),
    [
        (0, 1, "radius", "0 is not a positive number"),
        (-1, 1, "radius", "-1 is not a positive number"),
        (float("nan"), 1, "radius", "nan is not a positive number"),
        (float("inf"), 1, "radius", "inf is not a positive number"),
        (10, 256, "label", "256 does not fit uint8"),
        (10, -1, "label", "-1 does not fit uint8"),
        (10, 1.5, "label", "1.5 does not fit uint8"),
        (10, [3, 256], "label", "256 does not fit uint8"),
    ],
)
def test_what_makes_no_labels_is_refused_by_its_name(radius, label, source, reason):
    with pytest.raises(InvalidDataError) as caught:
        segmentation_from_picks([[0, 0, 0], [1, 1, 1]], SHAPE, SIZE, radius, label)

    assert (caught.value.source, caught.value.reason) == (source, reason)


@pytest.mark.parametrize("label", [0, 1, 255])
def test_any_label_that_the_type_holds_is_taken(label):
    mesh = trimesh.creation.box(bounds=[[5, 5, 5], [25, 25, 25]])

    assert segmentation_from_picks([[100, 100, 100]], SHAPE, SIZE, 10.0, label)[10, 10, 10] == label
    assert segmentation_from_mesh(mesh, SHAPE, SIZE, label)[1, 1, 1] == label


def test_a_label_that_does_not_fit_is_refused_before_a_mesh_is_filled():
    with pytest.raises(InvalidDataError, match="256 does not fit uint8"):
        segmentation_from_mesh(trimesh.creation.box((50, 50, 50)), SHAPE, SIZE, label=256)


def test_labels_are_of_the_type_that_is_asked_for():
    mesh = trimesh.creation.box(bounds=[[5, 5, 5], [25, 25, 25]])

    for labels in (
        segmentation_from_mesh(mesh, SHAPE, SIZE, 300, np.uint16),
        segmentation_from_picks([[10, 10, 10]], SHAPE, SIZE, 10.0, 300, np.uint16),
    ):
        assert labels.dtype == np.uint16
        assert labels[1, 1, 1] == 300


def test_the_rim_of_a_sphere_belongs_to_it():
    labels = segmentation_from_picks([[100, 100, 100]], SHAPE, SIZE, 20.0)

    assert np.argwhere(labels[10, 10]).ravel().tolist() == [8, 9, 10, 11, 12]
    assert np.argwhere(labels[:, 10, 10]).ravel().tolist() == [8, 9, 10, 11, 12]
    assert labels.sum() == 33


def test_spheres_at_the_edges_are_cut_off():
    labels = segmentation_from_picks([[0, 0, 0], [270, 230, 190]], SHAPE, SIZE, 10.0)

    assert labels[0, 0, :2].tolist() == [1, 1]
    assert labels[19, 23, 26:].tolist() == [1, 1]
    assert labels.sum() == 8


@pytest.mark.parametrize("candidates", [1, 7, 100])
def test_a_mesh_is_filled_in_pieces_of_any_size(monkeypatch, candidates):
    mesh = trimesh.creation.icosphere(1, 60.0)
    mesh.apply_translation((140, 120, 100))
    expected = segmentation_from_mesh(mesh, SHAPE, SIZE)

    monkeypatch.setattr("copick_core.volumes.surfaces._CANDIDATES", candidates)

    np.testing.assert_array_equal(segmentation_from_mesh(mesh, SHAPE, SIZE), expected)


def test_a_scene_is_filled_with_all_its_meshes():
    boxes = [
        trimesh.creation.box(bounds=[[5, 5, 5], [25, 25, 25]]),
        trimesh.creation.box(bounds=[[95, 95, 95], [115, 115, 115]]),
    ]

    labels = segmentation_from_mesh(trimesh.Scene(boxes), SHAPE, SIZE)

    assert labels.sum() == 16
    assert (labels[1, 1, 1], labels[10, 10, 10]) == (1, 1)


def test_nothing_is_no_closed_mesh():
    with pytest.raises(InvalidDataError, match="not closed") as caught:
        segmentation_from_mesh(trimesh.Trimesh(), SHAPE, SIZE)

    assert caught.value.source == "mesh"


def test_a_volume_of_zeros_has_no_surface(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    empty = segmentation(run, np.zeros(SHAPE, np.uint8))

    with pytest.raises(InvalidDataError, match="there is no voxel but those of label 0, so there is no surface") as caught:
        mesh_from_segmentation(empty)

    assert caught.value.source == empty.key


def test_the_surface_of_a_coarser_level_has_larger_voxels(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:8, 8:12, 12:16] = 1

    mesh = mesh_from_segmentation(segmentation(run, labels), level="1")

    np.testing.assert_allclose(mesh.bounds, [[110, 70, 30], [150, 110, 70]])


def test_the_surface_of_a_panoptic_segmentation_is_that_of_its_labels(run):
    pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3, 5], labels[8, 8, 8] = 1, 2
    both = run.new_segmentation(SIZE, "all", "0", is_panoptic=True, user_id="tool")
    both.from_numpy(np.stack([labels, labels * 7]))
    told = []

    mesh = mesh_from_segmentation(both, 1, block=16, progress=lambda *args: told.append(args))

    np.testing.assert_allclose(mesh.bounds, [[45, 25, 15], [55, 35, 25]])
    assert told == [(n, 8) for n in range(1, 9)]
