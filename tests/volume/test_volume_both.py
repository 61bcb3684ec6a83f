"""What a user gets from a compose volume, on a generated volume and on the shared sample, which the app's layout made."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from copick_backend_volume.status import BUSY, RESTING, JobStatus
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError, ReadOnlyError
from support import volume_generator, volume_writer
from support.volumes import geometry, open_volume, tree_hash

JOB = "CC7651"


@pytest.fixture
def root(either):
    return open_volume(either, write_back=True)


def edit(folder, job=JOB, **fields):
    """Change an entry of the database by hand."""
    database = json.loads((folder / "jobs.json").read_text())
    database[job] |= fields
    (folder / "jobs.json").write_text(json.dumps(database, indent=4))


# Reading


@pytest.mark.parametrize("status", ["UPLOADING", "UPLOADED", "CONVERTING", "CONVERT_ERROR"])
def test_an_image_is_hidden_while_it_is_not_converted_and_can_be_shown_as_incomplete(either, status):
    edit(either, status=f"JobStatus.{status}")

    assert open_volume(either).get_run(JOB).voxel_spacings == []
    shown = open_volume(either, hide_incomplete=False).get_run(JOB).voxel_spacings[0].tomograms[0]
    assert shown.meta.complete is False


@pytest.mark.parametrize("kind", ["chunks/CC7651", "segmented/CC7651/1720196900.zarr"])
def test_what_lacks_a_chunk_is_hidden_until_it_has_it(either, tmp_path, kind):
    chunk = either / kind / "0.0.0"
    shutil.move(chunk, tmp_path / "chunk")
    run = open_volume(either).get_run(JOB)

    def listed():
        run.refresh_voxel_spacings()
        run.refresh_segmentations()
        return len(run.voxel_spacings), [s.session_id for s in run.segmentations]

    whole = (1, ["1720196800", "1720196900"])
    assert listed() == ((0, whole[1]) if kind.startswith("chunks") else (1, ["1720196800"]))
    shutil.move(tmp_path / "chunk", chunk)
    assert listed() == whole


def test_an_incomplete_segmentation_that_is_shown_says_so(either):
    (either / "segmented/CC7651/1720196900.zarr/0.0.0").unlink()

    shown = open_volume(either, hide_incomplete=False).get_run(JOB).segmentations

    assert [s.meta.complete for s in shown] == [True, False]


def test_segmentations_and_meshes_have_object_user_and_session_of_their_model(either):
    run = open_volume(either).get_run(JOB)
    mesh, segmentation = run.meshes[0], run.segmentations[1]

    assert (mesh.pickable_object_name, mesh.user_id, mesh.session_id) == (
        segmentation.name,
        segmentation.user_id,
        segmentation.session_id,
    )
    assert geometry(mesh).volume > 0


def test_models_tell_what_lies_beside_them(either):
    first, second = open_volume(either).get_run(JOB).models

    assert (first.id, first.segmentation, first.meshes) == ("1720196800", True, False)
    assert (second.model_class, second.segmentation, second.meshes) == ("RandomForest3DSegmenter", True, True)
    assert second.created_at.timestamp() == 1720196900
    assert Path(second.path).name == "1720196900.model"
    assert (second.hyperparameters, second.metrics, second.training_exact) == (None, None, False)


def test_models_without_description_and_descriptions_without_model_are_listed(either):
    (either / "models/CC7651/1720196800.json").unlink()
    (either / "models/CC7651/1720196900.model").unlink()

    first, second = open_volume(either).get_run(JOB).models

    assert (first.model_class, first.hyperparameters) == (None, None)
    assert (second.path, second.sha256, second.size) == (None, None, None)


def test_pairs_are_arrays_with_masks(either):
    pairs = open_volume(either).get_run(JOB).training_pairs()

    assert pairs
    for pair in pairs:
        assert pair.image.shape == pair.mask.shape
        assert pair.mask.dtype == np.uint8
        assert set(np.unique(pair.mask)) == {0, 255}
        assert pair.place_zyx is None


def test_a_key_that_is_not_the_id_of_its_entry_is_tolerated(either):
    edit(either, id="OTHER1")

    assert open_volume(either).job(JOB).status is JobStatus.MESHED


def test_links_to_segmentations_meshes_and_models_are_not_followed(either, tmp_path):
    shutil.copytree(either / "segmented/CC7651/1720196900.zarr", tmp_path / "elsewhere.zarr")
    for kind in ("segmented", "meshed"):
        os.symlink(tmp_path / "elsewhere.zarr", either / kind / JOB / "1720199999.zarr")
    os.symlink("/etc/hostname", either / "models" / JOB / "1720199999.json")
    run = open_volume(either).get_run(JOB)

    listed = {e.session_id for e in (*run.segmentations, *run.meshes)} | {m.id for m in run.models}
    assert listed == {"1720196800", "1720196900"}


def test_a_job_tells_what_it_takes_on_disk(either):
    usage = open_volume(either).get_run(JOB).disk_usage()

    assert set(usage) == {"chunks", "meshed", "models", "segmented", "training", "uploads"}
    for kind, size in usage.items():
        assert size == sum(p.stat().st_size for p in (either / kind / JOB).rglob("*") if p.is_file()) > 0


def test_there_is_one_object_for_the_value_of_the_app(either):
    objects = {
        o.label: o for o in open_volume(either, labels={"255": {"name": "bone", "color": [1, 2, 3, 255]}}).pickable_objects
    }

    assert (objects[255].name, objects[255].color, objects[255].is_particle) == ("bone", (1, 2, 3, 255), False)


def test_a_class_of_models_becomes_a_user_without_underscores(either):
    (either / "models/CC7651/1720196800.json").write_text('{"model_class": "My_Segmenter 2/3"}')
    segmentation = open_volume(either).get_run(JOB).segmentations[0]

    assert not set("_/ ") & set(segmentation.user_id)
    assert segmentation.user_id.startswith("My-Segmenter")


def test_an_impossible_voxel_size_beside_an_image_is_an_error_of_its_run_only(either):
    (either / "chunks/CC7651/.zattrs").write_text('{"voxel_size": -1}')
    root = open_volume(either)

    with pytest.raises(InvalidDataError):
        _ = root.get_run(JOB).voxel_spacings
    assert len(root.get_run("4F09A2").voxel_spacings) == 1


# Corrections in the overlay


def test_a_correction_is_small_and_can_have_levels(either, tmp_path):
    run = open_volume(either, overlay={"config_type": "filesystem", "overlay_root": str(tmp_path / "mine")}).get_run(JOB)
    data = run.segmentations[1].numpy()
    mine = run.new_segmentation(run.segmentations[1].voxel_size, run.segmentations[1].name, "1", False, user_id="ana")

    mine.from_numpy(data, levels=2)

    assert mine.numpy().dtype == np.uint8
    np.testing.assert_array_equal(mine.numpy("0"), data)
    assert mine.numpy("1").shape == tuple(n // 2 for n in data.shape)


def test_volume_data_are_never_deleted(either):
    before = tree_hash(either)
    root = open_volume(either, write_back=True)
    run = root.get_run(JOB)

    for entity in (run.segmentations[0], run.meshes[0], run.voxel_spacings[0].tomograms[0], run.voxel_spacings[0]):
        with pytest.raises(ReadOnlyError):
            entity.delete()
    with pytest.raises(ReadOnlyError):
        root.delete_run(JOB)
    assert tree_hash(either) == before


# Writing into the volume


def test_a_job_goes_from_slices_to_a_mesh_here(root, either):
    image = volume_generator.image_of("X", (9, 30, 20), "<u2")
    run = root.new_job("by hand")
    statuses = [run.job.status.name]
    run.add_slices(image)
    statuses.append(run.finish_upload().status.name)
    during = []
    statuses.append(run.convert(progress=lambda done, total: during.append(run.job.status.name)).status.name)
    published = run.publish_segmentation(image > 30000, "threshold_30000")
    statuses.append(run.job.status.name)
    meshes = run.mesh(published)
    statuses.append(run.job.status.name)

    assert statuses == ["UPLOADING", "UPLOADED", "CONVERTED", "SEGMENTED", "MESHED"]
    assert set(during) == {"CONVERTING"}
    assert published.user_id == "threshold-30000"
    assert geometry(meshes[0]).is_watertight
    assert not list(either.rglob(".staging-*"))
    entry = json.loads((either / "jobs.json").read_text())[run.name]
    assert set(entry) == set(json.loads((either / "jobs.json").read_text())[JOB])
    assert (entry["shape"], entry["status"]) == ([20, 30, 9], "JobStatus.MESHED")


def test_a_converted_image_is_what_the_app_would_have_written(root):
    run = root.new_job("flat")
    run.add_slices(np.ones((3, 5, 4), np.uint8))
    run.finish_upload()
    run.convert()
    folder = Path(root.volume.chunks(run.name))

    assert json.loads((folder / ".zarray").read_text()) == {
        "chunks": [512, 512, 64],
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
        "dtype": "|u1",
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": [4, 5, 3],
        "zarr_format": 2,
    }
    assert sorted(p.name for p in folder.iterdir()) == [".zarray", "0.0.0"]
    assert zarr.open_array(folder, mode="r")[:].sum() == 60


@pytest.mark.parametrize("mode", ["1", "P"])
def test_bits_and_palettes_are_kept_as_the_app_keeps_them(root, tmp_path, mode):
    from PIL import Image

    plane = np.arange(20, dtype=np.uint8).reshape(4, 5) % 2
    image = Image.fromarray(plane * 255).convert("1") if mode == "1" else Image.fromarray(plane).convert("P")
    image.save(tmp_path / "a.png")
    run = root.new_job("modes")
    run.add_slices([tmp_path / "a.png"])
    run.finish_upload()
    run.convert()

    data = run.voxel_spacings[0].tomograms[0].numpy()
    assert data.dtype == (bool if mode == "1" else np.uint8)
    np.testing.assert_array_equal(data[0], plane)


def test_a_published_id_is_later_than_all_others_and_has_passed(root, either):
    before = time.time()

    published = root.get_run(JOB).publish_segmentation(np.ones(root.get_run(JOB).job.shape_zyx, np.uint8), "tool")

    assert before - 3 < int(published.model_id) < time.time() - 1  # the last second that certainly is over
    assert root.volume.segmentation_ids(JOB)[-1] == published.model_id


def test_labels_up_to_the_largest_that_there_may_be_are_kept(root):
    run = root.get_run(JOB)
    labels = np.zeros(run.job.shape_zyx, np.uint64)
    labels[1, 2, 3] = (1 << 63) - 1

    published = run.publish_segmentation(labels, "tool", value=None)

    assert published.name == f"label-{(1 << 63) - 1}"
    assert published.numpy().dtype == np.uint64
    assert published.numpy().max() == (1 << 63) - 1
    labels[1, 2, 3] = 1 << 63
    with pytest.raises(InvalidDataError):
        run.publish_segmentation(labels, "tool", value=None)


def test_what_is_published_and_meshed_tells_with_what(root):
    from copick_backend_volume import __version__

    run = root.get_run(JOB)
    published = run.publish_segmentation(np.ones(run.job.shape_zyx, np.uint8), "nnU-Net", provenance={"weights": "fold 0"})
    run.mesh(published)

    sidecar = next(m for m in run.models if m.id == published.model_id).metadata
    note = json.loads(Path(root.volume.meshes(JOB, published.model_id), "copick.json").read_text())
    assert (sidecar["weights"], sidecar["published_by_version"], sidecar["values"]) == ("fold 0", __version__, [255])
    assert note["library"].startswith("zmesh ")
    assert (note["downsample"], note["package_version"]) == (1, __version__)


@pytest.mark.parametrize("kind", ["segmented", "models", "uploads"])
def test_nothing_is_written_through_links(root, either, tmp_path, kind):
    job = root.new_job("linked").name if kind == "uploads" else JOB
    shutil.move(either / kind / job, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", either / kind / job)
    before = tree_hash(tmp_path / "elsewhere")
    run = root.get_run(job)

    labels = np.ones(run.job.shape_zyx or (1, 4, 4), np.uint8)

    with pytest.raises(InvalidDataError, match="link"):
        run.add_slices(labels) if kind == "uploads" else run.publish_segmentation(labels, "tool")
    assert tree_hash(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("what", ["segment", "mesh"])
def test_requests_are_made_of_jobs_that_rest_and_refused_otherwise(either, status, what):
    edit(either, status=status.stored)
    run = open_volume(either, write_back=True).get_run(JOB)

    if status in RESTING:
        assert run.request(what).status in BUSY
    else:
        with pytest.raises(InvalidDataError):
            run.request(what)
        assert run.job.status is status


def test_a_status_that_nobody_knows_is_refused_also_by_force(root):
    before = root.job(JOB)

    with pytest.raises(ValueError, match="MELTING"):
        root.get_run(JOB).set_status("MELTING", force=True)
    assert root.job(JOB) == before


CHAIN = """
import sys
loaded = []
sys.addaudithook(lambda event, args: loaded.append(args) if event == "pickle.find_class" else None)
import volume_writer
volume_writer.publish(sys.argv[1], "CC7651")
volume_writer.remesh(sys.argv[1], "CC7651")
run = volume_writer.root_of(sys.argv[1]).get_run("CC7651")
run.request("mesh"), run.set_status("MESHED", force=True), run.models, run.freshness()
assert not loaded, loaded
assert not {"joblib", "sklearn"} & set(sys.modules)
"""


def test_the_calls_that_write_unpickle_nothing(either, tmp_path):
    path = os.pathsep.join([str(Path(volume_writer.__file__).parent), os.environ.get("PYTHONPATH", "")])

    subprocess.run(
        [sys.executable, "-c", CHAIN, str(either)], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )

    assert not list(tmp_path.rglob("UNPICKLED"))


# The command line


def test_the_commands_list_examine_convert_and_mesh(either, capsys):
    edit(either, "12E345", status="JobStatus.UPLOADED")

    assert main(["volume", "jobs", str(either)]) == 0
    assert main(["volume", "convert", str(either), "--job", "12E345"]) == 0
    assert main(["volume", "mesh", str(either), "--job", JOB]) == 0
    assert main(["volume", "convert", str(either), "--job", JOB]) == 1
    edit(either, JOB, shape=[1, 2, 3])
    assert main(["volume", "doctor", str(either)]) == 1

    printed = capsys.readouterr().out
    assert f"{JOB}: label-255 of segmentation 1720196900" in printed
    assert "shape-in-database" in printed
    assert open_volume(either).get_run("12E345").voxel_spacings


# Memory


def test_publishing_and_meshing_hold_blocks_and_not_the_volume(generated, monkeypatch):
    import tracemalloc

    from copick_backend_volume import publish

    monkeypatch.setattr(publish, "CHUNKS", (32, 32, 32))
    root = open_volume(generated.root, write_back=True)
    run = root.new_job("long")
    run.add_slices(np.zeros((256, 64, 64), np.uint8))
    run.finish_upload()
    run.convert(chunks=(64, 64, 16))
    labels = run.new_segmentation(1.0, root.pickable_objects[0].name, "1", False, user_id="ana")
    data = np.zeros((256, 64, 64), np.uint8)
    data[::32, 10:20, 10:20] = 1
    labels.from_numpy(data)
    run.publish_segmentation(labels, "warm-up")
    run.mesh(block=32)

    tracemalloc.start()
    published = run.publish_segmentation(labels, "tool")
    publishing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    run.mesh(published, block=32)
    meshing = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    whole = 8 * data.size
    assert publishing < whole / 4
    assert meshing < whole / 4
