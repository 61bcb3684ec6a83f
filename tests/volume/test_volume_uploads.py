"""Uploads in one call: a folder, a zip, a TIFF of several pages, an MRC; their names, their order and their voxel sizes."""

import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from copick_core.errors import ConflictError, InvalidDataError
from support import volume_generator
from support.volume_files import write_mrc
from support.volumes import open_volume

STACK = np.arange(12 * 6 * 5, dtype=np.uint16).reshape(12, 6, 5) * 100


@pytest.fixture
def root(tmp_path):
    """A new volume."""
    (tmp_path / "volume").mkdir()
    return open_volume(tmp_path / "volume", write_back=True)


def uploaded(run):
    return sorted(os.listdir(run.root.volume.folder("uploads", run.name)))


def converted(run):
    run.convert()
    return run.voxel_spacings[0].tomograms[0].numpy()


def folder_of(path, pattern="s{}.png"):
    path.mkdir()
    for z, plane in enumerate(STACK):
        Image.fromarray(plane).save(path / pattern.format(z))
    return path


def zip_of(path, folder):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"scan/{file.name}")
    return path


def tiff_of(path):
    first, *others = [Image.fromarray(plane) for plane in STACK]
    first.save(path, save_all=True, append_images=others)
    return path


SOURCES = {
    "folder": lambda tmp: folder_of(tmp / "scan"),
    "folder-in-text-order": lambda tmp: folder_of(tmp / "scan", "egg {:03d}.png"),
    "zip": lambda tmp: zip_of(tmp / "scan.zip", folder_of(tmp / "scan")),
    "zip-in-text-order": lambda tmp: zip_of(tmp / "scan.zip", folder_of(tmp / "scan", "s{:03d}.png")),
    "tiff": lambda tmp: tiff_of(tmp / "scan.tif"),
    "mrc": lambda tmp: write_mrc(tmp / "scan.mrc", STACK),
    "files": lambda tmp: sorted(folder_of(tmp / "scan", "{:02d}.png").iterdir()),
    "array": lambda tmp: STACK,
}


@pytest.mark.parametrize("source", SOURCES)
def test_one_call_uploads_a_stack_in_the_order_of_its_numbers(root, tmp_path, source):
    seen = []

    run = root.upload(SOURCES[source](tmp_path), "scan", progress=lambda done, total: seen.append((done, total)))

    assert (run.job.status.name, run.job.name) == ("UPLOADED", "scan")
    assert seen[-1][0] == seen[-1][1] == len(uploaded(run))
    np.testing.assert_array_equal(converted(run), STACK)


def test_files_keep_their_names_where_text_order_is_their_order(root, tmp_path):
    assert uploaded(root.upload(folder_of(tmp_path / "scan", "egg_{:03d}.png"), "t"))[:2] == ["egg_000.png", "egg_001.png"]


def test_names_follow_a_number_where_text_order_is_another(root, tmp_path):
    names = uploaded(root.upload(folder_of(tmp_path / "scan"), "t"))

    assert names[1:3] == ["slice_000001_s1.png", "slice_000002_s2.png"]
    assert names[10] == "slice_000010_s10.png"


def test_names_are_those_that_the_app_would_give(root, tmp_path):
    folder = folder_of(tmp_path / "scan", "Слой ä {:02d}.png")

    assert uploaded(root.upload(folder, "t"))[0] == "a_00.png"


def test_names_of_nothing_but_other_letters_are_numbers(root, tmp_path):
    Image.fromarray(STACK[0]).save(tmp_path / "Слой.png")

    assert uploaded(root.upload(tmp_path / "Слой.png", "t")) == ["slice_000000.png"]


def test_pages_and_planes_are_named_after_their_file(root, tmp_path):
    assert uploaded(root.upload(tiff_of(tmp_path / "egg.tif"), "t"))[-1] == "egg_0011.png"
    assert uploaded(root.upload(write_mrc(tmp_path / "egg.mrc"), "t"))[-1] == "egg_0006.tif"


def test_several_sources_follow_each_other(root, tmp_path):
    run = root.upload([tiff_of(tmp_path / "a.tif"), folder_of(tmp_path / "b")], "t")

    np.testing.assert_array_equal(converted(run), np.concatenate([STACK, STACK]))


def test_what_operating_systems_leave_in_a_folder_is_not_uploaded(root, tmp_path):
    folder = folder_of(tmp_path / "scan", "{:03d}.png")
    for name in (".DS_Store", "Thumbs.db", "._000.png"):
        (folder / name).write_bytes(b"x")

    assert len(uploaded(root.upload(folder, "t"))) == 12


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda tmp: tmp / "nothing", FileNotFoundError, "nothing"),
        (lambda tmp: (tmp / "empty").mkdir() or tmp / "empty", ValueError, "no file that could be a slice"),
        (lambda tmp: (tmp / "bad.zip").write_bytes(b"no zip") and tmp / "bad.zip", ValueError, "zip"),
        (lambda tmp: (tmp / "bad.mrc").write_bytes(b"\0" * 2000) and tmp / "bad.mrc", ValueError, "bad.mrc"),
        (lambda tmp: np.zeros((3, 4)), ValueError, "is not"),
    ],
)
def test_a_source_that_is_none_makes_no_job(root, tmp_path, make, error, says):
    with pytest.raises(error, match=says):
        root.upload(make(tmp_path), "t")
    assert root.jobs() == []


def test_an_upload_that_conversion_would_spoil_stays_open_to_be_mended(root, tmp_path):
    folder = folder_of(tmp_path / "scan", "{:03d}.png")
    (folder / "004.png").write_bytes(b"no image")

    with pytest.raises(InvalidDataError, match=r"004\.png"):
        root.upload(folder, "t")

    (job,) = root.jobs()
    run = root.get_run(job.id)
    assert job.status.name == "UPLOADING"
    run.delete_upload("004.png")
    run.finish_upload()
    np.testing.assert_array_equal(converted(run), np.delete(STACK, 4, axis=0))


# Voxel sizes


def test_the_voxel_size_of_an_mrc_is_noted_and_stays_whoever_converts(root, tmp_path):
    run = root.upload(write_mrc(tmp_path / "a.mrc", STACK, 13.5), "t")
    volume_generator.write_array(tmp_path / "volume/chunks" / run.name, STACK, (5, 6, 12))  # as the app does, without notes

    size = open_volume(tmp_path / "volume").get_run(run.name).voxel_size_info

    assert (size.angstrom, size.source, size.calibrated) == (13.5, "upload", True)


def test_voxels_that_are_no_cubes_are_noted_and_never_taken_for_cubes(root, tmp_path):
    run = root.upload(write_mrc(tmp_path / "a.mrc", STACK, (6.0, 6.0, 9.0)), "t")
    run.convert()

    size = open_volume(tmp_path / "volume").get_run(run.name).voxel_size_info
    noted = json.loads((tmp_path / "volume/chunks" / run.name / ".zattrs").read_text())

    assert (size.angstrom, size.calibrated, size.zyx) == (1.0, False, (9.0, 6.0, 6.0))
    assert noted == {"voxel_spacing_zyx": [9.0, 6.0, 6.0], "unit": "angstrom", "source": "upload"}


@pytest.mark.parametrize(("given", "noted"), [(20.0, (20.0, 20.0, 20.0)), ((9.0, 6.0, 5.0), (9.0, 6.0, 5.0))])
def test_a_voxel_size_that_is_given_is_noted_for_files_that_tell_none(root, tmp_path, given, noted):
    run = root.upload(folder_of(tmp_path / "scan"), "t", voxel_size=given)

    assert open_volume(tmp_path / "volume").get_run(run.name).voxel_size_info.zyx == noted


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), (1.0, 2.0)])
def test_a_voxel_size_that_is_none_is_refused_and_no_slice_is_added(root, size):
    run = root.new_job("t")

    with pytest.raises(InvalidDataError, match="voxel size"):
        run.add_slices(STACK, voxel_size=size)
    assert uploaded(run) == []


# Jobs without an entry


@pytest.mark.parametrize(
    ("job", "status"),
    [("CC7651", "MESHED"), ("123456", "SEGMENTED"), ("4F09A2", "CONVERTED"), ("12E345", "UPLOADING"), ("AB0001", "UPLOADING")],
)
def test_an_orphan_is_adopted_with_the_status_that_its_folders_tell(generated, job, status):
    entries = json.loads((generated.root / "jobs.json").read_text())
    del entries[job]
    (generated.root / "jobs.json").write_text(json.dumps(entries))
    root = open_volume(generated.root, write_back=True)

    adopted = root.adopt_job(job, "Found again")

    entry = json.loads((generated.root / "jobs.json").read_text())[job]
    assert (adopted.status.name, entry["name"], entry["id"]) == (status, "Found again", job)
    assert entry["shape"] == ([*generated.images[job].shape[::-1]] if status != "UPLOADING" else None)
    assert root.job(job).problem is None


def test_a_job_that_the_database_lists_is_not_adopted(generated):
    with pytest.raises(ConflictError, match="already"):
        open_volume(generated.root, write_back=True).adopt_job("CC7651")
    with pytest.raises(FileNotFoundError):
        open_volume(generated.root, write_back=True).adopt_job("FFFFFF")
