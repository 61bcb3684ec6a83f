"""Every error of a volume names what it is about, where that is, and what helps."""

import contextlib
import importlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_backend_volume import sources as zips
from copick_backend_volume.annotating import _meta, _starts
from copick_backend_volume.claims import claimed
from copick_backend_volume.cleaning import PARTS
from copick_backend_volume.label_files import _whole
from copick_backend_volume.stacks import app_name, encode, stack_of
from copick_backend_volume.status import JobStatus
from copick_core.errors import (
    AlreadyExistsError,
    ConfigError,
    ConflictError,
    InvalidDataError,
    NotFoundError,
    ReadOnlyError,
    UnknownFormatError,
)
from copick_core.tree.keys import MeshKey, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey
from support import volume_generator
from support.locks import waits_for
from support.volumes import open_volume

JOB, OLD, LATEST = "CC7651", "1720196800", "1720196900"


def labels(shape=(12, 40, 30), dtype="u1", value=1):
    return np.full(shape, value, dtype)


def run(root, job=JOB):
    return root.get_run(job)


def with_float_segmentation(root):
    folder = root.volume.folder("segmented", JOB)
    volume_generator.write_array(Path(folder, "1720197000.zarr"), labels(), (64, 64, 64), "<f4")
    return run(root).mesh("1720197000")


def incomplete(root):
    os.unlink(os.path.join(root.volume.segmentation(JOB, LATEST), "0.0.0"))
    return root


def in_overlay(root):
    return run(root).new_segmentation(1.0, "label-255", "1", False, user_id="ana")


MASKS, SEGMENTATION = f"masks for job {JOB!r}", f"segmentation for job {JOB!r}"

#: Calls that are refused, with the source and the reason of the error.
REFUSED = {
    "no array": (lambda r: stack_of(labels((4, 5))), "slices", "shape (4, 5) of uint8 is not (z, y, x) of numbers"),
    "no numbers": (
        lambda r: stack_of(labels(dtype="c8")),
        "slices",
        "shape (12, 40, 30) of complex64 is not (z, y, x) of numbers",
    ),
    "large integers": (
        lambda r: encode(np.array([[1, 1 << 40]], "i8")),
        "slices",
        "int64 has the value 1099511627776, which the app's int32 does not hold",
    ),
    "large numbers": (
        lambda r: encode(np.array([[1.0, 1e300]])),
        "slices",
        "float64 has the value 1e+300, which the app's float32 does not hold",
    ),
    "upload of a converted job": (
        lambda r: run(r).add_slices(labels()),
        f"job {JOB!r}",
        "it is MESHED; slices are added while it is UPLOADING",
    ),
    "end of no upload": (
        lambda r: run(r).finish_upload(),
        f"job {JOB!r}",
        "it is MESHED; only the upload of a job that is UPLOADING can be finished",
    ),
    "a voxel size that is none": (
        lambda r: run(r, "12E345").add_slices(labels((1, 20, 24)), voxel_size=(1.0, 2.0)),
        "voxel size of job '12E345'",
        "(1.0, 2.0) is not one positive number, or (z, y, x)",
    ),
    "another kind of file": (
        lambda r: run(r, "12E345").replace_upload("part1.png", "new.tif"),
        "upload 'part1.png' of job '12E345'",
        "'new.tif' is of another kind by its name: .tif, not .png",
    ),
    "a file without a suffix": (
        lambda r: run(r, "12E345").replace_upload("part1.png", "new"),
        "upload 'part1.png' of job '12E345'",
        "'new' is of another kind by its name: no suffix, not .png",
    ),
    "an upload without a suffix": (
        lambda r: run(r, "12E345").replace_upload("part1", "new.png"),
        "upload 'part1' of job '12E345'",
        "'new.png' is of another kind by its name: .png, not none",
    ),
    "conversion before the end": (
        lambda r: run(r, "12E345").convert(),
        "job '12E345'",
        "it is UPLOADING; finish_upload() comes before",
    ),
    "conversion again": (lambda r: run(r).convert(), f"job {JOB!r}", "it is MESHED; CONVERTING starts from UPLOADED"),
    "chunks without a voxel": (
        lambda r: run(r).convert(chunks=(4, 0, 4)),
        "chunks",
        "(4, 0, 4) is not a shape (x, y, z) of a chunk",
    ),
    "chunks of two axes": (lambda r: run(r).convert(chunks=(4, 4)), "chunks", "(4, 4) is not a shape (x, y, z) of a chunk"),
    "a segmentation without an image": (
        lambda r: run(r, "12E345").publish_segmentation(labels(), "tool"),
        "segmentation for job '12E345'",
        "the job has no complete image",
    ),
    "a segmentation of another shape": (
        lambda r: run(r).publish_segmentation(labels((1, 2, 3)), "tool"),
        SEGMENTATION,
        "its shape is (1, 2, 3), the image's (12, 40, 30) (z, y, x)",
    ),
    "labels that are real": (
        lambda r: run(r).publish_segmentation(labels(dtype="f4"), "tool"),
        SEGMENTATION,
        "labels are integers, not float32",
    ),
    "labels below 0": (
        lambda r: run(r).publish_segmentation(labels(dtype="i4", value=-1), "tool", value=None),
        SEGMENTATION,
        "labels are at least 0",
    ),
    "labels above 63 bits": (
        lambda r: run(r).publish_segmentation(labels(dtype="u8", value=1 << 63), "tool", value=None),
        SEGMENTATION,
        "labels are less than 2^63",
    ),
    "value 0": (
        lambda r: run(r).publish_segmentation(labels(), "tool", value=0),
        SEGMENTATION,
        "value 0 is not possible; 1 to 2^63 - 1 are",
    ),
    "an unknown request": (
        lambda r: run(r).request("paint"),
        f"job {JOB!r}",
        "'paint' cannot be requested; 'segment' and 'mesh' can",
    ),
    "a request of a busy job": (
        lambda r: run(r, "12E345").request("segment"),
        "job '12E345'",
        "it is UPLOADING; requests are made of jobs that rest",
    ),
    "a request to mesh nothing": (
        lambda r: run(r, "4F09A2").request("mesh"),
        "job '4F09A2'",
        "it has no segmentation that could be meshed; request('segment') makes one",
    ),
    "a request to mesh an old one": (
        lambda r: run(r).request("mesh", OLD),
        f"job {JOB!r}",
        f"the app meshes the latest segmentation, which is {LATEST!r}, not {OLD!r}",
    ),
    "a request to mesh a part": (
        lambda r: run(incomplete(r)).request("mesh"),
        f"job {JOB!r}",
        f"its latest segmentation {LATEST!r} is not complete",
    ),
    "a mesh of a part": (
        lambda r: run(incomplete(r)).mesh(),
        f"segmentation {LATEST!r} of job {JOB!r}",
        "1 chunks are not written yet",
    ),
    "a mesh of real numbers": (with_float_segmentation, None, "labels are integers, not float32"),
    "a mesh of the overlay": (
        lambda r: run(r).mesh(in_overlay(r)),
        f"segmentation of job {JOB!r}",
        "it is in the overlay; publish_segmentation() puts it into the volume",
    ),
    "masks without an image": (
        lambda r: run(r, "12E345").add_training_pairs(labels(), [1]),
        "masks for job '12E345'",
        "the job has no complete image",
    ),
    "masks of another shape": (
        lambda r: run(r).add_training_pairs(labels((1, 2, 3)), [1]),
        MASKS,
        "shape (1, 2, 3) of uint8 are not labels of the image's (12, 40, 30) (z, y, x)",
    ),
    "masks that are real": (
        lambda r: run(r).add_training_pairs(labels(dtype="f4"), [1]),
        MASKS,
        "shape (12, 40, 30) of float32 are not labels of the image's (12, 40, 30) (z, y, x)",
    ),
    "masks of no slice": (lambda r: run(r).add_training_pairs(labels(), []), MASKS, "slices [] are not between 0 and 11"),
    "masks below the image": (
        lambda r: run(r).add_training_pairs(labels(), [-1, 3]),
        MASKS,
        "slices [-1, 3] are not between 0 and 11",
    ),
    "masks above the image": (
        lambda r: run(r).add_training_pairs(labels(), [12]),
        MASKS,
        "slices [12] are not between 0 and 11",
    ),
    "labels that masks do not hold": (
        lambda r: run(r).add_training_pairs(labels(dtype="u2", value=256), [1], value=None),
        MASKS,
        "masks hold labels from 0 to 255; give value to make all of them one",
    ),
    "a clean-up of what is unknown": (
        lambda r: r.plan_cleanup(["everything"]),
        "clean-up",
        f"'everything' is none of {', '.join(PARTS)}",
    ),
    "a clean-up that keeps nothing": (
        lambda r: r.plan_cleanup(["segmentations"], keep=0),
        "clean-up",
        "keep is at least 1, not 0",
    ),
    "a status that cannot follow": (
        lambda r: run(r).set_status("UPLOADED"),
        f"job {JOB!r}",
        "UPLOADED cannot follow MESHED; possible: ANNOTATED, MESHING, MESHING_QUEUED, SEGMENTED, TRAINING, TRAINING_QUEUED. "
        "Pass force=True to repair a stuck job",
    ),
    "labels that are not whole numbers": (
        lambda r: _whole(np.array([1.5]), "a.mrc"),
        "a.mrc",
        "labels are whole numbers, and it holds others",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_with_the_reason(root, case):
    call, source, reason = REFUSED[case]
    with pytest.raises(InvalidDataError) as raised:
        call(root)

    assert raised.value.reason == reason
    assert source is None or raised.value.source == source


#: Calls for what is missing, with the key and the kind of place that the error names.
MISSING = {
    "a job": (lambda r: r.job("FFFFFF"), RunKey("FFFFFF"), "jobs.json"),
    "a job to adopt": (lambda r: r.adopt_job("FFFFFF"), RunKey("FFFFFF"), ""),
    "a job to restore": (lambda r: r.restore_job("FFFFFF"), RunKey("FFFFFF"), "jobs.json"),
    "a job to change": (lambda r: r.volume_layer.jobs.update("FFFFFF", name="x"), RunKey("FFFFFF"), "jobs.json"),
    "a model": (lambda r: run(r).training_pairs("1"), f"model '1' of job {JOB!r}", None),
    "a segmentation": (lambda r: run(r).mesh("1"), f"segmentation '1' of job {JOB!r}", ""),
    "any segmentation": (lambda r: run(r, "4F09A2").mesh(), "segmentation of job '4F09A2'", ""),
    "an upload to delete": (lambda r: run(r, "12E345").delete_upload("x"), "upload 'x' of job '12E345'", "uploads/12E345"),
    "a mesh": (lambda r: r.volume_layer.read(MeshKey(JOB, "a", "b", "c")), MeshKey(JOB, "a", "b", "c"), ""),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_named_with_its_place(root, case):
    call, key, place = MISSING[case]
    with pytest.raises(NotFoundError) as raised:
        call(root)

    where = None if place is None else os.path.join(root.volume.root, place).rstrip("/")
    assert (raised.value.key, raised.value.layer, raised.value.location) == (key, "volume", where)


def test_a_mesh_whose_file_goes_while_it_is_read_is_named(root, monkeypatch):
    monkeypatch.setattr("copick_backend_volume.layer.read_mesh", lambda folder, value: None)
    (mesh,) = run(root).meshes

    with pytest.raises(NotFoundError) as raised:
        root.volume_layer.load_mesh(mesh.key)

    assert (raised.value.key, raised.value.layer) == (mesh.key, "volume")
    assert raised.value.location == root.volume.meshes(JOB, LATEST)


def test_a_torn_database_that_never_had_a_job_names_it(root, volume):
    (volume.root / "jobs.json").write_text('{"CC7651": {"status": "JobStatus.MESHED", "created_at": "2024-07-05"}, ')

    with pytest.raises(NotFoundError) as raised:
        root.volume_layer.jobs.restore("FFFFFF")

    assert (raised.value.key, raised.value.location) == (RunKey("FFFFFF"), str(volume.root / "jobs.json"))
    assert [path.name for path in volume.root.glob("jobs.json*") if not path.name.endswith(".lock")] == ["jobs.json"]


def test_two_who_want_one_job_are_told_of_each_other(root, volume):
    store = root.volume_layer.jobs
    conflicts = []
    calls = [
        lambda: root.adopt_job(JOB),
        lambda: store.update(JOB, name="x", expected=JobStatus.CONVERTED),
        lambda: _claimed_twice(root),
    ]
    for call in calls:
        with pytest.raises(ConflictError) as raised:
            call()
        error = raised.value
        conflicts.append((error.key, error.layer, error.expected, error.found, str(error)))

    nothing = ". Nothing was written."
    claim = os.path.join(str(volume.root), f".staging-claim-{JOB}")
    assert conflicts == [
        (RunKey(JOB), "volume", None, JOB, f"job {JOB!r} stands in the database already{nothing}"),
        (
            RunKey(JOB),
            "volume",
            "CONVERTED",
            "JobStatus.MESHED",
            f"job {JOB!r} is JobStatus.MESHED, not CONVERTED: somebody else has changed it{nothing}",
        ),
        (RunKey(JOB), "volume", None, claim, f"another process works on job {JOB!r} at the moment; wait for it{nothing}"),
    ]


def _claim(root, working=JobStatus.MESHING, retry=False):
    starts = {JobStatus.MESHED}
    return claimed(root.volume, root.volume_layer.jobs, JOB, working, starts=starts, failed=JobStatus.MESH_ERROR, retry=retry)


def _claimed_twice(root):
    with _claim(root), _claim(root):
        pass


def test_a_job_that_nobody_may_work_on_any_more_names_the_way_to_take_it_over(root):
    root.get_run(JOB).set_status("MESHING")

    with pytest.raises(InvalidDataError) as raised, _claim(root):
        pass
    with _claim(root, retry=True):
        pass

    assert raised.value.source == f"job {JOB!r}"
    assert raised.value.reason == (
        "it is MESHING; MESHING starts from MESHED. If nothing works on it any more, pass retry=True"
    )
    assert not os.path.exists(root.volume.claim(JOB))


@pytest.mark.parametrize(("error", "left"), [(KeyError, "MESH_ERROR"), (KeyboardInterrupt, "MESHED")])
def test_a_claim_that_ends_early_leaves_the_job_as_failed_or_as_it_was(root, error, left):
    with pytest.raises(error), _claim(root):
        raise error

    assert root.job(JOB).status.name == left
    assert not os.path.exists(root.volume.claim(JOB))


def test_a_volume_that_is_only_read_says_what_allows_writing(volume):
    reader = open_volume(volume.root)
    calls = [
        lambda: reader.new_job("x"),
        lambda: reader.adopt_job(JOB),
        lambda: reader.restore_job(JOB),
        lambda: reader.clean_up([]),
        lambda: run(reader).rename("x"),
        lambda: run(reader).convert(),
        lambda: run(reader).mesh(),
        lambda: run(reader).finish_upload(),
        lambda: run(reader).request("mesh"),
        lambda: run(reader).publish_segmentation(labels(), "tool"),
        lambda: run(reader).add_training_pairs(labels(), [1]),
        lambda: run(reader, "12E345").add_slices(labels()),
        lambda: run(reader, "12E345").delete_upload("part1.png"),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyError) as raised:
            call()
        assert raised.value.subject == f"volume {volume.root}"
        assert raised.value.reason == 'it is written only with "write_back": true in the configuration.'


def test_an_id_that_is_taken_while_a_job_is_made_is_an_error(root, monkeypatch):
    monkeypatch.setattr(type(root), "get_run", lambda self, name: None)

    with pytest.raises(AlreadyExistsError) as raised:
        root.new_job("x")

    assert (raised.value.layer, raised.value.key in root.volume_layer.jobs.jobs()) == ("volume", True)


# -------------------------------------------------------------------------------------------------------------- opening


def test_what_is_no_volume_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, says in ((tmp_path / "none", "is not a folder here"), (tmp_path / "empty", "is it the right one?")):
        with pytest.raises(ConfigError, match=f"volume_root: {folder}") as raised:
            open_volume(folder)
        assert raised.value.source == "<dict>"
        assert says in raised.value.reason


def test_an_overlay_that_cannot_be_written_or_lies_in_the_volume_is_named(volume, tmp_path):
    static = {"config_type": "compose_volume", "volume_root": str(volume.root)}
    config = {"config_type": "compose_volume", "volume_root": str(volume.root)}

    with pytest.raises(ConfigError, match="it has no writable layer") as raised:
        copick_core.open({**config, "overlay": static})
    assert raised.value.source == "<dict>, overlay"
    with pytest.raises(ConfigError, match="is inside the volume") as inside:
        copick_core.open({**config, "overlay_root": str(volume.root / "mine")})
    assert inside.value.source == "<dict>"
    assert copick_core.open({**config, "overlay_root": str(tmp_path / "mine")}).volume_layer.overlay_root == str(
        tmp_path / "mine"
    )


def test_colours_of_objects_are_those_of_the_labels_or_told_apart(tmp_path):
    made = volume_generator.generate(tmp_path / "volume")

    root = open_volume(made.root, labels={100: {"name": "bone", "color": (1, 2, 3, 4)}})

    found = {obj.name: (obj.label, tuple(obj.color), obj.is_particle) for obj in root.pickable_objects}
    assert found == {
        "bone": (100, (1, 2, 3, 4), False),
        "label-200": (200, (86, 180, 233, 255), False),
        "label-255": (255, (0, 158, 115, 255), False),
    }


# --------------------------------------------------------------------------------------------------------------- places


def test_each_entity_has_its_folder(root):
    layer, volume = root.volume_layer, root.volume
    (mesh,) = run(root).meshes
    segmentation = run(root).latest_segmentation

    assert layer.location(RunKey(JOB)) == volume.root
    assert layer.location(TomogramKey(JOB, 1.0, "raw")) == volume.chunks(JOB)
    assert layer.location(segmentation.key) == volume.segmentation(JOB, LATEST)
    assert layer.location(mesh.key) == volume.meshes(JOB, LATEST)
    assert layer.location(MeshKey(JOB, "a", "b", "c")) is layer.location(SegmentationKey(JOB, 1.0, "a", "b", "c")) is None
    assert layer.zarr(SegmentationKey(JOB, 1.0, "a", "b", "c")).folder == os.path.join(volume.root, "chunks", ".none")


def test_what_a_volume_knows_of_an_entity_beyond_its_key(root):
    layer = root.volume_layer
    (mesh,) = run(root).meshes

    assert layer.details(RunKey(JOB)) == {"title": "Burrow", "status": "MESHED"}
    assert layer.details(VoxelSpacingKey(JOB, 1.0)) == {"calibrated": False, "voxel_size_source": "default"}
    assert layer.details(TomogramKey(JOB, 1.0, "raw")) == {"complete": True}
    assert layer.details(run(root).latest_segmentation.key) == {"model_id": LATEST, "values": [255], "complete": True}
    for key in (RunKey("FFFFFF"), SegmentationKey(JOB, 1.0, "a", "b", "c"), mesh.key):
        assert layer.details(key) == {}


def test_the_revision_of_a_mesh_changes_with_its_files(root):
    (mesh,) = run(root).meshes
    layer, folder = root.volume_layer, root.volume.meshes(JOB, LATEST)
    revisions = [layer.revision(mesh.key)]

    os.utime(os.path.join(folder, "255.combined.stl"), (1, 1))
    revisions.append(layer.revision(mesh.key))
    for form in ("stl", "obj"):
        os.unlink(os.path.join(folder, f"255.combined.{form}"))
    revisions.append(layer.revision(mesh.key))

    assert len({*revisions}) == 3
    assert [len(revision) for revision in revisions] == [2, 2, 1]


# --------------------------------------------------------------------------------------------------------------- stacks


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Ei 1.png", "Ei_1.png"),
        ("Eiß ä.tar.gz", "Ei_a.tar.gz"),
        ("..hidden.png", "hidden.png"),
        ("no suffix", "no_suffix"),
        ("日本.png", ".png"),
        ("_a_.png", "a.png"),
    ],
)
def test_files_are_named_as_the_app_would_name_them(name, stored):
    assert app_name(name) == stored


@pytest.mark.parametrize(
    ("dtype", "stored", "suffix"),
    [
        ("?", "u1", ".png"),
        ("u1", "u1", ".png"),
        (">u2", "<u2", ".png"),
        ("i2", "i4", ".tif"),
        ("u4", "i4", ".tif"),
        ("f8", "f4", ".tif"),
    ],
)
def test_a_plane_is_stored_in_a_type_that_the_app_reads(dtype, stored, suffix):
    import io

    plane = np.arange(6).reshape(2, 3).astype(dtype)

    found, content = encode(plane)

    with Image.open(io.BytesIO(content)) as image:
        read = np.asarray(image)
    assert (found, read.dtype.newbyteorder("=")) == (suffix, np.dtype(stored).newbyteorder("="))
    assert np.array_equal(read, plane)


def test_numbers_that_are_none_are_kept(tmp_path):
    import io

    _, content = encode(np.array([[np.nan, np.inf, 1.5]]))

    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(np.asarray(image), np.array([[np.nan, np.inf, 1.5]], "f4"), equal_nan=True)


def test_what_leads_nowhere_or_holds_nothing_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "Thumbs.db").write_text("")
    (tmp_path / "broken.zip").write_text("no zip")

    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.png"):
        stack_of(tmp_path / "none.png")
    for name, reason in (
        ("empty", "the folder has no file that could be a slice"),
        ("broken.zip", "it is not a zip that can be used"),
    ):
        with pytest.raises(InvalidDataError) as raised:
            stack_of(tmp_path / name)
        assert raised.value.source == str(tmp_path / name)
        assert raised.value.reason.startswith(reason)


def packed(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


@pytest.mark.parametrize("name", ["../2.png", "/2.png", "C:/2.png", "a/../2.png"])
def test_a_file_of_a_zip_that_leads_out_of_it_is_not_unpacked(tmp_path, name):
    stack = stack_of(packed(tmp_path / "a.zip", "10.png", name))

    with pytest.raises(InvalidDataError, match="its path leads out of the zip"):
        [*stack.files()]


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", "1.png", "2.png", "3.png")

    def problem():
        return zips.sources([str(path)])[1].get("a.zip")

    assert problem() is None
    monkeypatch.setattr(zips, "_MOST_MEMBERS", 3)
    assert problem() is None
    monkeypatch.setattr(zips, "_MOST_MEMBERS", 2)
    assert problem() == "it would unpack to 3 files and 3 bytes, which is not a stack of images"
    monkeypatch.setattr(zips, "_MOST_MEMBERS", 3)
    monkeypatch.setattr(zips, "_EXPANSION", 0)
    monkeypatch.setattr(zips, "_SMALL", 3)
    assert problem() is None
    monkeypatch.setattr(zips, "_SMALL", 2)
    assert problem() == "it would unpack to 3 files and 3 bytes, which is not a stack of images"
    monkeypatch.setattr(zips, "_EXPANSION", 1)
    assert problem() is None


def test_a_large_or_encrypted_file_of_a_zip_is_not_read(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", "1.png")
    monkeypatch.setattr(zips, "_LARGEST_MEMBER", 1)
    assert [source.problem for source in zips.sources([str(path)])[0]] == [None]
    monkeypatch.setattr(zips, "_LARGEST_MEMBER", 0)
    assert [source.problem for source in zips.sources([str(path)])[0]] == ["it has 1 bytes, more than a slice may"]
    info = zipfile.ZipInfo("1.png")
    info.flag_bits = 1
    assert zips._member_problem(info) == "it is encrypted"


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("Thumbs.db", True),
        ("DS_Store", True),
        ("desktop.ini", True),
        (".hidden.png", True),
        ("__MACOSX/a.png", True),
        ("a.png", False),
    ],
)
def test_what_operating_systems_leave_is_no_slice(name, junk):
    assert zips.Source("a.zip", name, 1).is_junk is junk
    assert zips.Source(name.replace("__MACOSX/", "__MACOSX-"), None, 1).is_junk is (junk and "MACOSX" not in name)


def test_a_volume_file_of_a_format_that_is_not_installed_names_what_reads_it(tmp_path, monkeypatch):
    (tmp_path / "a.unknown").write_bytes(b"nothing")
    assert stack_of(tmp_path / "a.unknown").count == 1  # the report on uploads tells
    module = importlib.import_module("copick_core.plugins.known")
    monkeypatch.setattr(module, "known", lambda: {"suffixes": {".unknown": "copick-formats"}})
    with pytest.raises(UnknownFormatError):
        stack_of(tmp_path / "a.unknown")


# ------------------------------------------------------------------------------------------------------------ annotating


@pytest.mark.parametrize(("length", "starts"), [(1, [0]), (512, [0]), (513, [0, 1]), (1024, [0, 512]), (1200, [0, 512, 688])])
def test_tiles_end_with_the_image(length, starts):
    assert _starts(length) == starts


@pytest.mark.parametrize(
    ("depth", "z", "first", "local"), [(20, 0, 0, 0), (20, 10, 5, 5), (20, 19, 9, 10), (4, 3, 0, 3), (11, 10, 0, 10)]
)
def test_a_tile_keeps_the_slices_around_it(depth, z, first, local):
    meta = _meta((101, 600, depth), z, 88, 0)

    assert meta["cutout_origin_xyz"] == [0, 88, first]
    assert meta["cutout_shape_xyz"] == [101, 512, min(11, depth)]
    assert meta["requested_shape_xyz"] == [512, 512, 11]
    assert (meta["padding_before_xyz"], meta["padding_after_xyz"]) == ([205, 0, 0], [206, 0, 11 - min(11, depth)])
    assert (meta["annotated_local_z_index"], meta["annotated_global_z_index"]) == (local, z)


# ----------------------------------------------------------------------------------------------------- what is printed


def test_a_job_can_be_made_and_named_with_all_fields_as_json(root):
    from copick_backend_volume.cli.frame import job_as_json

    found = job_as_json(root.job(JOB))

    assert found == {
        "job": JOB,
        "title": "Burrow",
        "status": "MESHED",
        "shape_zyx": (12, 40, 30),
        "progress": 14 / 15,
        "created_at": "2024-07-05T16:24:13.446237",
        "last_updated_at": "2024-07-05T16:35:11",
        "in_database": True,
        "problem": None,
    }
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (3_240_000, "3.2 MB"), (5e9, "5.0 GB"), (5e16, "50000.0 TB")],
)
def test_bytes_are_told_for_people(size, shown):
    from copick_backend_volume.cli.frame import bytes_text

    assert bytes_text(size) == shown


# ----------------------------------------------------------------------------------------------------------- one at a time


@contextlib.contextmanager
def database_locked(root):
    """Hold the lock of the database, as a writer of another process does."""
    import fcntl

    with open(f"{root.volume.database}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


#: Calls that wait while another process writes the database.
WAITING = {
    "a new job": lambda r: r.new_job("x"),
    "an adopted job": lambda r: r.adopt_job("0FF0FF"),
    "a restored job": lambda r: r.restore_job(JOB),
    "a renamed job": lambda r: run(r).rename("x"),
    "more slices": lambda r: run(r, "12E345").add_slices(labels((1, 20, 24)).astype("u1")),
    "fewer slices": lambda r: run(r, "12E345").delete_upload("part1.png"),
    "a clean-up": lambda r: r.clean_up(r.plan_cleanup(["segmentations"])),
    "a publication": lambda r: run(r).publish_segmentation(labels(), "tool"),
}


@pytest.mark.parametrize("call", WAITING)
def test_who_needs_the_database_to_stay_as_it_is_waits_for_other_writers(root, volume, call):
    if call == "an adopted job":
        (volume.root / "chunks" / "0FF0FF").mkdir()
    if call == "a publication":  # of a job that does not rest, so that its status is not set afterwards
        run(root).set_status("DONE", force=True)

    assert waits_for(database_locked(root), lambda: WAITING[call](root))


def test_a_source_is_shown_with_the_zip_and_the_folders_that_it_lies_in():
    packed_file, plain = zips.Source("up/b.zip", "c\\d/e.png", 1), zips.Source("up/a.png", None, 1)

    assert (packed_file.name, packed_file.base_name) == ("b.zip/c\\d/e.png", "e.png")
    assert (plain.name, plain.base_name) == ("a.png", "a.png")


@pytest.mark.parametrize("action", ["convert", "mesh"])
def test_work_that_was_begun_is_not_taken_over_unless_that_is_asked_for(root, action):
    status = {"convert": "CONVERTING", "mesh": "MESHING"}[action]
    root.get_run(JOB).set_status(status, force=True)

    with pytest.raises(InvalidDataError, match=f"it is {status}.*pass retry=True"):
        getattr(root.get_run(JOB), action)()
