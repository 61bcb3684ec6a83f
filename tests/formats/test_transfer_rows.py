"""What the rows of a report say of each file: run, entity, state, size, and why it failed."""

from __future__ import annotations

import os

import mrcfile
import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import InvalidDataError, InvalidNameError
from copick_core.layers.provenance import provenance_of
from copick_core.volumes.reading import read_volume
from support.projects import project_in

OBJECTS = [
    {"name": "membrane", "is_particle": False, "label": 2},
    {"name": "ribosome", "is_particle": True, "label": 3},
    {"name": "proteasome", "is_particle": True, "label": 4},
]


@pytest.fixture
def root(tmp_path):
    return project_in(tmp_path, OBJECTS)


def csv(path, *rows, header="run_name,x,y,z"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def shown(report):
    return [(row.run, row.entity, row.state, row.count) for row in report.rows]


def errors(report):
    return [row.error for row in report.rows]


# --------------------------------------------------------------------------------------------------------------- picks


def test_each_run_of_a_file_is_a_row(root, tmp_path):
    for name in ("TS_1", "TS_2"):
        root.new_run(name)
    path = csv(tmp_path / "a.csv", "TS_1,1,2,3", "TS_2,4,5,6", "TS_1,7,8,9")
    told = []

    report = copick_core.import_picks(root, path, "5", "ribosome", progress=lambda *args: told.append(args))

    assert shown(report) == [("TS_1", "TS_1/ribosome:ana/5", "done", 2), ("TS_2", "TS_2/ribosome:ana/5", "done", 1)]
    assert [row.file for row in report.rows] == [path, path]
    assert errors(report) == [None, None]
    assert root.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1, 2, 3], [7, 8, 9]]
    assert sorted(told, key=lambda one: one[1])[-1][1:] == (2, 2)


def test_who_and_when_are_stored_as_they_are_sanitised(root, tmp_path):
    root.new_run("TS_1")

    with pytest.warns(UserWarning, match="sanitized"):
        report = copick_core.import_picks(root, csv(tmp_path / "a.csv", "TS_1,1,2,3"), "s 1", "ribosome", "b b")

    assert shown(report) == [("TS_1", "TS_1/ribosome:b-b/s-1", "done", 1)]


def test_nobody_imports_without_a_name(root, tmp_path):
    root.config.user_id = None

    with pytest.raises(InvalidNameError, match="pass one, or set user_id in the configuration or on the root") as caught:
        copick_core.import_picks(root, tmp_path / "a.csv", "1", "ribosome")

    assert caught.value.what == "user_id"


def test_a_run_that_is_missing_is_named_with_the_ways_out_or_made(root, tmp_path):
    path = csv(tmp_path / "a.csv", "TS_1,1,2,3", "TS_1,1,2,3")

    failed = copick_core.import_picks(root, path, "1", "ribosome")
    assert shown(failed) == [("TS_1", None, "failed", 2)]
    assert errors(failed) == [
        f"{path}: its 2 points belong to run 'TS_1', which the project does not have; name runs with run_regex or "
        "run_names, or pass create_runs=True"
    ]
    assert root.runs == []

    made = copick_core.import_picks(root, path, "1", "ribosome", create_runs=True)
    assert shown(made) == [("TS_1", "TS_1/ribosome:ana/1", "done", 2)]


def test_a_run_is_not_made_under_a_name_that_cannot_be_stored(root, tmp_path):
    path = csv(tmp_path / "a.csv", "a/b,1,2,3", "TS_1,1,2,3")

    report = copick_core.import_picks(root, path, "1", "ribosome", create_runs=True)

    assert [(run, state) for run, _, state, _ in shown(report)] == [("a/b", "failed"), ("TS_1", "done")]
    assert [run.name for run in root.runs] == ["TS_1"]


@pytest.mark.parametrize(
    ("name", "error"),
    [(None, "names no object; pass object_name"), ("ribosom", "ribosom")],
    ids=["no object", "misspelt object"],
)
def test_an_object_that_is_missing_is_told_for_each_run(root, tmp_path, name, error):
    root.new_run("TS_1")
    path = csv(tmp_path / "a.csv", "TS_1,1,2,3")

    report = copick_core.import_picks(root, path, "1", name)

    assert shown(report) == [("TS_1", None, "failed", 1)]
    assert error in errors(report)[0]
    assert root.get_run("TS_1").picks == []


def test_two_files_of_one_run_and_object_are_told_by_the_first(root, tmp_path):
    root.new_run("TS_1")
    first, second = (csv(tmp_path / name, "TS_1,1,2,3") for name in ("a.csv", "b.csv"))

    report = copick_core.import_picks(root, [first, second], "1", "ribosome")

    assert {row.file: row.state for row in report.rows} == {first: "done", second: "failed"}
    (failed,) = report.failed
    assert failed.error == f"{second}: holds points of 'ribosome' in run 'TS_1', as {first} does"
    assert (failed.run, failed.count) == ("TS_1", 1)


def test_a_file_without_points_is_left_out_with_the_reason(root, tmp_path):
    path = csv(tmp_path / "a.csv")

    report = copick_core.import_picks(root, path, "1", "ribosome")

    assert shown(report) == [(None, None, "skipped", 0)]
    assert errors(report) == [f"{path}: holds no points"]


@pytest.mark.parametrize("name", ["missing.csv", "broken.csv"])
def test_a_file_that_cannot_be_read_is_a_row_without_a_run(root, tmp_path, name):
    csv(tmp_path / "broken.csv", "TS_1,one,2,3")
    root.new_run("TS_1")
    good = csv(tmp_path / "good.csv", "TS_1,1,2,3")

    report = copick_core.import_picks(root, [tmp_path / name, good], "1", "ribosome")

    assert shown(report) == [(None, None, "failed", 0), ("TS_1", "TS_1/ribosome:ana/1", "done", 1)]
    assert name in errors(report)[0]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("options", "points", "state"),
    [
        ({}, 2, "failed"),
        ({"exist_ok": True}, 2, "done"),
        ({"resume": True}, 1, "skipped"),
        ({"resume": True}, 2, "done"),
        ({"resume": True, "exist_ok": True}, 1, "skipped"),
    ],
)
def test_picks_that_exist_are_kept_left_out_or_replaced(root, tmp_path, options, points, state, dry_run):
    root.new_run("TS_1").new_picks("ribosome", "1").from_numpy([[0.0, 0.0, 0.0]])
    path = csv(tmp_path / "a.csv", *["TS_1,1,2,3"] * points)

    report = copick_core.import_picks(root, path, "1", "ribosome", dry_run=dry_run, **options)

    (row,) = report.rows
    assert row.state == ("planned" if dry_run and state == "done" else state)
    assert (row.run, row.count) == ("TS_1", points)
    assert "exist_ok=True to replace it" in row.error if state == "failed" else row.error is None
    root.refresh()
    stored = root.get_run("TS_1").picks[0].numpy()[0]
    assert stored[:, 0].tolist() == ([1.0] * points if state == "done" and not dry_run else [0.0])


def test_what_an_import_stores_says_what_made_it(root, tmp_path):
    root.new_run("TS_1")
    path = csv(tmp_path / "a.csv", "TS_1,1,2,3")

    copick_core.import_picks(root, path, "1", "ribosome")

    picks = root.get_run("TS_1").picks[0]
    made = provenance_of(root.layers.overlay, picks.key)
    assert (made["tool"], made["function"], made["by"]) == (
        "copick-core import",
        "copick_core.projects.annotation_files:import_picks",
        "ana",
    )
    assert made["inputs"] == [{"file": os.path.abspath(path)}]
    assert made["version"] == copick_core.__version__


# ------------------------------------------------------------------------------------------------------------- exports


def picks(root, *names):
    for run in ("TS_1", "TS_2"):
        for name in names:
            root.new_run(run, exist_ok=True).new_picks(name, "1").from_numpy([[1.0, 2.0, 3.0]])


def test_files_that_would_mix_annotations_are_refused_with_two_of_them(root, tmp_path):
    picks(root, "ribosome", "proteasome")

    with pytest.raises(InvalidDataError) as caught:
        copick_core.export_picks(root, "TS_*/*", tmp_path / "{run}.csv")

    assert caught.value.source == str(tmp_path / "TS_1.csv")
    assert caught.value.reason == (
        "would mix TS_1/proteasome:ana/1 and TS_1/ribosome:ana/1; put {object}, {user} or {session} into the path, "
        "or pass merge=True"
    )
    merged = copick_core.export_picks(root, "TS_*/*", tmp_path / "{run}.csv", merge=True)
    assert [row.state for row in merged.rows] == ["done"] * 4


def test_meshes_of_two_runs_never_share_a_file(root, tmp_path):
    for name in ("TS_1", "TS_2", "TS_3"):
        root.new_run(name).new_mesh("membrane", "1", mesh=trimesh.creation.box())

    with pytest.raises(InvalidDataError) as caught:
        copick_core.export_meshes(root, "membrane", tmp_path / "a.stl", merge=True)

    assert (caught.value.source, caught.value.reason) == (
        str(tmp_path / "a.stl"),
        "would mix TS_1/membrane:ana/1 and TS_2/membrane:ana/1; put {run}, {object}, {user} or {session} into the path",
    )


def test_one_object_of_many_runs_may_share_a_file(root, tmp_path):
    picks(root, "ribosome")

    report = copick_core.export_picks(root, "ribosome", tmp_path / "all.csv")

    assert shown(report) == [
        ("TS_1", "TS_1/ribosome:ana/1", "done", 1),
        ("TS_2", "TS_2/ribosome:ana/1", "done", 1),
    ]


def test_where_nothing_matches_nothing_is_exported(root, tmp_path):
    with pytest.raises(InvalidDataError, match="no picks match, so there is nothing to export") as caught:
        copick_core.export_picks(root, "TS_9/*", tmp_path / "a.csv")
    assert caught.value.source == "TS_9/*"

    with pytest.raises(InvalidDataError, match="no volumes match, so there is nothing to export") as caught:
        copick_core.export_volumes(root, "wbp@10.0", tmp_path / "a.mrc")
    assert caught.value.source == "wbp@10.0"


def test_a_file_that_exists_fails_with_the_way_out_and_the_others_are_written(root, tmp_path):
    picks(root, "ribosome")
    (tmp_path / "TS_1.csv").write_text("mine")

    report = copick_core.export_picks(root, "ribosome", tmp_path / "{run}.csv")
    planned = copick_core.export_picks(root, "ribosome", tmp_path / "{run}.csv", dry_run=True)
    replaced = copick_core.export_picks(root, "ribosome", tmp_path / "{run}.csv", overwrite=True)

    assert [row.state for row in report.rows] == ["failed", "done"]
    assert "overwrite=True" in report.rows[0].error
    assert [row.error for row in planned.rows] == [
        f"{tmp_path / name} exists; pass overwrite=True to replace it" for name in ("TS_1.csv", "TS_2.csv")
    ]
    assert [row.state for row in replaced.rows] == ["done", "done"]
    assert (tmp_path / "TS_1.csv").read_text() != "mine"


# ---------------------------------------------------------------------------------------------------------- tomograms


def volume(seed=0, shape=(6, 7, 8)):
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def mrc(path, seed=0, size=10.0, shape=(6, 7, 8)):
    with mrcfile.new(path, volume(seed, shape), overwrite=True) as file:
        file.voxel_size = size
    return str(path)


def test_the_row_of_a_tomogram_has_its_file_run_address_and_voxels(root, tmp_path):
    path = mrc(tmp_path / "TS_1.mrc")

    (row,) = copick_core.import_tomograms(root, [path], "wbp", levels=2).rows

    assert (row.file, row.run, row.entity, row.state, row.count, row.error) == (
        path,
        "TS_1",
        "TS_1/wbp@10.0",
        "done",
        336,
        None,
    )
    tomogram = root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
    assert tomogram.levels == ["0", "1"]
    made = provenance_of(root.layers.overlay, tomogram.key)
    assert (made["tool"], made["by"], made["version"]) == ("copick-core import", "ana", copick_core.__version__)
    assert made["function"] == "copick_core.projects.volume_files:import_tomograms"
    assert (made["arguments"], made["inputs"]) == ({"levels": 2}, [{"file": path}])


@pytest.mark.parametrize(
    ("options", "source", "reason"),
    [
        ({"levels": 0}, "levels", "0 is less than 1"),
        ({"dtype": "float"}, None, None),
        ({"dtype": "foo"}, "dtype", "there is no type 'foo'"),
        ({"run_regex": "("}, "run_regex", "'(' is not a regular expression"),
    ],
)
def test_an_argument_that_makes_no_tomogram_is_named_before_a_run_is_made(root, tmp_path, options, source, reason):
    if source is None:
        assert copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", **options).rows[0].state == "done"
        return
    with pytest.raises(InvalidDataError) as caught:
        copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", **options)

    assert caught.value.source == source
    assert caught.value.reason.startswith(reason)
    assert root.runs == []


def test_each_tomogram_that_cannot_be_imported_is_a_row_with_its_reason(root, tmp_path):
    (tmp_path / "broken.mrc").write_bytes(b"nothing")
    files = [
        tmp_path / "missing.mrc",
        tmp_path / "broken.mrc",
        mrc(tmp_path / "nosize.mrc", size=0),
        mrc(tmp_path / "TS_1_a.mrc"),
        mrc(tmp_path / "TS_1_b.mrc"),
        mrc(tmp_path / "good.mrc"),
    ]
    told = []

    report = copick_core.import_tomograms(
        root, files, "wbp", run_names={"TS_1_a": "TS_1", "TS_1_b": "TS_1"}, progress=lambda *args: told.append(args)
    )

    missing, broken, nosize, first, second, good = report.rows
    assert [row.state for row in report.rows] == ["failed"] * 5 + ["done"]
    assert (missing.run, broken.run, nosize.run, first.run, good.run) == ("missing", "broken", "nosize", "TS_1", "good")
    assert "There is no file" in missing.error
    assert "broken.mrc" in broken.error
    assert nosize.error == f"{files[2]}: does not tell its voxel size; give voxel_size (in angstrom)"
    shared = f"{files[3]} and {files[4]} have the same run 'TS_1'; name runs with run_regex or run_names"
    assert (first.error, second.error) == (shared, shared)
    assert {row.entity for row in report.failed} == {None}
    assert [run.name for run in root.runs] == ["good"]
    assert told == [("good", 1, 1)]


def test_a_run_name_that_cannot_be_stored_is_a_row(root, tmp_path):
    report = copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", run_prefix="a/")

    assert [(row.run, row.state) for row in report.rows] == [("a/TS_1", "failed")]
    assert root.runs == []


@pytest.mark.parametrize(
    ("options", "shape", "state"),
    [
        ({}, (6, 7, 8), "failed"),
        ({"exist_ok": True}, (6, 7, 8), "done"),
        ({"resume": True}, (6, 7, 8), "skipped"),
        ({"resume": True}, (5, 7, 8), "done"),
    ],
)
def test_a_tomogram_that_exists_is_kept_left_out_or_replaced(root, tmp_path, options, shape, state):
    copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc", 1)], "wbp")
    path = mrc(tmp_path / "TS_1.mrc", 2, shape=shape)

    (row,) = copick_core.import_tomograms(root, [path], "wbp", **options).rows

    assert (row.state, row.run, row.count) == (state, "TS_1", int(np.prod(shape)))
    assert row.entity == (None if state == "failed" else "TS_1/wbp@10.0")
    assert (row.error is None) is (state != "failed")
    root.refresh()
    stored = root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy()
    np.testing.assert_array_equal(stored, volume(2, shape) if state == "done" else volume(1))


def test_a_voxel_size_that_is_given_replaces_that_of_the_files(root, tmp_path):
    path = mrc(tmp_path / "TS_1.mrc", size=10.0)

    for _ in range(2):
        report = copick_core.import_tomograms(root, [path], "wbp", voxel_size=12.5, resume=True)

    assert [(row.entity, row.state) for row in report.rows] == [("TS_1/wbp@12.5", "skipped")]
    assert [spacing.voxel_size for spacing in root.get_run("TS_1").voxel_spacings] == [12.5]


def test_the_type_of_voxels_is_that_which_was_asked_for_or_that_of_the_file(root, tmp_path):
    path = tmp_path / "TS_1.mrc"
    with mrcfile.new(path, np.arange(60, dtype=np.int8).reshape(3, 4, 5)) as file:
        file.voxel_size = 10.0

    for name, dtype in (("default", None), ("kept", {"dtype": None}), ("wide", {"dtype": "int16"})):
        copick_core.import_tomograms(root, [path], name, **(dtype or {}))

    spacing = root.get_run("TS_1").get_voxel_spacing(10.0)
    found = {name: spacing.get_tomogram(name).numpy().dtype.name for name in ("default", "kept", "wide")}
    assert found == {"default": "float32", "kept": "int8", "wide": "int16"}


def test_volumes_that_would_share_a_file_are_named_with_the_field_that_tells_them_apart(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], "wbp")
    pair = np.ones((2, 6, 7, 8), int) * 2
    root.get_run("TS_1").new_segmentation(10.0, "all", "1", is_panoptic=True).from_numpy(pair)

    with pytest.raises(InvalidDataError) as caught:
        copick_core.export_volumes(root, "wbp@10.0", tmp_path / "a.mrc", kind="tomogram")
    assert (caught.value.source, caught.value.reason) == (
        str(tmp_path / "a.mrc"),
        "both TS_1/wbp@10.0 and TS_2/wbp@10.0 would go to this file; put {run}, {name} or {session} into the path",
    )
    with pytest.raises(InvalidDataError, match=r"put \{channel\} into the path"):
        copick_core.export_volumes(root, "all", tmp_path / "{run}.mrc", kind="segmentation")
    root.get_run("TS_2").new_segmentation(10.0, "all", "1", is_panoptic=True).from_numpy(pair)
    with pytest.raises(InvalidDataError, match=r"put \{run\}, \{name\} or \{session\} into the path"):
        copick_core.export_volumes(root, "all", tmp_path / "{channel}.mrc", kind="segmentation")


def test_channels_of_features_are_numbered(root, tmp_path):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(volume())
    tomogram.new_features("edges").from_numpy(np.stack([volume(1), volume(2), volume(3)]))

    report = copick_core.export_volumes(root, "wbp@10.0:edges", tmp_path / "{run}_{name}_{feature_type}_{channel}.mrc")

    assert [(os.path.basename(row.file), row.entity, row.count) for row in report.rows] == [
        (f"TS_1_wbp_edges_{channel}.mrc", "TS_1/wbp@10.0:edges", 336) for channel in range(3)
    ]
    np.testing.assert_array_equal(read_volume(tmp_path / "TS_1_wbp_edges_2.mrc").data, volume(3))


def test_a_volume_whose_file_exists_fails_and_the_others_are_written(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], "wbp")
    path = tmp_path / "out" / "{run}.mrc"
    copick_core.export_volumes(root, "TS_1/wbp@10.0", path)
    told = []

    report = copick_core.export_volumes(root, "wbp@10.0", path, progress=lambda *args: told.append(args))
    planned = copick_core.export_volumes(root, "wbp@10.0", path, dry_run=True, overwrite=True)

    assert [(row.run, row.entity, row.state, row.count) for row in report.rows] == [
        ("TS_1", "TS_1/wbp@10.0", "failed", 336),
        ("TS_2", "TS_2/wbp@10.0", "done", 336),
    ]
    assert "overwrite=True" in report.rows[0].error
    assert [row.state for row in planned.rows] == ["planned", "planned"]
    assert sorted(counts for _, *counts in told) == [[1, 2], [2, 2]]
