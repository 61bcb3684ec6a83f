"""Writing into a compose volume: the state machine, conversion, publishing, meshing, and chaos."""

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trimesh
import zarr

import copick_core
from copick_backend_volume import mesh_files
from copick_backend_volume.arrays import open_array
from copick_backend_volume.claims import claimed
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_backend_volume.status import BUSY, RESTING, TRANSITIONS, JobStatus
from copick_core.errors import ConflictError, InvalidDataError, NotFoundError
from support import volume_app, volume_generator, volume_writer
from support.volumes import geometry

WRITER = Path(volume_writer.__file__)
APP = Path(volume_app.__file__)


@pytest.fixture
def root(generated):
    return copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root), "write_back": True})


def start(script, *args, **options):
    return subprocess.Popen([sys.executable, str(script), *map(str, args)], stdout=subprocess.PIPE, text=True, **options)


def database(generated):
    return json.loads((generated.root / "jobs.json").read_text())


# Claims


@contextlib.contextmanager
def claiming(root, job, **options):
    with claimed(
        root.volume,
        root.volume_layer.jobs,
        job,
        JobStatus.CONVERTING,
        starts={JobStatus.UPLOADED},
        failed=JobStatus.CONVERT_ERROR,
        retry=False,
        **options,
    ):
        yield


def test_a_claim_that_its_holder_removed_while_one_waited_is_claimed_anew(root, monkeypatch):
    job = root.new_job("stack")
    job.add_slices(np.ones((3, 4, 5), np.uint8))
    job.finish_upload()
    flock, waited = fcntl.flock, []

    def removed_meanwhile(descriptor, operation):
        if not waited:
            waited.append(descriptor)
            Path(root.volume.claim(job.name)).unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)

    with claiming(root, job.name):
        with pytest.raises(ConflictError, match="another process works on job"), claiming(root, job.name):
            pass
        assert Path(root.volume.claim(job.name)).exists()
    assert waited
    assert not Path(root.volume.claim(job.name)).exists()


# Statuses


@pytest.mark.parametrize("present", JobStatus)
@pytest.mark.parametrize("wanted", JobStatus)
def test_exactly_the_transitions_of_the_table_are_allowed(tmp_path, present, wanted):
    volume = volume_generator.GeneratedVolume(tmp_path)
    volume.job("CC7651", present.name)
    volume.save()
    store = JobStore(Volume(str(tmp_path)), writable=True, settle=0)

    if wanted in TRANSITIONS[present]:
        assert store.update("CC7651", status=wanted).status is wanted
    else:
        with pytest.raises(InvalidDataError):
            store.update("CC7651", status=wanted)
        assert store.job("CC7651").status is present


def test_a_change_follows_what_another_writer_of_ours_wrote_while_it_waited(root, monkeypatch):
    ours, theirs = (JobStore(root.volume, writable=True, settle=0) for _ in range(2))
    flock, waited = fcntl.flock, []

    def written_meanwhile(descriptor, operation):
        if not waited:
            waited.append(descriptor)
            theirs.update("CC7651", status=JobStatus.ANNOTATED)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", written_meanwhile)

    with pytest.raises(ConflictError, match="ANNOTATED"):
        ours.update("CC7651", status=JobStatus.MESHING, expected=JobStatus.MESHED)


def test_the_table_keeps_the_pipeline_in_order():
    pipeline = "UPLOADING UPLOADED CONVERTING CONVERTED TRAINING_QUEUED SEGMENTING SEGMENTED MESHING_QUEUED MESHING MESHED"
    for present, following in pairwise(JobStatus[name] for name in pipeline.split()):
        assert following in TRANSITIONS[present]
    for present in BUSY | RESTING:
        assert not TRANSITIONS[present] & {JobStatus.UPLOADING, JobStatus.UPLOADED}


def test_force_repairs_a_stuck_job(root):
    run = root.get_run("AB0001")

    with pytest.raises(InvalidDataError):
        run.set_status("UPLOADED")
    assert run.set_status("UPLOADED", force=True).status is JobStatus.UPLOADED


def test_an_update_keeps_everything_else_in_the_file(generated, root):
    generated.entries["version"] = 3
    generated.save()
    before = database(generated)

    root.get_run("CC7651").set_status("ANNOTATED")

    after = database(generated)
    assert {k: v for k, v in after.items() if k != "CC7651"} == {k: v for k, v in before.items() if k != "CC7651"}
    assert after["CC7651"]["status"] == "JobStatus.ANNOTATED"
    assert set(after["CC7651"]) == set(before["CC7651"])


def test_the_mode_of_the_database_is_kept(generated, root):
    (generated.root / "jobs.json").chmod(0o664)

    root.get_run("CC7651").set_status("ANNOTATED")

    assert (generated.root / "jobs.json").stat().st_mode & 0o777 == 0o664


def test_a_new_database_has_the_mode_of_any_new_file_and_the_mask_of_other_threads_stays(tmp_path, monkeypatch):
    store = JobStore(Volume(str(tmp_path)), writable=True)
    (tmp_path / "other").touch()
    monkeypatch.setattr(os, "umask", None)  # it is one for all threads: whoever asks for it sets it

    store.create("first", lambda: "AAAAAA")

    assert (tmp_path / "jobs.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_unknown_job_cannot_be_updated(root):
    with pytest.raises(NotFoundError):
        root.get_run("0FF0FF").set_status("ANNOTATED", force=True)


def test_a_claim_is_won_once(root):
    store = root.volume_layer.jobs
    store.update("CC7651", status=JobStatus.MESHING, expected=JobStatus.MESHED)

    with pytest.raises(ConflictError):
        store.update("CC7651", status=JobStatus.MESHING, expected=JobStatus.MESHED)


# Requests


@pytest.mark.parametrize(("what", "status"), [("segment", "TRAINING_QUEUED"), ("mesh", "MESHING_QUEUED")])
def test_a_request_queues_a_job_that_rests_once(root, what, status):
    run = root.get_run("CC7651")

    assert run.request(what).status is JobStatus[status]
    with pytest.raises(InvalidDataError):
        run.request(what)


def test_only_the_latest_complete_segmentation_can_be_requested(root):
    with pytest.raises(InvalidDataError, match="latest"):
        root.get_run("CC7651").request("mesh", "1720196800")
    with pytest.raises(InvalidDataError, match="not complete"):
        root.get_run("123456").request("mesh")


# Jobs, uploads, conversion


def test_a_new_job_takes_no_id_that_anything_has(root, generated, monkeypatch):
    from copick_backend_volume import publish

    ids = iter(["CC7651", "0FF0FF", "ABCDEF"])
    monkeypatch.setattr(publish, "new_job_id", lambda: next(ids))

    run = root.new_job("Новый")

    assert run.name == "ABCDEF"
    assert (run.job.status, run.job.name) == (JobStatus.UPLOADING, "Новый")
    assert (generated.root / "uploads/ABCDEF").is_dir()


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<f4"])
def test_an_array_goes_through_upload_and_conversion_unchanged(root, dtype):
    data = volume_generator.image_of("X", (11, 20, 9), dtype)
    run = root.new_job("stack")

    run.add_slices(data[:5])
    names = run.add_slices(data[5:])
    run.finish_upload()
    seen = []
    job = run.convert(chunks=(8, 8, 4), progress=lambda done, total: seen.append((done, total)))

    assert names[0] == f"slice_000005{'.tif' if dtype == '<f4' else '.png'}"
    assert (job.status, job.shape) == (JobStatus.CONVERTED, (9, 20, 11))
    assert seen[-1] == (11, 11)
    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(), data)
    stored = zarr.open_array(run.root.volume.chunks(run.name), mode="r")
    assert (stored.shape, stored.chunks, stored.dtype) == ((9, 20, 11), (8, 8, 4), np.dtype(dtype))


def test_files_are_uploaded_in_the_order_given(root, tmp_path, generated):
    files = [generated.root / f"uploads/12E345/s_{z:04d}.png" for z in (2, 0, 1)]
    run = root.new_job("files")
    run.add_slices(files)
    run.finish_upload()
    run.convert()

    expected = volume_generator.image_of("12E345", (3, 20, 24), "u1")[[2, 0, 1]]
    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(), expected)


def test_files_without_a_suffix_are_added_in_several_calls_and_one_by_its_path(root, generated, tmp_path):
    files = []
    for z in range(3):
        files.append(tmp_path / f"IM{z}")
        files[-1].write_bytes((generated.root / f"uploads/12E345/s_{z:04d}.png").read_bytes())
    run = root.new_job("files")

    names = [run.add_slices(files[:2]), run.add_slices(files[2]), run.add_slices(str(files[0]))]

    assert names == [["IM0", "IM1"], ["IM2"], ["slice_000000_IM0"]]


def test_slices_are_refused_after_the_upload(root):
    with pytest.raises(InvalidDataError):
        root.get_run("CC7651").add_slices(np.zeros((1, 40, 30), np.uint8))


def test_slices_never_follow_what_would_sort_after_them(root, generated):
    root.get_run("12E345").add_slices(np.zeros((1, 20, 24), np.uint8))
    folder = generated.root / "uploads/12E345"
    (folder / "s_0000.png").rename(folder / "top_0000.png")

    with pytest.raises(InvalidDataError, match="top_0000"):
        root.get_run("12E345").add_slices(np.zeros((1, 20, 24), np.uint8))


def test_no_slice_is_added_once_the_upload_is_finished(root, monkeypatch):
    from copick_backend_volume import uploading

    run = root.new_job("late")
    run.add_slices(np.zeros((1, 4, 4), np.uint8))
    looked = uploading.stack_of
    monkeypatch.setattr(uploading, "stack_of", lambda slices: [run.finish_upload(), looked(slices)][1])

    with pytest.raises(InvalidDataError, match="UPLOADED"):
        run.add_slices(np.zeros((1, 4, 4), np.uint8))
    assert len(run.uploads.slices) == 1


def test_uploads_that_conversion_would_spoil_are_refused_and_stay_uploaded(root, generated):
    run = root.get_run("12E345")
    path = generated.root / "uploads/12E345/s_0001.png"
    path.write_bytes(path.read_bytes()[:100])
    run.finish_upload(force=True)

    with pytest.raises(InvalidDataError, match="s_0001"):
        run.convert()

    assert run.job.status is JobStatus.UPLOADED
    assert not (generated.root / "chunks/12E345").exists()


@pytest.mark.parametrize("chunks", [(4, 4, 0), (0, 4, 4), (4, 4, -1), (4, 4)])
def test_chunks_without_voxels_are_refused_and_the_job_stays_uploaded(root, chunks):
    run = root.new_job("stack")
    run.add_slices(np.ones((3, 4, 5), np.uint8))
    run.finish_upload()

    with pytest.raises(InvalidDataError, match="chunks"):
        run.convert(chunks=chunks)

    assert run.job.status is JobStatus.UPLOADED


def test_a_conversion_that_starts_before_the_upload_ends_loses_no_slice(root, monkeypatch):
    from copick_backend_volume import convert as conversion

    run = root.new_job("growing")
    run.add_slices(np.ones((3, 4, 5), np.uint8))

    def slow(*args):
        report = preflight(*args)
        run.add_slices(np.ones((2, 4, 5), np.uint8))
        run.finish_upload()
        return report

    preflight = conversion.preflight
    monkeypatch.setattr(conversion, "preflight", slow)

    with pytest.raises(InvalidDataError, match="UPLOADING"):
        run.convert()

    assert run.job.status is JobStatus.UPLOADING


def test_a_finished_job_is_not_converted_again(root):
    with pytest.raises(InvalidDataError, match="MESHED"):
        root.get_run("CC7651").convert()


def test_conversion_holds_a_slab_and_not_the_volume(root):
    import tracemalloc

    run = root.new_job("deep")
    run.add_slices(np.zeros((96, 128, 128), np.uint8))
    run.finish_upload()
    run.convert(chunks=(128, 128, 8))
    run.set_status("UPLOADED", force=True)

    tracemalloc.start()
    run.convert(chunks=(128, 128, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 6 * 8 * 128 * 128 + 1_000_000
    assert peak < 96 * 128 * 128


# Publishing


def test_a_published_segmentation_is_the_latest_and_in_the_format_of_the_app(root, generated):
    run = root.get_run("CC7651")
    mask = np.zeros((12, 40, 30), bool)
    mask[2:5, 7:20, 3:9] = True

    published = run.publish_segmentation(mask, "nnU-Net v2", provenance={"weights": "fold 0"})

    assert (published.user_id, published.name, published.from_tool) == ("nnU-Net-v2", "label-255", True)
    np.testing.assert_array_equal(published.numpy(), mask * np.uint8(255))
    folder = root.volume.segmentation("CC7651", published.model_id)
    stored = zarr.open_array(folder, mode="r")
    assert (stored.shape, stored.chunks, stored.dtype, stored.order) == ((30, 40, 12), (256, 256, 256), np.dtype("<u8"), "C")
    assert sorted(p.name for p in Path(folder).iterdir()) == [".zarray", "0.0.0"]
    assert root.volume.segmentation_ids("CC7651")[-1] == published.model_id
    assert published.model_id.isdecimal()
    assert not Path(root.volume.model("CC7651", published.model_id)).exists()
    assert json.loads(Path(root.volume.sidecar("CC7651", published.model_id)).read_text())["weights"] == "fold 0"
    assert run.job.status is JobStatus.SEGMENTED


def test_every_chunk_is_written_also_those_that_are_zero(root, monkeypatch):
    from copick_backend_volume import publish

    monkeypatch.setattr(publish, "CHUNKS", (16, 16, 16))
    run = root.get_run("CC7651")

    published = run.publish_segmentation(np.zeros((12, 40, 30), np.uint8), "tool")

    array = open_array(root.volume.segmentation("CC7651", published.model_id))
    assert (array.grid, array.missing()) == ((2, 3, 1), 0)


def test_a_corrected_overlay_segmentation_is_published(root, generated, tmp_path):
    project = copick_core.open(
        {
            "config_type": "compose_volume",
            "volume_root": str(generated.root),
            "write_back": True,
            "overlay_root": str(tmp_path / "mine"),
        }
    )
    run = project.get_run("CC7651")
    mine = run.new_segmentation(1.0, "label-255", "7", False, user_id="ana")
    data = run.segmentations[0].numpy()
    data[4] = 0
    mine.from_numpy(data)

    published = run.publish_segmentation(mine, "ana")

    np.testing.assert_array_equal(published.numpy(), data)
    assert published.layer == "volume"


def test_labels_are_kept_where_that_is_asked_for(root):
    run = root.get_run("123456")
    labels = np.zeros((8, 20, 24), np.int32)
    labels[1], labels[3] = 7, 300

    published = run.publish_segmentation(labels, "tool", value=None)

    assert published.is_multilabel
    assert published.numpy().dtype == np.uint16
    np.testing.assert_array_equal(published.numpy(), labels)


@pytest.mark.parametrize(
    "labels", [np.zeros((40, 30, 12), np.uint8), np.zeros((12, 40, 30)), np.full((12, 40, 30), -1, np.int8)]
)
def test_what_is_no_segmentation_of_the_image_is_refused(root, labels):
    before = root.volume.segmentation_ids("CC7651"), root.volume.model_ids("CC7651")

    with pytest.raises(InvalidDataError):
        root.get_run("CC7651").publish_segmentation(labels, "tool")

    assert (root.volume.segmentation_ids("CC7651"), root.volume.model_ids("CC7651")) == before


def test_two_publications_in_one_second_have_two_ids(root):
    run = root.get_run("CC7651")
    ids = [run.publish_segmentation(np.ones((12, 40, 30), np.uint8), "tool").model_id for _ in range(3)]

    assert sorted(set(ids)) == ids


# Meshing


@pytest.mark.parametrize("block", [256, pytest.param(7, marks=pytest.mark.slow)])
def test_a_mesh_is_watertight_across_blocks_and_at_the_edges_of_the_volume(root, block):
    run = root.get_run("CC7651")
    rng = np.random.default_rng(1)
    labels = (rng.random((12, 40, 30)) > 0.6).astype(np.uint8)
    run.publish_segmentation(labels, "noise")

    simple = geometry(run.mesh(block=block)[0])
    mesh = geometry(run.mesh(block=block, reduction=1)[0])

    assert simple.is_watertight
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert run.job.status is JobStatus.MESHED
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -0.5, -0.5], [29.5, 39.5, 11.5]])


def test_a_mesh_has_the_bounds_and_volume_of_its_box(root):
    run = root.get_run("CC7651")

    mesh = geometry(run.mesh("1720196800", block=8)[0])

    np.testing.assert_allclose(mesh.bounds, [[4.5, 9.5, 2.5], [19.5, 29.5, 8.5]])
    assert mesh.volume == pytest.approx(15 * 20 * 6, rel=0.05)


def test_files_of_a_mesh_are_those_of_the_app(root, generated):
    generated.mesh("CC7651", "1720196900", stale=True)
    run = root.get_run("CC7651")
    run.mesh("1720196900", block=16)
    folder = root.volume.meshes("CC7651", "1720196900")

    combined = mesh_files.combined_meshes(folder)[255]
    stl = mesh_files.read_stl(combined["stl"])
    blocks = np.concatenate([t for _, t in mesh_files.iter_blocks(folder, 255)])

    assert not (Path(folder) / "_255_8_0_0.stl").exists()
    assert (Path(folder) / "_255_0_16_0.stl").read_bytes().startswith(b"solid")
    np.testing.assert_array_equal(stl, mesh_files.read_obj(combined["obj"]))
    assert sorted(map(tuple, stl.reshape(-1, 9))) == sorted(map(tuple, blocks.reshape(-1, 9)))
    # Columns (z, y, x), outward in that frame.
    np.testing.assert_allclose(stl.reshape(-1, 3).max(0), [8.5, 29.5, 19.5])
    assert mesh_files.signed_volume(stl) > 0
    assert trimesh.load_mesh(combined["stl"]).is_watertight
    assert not [f for f in root.doctor() if f.code == "stale-blocks"]


def test_triangles_are_stored_with_their_normals(tmp_path):
    triangle = np.array([[[0, 0, 0], [2, 0, 0], [0, 2, 0]]], np.float32)
    writer = mesh_files.CombinedWriter(str(tmp_path), 255)
    writer.add(triangle)
    writer.close()

    assert struct.unpack_from("<3f", (tmp_path / "255.combined.stl").read_bytes(), 84) == (0, 0, 1)
    assert b"facet normal 0 0 1\n" in mesh_files.ascii_stl("255", triangle)


def test_every_value_has_its_mesh(root):
    run = root.get_run("123456")

    meshes = run.mesh("1750000020")

    assert [m.pickable_object_name for m in meshes] == ["label-100", "label-200"]
    assert all(geometry(m).is_watertight for m in meshes)


def test_more_values_are_meshed_than_files_may_be_open(root):
    import resource

    run = root.get_run("CC7651")
    labels = np.zeros((12, 40, 30), np.uint16)
    labels[::2, ::2, ::2] = np.arange(6 * 20 * 15).reshape(6, 20, 15) % 100 + 1
    run.publish_segmentation(labels, "instances", value=None)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 50, limits[1]))
    try:
        meshes = run.mesh()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert len(meshes) == 100
    assert all(geometry(m).is_watertight for m in meshes[::25])


def test_our_meshes_are_not_moved_by_the_pooling_of_the_app(generated):
    root = copick_core.open(
        {"config_type": "compose_volume", "volume_root": str(generated.root), "write_back": True, "mesh_downsample": 4}
    )
    mesh = geometry(root.get_run("CC7651").mesh("1720196800", reduction=1)[0])

    np.testing.assert_allclose(mesh.bounds[0], [4.5, 9.5, 2.5])


def balls(shape=(12, 40, 30)):
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=shape), 3)
    return smooth > 0.3 * smooth.std()


def test_a_mesh_has_at_most_twice_the_triangles_that_the_app_makes(root):
    """The app: zmesh for the whole block of 512 voxels, one triangle in 50 or an error of 10."""
    zmesh = pytest.importorskip("zmesh", reason="the extra mesh is not installed")
    labels = np.pad(balls(), 1)
    mesher = zmesh.Mesher((1, 1, 1))
    mesher.mesh(np.asfortranarray(labels.T.astype(np.uint8)), close=False)
    of_app = len(mesher.get(1, normals=False, reduction_factor=50, max_error=10).faces)
    run = root.get_run("CC7651")
    run.publish_segmentation(balls(), "tool")

    ours = geometry(run.mesh()[0])
    whole = geometry(run.mesh(reduction=1)[0])

    assert len(ours.faces) <= 2 * of_app
    assert len(whole.faces) > 4 * len(ours.faces)
    assert ours.volume == pytest.approx(whole.volume, rel=0.05)


def test_how_far_simplification_moves_a_surface_can_be_chosen(root):
    run = root.get_run("CC7651")
    from scipy import ndimage

    blobs = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(12, 40, 30)), 2) > 0
    published = run.publish_segmentation(blobs, "blobs")

    coarse, fine = (len(geometry(run.mesh(published, reduction=100, max_error=error)[0]).faces) for error in (10, 0.3))

    assert coarse < fine


def test_a_mesh_of_pooled_labels_is_where_its_voxels_are_and_the_files_have_the_places_of_the_app(root):
    run = root.get_run("CC7651")

    mesh = geometry(run.mesh("1720196800", downsample=2, reduction=1)[0])

    # Voxels 5 to 19, 10 to 29 and 3 to 8; pooled in twos 2 to 9, 5 to 14 and 1 to 4, which are 4 to 19, 10 to 29, 2 to 9.
    np.testing.assert_allclose(mesh.bounds, [[3.5, 9.5, 1.5], [19.5, 29.5, 9.5]])
    assert mesh.is_watertight
    stored = mesh_files.read_stl(mesh_files.combined_meshes(root.volume.meshes("CC7651", "1720196800"))[255]["stl"])
    np.testing.assert_allclose(stored.reshape(-1, 3).min(0), [1, 9, 3])


@pytest.mark.parametrize("option", [{"reduction": 0.5}, {"max_error": -1}, {"downsample": 0}, {"max_error": float("nan")}])
def test_options_of_meshing_out_of_their_range_are_named_and_nothing_is_claimed(root, option):
    run = root.get_run("CC7651")

    with pytest.raises(InvalidDataError, match=next(iter(option))):
        run.mesh("1720196800", **option)

    assert run.job.status is JobStatus.MESHED


def test_a_block_without_voxels_is_refused_and_the_meshes_stay(root):
    run = root.get_run("CC7651")
    run.mesh("1720196800")
    before = sorted(run.root.volume.mesh_ids("CC7651")), len(run.meshes)

    with pytest.raises(InvalidDataError, match="block"):
        run.mesh("1720196800", block=-4)

    run.refresh_meshes()
    assert (sorted(run.root.volume.mesh_ids("CC7651")), len(run.meshes)) == before


def test_incomplete_segmentations_and_busy_jobs_are_not_meshed(root):
    with pytest.raises(InvalidDataError, match="not written yet"):
        root.get_run("123456").mesh("1750000090")
    run = root.get_run("CC7651")
    run.request("segment")
    with pytest.raises(InvalidDataError, match="TRAINING_QUEUED"):
        run.mesh()
