"""Opening a compose volume as a project, on a generated volume and on the shared sample."""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from copick_backend_volume import mesh_files
from copick_backend_volume.records import parse_job
from copick_backend_volume.status import JobStatus
from copick_core.errors import ConfigError, NotFoundError, ReadOnlyError
from support import volume_generator
from support.volumes import geometry, open_volume, tree_hash

# Runs and jobs


def test_the_sample_has_three_runs_with_text_ids(sample):
    assert [run.name for run in open_volume(sample).runs] == ["12E345", "4F09A2", "CC7651"]


def test_runs_are_the_union_of_database_and_folders(generated):
    root = open_volume(generated.root)

    assert [r.name for r in root.runs] == ["0FF0FF", "123456", "12E345", "4F09A2", "AB0001", "BADBAD", "CC7651"]
    assert root.job("0FF0FF").status is None
    assert not root.job("0FF0FF").in_database


def test_orphans_can_be_left_out(generated):
    assert "0FF0FF" not in [r.name for r in open_volume(generated.root, include_orphans=False).runs]


def test_a_job_that_is_uploading_has_no_voxel_spacing(either):
    assert open_volume(either).get_run("12E345").voxel_spacings == []


def test_a_job_tells_status_times_progress_and_shape(sample):
    job = open_volume(sample).get_run("CC7651").job

    assert (job.status, job.name, job.shape, job.shape_zyx) == (JobStatus.MESHED, "Burrow", (53, 106, 12), (12, 106, 53))
    assert job.created_at.isoformat() == "2024-07-05T16:24:13.446237"
    assert job.progress == pytest.approx(47 / 48)


@pytest.mark.parametrize("text", ["JobStatus.MESHED", "MESHED", "meshed"])
def test_a_status_is_read_in_every_spelling(text):
    assert JobStatus.parse(text) is JobStatus.MESHED


REQUIRED = {"status": "JobStatus.UPLOADED", "created_at": "2024-07-05T16:24:13"}
OPTIONAL = {"name": "Burrow", "last_updated_at": "2024-07-05T16:24:13", "current_job_progress": 0.5, "shape": [5, 4, 3]}
OPTIONAL["source_type"] = "dicom"


def test_a_job_needs_a_status_and_a_time_and_nothing_else():
    job = parse_job("CC7651", REQUIRED)

    assert job.problem is None
    assert (job.name, job.last_updated_at, job.progress, job.shape, job.source_type) == (None,) * 5


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_job_without_its_status_or_time_says_so(missing):
    entry = {name: value for name, value in {**REQUIRED, **OPTIONAL}.items() if name != missing}

    assert parse_job("CC7651", entry).problem == f"{missing} is missing"


@pytest.mark.parametrize("missing", OPTIONAL)
def test_a_job_lacks_no_more_than_the_one_field_that_is_missing(missing):
    whole = parse_job("CC7651", {**REQUIRED, **OPTIONAL})
    job = parse_job("CC7651", {name: value for name, value in {**REQUIRED, **OPTIONAL}.items() if name != missing})

    attribute = "progress" if missing == "current_job_progress" else missing
    assert getattr(whole, attribute) is not None
    assert job == replace(whole, **{attribute: None})


def test_an_unknown_status_degrades_its_job_only(generated):
    jobs = {job.id: job for job in open_volume(generated.root).jobs()}

    assert jobs["BADBAD"].status is None
    assert "MELTING" in jobs["BADBAD"].problem
    assert jobs["BADBAD"].created_at is None
    assert jobs["CC7651"].problem is None


def test_an_entry_that_is_no_object_degrades_its_job_only(generated):
    generated.entries["version"] = 3
    generated.save()

    assert open_volume(generated.root).job("version").problem
    assert open_volume(generated.root).job("CC7651").status is JobStatus.MESHED


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", ""])
def test_ids_that_lead_elsewhere_are_no_runs(generated, name):
    generated.entries[name] = generated.entries["CC7651"]
    generated.save()
    root = open_volume(generated.root)

    assert name not in [run.name for run in root.runs]
    assert root.get_run(name) is None
    assert "unsafe-id" in {finding.code for finding in root.doctor()}


def test_links_are_not_followed(generated, tmp_path):
    shutil.move(generated.root / "chunks" / "0FF0FF", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", generated.root / "chunks" / "0FF0FF")
    root = open_volume(generated.root)

    assert root.get_run("0FF0FF") is None
    assert "link" in {finding.code for finding in root.doctor()}


def test_unknown_jobs_are_not_found(generated):
    with pytest.raises(NotFoundError):
        open_volume(generated.root).job("FFFFFF")


# Tomograms


def uploaded(folder, job):
    return np.stack([np.asarray(Image.open(p)) for p in sorted((folder / "uploads" / job).iterdir())])


@pytest.mark.parametrize("job", ["CC7651", "4F09A2"])
def test_a_tomogram_is_the_stack_of_its_slices(either, job):
    tomogram = open_volume(either).get_run(job).voxel_spacings[0].get_tomogram("raw")
    expected = uploaded(either, job)

    data = tomogram.numpy()

    assert data.dtype == expected.dtype
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_array_equal(tomogram.numpy(z=slice(1, 5), y=7, x=slice(2, 19)), expected[1:5, 7, 2:19])


def test_a_float_tomogram_keeps_its_type(generated):
    data = open_volume(generated.root).get_run("123456").voxel_spacings[0].tomograms[0].numpy()

    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, generated.images["123456"])


def test_a_slice_reads_only_the_chunks_that_it_touches(generated, monkeypatch):
    from copick_backend_volume.stores import ReversedStore

    array = open_volume(generated.root).get_run("CC7651").voxel_spacings[0].tomograms[0].array()
    read = []
    original = ReversedStore._read
    monkeypatch.setattr(ReversedStore, "_read", lambda self, key: read.append(key) or original(self, key))

    array[0:4, 0:4, 17:18]

    assert read == ["0/0.0.1"]


def test_the_store_gives_the_bytes_of_the_files_and_lists_them(generated):
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store = open_volume(generated.root).get_run("CC7651").voxel_spacings[0].tomograms[0].zarr()

    async def names():
        return [name async for name in store.list()]

    assert store.read_only
    assert {".zgroup", ".zattrs", "0/.zarray", "0/0.2.1"} <= set(sync(names()))
    data = sync(store.get("0/0.2.1", default_buffer_prototype())).to_bytes()
    assert data == (generated.root / "chunks/CC7651/1.2.0").read_bytes()


def test_the_store_is_never_writable(either):
    tomogram = open_volume(either).get_run("CC7651").voxel_spacings[0].tomograms[0]

    with pytest.raises(ReadOnlyError):
        tomogram.from_numpy(np.zeros((2, 2, 2), np.uint8))
    with pytest.raises((ValueError, PermissionError)):
        tomogram.array()[0, 0, 0] = 1


def test_a_half_converted_image_is_hidden_until_it_is_complete(generated):
    assert open_volume(generated.root).get_run("AB0001").voxel_spacings == []

    generated.image("AB0001")
    assert open_volume(generated.root).get_run("AB0001").voxel_spacings == []
    generated.entries["AB0001"]["status"] = "JobStatus.CONVERTED"
    generated.save()

    assert len(open_volume(generated.root).get_run("AB0001").voxel_spacings) == 1


def test_incomplete_images_can_be_shown_and_say_so(generated):
    run = open_volume(generated.root, hide_incomplete=False).get_run("AB0001")

    assert run.voxel_spacings[0].tomograms[0].meta.complete is False


# Voxel sizes


def spacing(folder, **fields):
    return open_volume(folder, **fields).get_run("CC7651").voxel_spacings[0]


def test_without_any_voxel_size_lengths_are_voxels_and_say_so(either):
    found = spacing(either)

    assert found.voxel_size == 1.0
    assert found.meta.calibrated is False


def test_the_job_beats_the_image_beats_the_overlay_beats_the_project(generated, tmp_path):
    overlay = tmp_path / "overlay"
    fields = {"overlay": None, "overlay_root": str(overlay), "voxel_size": 3.0}
    assert (spacing(generated.root, **fields).voxel_size, spacing(generated.root, **fields).meta.calibrated) == (3.0, True)

    (overlay / "CC7651").mkdir(parents=True)
    (overlay / "CC7651" / "volume.json").write_text('{"voxel_size": 0.4, "unit": "nanometer"}')
    assert spacing(generated.root, **fields).voxel_size == 4.0
    (generated.root / "chunks/CC7651/.zattrs").write_text('{"voxel_size": 6.5, "unit": "micrometer"}')
    assert spacing(generated.root, **fields).voxel_size == 65000.0
    assert spacing(generated.root, job_voxel_sizes={"CC7651": 2}, voxel_size_unit="nanometer").voxel_size == 20.0


@pytest.mark.parametrize("scheme", ["", "local://", "file://"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_note_of_an_overlay_is_found_however_its_folder_is_written(generated, tmp_path, scheme, nested):
    (tmp_path / "overlay" / "CC7651").mkdir(parents=True)
    (tmp_path / "overlay" / "CC7651" / "volume.json").write_text('{"voxel_size": 0.4, "unit": "nanometer"}')
    place = {"overlay_root": f"{scheme}{tmp_path}/overlay"}

    found = spacing(
        generated.root, **({"overlay": {"config_type": "filesystem", **place}} if nested else {"overlay": None, **place})
    )

    assert found.voxel_size == 4.0


def test_a_volume_is_a_local_folder(generated):
    assert open_volume(f"file://{generated.root}").volume.root == str(generated.root)
    with pytest.raises(ConfigError, match=r"volume_root: s3://lab/volume is not a folder"):
        open_volume("s3://lab/volume")


@pytest.mark.parametrize(
    "bad", [{"voxel_size": 0}, {"voxel_size": -1}, {"job_voxel_sizes": {"A": 0}}, {"voxel_size_unit": "furlong"}]
)
def test_impossible_voxel_sizes_are_refused(generated, bad):
    with pytest.raises(ConfigError):
        open_volume(generated.root, **bad)


# Segmentations, objects


def test_a_segmentation_has_the_values_of_the_app_in_a_small_unsigned_type(either):
    segmentations = open_volume(either).get_run("CC7651").segmentations

    assert [(s.name, s.user_id, s.session_id, s.is_multilabel) for s in segmentations] == [
        ("label-255", "RandomForest3DSegmenter", "1720196800", False),
        ("label-255", "RandomForest3DSegmenter", "1720196900", False),
    ]
    for segmentation in segmentations:
        data = segmentation.numpy()
        assert data.dtype == np.uint8
        assert set(np.unique(data)) == {0, 255}


def test_a_segmentation_is_its_mask(generated):
    segmentations = open_volume(generated.root).get_run("CC7651").segmentations

    assert [s.session_id for s in segmentations] == ["1720196800", "1720196900"]
    for segmentation in segmentations:
        np.testing.assert_array_equal(segmentation.numpy(), generated.masks["CC7651", segmentation.session_id])


def test_several_values_are_one_multilabel_segmentation(generated):
    segmentation = open_volume(generated.root).get_run("123456").segmentations[0]

    assert (segmentation.name, segmentation.is_multilabel) == ("classes", True)
    np.testing.assert_array_equal(segmentation.numpy(), generated.masks["123456", "1750000020"])


def test_the_values_of_an_array_from_elsewhere_are_its_own_whatever_was_meshed(generated):
    labels = np.zeros((12, 40, 30), np.uint64)
    labels[2:4], labels[6:8] = 100, 200
    generated.segmentation("CC7651", "1720199990", labels)
    generated.mesh("CC7651", "1720199990", value=100)
    generated.segmentation("CC7651", "1720199991", (labels > 0) * np.uint64(7))
    generated.mesh("CC7651", "1720199991", value=255)

    found = {s.session_id: s for s in open_volume(generated.root).get_run("CC7651").segmentations}

    assert (found["1720199990"].name, found["1720199990"].is_multilabel) == ("classes", True)
    assert (found["1720199991"].name, found["1720199991"].is_multilabel) == ("label-7", False)


def test_the_values_of_a_model_are_those_of_the_masks_that_it_was_trained_on(generated):
    (generated.root / "meshed/CC7651/1720196900.zarr/255.combined.stl").unlink()
    (generated.root / "meshed/CC7651/1720196900.zarr/255.combined.obj").unlink()
    generated.pair("CC7651", "1720196999", 100)

    latest = open_volume(generated.root).get_run("CC7651").segmentations[-1]

    assert (latest.session_id, latest.name) == ("1720196900", "label-255")


def test_an_incomplete_segmentation_appears_when_it_is_complete(generated):
    run = open_volume(generated.root).get_run("123456")
    assert [s.session_id for s in run.segmentations] == ["1750000020"]

    generated.segmentation("123456", "1750000090", generated.masks["123456", "1750000090"])
    run.refresh_segmentations()

    assert sorted(s.session_id for s in run.segmentations) == ["1750000020", "1750000090"]


def test_there_is_an_object_for_every_value(generated):
    root = open_volume(generated.root, labels={"255": {"name": "bone", "color": [1, 2, 3, 255]}})

    assert [(o.name, o.label, o.is_particle) for o in root.pickable_objects] == [
        ("label-100", 100, False),
        ("label-200", 200, False),
        ("bone", 255, False),
    ]
    assert root.get_object("bone").color == (1, 2, 3, 255)
    assert root.get_run("CC7651").segmentations[0].name == "bone"


def test_a_value_that_an_object_has_as_its_label_gets_no_second_object(generated):
    femur = {"name": "femur", "is_particle": False, "label": 255}
    root = open_volume(generated.root, pickable_objects=[femur])

    assert [(o.name, o.label) for o in root.pickable_objects] == [("femur", 255), ("label-100", 100), ("label-200", 200)]
    assert root.get_run("CC7651").segmentations[0].name == "femur"


def test_an_object_without_a_label_gets_the_value_that_has_its_name(generated):
    bone = {"name": "bone", "is_particle": False, "color": [1, 2, 3, 255]}
    root = open_volume(generated.root, pickable_objects=[bone], labels={"255": {"name": "bone"}})

    assert root.get_object("bone").label == 255
    assert root.get_run("CC7651").segmentations[0].color == (1, 2, 3, 255)


@pytest.mark.parametrize(
    ("name", "label", "said"),
    [
        ("femur", 255, r"pickable_objects\[0\]: 'femur' has label 255, but labels.255 names this value 'bone'"),
        ("bone", 3, r"pickable_objects\[0\]: 'bone' has label 3, but labels.255 gives this name to value 255"),
    ],
)
def test_an_object_that_contradicts_a_value_is_refused_by_name_label_and_place(generated, name, label, said):
    objects = [{"name": name, "is_particle": False, "label": label}]

    with pytest.raises(ConfigError, match=said):
        open_volume(generated.root, pickable_objects=objects, labels={"255": {"name": "bone"}})


def test_an_object_without_a_label_stands_for_no_value(generated):
    generated.mesh("CC7651", "1720196900", value=1)
    root = open_volume(generated.root, pickable_objects=[{"name": "ribosome", "is_particle": True}])

    assert [o.name for o in root.pickable_objects] == ["ribosome", "label-1", "label-100", "label-200", "label-255"]


def test_segmentations_of_models_are_made_by_tools(either):
    run = open_volume(either).get_run("CC7651")

    assert {s.from_tool for s in run.segmentations} == {True}
    assert {m.from_tool for m in run.meshes} == {True}


# Meshes


def test_a_mesh_is_in_xyz_and_outward(generated):
    mesh = geometry(open_volume(generated.root, voxel_size=2.0).get_run("CC7651").meshes[0])

    np.testing.assert_allclose(mesh.bounds, [[9, 19, 5], [39, 59, 17]])
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(8 * 15 * 20 * 6)
    assert len(mesh.vertices) == 8


def test_without_reversing_triangles_a_mesh_is_inside_out(generated):
    stored = mesh_files.read_mesh(str(generated.root / "meshed/CC7651/1720196900.zarr"), 255)

    assert mesh_files.signed_volume(stored) > 0
    assert mesh_files.signed_volume(stored[:, :, ::-1]) < 0
    assert mesh_files.signed_volume(mesh_files.flip_frame(stored)) > 0


def test_the_sample_mesh_fits_its_segmentation(sample):
    run = open_volume(sample).get_run("CC7651")
    z, y, x = np.nonzero(run.segmentations[1].numpy())
    mesh = geometry(run.meshes[0])

    low, high = np.array([x.min(), y.min(), z.min()]), np.array([x.max(), y.max(), z.max()])
    # Half a voxel outside the outermost centres; none outside at the edges of the volume, where the app leaves surfaces open.
    at_edge = np.array([low <= 0, high >= np.array(run.job.shape) - 1])
    np.testing.assert_allclose(mesh.bounds, np.where(at_edge, [low, high], [low - 0.5, high + 0.5]))
    assert mesh.volume > 0


def test_pooled_labels_move_the_mesh_to_the_middle_of_its_blocks(generated):
    def bounds(m):
        return geometry(open_volume(generated.root, mesh_downsample=m).get_run("CC7651").meshes[0]).bounds

    np.testing.assert_allclose(bounds(4) - bounds(None), 1.5)


def test_obj_stl_and_blocks_are_one_mesh(either):
    folder = either / "meshed/CC7651/1720196900.zarr"
    combined = mesh_files.combined_meshes(str(folder))[255]
    stl, obj = mesh_files.read_stl(combined["stl"]), mesh_files.read_obj(combined["obj"])
    blocks = np.concatenate([t for _, t in mesh_files.iter_blocks(str(folder), 255)])

    def as_set(triangles):
        return sorted(map(tuple, np.round(triangles.reshape(-1, 9), 3).tolist()))

    assert as_set(stl) == as_set(obj) == as_set(blocks)


@pytest.mark.parametrize("missing", [["255.combined.stl"], ["255.combined.stl", "255.combined.obj"]])
def test_a_mesh_falls_back_to_obj_and_blocks(generated, missing):
    whole = geometry(open_volume(generated.root).get_run("CC7651").meshes[0])
    for name in missing:
        (generated.root / "meshed/CC7651/1720196900.zarr" / name).unlink()

    other = geometry(open_volume(generated.root).get_run("CC7651").meshes[0])

    assert other.volume == pytest.approx(whole.volume)


def test_blocks_are_available(either):
    mesh = open_volume(either).get_run("CC7651").meshes[0]

    assert (0, 0, 0) in mesh.blocks()
    assert all(isinstance(block, trimesh.Trimesh) for block in mesh.blocks().values())


def test_blocks_of_a_mesh_are_those_of_its_value(generated):
    generated.mesh("CC7651", "1720196900", value=100, low=(1, 2, 3), high=(4, 5, 6))

    meshes = {m.pickable_object_name: m for m in open_volume(generated.root).get_run("CC7651").meshes}

    for mesh in meshes["label-100"], meshes["label-255"]:
        (block,) = mesh.blocks().values()
        np.testing.assert_allclose(block.bounds, geometry(mesh).bounds)


# Models, training pairs, freshness


def test_pairs_up_to_the_second_of_the_model_were_used(either):
    run = open_volume(either).get_run("CC7651")

    assert [len(m.training_pairs) for m in run.models] == [3, 4]
    assert [m.training_exact for m in run.models] == [False, False]
    assert len(run.training_pairs()) == 5
    assert run.training_pairs()[-1].id not in {p.id for p in run.training_pairs("1720196900")}
    assert run.freshness().unused_pairs == (run.training_pairs()[-1].id,)


def test_hyperparameters_that_the_app_lost_are_unknown(either):
    assert {m.hyperparameters for m in open_volume(either).get_run("CC7651").models} == {None}


def test_a_model_of_2026_tells_its_pairs_exactly(generated):
    model = next(m for m in open_volume(generated.root).get_run("123456").models if m.id == "1750000020")

    assert model.hyperparameters["n_estimators"] == 50
    assert model.metrics == {"dice": 0.91}
    assert model.training_exact
    assert [(p.id, p.z) for p in model.training_pairs] == [("1750000010-z03", 3)]


def test_ids_that_are_no_numbers_may_have_used_all_pairs(generated):
    generated.model("CC7651", "manual")
    model = next(m for m in open_volume(generated.root).get_run("CC7651").models if m.id == "manual")

    assert (len(model.training_pairs), model.training_exact) == (5, False)


def test_masks_are_the_red_channel_and_images_are_yx(generated):
    grey, mask = generated.pair("CC7651", "1720199999", size=(20, 30))
    pair = open_volume(generated.root).get_run("CC7651").training_pairs()[-1]

    np.testing.assert_array_equal(pair.image, grey)
    np.testing.assert_array_equal(pair.mask, mask)
    assert pair.mask.dtype == np.uint8
    assert pair.place_zyx is None


def test_a_pair_with_metadata_knows_its_place(generated):
    generated.pair("CC7651", "1720199999", meta=volume_generator.META)
    run = open_volume(generated.root).get_run("CC7651")
    pair = run.training_pairs()[-1]

    placed = run.voxel_spacings[0].tomograms[0].numpy()[pair.place_zyx]

    assert pair.z == 5
    np.testing.assert_array_equal(pair.image[pair.region_yx], placed)


def test_an_image_without_a_mask_is_no_pair(generated):
    root = open_volume(generated.root)

    assert "1720196820" not in {p.id for p in root.get_run("CC7651").training_pairs()}
    assert "unpaired" in {f.code for f in root.doctor()}


def test_models_are_hashed_and_measured(generated):
    model = open_volume(generated.root).get_run("CC7651").models[0]
    data = Path(model.path).read_bytes()

    assert (model.size, model.sha256) == (len(data), hashlib.sha256(data).hexdigest())


# The volume is never written by reading, or by the overlay


def test_a_correction_copies_the_segmentation_into_the_overlay(either):
    run = open_volume(either).get_run("CC7651")
    original = run.segmentations[0]
    data = original.numpy()

    copy = run.new_segmentation(
        original.voxel_size, original.name, original.session_id, False, user_id=original.user_id, exist_ok=True
    )
    copy.set_region(np.zeros_like(data[:2]), z=slice(0, 2))
    data[:2] = 0

    assert copy.layer == "overlay"
    np.testing.assert_array_equal(copy.numpy(), data)


def test_without_write_back_every_call_that_writes_is_refused(either):
    before = tree_hash(either)
    root = open_volume(either)
    run = root.get_run("CC7651")

    for call in (
        lambda: root.new_job("x"),
        lambda: run.add_slices(np.zeros((1, 2, 2), np.uint8)),
        run.finish_upload,
        run.convert,
        lambda: run.publish_segmentation(np.zeros((1, 1, 1), np.uint8), "tool"),
        run.mesh,
        lambda: run.request("mesh"),
        lambda: run.set_status("ANNOTATED"),
    ):
        with pytest.raises(ReadOnlyError):
            call()
    assert tree_hash(either) == before


def test_an_overlay_inside_the_volume_is_refused(either):
    with pytest.raises(ConfigError):
        open_volume(either, overlay=None, overlay_root=str(either / "overlay"))


def test_a_project_pickles_by_its_configuration(either):
    import pickle

    root = open_volume(either, overlay=None)

    assert [r.name for r in pickle.loads(pickle.dumps(root)).runs] == [r.name for r in root.runs]


def test_a_project_without_a_volume_says_so(tmp_path):
    with pytest.raises(ConfigError, match="not a folder"):
        open_volume(tmp_path / "nothing")


# The latest


def test_the_latest_segmentation_and_mesh_are_those_of_the_last_id_whatever_the_names_of_users(generated):
    generated.segmentation("CC7651", "1720199999")
    generated.model("CC7651", "1720199999", {"model_class": "AAA"})
    generated.mesh("CC7651", "1720199999")
    run = open_volume(generated.root).get_run("CC7651")

    assert run.segmentations[-1].model_id != "1720199999"
    assert run.latest_segmentation.model_id == "1720199999"
    assert (run.latest_mesh.user_id, run.latest_mesh.session_id) == ("AAA", "1720199999")


def test_a_job_without_segmentations_has_no_latest_one(generated):
    run = open_volume(generated.root).get_run("4F09A2")

    assert run.latest_segmentation is None
    assert run.latest_mesh is None
