"""The main job, as a user starts it: a process of its own, its exit code, its lines and its picture."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_core.__main__ import main
from copick_tools.demo import render
from support import distributions
from support.shared_data import data_file

BACKENDS = ["filesystem", "memory"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "copick_backend_sqlite" / "src"


def _demo(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "copick_core", "demo", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env=env,
    )


def _said(done: subprocess.CompletedProcess[str], topic: str) -> list[str]:
    """What was printed after a topic."""
    return [line.partition(" ")[2].strip() for line in done.stdout.splitlines() if line.startswith(f"{topic} ")]


def _data(name: str) -> str:
    path = data_file(name)
    if path is None:
        pytest.skip(f"{name} is not there; set COPICK_TEST_DATA to the folder with the real data")
    return str(path)


@pytest.fixture(scope="module", params=BACKENDS)
def done(request, tmp_path_factory):
    """A finished demonstration on each backend, in an empty working folder."""
    folder = tmp_path_factory.mktemp("work")
    finished = _demo(folder, "--backend", request.param)
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of a finished demonstration that was kept."""
    folder = tmp_path_factory.mktemp("work")
    finished = _demo(folder, "--keep", "kept")
    assert finished.returncode == 0, finished.stderr
    return folder / "kept"


@pytest.fixture(scope="module")
def in_theirs(tmp_path_factory):
    """A finished demonstration in the storage of a third party: the example backend."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("work")
    point = "from copick_backend_sqlite.plugin import copick_backend"
    distributions.install(site, "sqlite-plugin", "copick.backends", ["sqlite"], point)
    path = os.pathsep.join([str(site), str(EXAMPLE), os.environ.get("PYTHONPATH", "")])
    finished = _demo(folder, "--backend", "sqlite", "--keep", "kept", env={**os.environ, "PYTHONPATH": path})
    assert finished.returncode == 0, finished.stderr
    return finished, folder / "kept"


def test_the_demo_runs_in_the_storage_of_a_third_party(in_theirs):
    finished, kept = in_theirs

    assert finished.stderr == ""
    assert _said(finished, "refused")[0].startswith("ReadOnlyError: ")
    assert any("picks ribosome, user bob" in line and line.endswith(" overlay") for line in finished.stdout.splitlines())
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*.sqlite")} == {
        "project/project.sqlite",
        "overlay/project.sqlite",
    }


def test_a_backend_whose_projects_need_options_is_refused_before_anything_is_computed(tmp_path):
    finished = _demo(tmp_path, "--backend", "compose_volume")

    assert (finished.returncode, finished.stdout) == (2, "")
    assert "Missing option '--volume-root'" in finished.stderr


def test_nothing_is_written_to_standard_error(done):
    assert done.stderr == ""


def test_the_static_side_is_byte_identical(done):
    before, after = _said(done, "static")

    assert before.startswith("sha256 ")
    assert before == after
    assert "byte-identical" in done.stdout


def test_a_write_to_the_static_side_is_refused(done):
    assert _said(done, "refused")[0].startswith("ReadOnlyError: ")


def test_the_tree_tells_the_layers_apart(done):
    lines = done.stdout.splitlines()

    assert any("tomogram wbp: 64×192×192, 3 levels" in line and line.endswith("static, read-only") for line in lines)
    assert any("picks ferritin, tool peak-finder" in line and line.endswith("static, read-only") for line in lines)
    assert any("picks ferritin, tool peak-finder" in line and line.endswith(" overlay") for line in lines)
    assert any("picks ribosome, user bob, session 2" in line and line.endswith(" overlay") for line in lines)
    for entity in ("features", "segmentation membrane", "segmentation all-objects", "mesh membrane", "density 32×32×32"):
        assert any(entity in line and line.endswith("static, read-only") for line in lines), entity


def test_the_picture_survives_and_everything_else_is_deleted(done):
    picture = Path(_said(done, "picture")[0])
    config = Path(_said(done, "project")[0].partition(" (")[0])

    with Image.open(picture) as image:
        assert image.size == (768 + render.PANEL_WIDTH, 768)
    assert [path.name for path in picture.parent.iterdir()] == [picture.name]
    assert "--keep" in _said(done, "deleted")[0]
    assert not config.parent.exists()


def test_every_pick_in_the_slice_has_its_objects_colour_in_the_picture(kept):
    with Image.open(kept / "copick-demo.png") as picture:
        image = picture.convert("RGB")
    root = copick_core.open(kept / "review.json")
    run = root.runs[0]
    shape = run.voxel_spacings[0].tomograms[0].array().shape
    shown = 0

    for picks in run.get_picks(layer="overlay") + run.get_picks(user_id="alice"):
        definition = root.get_object(picks.pickable_object_name)
        marks = render.PickMarks(definition.name, definition.color, *picks.numpy(), definition.radius)
        visible = marks.positions[render.visible(marks, shape[0] // 2 * 10.0)]
        for column, row in render.pixel_of(visible, 10.0, shape):
            assert image.getpixel((int(column), int(row))) == definition.color[:3]
            shown += 1

    assert shown > 10


def test_a_kept_project_is_whole_and_can_be_opened_from_anywhere(kept):
    root = copick_core.open(kept / "project.json")
    run = root.runs[0]
    tomogram = run.voxel_spacings[0].tomograms[0]

    assert [tomogram.array(level).shape for level in tomogram.levels] == [(64, 192, 192), (32, 96, 96), (16, 48, 48)]
    assert [features.feature_type for features in tomogram.features] == ["gradient-magnitude"]
    assert {picks.from_tool for picks in run.picks} == {True, False}
    assert {segmentation.segmentation_type for segmentation in run.segmentations} == {"binary", "multilabel"}
    assert len(run.meshes) == 1
    assert root.get_object("ribosome").numpy().shape == (32, 32, 32)
    assert str(kept) not in (kept / "project.json").read_text() + (kept / "review.json").read_text()


def test_the_picks_that_were_kept_are_oriented(kept):
    (run,) = copick_core.open(kept / "project.json").runs

    assert run.picks
    for picks in run.picks:
        _, transforms = picks.numpy()
        assert len(transforms)
        assert np.allclose(np.linalg.det(transforms[:, :3, :3]), 1)
        assert not np.allclose(transforms[:, :3, :3], np.eye(3))


def test_a_folder_that_is_not_empty_is_not_kept_in(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").write_text("do not touch")

    finished = _demo(tmp_path, "--keep", "kept")

    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["mine"]


def test_progress_is_shown_on_standard_error_on_request(tmp_path):
    finished = _demo(tmp_path, "--progress")

    assert finished.returncode == 0
    assert "writing" in finished.stderr
    assert "writing" not in finished.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_real_tomogram_keeps_its_shape_and_voxel_size(tmp_path, backend):
    finished = _demo(tmp_path, "--volume", _data("13pf_MT.tif"), "--backend", backend)

    assert finished.returncode == 0, finished.stderr
    assert "a 36×206×94 tomogram (z×y×x) at 10.52 Å" in _said(finished, "volume")[0]
    assert "voxel spacing 10.520 Å" in finished.stdout
    assert "tomogram wbp: 36×206×94, 3 levels" in finished.stdout
    assert Path(_said(finished, "picture")[0]).stat().st_size > 10_000


def test_the_picks_of_a_real_tomogram_lie_on_its_microtubule(tmp_path):
    import tifffile

    volume = tifffile.imread(_data("13pf_MT.tif"))

    finished = _demo(tmp_path, "--volume", _data("13pf_MT.tif"), "--keep", "kept")

    assert finished.returncode == 0, finished.stderr
    run = copick_core.open(tmp_path / "kept" / "project.json").runs[0]
    for picks in run.picks:
        z, y, x = np.rint(picks.numpy()[0][:, ::-1] / 10.52).astype(int).T
        assert volume[z, y, x].mean() > volume.mean() + volume.std()


def test_a_small_density_map_works_too(tmp_path):
    finished = _demo(tmp_path, "--volume", _data("beta-tubulin.mrc"))

    assert finished.returncode == 0, finished.stderr
    assert "a 20×20×20 tomogram (z×y×x) at 5.14 Å" in _said(finished, "volume")[0]
    assert "voxel spacing 5.144 Å" in finished.stdout


def test_a_file_without_voxel_size_names_the_option_that_gives_it(tmp_path):
    import tifffile

    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "bare.tif", rng.normal(size=(16, 32, 32)).astype(np.float32))

    refused = _demo(tmp_path, "--volume", "bare.tif")
    given = _demo(tmp_path, "--volume", "bare.tif", "--voxel-size", "7.5")

    assert refused.returncode == 1
    assert "--voxel-size" in refused.stderr
    assert given.returncode == 0, given.stderr
    assert "voxel spacing 7.500 Å" in given.stdout


def test_a_file_that_is_no_volume_is_an_error(tmp_path):
    (tmp_path / "notes.mrc").write_text("not a volume")

    finished = _demo(tmp_path, "--volume", "notes.mrc")

    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert len(finished.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mrc"]


def test_the_configs_say_what_the_project_is(kept):
    content = json.loads((kept / "review.json").read_text())

    assert content["static"][0]["overlay_root"] == "local://project/overlay"
    assert content["overlay"]["overlay_root"] == "local://overlay/overlay"
    assert content["user_id"] == "bob"


def test_a_folder_to_keep_that_is_not_empty_is_refused_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    for taken in (tmp_path, tmp_path / "notes.txt"):
        assert main(["demo", "--keep", str(taken)]) == 1

        out, err = capsys.readouterr()
        assert out == ""
        assert err == f"error: --keep {taken}: this exists, and is not an empty folder; name a new one\n"
