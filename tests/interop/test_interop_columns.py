"""Columns of points: copick 1.31 reads past them, and drops them when it stores the file again, as our documents say."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

import copick_core
from support.environments import IndexUnreachableError, reference_python

pytestmark = [pytest.mark.reference]

POINTS = np.array([[1.0, 2.0, 3.0], [4.5, 5.5, 6.5]])
COLUMNS = {"rlnRandomSubset": np.array([1, 2]), "fom": np.array([0.25, 0.5]), "micrograph": np.array(["a", "b"])}
READ = """
import json, sys, copick
picks = copick.from_file(sys.argv[1]).get_run("TS_1").get_picks("ribosome", "ana", "1")[0]
print(json.dumps([[[p.location.x, p.location.y, p.location.z] for p in picks.points], [p.score for p in picks.points]]))
if sys.argv[2] == "store":
    picks.points = picks.points
    picks.store()
"""


@pytest.fixture
def config(tmp_path):
    content = {
        "config_type": "filesystem",
        "overlay_root": f"local://{tmp_path / 'project'}",
        "overlay_fs_args": {"auto_mkdir": True},
        "pickable_objects": [{"name": "ribosome", "is_particle": True, "label": 1}],
        "user_id": "ana",
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    picks = copick_core.open(path).new_run("TS_1").new_picks("ribosome", "1")
    picks.from_numpy(POINTS, scores=[0.5, 0.75], columns=COLUMNS)
    return path


def theirs(config, what):
    try:
        python = reference_python()
    except IndexUnreachableError as error:
        pytest.skip(f"the reference library cannot be installed: {error}")
    command = [str(python), "-I", "-c", READ, str(config), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ours(config):
    return copick_core.open(config).get_run("TS_1").get_picks("ribosome", "ana", "1")[0]


def test_the_reference_reads_the_points_of_a_file_with_columns(config):
    assert theirs(config, "read") == [POINTS.tolist(), [0.5, 0.75]]

    assert {name: values.tolist() for name, values in ours(config).columns.items()} == {
        name: values.tolist() for name, values in COLUMNS.items()
    }


def test_points_survive_the_reference_and_columns_do_not(config):
    theirs(config, "store")

    assert ours(config).numpy()[0].tolist() == POINTS.tolist()
    assert ours(config).columns == {}
