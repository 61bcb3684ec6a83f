"""The columns of helical processing that we write are those of copick 1.31."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

import copick_core
from support import libraries
from support.environments import IndexUnreachableError, reference_python

pytestmark = [pytest.mark.reference]

SCRIPT = Path(libraries.__file__).with_name("reference_scripts") / "helical.py"


@pytest.fixture
def config(tmp_path) -> Path:
    filament = {"name": "microtubule", "is_particle": True, "label": 1, "metadata": {"copick": {"filament": {}}}}
    content = {
        "config_type": "filesystem",
        "overlay_root": f"local://{tmp_path / 'project'}",
        "overlay_fs_args": {"auto_mkdir": True},
        "pickable_objects": [filament],
        "user_id": "ann",
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    run = copick_core.open(path).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros((20, 40, 30), "f4"), levels=1)
    transforms = np.tile(np.eye(4), (12, 1, 1))
    transforms[:, :3, :3] = Rotation.random(12, random_state=1).as_matrix()
    run.new_picks(
        "microtubule",
        "1",
        positions=np.cumsum(np.random.default_rng(0).uniform(5, 10, (12, 3)), 0),
        transforms=transforms,
        instance_ids=[1] * 5 + [2] * 7,
    )
    return path


@pytest.mark.parametrize("angles", ["frame", "pose"])
def test_columns_of_helical_processing_are_those_of_the_reference(config, tmp_path, angles):
    try:
        python = reference_python()
    except IndexUnreachableError as error:
        pytest.skip(f"the reference library cannot be installed: {error}")
    command = [str(python), "-I", str(SCRIPT), str(config), "microtubule:ann/1", str(tmp_path / "theirs.star"), angles]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    options = {"helical": angles, "half_sets": "filament"}
    copick_core.export_picks(copick_core.open(config), "microtubule", tmp_path / "ours.star", write_options=options)

    theirs = starfile.read(tmp_path / "theirs.star", always_dict=True)["particles"]
    ours = starfile.read(tmp_path / "ours.star", always_dict=True)["particles"]
    assert {*theirs} <= {*ours}
    for name in theirs:
        if theirs[name].dtype.kind == "f":
            np.testing.assert_allclose(ours[name], theirs[name], atol=1.01e-6, rtol=0, err_msg=name)
        else:
            assert ours[name].tolist() == theirs[name].tolist(), name
