"""Filaments of copick 1.31 and of the alphas of 2.0, written and read in both directions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import libraries
from support.environments import IndexUnreachableError, python_with, reference_python

pytestmark = [pytest.mark.reference, pytest.mark.slow]

SCRIPT = Path(libraries.__file__).with_name("reference_scripts") / "filaments.py"
OURS = [sys.executable, "-W", "error", str(SCRIPT), "copick_core"]


@pytest.fixture(scope="module", params=["1.31.0", "2.0.0a6"])
def theirs(request) -> list[str]:
    """The command that runs the script with a released library."""
    try:
        python = reference_python() if request.param.startswith("1.") else python_with("copick", request.param)
    except IndexUnreachableError as error:
        pytest.skip(f"the reference library cannot be installed: {error}")
    return [str(python), "-I", str(SCRIPT), "copick"]


@pytest.fixture
def config(tmp_path) -> Path:
    content = {
        "config_type": "filesystem",
        "overlay_root": f"local://{tmp_path / 'project'}",
        "overlay_fs_args": {"auto_mkdir": True},
        "pickable_objects": [],
        "user_id": "ann",
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    return path


def run(command: list[str], config: Path, what: str) -> str:
    done = subprocess.run([*command, str(config), what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_read_the_same_of_what_the_released_library_wrote(theirs, config):
    run(theirs, config, "write")

    assert json.loads(run(OURS, config, "read")) == json.loads(run(theirs, config, "read"))


def test_both_read_the_same_of_what_we_wrote(theirs, config):
    run(OURS, config, "write")

    assert json.loads(run(OURS, config, "read")) == json.loads(run(theirs, config, "read"))


def test_both_write_the_same_filaments(theirs, config, tmp_path):
    read = []
    for command in (theirs, OURS):
        (tmp_path / "project").mkdir(exist_ok=True)
        run(command, config, "write")
        files = sorted((tmp_path / "project").rglob("Filaments/*.json"))
        read.append({file.name: json.loads(file.read_text()) for file in files})
        (tmp_path / "project").rename(tmp_path / f"project-{len(read)}")
        content = json.loads(config.read_text())
        config.write_text(json.dumps({**content, "pickable_objects": []}))

    first, second = read
    assert first.keys() == second.keys() == {"ann_1_actin.json", "tracer_0_actin.json"}
    for name in first:
        theirs_, ours = first[name], second[name]
        for one, other in zip(theirs_["filaments"], ours["filaments"], strict=True):
            assert len(one["points"]) == len(other["points"])
            for point, same in zip(one.pop("points"), other.pop("points"), strict=True):
                assert same == pytest.approx(point, abs=1e-9, rel=0)
        assert ours == theirs_


def test_edits_by_one_are_read_by_the_other(theirs, config, tmp_path):
    run(theirs, config, "write")
    [place] = (tmp_path / "project").rglob("ann_1_actin.json")
    edit = (
        "import sys, copick_core; f = copick_core.open(sys.argv[1]).get_run('TS_1').get_filaments('actin', 'ann', '1')[0]; "
        "f.filaments = [f.get(3).reversed()]; f.store()"
    )
    subprocess.run([sys.executable, "-c", edit, str(config)], check=True)

    read = json.loads(run(theirs, config, "read"))["filaments"]["ann/1"]

    assert (read["current"], [f["instance_id"] for f in read["file"]["filaments"]]) == ([True], [3])
    assert json.loads(place.read_text()) == read["file"]
