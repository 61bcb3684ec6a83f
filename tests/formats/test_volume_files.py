"""Tomograms of many runs from files, and volumes of many runs to files."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
from click.testing import CliRunner

import copick_core
from copick_core.cli.frame import command_line
from copick_core.errors import InvalidDataError
from copick_core.volumes.reading import read_volume


@pytest.fixture
def root(tmp_path):
    config = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "data"),
        "user_id": "ana",
        "pickable_objects": [
            {"name": "membrane", "is_particle": False, "label": 1},
            {"name": "ribosome", "is_particle": True, "label": 2},
            {"name": "without-map", "is_particle": True, "label": 3},
        ],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return copick_core.open(tmp_path / "config.json")


def volume(seed=0):
    return np.random.default_rng(seed).normal(size=(6, 7, 8)).astype("f4")


def mrc(path, seed=0, size=10.0):
    with mrcfile.new(path, volume(seed)) as file:
        file.voxel_size = size
    return path


def test_each_file_becomes_the_tomogram_of_a_run(root, tmp_path):
    files = [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)]

    report = copick_core.import_tomograms(root, files, "wbp", levels=1)

    assert [(row.entity, row.state) for row in report.rows] == [("TS_1/wbp@10.0", "done"), ("TS_2/wbp@10.0", "done")]
    np.testing.assert_array_equal(root.get_run("TS_2").get_voxel_spacing(10.0).get_tomograms("wbp")[0].numpy(), volume(2))


def test_a_file_that_cannot_be_read_leaves_no_run(root, tmp_path):
    (tmp_path / "TS_1.mrc").write_bytes(b"nothing")

    report = copick_core.import_tomograms(root, [tmp_path / "TS_1.mrc", mrc(tmp_path / "TS_2.mrc")], "wbp")

    assert [row.state for row in report.rows] == ["failed", "done"]
    assert [run.name for run in root.runs] == ["TS_2"]


@pytest.mark.parametrize("options", [{"levels": 0}, {"dtype": "foo"}])
def test_what_makes_no_tomogram_is_refused_before_a_run_is_made(root, tmp_path, options):
    with pytest.raises(InvalidDataError):
        copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", **options)

    assert root.runs == []


def test_a_folder_of_somebody_is_not_replaced(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", levels=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")

    reports = [
        copick_core.export_volumes(root, "wbp@10.0", tmp_path / "mine", file_format=name, overwrite=True)
        for name in ("ome-zarr", "mrc")
    ]

    assert [row.state for report in reports for row in report.rows] == ["failed", "failed"]
    assert "it is not replaced" in reports[0].failed[0].error
    assert "is a folder; add the name of a file" in reports[1].failed[0].error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["out.zarr", "out.zarr/"])
def test_a_folder_of_the_same_format_is_replaced_where_that_is_asked_for(root, tmp_path, name):
    copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", levels=1)
    path = f"{tmp_path}/{name}"
    copick_core.export_volumes(root, "wbp@10.0", path, write_options={"levels": 2})

    (kept,) = copick_core.export_volumes(root, "wbp@10.0", path).rows
    (done,) = copick_core.export_volumes(root, "wbp@10.0", path, overwrite=True).rows

    assert (kept.state, done.state) == ("failed", "done")
    assert not (tmp_path / "out.zarr" / "1").exists()


def test_files_of_the_same_run_are_refused(root, tmp_path):
    files = [mrc(tmp_path / name) for name in ("TS_1_a.mrc", "TS_1_b.mrc")]

    report = copick_core.import_tomograms(root, files, "wbp", run_regex=r"TS_\d")

    assert [row.state for row in report.rows] == ["failed", "failed"]
    assert root.runs == []


@pytest.mark.parametrize(
    ("options", "run"),
    [
        ({}, "20240101_TS_1_rec"),
        ({"run_regex": r"TS_\d"}, "TS_1"),
        ({"run_regex": r"TS_(\d)", "run_prefix": "grid-"}, "grid-1"),
        ({"run_names": {"20240101_TS_1_rec": "first"}, "run_regex": r"TS_\d", "run_prefix": "grid-"}, "first"),
    ],
)
def test_runs_are_named_by_rules(root, tmp_path, options, run):
    report = copick_core.import_tomograms(root, [mrc(tmp_path / "20240101_TS_1_rec.mrc")], "wbp", levels=1, **options)

    assert [(row.run, row.state) for row in report.rows] == [(run, "done")]


def test_progress_of_an_import_names_each_run(root, tmp_path):
    files, told = [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], []

    copick_core.import_tomograms(root, files, "wbp", levels=1, progress=lambda *args: told.append(args))

    assert {name for name, _, _ in told} == {"TS_1", "TS_2"}
    assert [counts for _, *counts in told] == [[1, 2], [2, 2]]


def test_an_export_of_volumes_can_be_resumed(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], "wbp", levels=1)
    path = tmp_path / "out" / "{run}.mrc"
    copick_core.export_volumes(root, "TS_1/wbp@10.0", path)

    report = copick_core.export_volumes(root, "wbp@10.0", path, resume=True)

    assert [row.state for row in report.rows] == ["skipped", "done"]


@pytest.mark.parametrize("suffix", ["mrc", "tif", "nrrd", "em", "zarr"])
def test_features_are_exported(root, tmp_path, suffix):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(volume(0), levels=1)
    tomogram.new_features("edges").from_numpy(volume(1))

    copick_core.export_volumes(root, "wbp@10.0:edges", tmp_path / f"{{run}}_{{feature_type}}.{suffix}")

    with read_volume(str(tmp_path / f"TS_1_edges.{suffix}")) as again:
        np.testing.assert_array_equal(again.slabs(0, 6), volume(1))


def test_an_import_of_tomograms_can_be_resumed(root, tmp_path):
    files = [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)]
    copick_core.import_tomograms(root, files[:1], "wbp")

    report = copick_core.import_tomograms(root, files, "wbp", resume=True)

    assert [row.state for row in report.rows] == ["skipped", "done"]


def test_a_dry_run_makes_no_run(root, tmp_path):
    report = copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc")], "wbp", dry_run=True)

    assert [(row.entity, row.state, row.count) for row in report.rows] == [("TS_1/wbp@10.0", "planned", 6 * 7 * 8)]
    assert root.runs == []


def test_a_voxel_size_that_no_file_tells_is_asked_for(root, tmp_path):
    report = copick_core.import_tomograms(root, [mrc(tmp_path / "TS_1.mrc", size=0)], "wbp")

    assert "give voxel_size" in report.failed[0].error


def test_tomograms_are_exported(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], "wbp")

    report = copick_core.export_volumes(root, "wbp@10.0", str(tmp_path / "out" / "{run}_{name}_{voxel_size}.mrc"))

    assert [row.state for row in report.rows] == ["done", "done"]
    with mrcfile.open(tmp_path / "out" / "TS_2_wbp_10.000.mrc") as file:
        np.testing.assert_array_equal(file.data, volume(2))
        assert float(file.voxel_size.x) == 10.0


@pytest.mark.filterwarnings("ignore:.*label of no object")  # any number will do
@pytest.mark.parametrize("suffix", ["mrc", "em", "tif"])
def test_labels_are_exported_without_change(root, tmp_path, suffix):
    labels = np.arange(6 * 7 * 8).reshape(6, 7, 8)
    run = root.new_run("TS_1")
    run.new_segmentation(10.0, "membrane", "1", is_multilabel=True).from_numpy(labels)

    copick_core.export_volumes(root, "membrane:ana/1@10.0?multilabel=true", str(tmp_path / ("{run}." + suffix)))

    np.testing.assert_array_equal(read_volume(tmp_path / f"TS_1.{suffix}").data, labels)


def test_channels_go_to_files_of_their_own(root, tmp_path):
    pair = np.stack([np.ones((4, 4, 4), int), np.arange(64).reshape(4, 4, 4)])
    root.new_run("TS_1").new_segmentation(10.0, "membrane", "1", is_panoptic=True).from_numpy(pair)

    with pytest.raises(InvalidDataError, match=r"\{channel\}"):
        copick_core.export_volumes(root, "membrane", str(tmp_path / "{run}.mrc"), kind="segmentation")
    copick_core.export_volumes(root, "membrane", str(tmp_path / "{run}_{channel}.mrc"), kind="segmentation")

    np.testing.assert_array_equal(mrcfile.read(tmp_path / "TS_1_instance.mrc"), pair[1])


@pytest.mark.parametrize("suffix", ["mrc", "zarr", "nrrd"])
def test_maps_of_objects_are_exported(root, tmp_path, suffix):
    volume = np.random.default_rng(0).normal(size=(6, 7, 8)).astype("f4")
    root.get_object("ribosome").from_numpy(volume, 5.0)

    report = copick_core.export_volumes(root, "*", str(tmp_path / ("{name}." + suffix)), kind="object")

    assert [(row.run, row.state) for row in report.rows] == [(None, "done")]
    if suffix != "nrrd":
        from copick_core.volumes.reading import read_volume

        again = read_volume(tmp_path / f"ribosome.{suffix}")
        np.testing.assert_array_equal(again.data, volume)
        assert again.voxel_size == pytest.approx(5.0)


def test_volumes_that_would_share_a_file_are_refused(root, tmp_path):
    copick_core.import_tomograms(root, [mrc(tmp_path / f"TS_{i}.mrc", i) for i in (1, 2)], "wbp")

    with pytest.raises(InvalidDataError, match=r"\{run\}"):
        copick_core.export_volumes(root, "wbp", tmp_path / "a.mrc", kind="tomogram")


def test_the_commands_import_and_export_volumes(root, tmp_path):
    config = str(tmp_path / "config.json")
    path = str(mrc(tmp_path / "TS_1.mrc"))

    done = CliRunner().invoke(command_line, ["import", "tomograms", "-c", config, path, "--type", "wbp", "--json"])
    assert [row["state"] for row in json.loads(done.stdout)] == ["done"]

    done = CliRunner().invoke(command_line, ["export", "volumes", "-c", config, "wbp@10.0", str(tmp_path / "{run}.em")])
    assert (done.exit_code, (tmp_path / "TS_1.em").exists()) == (0, True)
