"""Lists of tomograms of RELION and Dynamo: each tomogram becomes that of its run."""

from __future__ import annotations

import json

import mrcfile
import numpy as np
import pytest
import starfile
from click.testing import CliRunner

import copick_core
from copick_core.cli.frame import command_line
from copick_formats.relion_tomograms import read_listed_tomograms
from support.shared_data import shared

HALF = "Tomograms/job006/tomograms/rec_{}_half{}.mrc"


@pytest.fixture
def root(tmp_path):
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "user_id": "ana", "pickable_objects": []}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return copick_core.open(tmp_path / "config.json")


def mrc(path, seed, size=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = np.random.default_rng(seed).normal(size=(4, 5, 6)).astype("f4")
    with mrcfile.new(path, volume) as file:
        file.voxel_size = size
    return volume


def relion(tmp_path, labels="Half1 Half2", names=("TS_1", "TS_2"), files=HALF):
    """A project of RELION with two tomograms, and the list of them, two folders below."""
    labels = labels.split()
    for seed, name in enumerate(names):
        for half in "12":
            mrc(tmp_path / "relion" / HALF.format(name, half), seed * 2 + int(half))
    columns = ["rlnTomoName", "rlnTomoTiltSeriesPixelSize", "rlnTomoTomogramBinning"]
    columns += [f"rlnTomoReconstructedTomogram{label}" for label in labels]
    rows = [[name, "1.35", "7.407407", *(files.format(name, label[-1:]) for label in labels)] for name in names]
    text = "data_global\nloop_\n" + "".join(f"_{c}\n" for c in columns) + "".join(" ".join(row) + "\n" for row in rows)
    path = tmp_path / "relion" / "Tomograms" / "job006" / "tomograms.star"
    path.write_text(text)
    return path


def stored(root, run):
    return root.get_run(run).get_voxel_spacing(10.0).get_tomograms("wbp")[0].numpy()


@pytest.mark.parametrize("executor", ["thread", pytest.param("process", marks=pytest.mark.slow)])
def test_each_tomogram_of_a_list_of_relion_becomes_that_of_its_run(root, tmp_path, executor):
    path = relion(tmp_path)

    report = copick_core.import_tomograms(root, [path], "wbp", levels=1, read_options={"tomogram": "half2"}, executor=executor)

    assert [(row.run, row.state) for row in report.rows] == [("TS_1", "done"), ("TS_2", "done")]
    root = copick_core.open(tmp_path / "config.json")
    np.testing.assert_array_equal(stored(root, "TS_2"), mrcfile.read(tmp_path / "relion" / HALF.format("TS_2", 2)))


def test_the_names_files_and_voxel_sizes_are_those_of_starfile(tmp_path):
    path = shared("formats/relion50_tomograms.star")
    expected = starfile.read(path)

    found = read_listed_tomograms(str(path), tomogram="half1", folder=str(tmp_path))

    assert [item.run for item in found] == expected["rlnTomoName"].tolist()
    files = expected["rlnTomoReconstructedTomogramHalf1"]
    assert [item.path for item in found] == [str(tmp_path / file) for file in files]
    sizes = expected["rlnTomoTiltSeriesPixelSize"] * expected["rlnTomoTomogramBinning"]
    np.testing.assert_allclose([item.voxel_size for item in found], sizes, rtol=1e-6)


def test_the_pixel_size_of_the_camera_counts_where_there_is_no_other(tmp_path):
    path = relion(tmp_path, "Half1")
    path.write_text(path.read_text().replace("rlnTomoTiltSeriesPixelSize", "rlnMicrographOriginalPixelSize"))

    found = read_listed_tomograms(str(path))

    assert [item.voxel_size for item in found] == [10.0, 10.0]


def test_the_voxel_size_and_the_names_of_runs_can_be_given(root, tmp_path):
    path = relion(tmp_path, "Half1")

    report = copick_core.import_tomograms(root, [path], "wbp", levels=1, voxel_size=9.5, run_prefix="a-", dry_run=True)

    assert [row.entity for row in report.rows] == ["a-TS_1/wbp@9.5", "a-TS_2/wbp@9.5"]
    assert root.runs == []


def test_which_of_several_tomograms_is_asked(root, tmp_path):
    (row,) = copick_core.import_tomograms(root, [relion(tmp_path)], "wbp").rows

    assert "names the tomograms half1, half2; give tomogram (half1 or half2)" in row.error


def test_a_list_whose_files_are_elsewhere_asks_for_their_folder(root, tmp_path):
    path = relion(tmp_path, "Half1")
    path.rename(tmp_path / "moved.star")

    (refused,) = copick_core.import_tomograms(root, [tmp_path / "moved.star"], "wbp").rows
    report = copick_core.import_tomograms(
        root, [tmp_path / "moved.star"], "wbp", levels=1, read_options={"folder": str(tmp_path / "relion")}
    )

    assert "give folder" in refused.error
    assert report.count("done") == 2


def test_a_tomogram_that_is_missing_is_a_row_and_the_rest_is_imported(root, tmp_path):
    path = relion(tmp_path, "Half1")
    (tmp_path / "relion" / HALF.format("TS_2", 1)).unlink()

    report = copick_core.import_tomograms(root, [path], "wbp", levels=1)

    assert [(row.run, row.state) for row in report.rows] == [("TS_1", "done"), ("TS_2", "failed")]
    assert [run.name for run in root.runs] == ["TS_1"]


def test_one_file_for_two_runs_becomes_the_tomogram_of_each(root, tmp_path):
    path = relion(tmp_path, "Half1", files="Tomograms/job006/tomograms/rec_TS_1_half1.mrc")

    report = copick_core.import_tomograms(root, [path], "wbp", levels=1)

    assert [(row.run, row.state) for row in report.rows] == [("TS_1", "done"), ("TS_2", "done")]


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".."])
def test_a_hostile_name_makes_nothing(root, tmp_path, name):
    path = relion(tmp_path, "Half1", names=("TS_1",))
    path.write_text(path.read_text().replace("TS_1 1.35", f"{name} 1.35"))

    report = copick_core.import_tomograms(root, [path], "wbp", levels=1)

    assert [row.state for row in report.rows] == ["failed"]
    assert root.runs == []


@pytest.mark.parametrize("cell", ["nan", "-1", "0", "''"])
def test_a_pixel_size_that_is_none_is_an_error(root, tmp_path, cell):
    path = relion(tmp_path, "Half1")
    path.write_text(path.read_text().replace("TS_2 1.35", f"TS_2 {cell}"))

    (row,) = copick_core.import_tomograms(root, [path], "wbp", levels=1).rows

    assert "rlnTomoTiltSeriesPixelSize" in row.error
    assert root.runs == []


def test_particles_are_no_list_of_tomograms(root, tmp_path):
    (tmp_path / "a.star").write_text("data_particles\nloop_\n_rlnTomoName\n_rlnCoordinateX\nTS_1 1\n")

    (row,) = copick_core.import_tomograms(root, [tmp_path / "a.star"], "wbp").rows

    assert "names no reconstructed tomograms" in row.error


def test_each_tomogram_of_a_list_of_dynamo_becomes_that_of_its_run(root, tmp_path):
    volumes = [mrc(tmp_path / "volumes" / f"TS_{n}.rec", n, 10.0) for n in (1, 2)]
    (tmp_path / "a.doc").write_text("1\tvolumes/TS_1.rec\n2\tvolumes/TS_2.rec\n")

    report = copick_core.import_tomograms(root, [tmp_path / "a.doc"], "wbp", levels=1)

    assert [(row.run, row.state) for row in report.rows] == [("TS_1", "done"), ("TS_2", "done")]
    np.testing.assert_array_equal(stored(root, "TS_2"), volumes[1])


def test_a_real_list_of_dynamo_names_its_tomograms(root):
    path = shared("formats/dynamo_complex.doc")

    report = copick_core.import_tomograms(root, [path], "wbp")

    assert report.rows[0].run == "tomo_ts01.mrc_15.00Apx"
    assert len(report.failed) == len(path.read_text().split("\n")) - 1  # the tomograms themselves are not there
    assert all("There is no file" in row.error for row in report.rows)


@pytest.mark.parametrize("content", [b"", b"\xd0\xcf\x11\xe0", b"one two\n", b"1\n"])
def test_what_is_no_list_is_refused(root, tmp_path, content):
    (tmp_path / "a.doc").write_bytes(content)

    (row,) = copick_core.import_tomograms(root, [tmp_path / "a.doc"], "wbp").rows

    assert row.state == "failed"
    assert "a.doc" in row.error


def test_the_command_imports_a_list(root, tmp_path):
    command = ["import", "tomograms", str(relion(tmp_path)), "-c", str(tmp_path / "config.json"), "--type", "wbp", "--json"]

    asked = CliRunner().invoke(command_line, command)
    done = CliRunner().invoke(command_line, [*command, "-O", "tomogram=half1", "--levels", "1"])

    assert "give -O tomogram=… (half1 or half2)" in json.loads(asked.stdout)[0]["error"]
    assert [row["state"] for row in json.loads(done.stdout)] == ["done", "done"]
