"""What is wrong in the content of a project, and between its layers."""

import json
import shutil

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.__main__ import main
from support.objects import OBJECTS

#: Those who write what is wrong are warned.
WARNED = pytest.mark.filterwarnings("ignore:.*Check the data")


@pytest.fixture
def root(tmp_path):
    """A project with one tomogram of 4 x 5 x 6 voxels of 10 angstrom, in which nothing is wrong."""
    config = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "data"),
        "pickable_objects": OBJECTS,
        "user_id": "me",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    root = copick_core.open(tmp_path / "config.json")
    run = root.new_run("TS_1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((4, 5, 6), np.float32))
    tomogram.new_features("sobel").from_numpy(np.ones((4, 5, 6), np.float32))
    run.new_picks("ribosome", "1").from_numpy([[0.0, 0.0, 0.0], [50.0, 40.0, 30.0]])
    run.new_segmentation(10.0, "painting", "1", is_multilabel=True).from_numpy(np.full((4, 5, 6), 7, np.uint8))
    mesh = run.new_mesh("membrane", "1")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    run.new_filaments("ribosome", "1").from_numpy([np.array([[0.0, 0, 0], [1, 1, 1]])])
    return root


def found(root):
    """Id, key and message of each problem."""
    root.refresh()
    return [(item.problem.id, str(item.problem.key), item.problem.message) for item in root.problems(contents=True)]


def only(root):
    """The one problem."""
    (one,) = found(root)
    return one


def test_nothing_is_found_where_nothing_is_wrong(root):
    assert found(root) == []


@WARNED
def test_labels_of_no_object_are_found(root):
    data = np.ones((4, 5, 6), np.uint8)
    data[0, 0, :3] = [2, 90, 91]
    root.get_run("TS_1").get_segmentations("me")[0].from_numpy(data)

    name, key, message = only(root)
    assert name == "label-of-no-object"
    assert "painting" in key
    assert "label 90, 91" in message


@WARNED
def test_points_outside_of_every_tomogram_are_found(root):
    root.get_run("TS_1").get_picks("ribosome")[0].from_numpy([[60.5, 0, 0], [0, -11.0, 0], [60.0, 50.0, 40.0], [-9.0, 0, 0]])

    name, _, message = only(root)
    assert name == "points-outside"
    assert message.startswith("2 of 4 points")


def test_a_shift_counts_where_points_are(root):
    shift = np.eye(4)[None].copy()
    shift[0, 0, 3] = 100.0
    root.get_run("TS_1").get_picks("ribosome")[0].from_numpy([[1.0, 1.0, 1.0]], shift)

    assert only(root)[0] == "points-outside"


def test_empty_annotations_are_found(root):
    run = root.get_run("TS_1")
    run.get_picks("ribosome")[0].from_numpy(np.zeros((0, 3)))
    run.get_segmentations("me")[0].from_numpy(np.zeros((4, 5, 6), np.uint8))
    mesh = run.get_meshes("membrane")[0]
    mesh.mesh = trimesh.Trimesh()
    mesh.store()
    run.get_filaments("ribosome")[0].from_numpy([])

    assert [name for name, _, _ in found(root)] == ["empty-annotation"] * 4


@WARNED
def test_a_segmentation_of_another_shape_than_its_tomogram_is_found(root):
    root.get_run("TS_1").get_segmentations("me")[0].from_numpy(np.ones((6, 5, 4), np.uint8))

    name, _, message = only(root)
    assert name == "shapes-differ"
    assert "6 × 5 × 4" in message
    assert "4 × 5 × 6" in message


def test_tomograms_of_one_spacing_with_different_shapes_are_found(root):
    root.get_run("TS_1").get_voxel_spacing(10.0).new_tomogram("raw").from_numpy(np.ones((8, 5, 6), np.float32))

    name, key, message = only(root)
    assert (name, key) == ("shapes-differ", "voxel spacing 10.000 of run 'TS_1'")
    assert "raw 8 × 5 × 6" in message


def test_objects_that_share_a_label_are_found(root):
    for name in ("a", "b"):
        root.config.pickable_objects.append(copick_core.models.PickableObject(name=name, is_particle=True))

    name, _, message = only(root)
    assert name == "duplicate-label"
    assert "ribosome, a, b share label 1" in message


def test_annotations_of_no_object_are_found(root):
    root.config.pickable_objects = [obj for obj in root.config.pickable_objects if obj.name != "membrane"]
    root._objects = None

    name, key, _ = only(root)
    assert name == "unknown-object"
    assert key.startswith("mesh 'membrane'")


def test_features_without_a_tomogram_are_found(root, tmp_path):
    shutil.rmtree(tmp_path / "data/ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr")

    name, _, message = only(root)
    assert name == "orphan-features"
    assert "there is no tomogram 'wbp'" in message


def test_features_of_a_tomogram_in_another_layer_are_no_orphans(root, tmp_path):
    static, overlay = tmp_path / "data", tmp_path / "overlay"
    spacing = "ExperimentRuns/TS_1/VoxelSpacing10.000"
    (overlay / spacing).mkdir(parents=True)
    shutil.move(static / spacing / "wbp_sobel_features.zarr", overlay / spacing / "wbp_sobel_features.zarr")
    config = {
        "config_type": "filesystem",
        "static_root": str(static),
        "overlay_root": str(overlay),
        "pickable_objects": OBJECTS,
    }

    assert found(copick_core.open(config)) == []


@pytest.mark.parametrize("path", ["Picks/me_1_ribosome.json", "Meshes/me_1_membrane.glb", "Filaments/me_1_ribosome.json"])
def test_what_cannot_be_read_is_found_and_hides_nothing(root, tmp_path, path):
    (tmp_path / "data/ExperimentRuns/TS_1" / path).write_bytes(b"\xff\x00")
    root.get_run("TS_1").get_segmentations("me")[0].from_numpy(np.zeros((4, 5, 6), np.uint8))

    assert [name for name, _, _ in found(root)] == ["unreadable-content", "empty-annotation"]


def test_the_command_looks_at_contents_only_if_asked(root, tmp_path, capsys):
    root.get_run("TS_1").get_picks("ribosome")[0].from_numpy(np.zeros((0, 3)))
    config = str(tmp_path / "config.json")

    assert main(["doctor", config]) == 0
    assert main(["doctor", config, "--contents"]) == 1
    assert "empty-annotation: layer 'overlay', picks 'ribosome'" in capsys.readouterr().out


@WARNED
@pytest.mark.parametrize(("number", "more"), [(1, ""), (10, ""), (11, " and 1 more"), (13, " and 3 more")])
def test_ten_labels_are_listed_and_the_others_counted(root, number, more):
    data = np.full((4, 5, 6), 7, np.uint8)
    data[0, :3].flat[:number] = 100 + np.arange(number)
    root.get_run("TS_1").get_segmentations("me")[0].from_numpy(data)

    _, _, message = only(root)

    listed = ", ".join(str(100 + n) for n in range(min(number, 10)))
    assert message == f"no object of the configuration has label {listed}{more}; add it, or segment again"


@WARNED
def test_labels_are_looked_for_in_every_plane(root):
    data = np.full((130, 2, 2), 7, np.uint8)
    data[63, 0, 0], data[64, 1, 1], data[129, 0, 1] = 101, 102, 103
    root.new_run("TS_2").new_segmentation(10.0, "painting", "1", is_multilabel=True).from_numpy(data)

    assert "label 101, 102, 103;" in only(root)[2]


def test_only_tomograms_of_one_spacing_are_compared(root):
    run = root.get_run("TS_1")
    run.get_voxel_spacing(10.0).new_tomogram("raw").from_numpy(np.ones((8, 5, 6), np.float32))
    run.new_voxel_spacing(20.0).new_tomogram("binned").from_numpy(np.ones((2, 3, 3), np.float32))

    _, key, message = only(root)

    assert key == "voxel spacing 10.000 of run 'TS_1'"
    assert message == ("its tomograms have different shapes: raw 8 × 5 × 6, wbp 4 × 5 × 6; move those that belong elsewhere")


@WARNED
def test_a_segmentation_may_have_the_shape_of_any_tomogram_of_its_spacing(root):
    run = root.get_run("TS_1")
    run.new_voxel_spacing(20.0).new_tomogram("binned").from_numpy(np.ones((2, 3, 3), np.float32))
    run.new_segmentation(20.0, "membrane", "1").from_numpy(np.ones((2, 3, 3), int))
    run.new_segmentation(30.0, "membrane", "1").from_numpy(np.ones((1, 1, 1), int))
    assert found(root) == []

    run.new_segmentation(20.0, "membrane", "2").from_numpy(np.ones((4, 5, 6), int))

    assert "its shape 4 × 5 × 6 is not that of the tomogram, 2 × 3 × 3" in only(root)[2]


@pytest.mark.parametrize(
    ("flags", "unknown"),
    [({}, True), ({"is_instance": True}, True), ({"is_multilabel": True}, False), ({"is_panoptic": True}, False)],
)
def test_only_segmentations_of_one_object_need_it_in_the_configuration(root, flags, unknown):
    root.new_object("actin", False)
    data = np.full((4, 5, 6), 7, int)
    segmentation = root.get_run("TS_1").new_segmentation(10.0, "actin", "1", **flags)
    segmentation.from_numpy(np.stack([data, data]) if flags.get("is_panoptic") else data)
    root.config.pickable_objects = [obj for obj in root.config.pickable_objects if obj.name != "actin"]

    assert [name for name, _, _ in found(root)] == ["unknown-object"] * unknown


def test_points_of_a_run_without_tomograms_are_nowhere_outside(root):
    root.new_run("TS_2").new_picks("ribosome", "1").from_numpy([[1e6, 0.0, 0.0]])

    assert found(root) == []


def test_a_problem_names_its_layer_and_entity(root):
    root.get_run("TS_1").get_picks("ribosome")[0].from_numpy(np.zeros((0, 3)))
    root.config.pickable_objects.append(copick_core.models.PickableObject(name="a", is_particle=True))
    root.refresh()

    shared, empty = root.problems(contents=True)

    assert (shared.layer, shared.problem.place, shared.problem.key) == ("", "the configuration", None)
    assert empty.layer == "overlay"
    assert empty.problem.place == f"layer 'overlay', {empty.problem.key}"
    assert (empty.problem.severity, empty.problem.repair) == ("warning", None)
