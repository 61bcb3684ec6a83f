"""What is damaged or odd in a compose volume spoils itself only: the project opens, and errors name the file."""

import json
import shutil

import numpy as np
import pytest

from copick_core.errors import ConfigError, InvalidDataError
from support import volume_generator
from support.volumes import open_volume

JOB, MODEL = "CC7651", "1720196900"


@pytest.fixture
def volume(tmp_path):
    """A volume with one job that has an image, and no segmentation yet."""
    made = volume_generator.GeneratedVolume(tmp_path / "volume")
    made.job(JOB)
    made.image(JOB)
    return made.save()


def labelled(volume, dtype, value):
    """Put a segmentation of some type there, as another tool would."""
    labels = np.zeros((12, 40, 30), dtype)
    labels[3:9, 10:30, 5:20] = value
    volume_generator.write_array(volume.root / "segmented" / JOB / f"{MODEL}.zarr", labels, (13, 13, 13), labels.dtype.str)
    return labels


def doctor_codes(volume):
    return {finding.code for finding in open_volume(volume.root).doctor()}


def test_a_model_class_that_is_no_name_makes_an_unknown_user(volume):
    volume.segmentation(JOB, MODEL)
    volume.model(JOB, MODEL, {"model_class": "___"}, pickled=False)

    assert [s.user_id for s in open_volume(volume.root).get_run(JOB).segmentations] == ["unknown"]


def test_a_damaged_chunk_of_a_segmentation_leaves_the_project_usable(volume):
    volume.segmentation(JOB, MODEL)
    (volume.root / "segmented" / JOB / f"{MODEL}.zarr" / "0.0.0").write_bytes(b"xx")

    root = open_volume(volume.root)

    assert [s.name for s in root.get_run(JOB).segmentations] == ["label-255"]
    assert [o.label for o in root.pickable_objects] == [255]


@pytest.mark.parametrize("document", [{"compressor": {"id": "nope"}}, {"filters": 3}, {"order": "X"}, {"compressor": None}])
def test_a_segmentation_that_cannot_be_decoded_leaves_the_project_usable(volume, document):
    volume.segmentation(JOB, MODEL)
    path = volume.root / "segmented" / JOB / f"{MODEL}.zarr" / ".zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), **document}))

    run = open_volume(volume.root, write_back=True).get_run(JOB)

    assert [s.session_id for s in run.segmentations] == [MODEL]
    with pytest.raises(InvalidDataError, match=r"0\.0\.0"):
        run.mesh()


def test_a_damaged_training_pair_leaves_the_project_usable_and_is_named(volume):
    volume.segmentation(JOB, MODEL)
    volume.model(JOB, MODEL)
    volume.pair(JOB, "1720196700")
    path = volume.root / "training" / JOB / "seg1720196700.png"
    path.write_bytes(path.read_bytes()[:60])

    (pair,) = open_volume(volume.root).get_run(JOB).training_pairs()

    with pytest.raises(InvalidDataError, match=path.name):
        _ = pair.mask
    assert "unreadable-pair" in doctor_codes(volume)


@pytest.mark.parametrize("name", ["_255_0_0_0.stl", "255.combined.stl"])
@pytest.mark.parametrize("part", [0, 0.5])
def test_a_mesh_that_is_cut_off_is_an_error_and_the_doctor_names_it(volume, name, part):
    volume.mesh(JOB, MODEL)
    path = volume.root / "meshed" / JOB / f"{MODEL}.zarr" / name
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    (mesh,) = open_volume(volume.root).get_run(JOB).meshes

    with pytest.raises(InvalidDataError, match=name):
        _ = mesh.mesh if name.startswith("255") else mesh.blocks()
    assert ("broken-mesh" if name.startswith("255") else "broken-block") in doctor_codes(volume)


def test_a_mesh_with_a_face_of_no_numbers_is_named(volume):
    volume.mesh(JOB, MODEL)
    folder = volume.root / "meshed" / JOB / f"{MODEL}.zarr"
    (folder / "255.combined.stl").unlink(missing_ok=True)
    (folder / "255.combined.obj").write_text("v 0 0 0\nv 0 0 1\nv 0 1 0\nf 1 2 x\n")
    (mesh,) = open_volume(volume.root).get_run(JOB).meshes

    with pytest.raises(InvalidDataError, match=r"255\.combined\.obj"):
        _ = mesh.mesh


def test_mesh_files_of_values_that_are_no_labels_are_left_out(volume):
    volume.segmentation(JOB, MODEL)
    volume.model(JOB, MODEL)
    volume.mesh(JOB, MODEL)
    folder = volume.root / "meshed" / JOB / f"{MODEL}.zarr"
    for value in (0, 1 << 63):
        shutil.copy(folder / "255.combined.stl", folder / f"{value}.combined.stl")

    root = open_volume(volume.root)

    assert [m.pickable_object_name for m in root.get_run(JOB).meshes] == ["label-255"]
    assert [s.name for s in root.get_run(JOB).segmentations] == ["label-255"]
    assert [o.label for o in root.pickable_objects] == [255]


@pytest.mark.parametrize(("dtype", "value"), [("i1", -1), ("i8", -5), ("f4", 0.5), ("f4", np.nan)])
def test_values_that_are_no_labels_are_read_as_they_are_and_not_meshed(volume, dtype, value):
    labels = labelled(volume, dtype, value)
    root = open_volume(volume.root, write_back=True)
    (segmentation,) = root.get_run(JOB).segmentations

    np.testing.assert_array_equal(segmentation.numpy(), labels)
    with pytest.raises(InvalidDataError, match="labels are"):
        root.get_run(JOB).mesh()
    assert root.pickable_objects == []


@pytest.mark.parametrize("dtype", ["b1", "i2", "u2", "u8"])
def test_labels_of_any_integer_type_become_the_smallest_unsigned_one(volume, dtype):
    labels = labelled(volume, dtype, 1)

    read = open_volume(volume.root).get_run(JOB).segmentations[0].numpy()

    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


def test_two_values_of_one_name_are_refused(volume):
    with pytest.raises(ConfigError, match="bone"):
        open_volume(volume.root, labels={1: {"name": "bone"}, 2: {"name": "bone"}})


@pytest.mark.parametrize("size", [-1, 0, "NaN"])
def test_a_noted_voxel_size_that_is_none_is_refused_by_file(volume, size):
    path = volume.root / "chunks" / JOB / ".zattrs"
    path.write_text(json.dumps({"voxel_size": size}))

    with pytest.raises(InvalidDataError, match=r"\.zattrs"):
        _ = open_volume(volume.root).get_run(JOB).voxel_spacings


@pytest.mark.parametrize("fields", [{"current_job_progress": 10**400}, {"shape": [float("inf"), 1, 1]}])
def test_numbers_that_are_too_large_degrade_one_job(volume, fields):
    volume.job("ABCDEF", **fields)
    volume.save()

    jobs = {job.id: job.problem for job in open_volume(volume.root).jobs()}

    assert jobs[JOB] is None
    assert "cannot be read" in jobs["ABCDEF"]


def test_a_moved_aside_database_that_is_torn_inside_a_name_gives_what_is_whole(volume):
    entry = json.dumps(volume.entries[JOB])
    torn = '{"A": {"status": "x"\n  lost": {"status": "x"}, "b\\q": {"status": "x"}, "GG1111": ' + entry
    (volume.root / "jobs.json.1720000000.5").write_text(torn)

    assert [job.job.id for job in open_volume(volume.root).recoverable_jobs()] == ["GG1111"]


def test_a_publication_stands_when_another_status_is_set_at_the_same_time(volume, monkeypatch):
    root = open_volume(volume.root, write_back=True)
    run, store = root.get_run(JOB), root.volume_layer.jobs
    update, statuses = store.update, iter(["ANNOTATED"])

    def overtaken(job, **fields):
        for status in statuses:
            run.set_status(status)
        return update(job, **fields)

    monkeypatch.setattr(type(store), "update", lambda self, job, **fields: overtaken(job, **fields))
    published = run.publish_segmentation(np.ones((12, 40, 30), np.uint8), "tool")

    assert published.model_id
    assert run.job.status.name == "SEGMENTED"
