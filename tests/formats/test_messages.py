"""What the commands ``import`` and ``export`` say to somebody who does not know them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import copick_core
from copick_core.cli.frame import command_line

POINTS = np.array([[10.0, 20, 30], [40, 50, 60]])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with files, most of which cannot be imported as they are; each test gets a copy."""
    folder = tmp_path_factory.mktemp("made")
    config = {"config_type": "filesystem", "overlay_root": str(folder / "data"), "user_id": "ana"}
    config["pickable_objects"] = [{"name": "ribosome", "is_particle": True}, {"name": "membrane", "is_particle": False}]
    (folder / "config.json").write_text(json.dumps(config))
    root = copick_core.open(folder / "config.json")
    run = root.new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((8, 9, 10), "f4"), levels=1)
    run.new_picks("ribosome", "1", positions=POINTS)
    root.new_run("TS_2").new_picks("ribosome", "1", positions=POINTS)
    copick_core.export_volumes(root, "wbp@10.0", folder / "a.em")
    (folder / "empty").mkdir()
    (folder / "there.csv").write_text("mine")
    (folder / "own.csv").write_text("run_name,x,y,z\nTS_1,1,2,3\n")
    (folder / "other.csv").write_text("run_name,x,y,z\nTS_9,1,2,3\n")
    (folder / "a.nrrd").write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1 1 1\nencoding: hex\n\n00")
    (folder / "a.tbl").write_text(" ".join(["0"] * 19 + ["7"] + ["0"] * 3 + ["1", "2", "3"]) + "\n")
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "overlay_root": str(folder / "data")}))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COPICK_CONFIG", "config.json")
    return folder


def said(*arguments):
    result = CliRunner().invoke(command_line, arguments)
    return result.output + (str(result.exception) if result.exception else "")


@pytest.mark.parametrize(
    ("command", "what", "kind"),
    [
        ("import", "picks", "-O tomograms=PATH"),
        ("import", "meshes", "-O scale=FLOAT"),
        ("export", "volumes", "-O compression=[none|zlib|lzw]"),
        ("export", "filaments", "-O spacing=FLOAT"),
    ],
)
def test_formats_and_their_options_are_listed(command, what, kind):
    text = said(command, what, "--formats")

    assert kind in text
    assert ("relion         .star" in text) == (what in ("picks", "filaments"))


def test_a_suffix_that_no_format_has_is_answered_with_those_that_there_are(folder):
    text = said("export", "picks", "ribosome", "a.xyz")

    assert "no installed format writes picks to a file with suffix '.xyz'" in text
    assert "dynamo (.tbl)" in text
    assert "cbox" not in text  # only read
    assert "mrc" not in text


def test_a_folder_of_no_format_is_called_a_folder(folder):
    assert "no installed format reads picks from a folder without suffix" in said(
        "import", "picks", "empty", "--session", "2", "--object", "ribosome"
    )


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (["export", "picks", "ribosome", "there.csv"], "Pass --if-exists replace to replace it"),
        (["import", "picks", "own.csv", "--session", "1", "--object", "ribosome"], "Pass --if-exists replace to replace it"),
        (
            ["import", "picks", "own.csv", "--session", "1", "--object", "ribosome", "-n"],
            "pass --if-exists replace to replace it",
        ),
        (["import", "picks", "other.csv", "--session", "2", "--object", "ribosome"], "--run-name, or pass --create-runs"),
        (["import", "picks", "own.csv", "--session", "2"], "pass --object"),
        (["import", "picks", "a.tbl", "--session", "2", "--object", "ribosome"], "--run-name, or give -O voxel_size=…"),
        (["import", "tomograms", "a.em", "--type", "wbp"], "give --voxel-size (in angstrom)"),
        (["import", "tomograms", "own.csv", "--type", "wbp"], "'csv', which does not read volumes"),
        (["export", "picks", "ribosome", "own.csv", "-O", "pixel_size=2"], "--formats says what they mean"),
        (["export", "picks", "ribosome", "a.star", "-O", "tomograms"], "write it as NAME=VALUE"),
        (["export", "picks", "ribosome", "a.star", "-O", "tomograms=no.star"], "-O tomograms=no.star: "),
        (["export", "picks", "ribosome", "a.mrc", "--format", "mrc"], "'mrc' does not write picks"),
        (["import", "tomograms", "a.nrrd", "--type", "wbp"], "save it as raw or gzip\n"),
    ],
)
def test_a_message_names_what_to_type(folder, arguments, way_out):
    text = said(*arguments)

    assert way_out in text
    assert "=True" not in text


def test_a_file_that_failed_is_named_once_and_by_its_name(folder):
    text = said("export", "picks", "TS_2/ribosome", "out/a.tbl")

    assert "failed   TS_2/ribosome:ana/1  2  out/a.tbl: " in text
    assert ".copick-" not in text
    assert text.count("out/a.tbl") == 1


def test_a_name_that_is_changed_is_warned_of_once(folder):
    with pytest.warns(UserWarning, match=r"'a_b'.*invalid characters") as caught:
        copick_core.import_picks(copick_core.open("config.json"), "own.csv", "a_b", "ribosome")

    assert len(caught) == 1


@pytest.mark.parametrize(("if_exists", "state", "content"), [("skip", "skipped", "mine"), ("replace", "done", "run_name")])
def test_a_file_that_exists_is_left_out_or_replaced_as_told(folder, if_exists, state, content):
    (folder / "there.csv").write_text("mine")

    text = said("export", "picks", "ribosome", "there.csv", "--if-exists", if_exists)

    assert text.startswith(state)
    assert (folder / "there.csv").read_text().startswith(content)


def test_picks_that_exist_are_replaced_when_told_so(folder):
    (folder / "own.csv").write_text("run_name,x,y,z\nTS_1,7,8,9\n")

    said("import", "picks", "own.csv", "--session", "1", "--object", "ribosome", "--if-exists", "replace")

    (picks,) = copick_core.open("config.json").get_run("TS_1").get_picks("ribosome", session_id="1")
    assert picks.numpy()[0].tolist() == [[7, 8, 9]]
