"""CETS 0.1: meshes and masks are written to files of their own, which the JSON refers to."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
import trimesh
import zarr
from click.testing import CliRunner

import copick_core
from copick_core.cli.frame import command_line
from copick_core.errors import InvalidDataError
from copick_core.volumes.reading import read_volume
from copick_formats.cets_writing import write_cets_volume
from support.cets_models import Dataset

LABELS = np.arange(6 * 7 * 8).reshape(6, 7, 8) % 3


@pytest.fixture
def root(tmp_path):
    objects = [{"name": n, "is_particle": False, "label": label} for n, label in (("membrane", 2), ("vesicle", 20_000_001))]
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "user_id": "ana"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "pickable_objects": objects}))
    root = copick_core.open(tmp_path / "config.json")
    run = root.new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((6, 7, 8), "f4"), levels=1)
    run.new_mesh("membrane", "1", mesh=trimesh.creation.icosphere(1, 25.0).apply_translation((40, 35, 30)))
    run.new_segmentation(10.0, "membrane", "1", is_multilabel=False).from_numpy(LABELS.astype("u1"), levels=1)
    return root


def region_in(path):
    Dataset.model_validate_json(path.read_text())
    (region,) = json.loads(path.read_text())["regions"]
    return region


def export_masks(root, path, **options):
    return copick_core.export_volumes(root, "membrane", path, kind="segmentation", **options)


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "glb"])
def test_a_mesh_is_in_the_file_that_the_region_of_its_run_refers_to(root, tmp_path, suffix):
    copick_core.export_meshes(root, "membrane", tmp_path / "{run}.cets.json", write_options={"mesh_format": suffix})

    region = region_in(tmp_path / "TS_1.cets.json")
    (annotation,) = region["annotations"]
    assert (region["id"], annotation["annotation_type"], annotation["name"]) == ("TS_1", "tri_mesh", "membrane")
    assert annotation["path"] == f"TS_1.mesh.{suffix}"
    expected = root.get_run("TS_1").meshes[0].mesh
    np.testing.assert_allclose(trimesh.load(tmp_path / annotation["path"]).bounds, expected.bounds, rtol=1e-6)


def test_the_vertices_of_a_mesh_lead_to_the_centre_of_the_tomogram(root, tmp_path):
    copick_core.export_meshes(root, "membrane", tmp_path / "{run}.cets.json")

    region = region_in(tmp_path / "TS_1.cets.json")
    (step,) = region["annotations"][0]["coordinate_transformations"]
    first, second = region["tomograms"][0]["coordinate_transformations"][0]["sequence"]
    voxel = (np.array([40, 35, 30]) + step["translation"]) / second["scale"] - first["translation"]
    np.testing.assert_allclose(voxel, [4, 3.5, 3])


def test_a_mesh_that_is_exported_can_be_imported(root, tmp_path):
    copick_core.export_meshes(root, "membrane", tmp_path / "{run}.cets.json")

    report = copick_core.import_meshes(root, tmp_path / "TS_1.cets.json", "2", "membrane")

    assert report.failed == []
    old, new = (root.get_run("TS_1").get_meshes("membrane", "ana", session)[0].mesh for session in "12")
    np.testing.assert_allclose(new.bounds, old.bounds, atol=1e-5)


def test_a_mesh_of_a_run_without_tomogram_is_refused(root, tmp_path):
    root.new_run("TS_2").new_mesh("membrane", "1", mesh=trimesh.creation.box((1, 2, 3)))

    report = copick_core.export_meshes(root, "TS_2/membrane", tmp_path / "{run}.cets.json")

    assert "size of the tomogram of run 'TS_2'" in report.failed[0].error
    assert list(tmp_path.glob("TS_2*")) == []


def test_labels_are_in_the_file_that_the_region_of_their_run_refers_to(root, tmp_path):
    export_masks(root, tmp_path / "{run}.cets.json")

    region = region_in(tmp_path / "TS_1.cets.json")
    (annotation,) = region["annotations"]
    size = [annotation[side] for side in ("width", "height", "depth")]
    assert (annotation["annotation_type"], annotation["name"], size) == ("segmentation_mask_3D", "membrane", [8, 7, 6])
    assert region["tomograms"][0]["coordinate_transformations"][0]["sequence"][1]["scale"] == [10, 10, 10]
    with mrcfile.open(tmp_path / annotation["path"]) as file:
        np.testing.assert_array_equal(file.data, LABELS)
        assert float(file.voxel_size.x) == 10
    with read_volume(str(tmp_path / "TS_1.cets.json")) as again:
        np.testing.assert_array_equal(again.slabs(0, 6), LABELS)


def test_fractions_are_a_probability_map(tmp_path):
    chances = np.random.default_rng(0).uniform(size=(6, 7, 8)).astype("f4")

    write_cets_volume(str(tmp_path / "a.cets.json"), read_volume(chances, voxel_size=10.0), run="TS_1")

    (annotation,) = region_in(tmp_path / "a.cets.json")["annotations"]
    assert annotation["annotation_type"] == "probability_map_3D"
    np.testing.assert_array_equal(mrcfile.read(tmp_path / annotation["path"]), chances)


def test_a_mask_becomes_a_segmentation_again(root, tmp_path):
    export_masks(root, tmp_path / "{run}.cets.json")
    again = root.get_run("TS_1").new_segmentation(10.0, "membrane", "2", is_multilabel=False)

    again.import_volume(tmp_path / "TS_1.cets.json", levels=1)

    np.testing.assert_array_equal(again.numpy(), LABELS)


def test_labels_that_no_mrc_file_holds_go_to_an_ome_zarr_folder(root, tmp_path):
    large = np.where(LABELS == 2, 20_000_001, 0).astype("u4")
    root.get_run("TS_1").segmentations[0].from_numpy(large, levels=1, dtype=np.uint32)

    refused = export_masks(root, tmp_path / "{run}.cets.json")
    written = export_masks(root, tmp_path / "{run}.cets.json", write_options={"mask_format": "ome-zarr"})

    assert [row.state for row in (*refused.rows, *written.rows)] == ["failed", "done"]
    path = region_in(tmp_path / "TS_1.cets.json")["annotations"][0]["path"]
    np.testing.assert_array_equal(zarr.open_group(tmp_path / path, mode="r")["0"][:], large)
    with read_volume(str(tmp_path / "TS_1.cets.json")) as again:
        np.testing.assert_array_equal(again.slabs(0, 6), large)


def test_only_segmentations_are_masks(root, tmp_path):
    report = copick_core.export_volumes(root, "wbp@10.0", tmp_path / "{run}.cets.json")

    assert "refers to segmentations" in report.failed[0].error


def test_a_file_beside_is_kept_unless_it_may_be_replaced(root, tmp_path):
    (tmp_path / "TS_1.mask.mrc").write_text("mine")

    report = export_masks(root, tmp_path / "{run}.cets.json")

    assert "TS_1.mask.mrc" in report.failed[0].error
    assert (tmp_path / "TS_1.mask.mrc").read_text() == "mine"
    assert not (tmp_path / "TS_1.cets.json").exists()


@pytest.mark.parametrize("mask_format", ["mrc", "ome-zarr"])
def test_an_export_that_was_interrupted_between_its_files_can_be_resumed(root, tmp_path, mask_format):
    options = {"write_options": {"mask_format": mask_format}}
    export_masks(root, tmp_path / "{run}.cets.json", **options)
    (tmp_path / "TS_1.cets.json").unlink()

    report = export_masks(root, tmp_path / "{run}.cets.json", resume=True, **options)

    assert [row.state for row in report.rows] == ["done"]
    with read_volume(str(tmp_path / "TS_1.cets.json")) as again:
        np.testing.assert_array_equal(again.slabs(0, 6), LABELS)


def test_a_file_that_refers_to_itself_is_refused(root, tmp_path):
    for name, kind in (("mask", "segmentation_mask_3D"), ("mesh", "tri_mesh")):
        path = tmp_path / f"{name}.cets.json"
        annotation = {"annotation_type": kind, "path": path.name}
        path.write_text(json.dumps({"regions": [{"id": "TS_1", "annotations": [annotation]}]}))

    with pytest.raises(InvalidDataError, match="only refers to others"):
        read_volume(str(tmp_path / "mask.cets.json"))
    report = copick_core.import_meshes(root, tmp_path / "mesh.cets.json", "2", "membrane", run_names={"mesh.cets": "TS_1"})
    assert "only refers to others" in report.failed[0].error


def test_the_command_exports_meshes_and_masks(root, tmp_path):
    common = ["-c", str(tmp_path / "config.json"), "--json"]

    meshes = CliRunner().invoke(command_line, ["export", "meshes", "membrane", str(tmp_path / "m_{run}.cets.json"), *common])
    masks = CliRunner().invoke(
        command_line,
        ["export", "volumes", "membrane", str(tmp_path / "{run}.cets.json"), "--kind", "segmentation", *common],
    )

    assert [json.loads(result.stdout)[0]["state"] for result in (meshes, masks)] == ["done", "done"]
    assert {path.name for path in tmp_path.glob("*TS_1.m*")} == {"m_TS_1.mesh.obj", "TS_1.mask.mrc"}
