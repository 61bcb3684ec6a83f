"""Values of a volume as pure functions read them: configurations, entries of the database, notes."""

import inspect
from datetime import datetime, timedelta

import pytest

from copick_backend_volume.config import CopickConfigVolume
from copick_backend_volume.database import is_as_new, joined, later_than, merged, parse, salvage, undone, updated_at
from copick_backend_volume.dicom import DicomHeader, cube, in_order, largest_series
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.layer import VoxelSize
from copick_backend_volume.models import TrainedModel
from copick_backend_volume.places import Volume
from copick_backend_volume.records import parse_job
from copick_backend_volume.repairs import problem_of
from copick_backend_volume.sources import Opener
from copick_backend_volume.training import TrainingPair
from copick_backend_volume.uploads import Finding, Upload, UploadReport, in_angstrom
from copick_core.layers import Problem
from copick_core.tree.keys import RunKey


def config(**fields):
    return CopickConfigVolume(volume_root="volume", pickable_objects=[], **fields)


# ------------------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"tomo_type": "a b"}, "'a b' has invalid characters; use 'a-b'"),
        ({"labels": {1: {"name": "a b"}}}, "object name 'a b' has invalid characters; use 'a-b'"),
        ({"labels": {0: {"name": "a"}}}, r"label 0 is not possible: 1 to 2\^63 - 1 are"),
        ({"labels": {1 << 63: {"name": "a"}}}, "is not possible"),
        ({"labels": {1: {"name": "a"}, 2: {"name": "a"}}}, "several values are named 'a'; an object has one label"),
        ({"labels": {1: {"name": "a", "color": (0, 0, 0, 256)}}}, "less than or equal to 255"),
        ({"labels": {1: {"name": "a", "color": (-1, 0, 0, 0)}}}, "greater than or equal to 0"),
        ({"voxel_size": 0}, "voxel size 0.0 of voxel_size must be a positive number"),
        ({"voxel_size": float("inf")}, "must be a positive number"),
        ({"job_voxel_sizes": {"CC7651": -1}}, "voxel size -1.0 of CC7651 must be a positive number"),
        ({"voxel_size_unit": "ell"}, "ell"),
        ({"mesh_downsample": 0}, "greater than or equal to 1"),
        ({"overlay_root": "o", "overlay": {"config_type": "memory"}}, "overlay_root and overlay are two overlays; give one"),
    ],
)
def test_a_value_that_cannot_be_is_named(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        config(**fields)


def test_the_least_and_the_greatest_values_can_be():
    label = {"name": "a", "color": (0, 255, 0, 255)}
    found = config(labels={1: label, (1 << 63) - 1: {"name": "b"}}, mesh_downsample=1, voxel_size=1e-3)

    assert found.labels[1].color == (0, 255, 0, 255)
    assert found.labels[(1 << 63) - 1].color == (230, 200, 120, 255)


def test_a_volume_is_read_only_and_shows_what_is_whole_and_what_has_lost_its_entry():
    found = config()

    assert (found.write_back, found.hide_incomplete, found.include_orphans) == (False, True, True)
    assert (found.tomo_type, found.voxel_size, found.voxel_size_unit, found.mesh_downsample) == ("raw", None, "angstrom", None)
    assert (found.job_voxel_sizes, found.labels, found.overlay_fs_args) == ({}, {}, {})


def test_what_may_hold_secrets_is_not_shown():
    assert "hush" not in repr(
        config(overlay_fs_args={"key": "hush"}, overlay={"config_type": "memory", "token": "hush"}, overlay_root=None)
    )


# ------------------------------------------------------------------------------------------------------------- entries

EARLY, LATE = "2024-07-05T16:24:13", "2024-07-05T16:24:14"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": {"status": "X"}}', {"a": {"status": "X"}}),
        (b'{"a": {"status": "X"}, "b": {"status": "Y"}, "c": {"st', {"a": {"status": "X"}, "b": {"status": "Y"}}),
        (b'{"a": {"status": "X", "cut', {}),
        (b'{"cut": {"no": , "b": {"status": "Y"}', {"b": {"status": "Y"}}),
        (b'x"a": {"other": 1}, "b": {"status": "Y"}', {"b": {"status": "Y"}}),
        (b'x"a\\q": {"status": "X"}, "b": {"status": "Y"}', {"b": {"status": "Y"}}),
        (b"\xff", {}),
    ],
)
def test_every_whole_entry_of_a_torn_file_is_saved(data, expected):
    assert salvage(data) == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000])
def test_a_file_that_holds_no_object_is_torn(data):
    assert parse(data) is None


def test_an_entry_that_tells_no_time_is_as_old_as_can_be():
    assert updated_at({}) == updated_at({"last_updated_at": "yesterday"}) == datetime.min
    assert updated_at({"last_updated_at": f"{EARLY}+02:00"}) == datetime.fromisoformat(EARLY)


def test_a_change_is_never_earlier_than_what_it_changes():
    ahead = datetime.now() + timedelta(days=1)

    assert later_than({"last_updated_at": ahead.isoformat()}) == ahead.isoformat()
    assert datetime.fromisoformat(later_than({"last_updated_at": EARLY})) > datetime.fromisoformat(EARLY)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"last_updated_at": EARLY, "a": 1}, True),
        ({"last_updated_at": LATE}, True),
        ({"last_updated_at": EARLY, "a": 2}, False),
        ({"last_updated_at": "2024-07-05T16:24:12"}, False),
        ("text", False),
    ],
)
def test_an_entry_is_as_new_if_it_is_ours_or_later(stored, expected):
    assert is_as_new(stored, {"last_updated_at": EARLY, "a": 1}) is expected


def test_changes_of_others_are_taken_and_asked_about_where_both_changed_an_entry():
    base = {"same": {"a": 0}, "theirs": {"a": 0}, "ours": {"a": 0}, "both": {"a": 0}, "text": {"a": 0}}
    ours = {**base, "ours": {"a": 1}, "both": {"a": 1}, "text": {"a": 1}}
    theirs = {**base, "theirs": {"a": 2}, "both": {"a": 2}, "text": "2", "new": {"a": 2}}
    asked = []

    def resolve(*question):
        asked.append(question)
        return {"a": 3}

    found = merged(ours, base, theirs, resolve)

    assert asked == [("both", {"a": 0}, {"a": 1}, {"a": 2})]
    assert found == {"same": {"a": 0}, "theirs": {"a": 2}, "ours": {"a": 1}, "both": {"a": 3}, "text": "2", "new": {"a": 2}}
    assert merged(ours, base, None, resolve) is merged(ours, base, dict(base), resolve) is ours


@pytest.mark.parametrize("ours_is_later", [True, False])
def test_of_two_changes_of_an_entry_each_field_is_as_its_writer_left_it(ours_is_later):
    before = {"a": 0, "b": 0, "both": 0, "last_updated_at": "2024-07-05T16:24:12"}
    ours = {**before, "a": 1, "both": 1, "last_updated_at": LATE if ours_is_later else EARLY}
    theirs = {**before, "b": 2, "both": 2, "new": 2, "last_updated_at": EARLY if ours_is_later else LATE}

    found = joined(before, ours, theirs)

    assert found == {"a": 1, "b": 2, "both": 1 if ours_is_later else 2, "new": 2, "last_updated_at": LATE}
    assert joined("text", ours, theirs)["both"] == (1 if ours_is_later else 2)


def test_of_changes_at_the_same_time_ours_is_the_later_one():
    assert joined({}, {"a": 1, "last_updated_at": EARLY}, {"a": 2, "last_updated_at": EARLY})["a"] == 1


def test_fields_that_another_writer_has_put_back_are_known():
    before, ours = {"a": 0, "b": 0, "c": 0, "last_updated_at": EARLY}, {"a": 1, "b": 1, "c": 0, "last_updated_at": LATE}

    assert undone(before, ours, {"a": 0, "b": 2, "c": 3, "last_updated_at": EARLY}) == {"a": 1}
    assert undone(before, ours, dict(ours)) == undone(before, ours, "text") == {}
    assert undone(None, {"a": 1}, {"b": 1}) == {"a": 1}


def test_what_is_wrong_with_an_entry_is_told_field_by_field():
    entry = {"status": "MELTING", "created_at": EARLY, "shape": [1, 2], "current_job_progress": "half"}

    found = parse_job("CC7651", entry)

    assert (
        found.problem
        == "status 'MELTING' cannot be read; current_job_progress 'half' cannot be read; shape [1, 2] cannot be read"
    )
    assert (found.status, found.status_text, found.progress, found.shape) == (None, "MELTING", None, None)
    assert parse_job("CC7651", 3).problem == "its entry is not an object but int"


def test_a_report_without_slices_tells_no_shape_type_or_size():
    report = UploadReport("CC7651", (), (), ())

    assert (report.shape_zyx, report.dtype, report.spacing_zyx, report.source_type) == (None, None, None, "image_stack")
    assert report.ok


# ------------------------------------------------------------------------------------------------------- what is shown


def test_a_database_is_made_of_its_settings_and_shows_nothing_else():
    store = JobStore(Volume("v"))

    assert repr(store) == "JobStore(volume=Volume(root='v'), writable=False, patience=2.0, settle=0.02)"
    assert [*inspect.signature(JobStore).parameters] == ["volume", "writable", "patience", "settle"]
    assert repr(Opener()) == "Opener()"


def test_what_is_long_is_not_shown():
    header = DicomHeader("series", 1.0, 1, None)
    upload = Upload("a.png", "a.png", 8, dicom=header, digest="abc")
    pair = TrainingPair("job", "1", 1, None, "img1.png", "seg1.png", {"long": 1})
    model = TrainedModel("job", "1", None, None, None, None, None, {"long": 1}, (pair,), False, True, True)
    report = UploadReport("job", (upload,), (), ())
    size = VoxelSize(1.0, "dicom", True, (1.0, 1.0, 1.0))

    assert repr(upload).endswith("problem=None, member=None)")
    assert repr(pair).endswith("mask_path='seg1.png')")
    assert "metadata" not in repr(model)
    assert "training_pairs" not in repr(model)
    assert repr(report) == "UploadReport(job='job', ignored=(), findings=())"
    assert repr(size) == "VoxelSize(angstrom=1.0, source='dicom', calibrated=True)"


# -------------------------------------------------------------------------------------------------------------- voxels


@pytest.mark.parametrize(
    ("spacing", "size"),
    [
        ((2.0, 2.0, 2.0), 2.0),
        ((2.001, 2.0, 2.0015), 2.0),
        ((2.0, 2.0, 2.003), None),
        ((2.003, 2.0, 2.0), None),
        ((0.0, 0.0, 0.0), None),
        ((-2.0, -2.0, -2.0), None),
    ],
)
def test_voxels_are_cubes_if_their_sizes_differ_by_less_than_a_thousandth(spacing, size):
    assert cube(spacing) == size
    assert DicomHeader("s", None, None, spacing).is_isotropic is (size is not None)
    assert not DicomHeader("s", None, None, None).is_isotropic


def test_slices_are_in_the_order_of_their_positions_or_else_of_their_numbers():
    def slices(*places):
        return [DicomHeader("s", z, number, None) for z, number in places]

    assert in_order(slices((2.0, 1), (1.0, 2))) == [1, 0]
    assert in_order(slices((None, 3), (1.0, 2))) == [1, 0]
    assert in_order(slices((None, 3), (1.0, None))) is None


def test_of_series_of_one_size_the_first_is_the_largest():
    def series(text):
        return largest_series([DicomHeader(letter, None, None, None) for letter in text])

    assert (series("ab"), series("abb"), series("ba")) == ("a", "b", "b")


def test_millimetres_are_ten_million_angstrom():
    assert in_angstrom(DicomHeader("s", None, None, (1e-7, 2e-7, 3e-7))) == pytest.approx((1.0, 2.0, 3.0))
    assert in_angstrom(DicomHeader("s", None, None, (0.0, 2e-7, 3e-7))) is None
    assert in_angstrom(DicomHeader("s", None, None, None)) is in_angstrom(None) is None


def test_slices_are_dicom_if_all_of_them_are():
    header = DicomHeader("s", None, None, None)
    slices = {True: Upload("a", "a", 1, dicom=header), False: Upload("b", "b", 1)}

    found = [UploadReport("j", tuple(slices[one] for one in kinds), (), ()).source_type for kinds in ([1, 1], [1, 0], [0], [])]

    assert found == ["dicom", "image_stack", "image_stack", "image_stack"]


def test_what_the_doctor_finds_is_a_problem_of_its_job_at_its_place():
    volume = Volume("v")
    store = JobStore(volume)
    findings = [
        Finding("junk", "warning", "m", "J", ("a", "b")),
        Finding("no-image", "error", "m", "J"),
        Finding("no-volume", "error", "m"),
    ]

    problems = [problem_of(volume, store, finding) for finding in findings]

    assert problems == [
        Problem("junk", RunKey("J"), "a, b", "warning", "m", None),
        Problem("no-image", RunKey("J"), "v, job J", "error", "m", None),
        Problem("no-volume", None, "v", "error", "m", None),
    ]
