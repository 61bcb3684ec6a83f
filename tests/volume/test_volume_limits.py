"""What is just possible in a volume, and what is just not any more."""

import contextlib
import inspect
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from copick_backend_volume.annotating import add_training_pairs
from copick_backend_volume.arrays import ArrayWriter, open_array
from copick_backend_volume.cleaning import plan_cleanup
from copick_backend_volume.cli.looking import _shown
from copick_backend_volume.convert import convert
from copick_backend_volume.database import is_as_new
from copick_backend_volume.meshing import mesh_segmentation
from copick_backend_volume.publish import publish_segmentation
from copick_backend_volume.root import CopickRootVolume, CopickRunVolume
from copick_backend_volume.sources import sources
from copick_backend_volume.uploading import add_slices
from copick_backend_volume.uploads import _Findings
from copick_core.errors import ConflictError, InvalidDataError
from copick_core.tree.keys import RunKey
from support.volumes import open_volume

JOB = "CC7651"
LABELS = np.ones((12, 40, 30), np.uint16)


@pytest.fixture
def run(root):
    return root.get_run(JOB)


def test_the_first_and_the_last_slice_can_be_annotated(run):
    assert [pair.z for pair in run.add_training_pairs(LABELS, [0, 11])] == [0, 11]


def test_masks_hold_labels_up_to_255(run):
    (pair,) = run.add_training_pairs(LABELS * 255, [3], value=None)

    assert pair.mask.max() == 255
    with pytest.raises(InvalidDataError, match="masks hold labels from 0 to 255; give value to make all of them one"):
        run.add_training_pairs(LABELS * 256, [3], value=None)


def test_an_array_may_have_no_voxel_and_chunks_of_one(tmp_path):
    ArrayWriter(str(tmp_path), (0, 4, 3), (1, 1, 1), "u1").finish()

    array = open_array(str(tmp_path))

    assert (array.shape, array.chunks, array.missing()) == ((0, 4, 3), (1, 1, 1), 0)


def test_an_image_is_converted_into_chunks_of_one_voxel(root):
    run = root.upload(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), "small")

    run.convert(chunks=(1, 1, 1))

    assert run.voxel_spacings[0].tomograms[0].numpy().ravel().tolist() == [*range(8)]
    assert open_array(root.volume.chunks(run.name)).grid == (2, 2, 2)


def test_files_of_one_name_are_all_kept(root, tmp_path):
    for number, name in enumerate(["a", "b"]):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 5), number, np.uint8)).save(tmp_path / name / "1.png")

    run = root.upload([tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"], "twins")

    assert root.volume.upload_names(run.name) == ["slice_000000_1.png", "slice_000001_1.png"]


def test_an_id_that_is_no_second_keeps_nobody_from_publishing(volume, run):
    (volume.root / "models" / JOB / "99999999999.json").write_text("{}")

    assert 1e9 < int(run.publish_segmentation(LABELS, "tool").model_id) < 1e10


def test_an_id_in_the_future_is_a_conflict_of_its_job(volume, run):
    (volume.root / "models" / JOB / "9999999999.json").write_text("{}")

    with pytest.raises(ConflictError) as raised:
        run.publish_segmentation(LABELS, "tool")

    assert (raised.value.key, raised.value.layer, raised.value.found) == (RunKey(JOB), "volume", 9999999999)
    assert isinstance(raised.value.expected, int)


@pytest.mark.parametrize(
    ("files", "shown"),
    [("abc", "odd: a, b, c"), ("abcd", "odd: a, b, c and 1 more"), ("abcde", "odd: a, b, c and 2 more"), ("", "odd")],
)
def test_a_finding_names_three_files_and_counts_the_others(files, shown):
    findings = _Findings(JOB)
    findings.add("odd", "warning", "odd", [*files])

    assert [(f.message, f.files, f.job) for f in findings.found] == [(shown, (*files,), JOB)]


@pytest.mark.parametrize(("names", "shown"), [("abcd", "a, b, c, d"), ("abcde", "5 files: a, b … e")])
def test_uploads_are_listed_up_to_four(names, shown):
    assert _shown("uploads", [*names]) == shown


def test_of_two_entries_of_one_time_only_ours_is_as_new():
    ours = {"last_updated_at": "2024-07-05T16:35:11", "name": "a"}

    assert is_as_new(dict(ours), ours)
    assert not is_as_new({**ours, "name": "b"}, ours)


def test_meshing_tells_the_values_that_it_has_meshed(root, run):
    labels = np.zeros((12, 40, 30), np.uint8)
    labels[2:5, 5:20, 5:20], labels[7:10, 5:20, 5:20] = 9, 4
    made = run.publish_segmentation(labels, "tool", value=None)

    assert mesh_segmentation(root.volume, root.volume_layer.jobs, JOB, made.model_id) == [4, 9]
    assert root.get_run(JOB).latest_mesh.pickable_object_name == "label-4"


@pytest.mark.parametrize(
    ("method", "function"),
    [
        (CopickRunVolume.convert, convert),
        (CopickRunVolume.mesh, mesh_segmentation),
        (CopickRunVolume.publish_segmentation, publish_segmentation),
        (CopickRunVolume.add_training_pairs, add_training_pairs),
        (CopickRunVolume.add_slices, add_slices),
        (CopickRootVolume.plan_cleanup, plan_cleanup),
    ],
)
def test_what_a_call_does_by_default_is_what_its_function_does(method, function):
    mine, its = (inspect.signature(call).parameters for call in (method, function))
    defaults = {name: (mine[name].default, its[name].default) for name in mine.keys() & its.keys()}

    assert any(one is not inspect.Parameter.empty for one, _ in defaults.values())
    assert [name for name, (one, other) in defaults.items() if one is not None and one != other] == []


def test_values_without_a_name_have_colours_that_people_tell_apart(volume):
    labels = np.zeros((12, 40, 30), np.uint64)
    labels[0, 0, :9] = range(9)
    volume.segmentation(JOB, "1760000000", labels)

    colours = [tuple(o.color) for o in open_volume(volume.root).pickable_objects]

    told_apart = [
        (230, 159, 0, 255),
        (86, 180, 233, 255),
        (0, 158, 115, 255),
        (240, 228, 66, 255),
        (0, 114, 178, 255),
        (213, 94, 0, 255),
        (204, 121, 167, 255),
    ]
    assert colours == [*told_apart, *told_apart[:2]]


def a_zip_of(monkeypatch, *sizes, packed=1):
    """What is said of a zip that says that its files have these sizes."""
    infos = []
    for number, size in enumerate(sizes):
        infos.append(zipfile.ZipInfo(f"{number}.png"))
        infos[-1].file_size = size
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: contextlib.nullcontext(SimpleNamespace(infolist=lambda: infos)))
    monkeypatch.setattr("os.path.getsize", lambda path: packed)
    found, problems = sources(["a.zip"])
    return [source.problem for source in found], [*problems]


def test_files_of_a_zip_have_up_to_a_gigabyte_and_all_of_them_a_hundred_times_its_size(monkeypatch):
    gigabyte = 1 << 30

    assert a_zip_of(monkeypatch, gigabyte) == ([None], [])
    assert a_zip_of(monkeypatch, gigabyte, 1) == ([], ["a.zip"])
    assert a_zip_of(monkeypatch, gigabyte + 1, packed=gigabyte) == (
        [f"it has {gigabyte + 1} bytes, more than a slice may"],
        [],
    )
    assert a_zip_of(monkeypatch, gigabyte, 600 << 20, packed=(1624 << 20) // 100 + 1) == ([None, None], [])
    assert a_zip_of(monkeypatch, gigabyte, 600 << 20, packed=(1624 << 20) // 100) == ([], ["a.zip"])


def test_a_zip_has_up_to_a_hundred_thousand_files(monkeypatch):
    assert a_zip_of(monkeypatch, *[0] * 100_000)[1] == []
    assert a_zip_of(monkeypatch, *[0] * 100_001)[1] == ["a.zip"]
