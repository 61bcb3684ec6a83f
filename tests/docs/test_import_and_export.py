"""The session of docs/import-and-export.md runs, and ends in a file that starfile reads with the values of the first one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
import trimesh
from scipy.spatial.transform import Rotation

import copick_core
from copick_core.plugins.format_functions import FilamentsTable
from copick_formats.imod import write_imod_filaments
from support.shared_data import shared

TEXT = (Path(__file__).parents[2] / "docs" / "import-and-export.md").read_text()
SESSION, FILAMENTS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
CENTRED = [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
SUBTOMOGRAM = ["rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi"]
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


def rotations(frame, labels):
    return Rotation.from_euler("ZYZ", frame[labels].to_numpy(), degrees=True).inv()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    particles = shared("formats/relion50_particles.star")
    shutil.copy(particles, tmp_path / "run_data.star")
    shutil.copy(shared("formats/relion50_tomograms.star"), tmp_path / "tomograms.star")
    (tmp_path / "tomograms").mkdir()
    for name in starfile.read(particles)["particles"]["rlnTomoName"].unique():
        with mrcfile.new(tmp_path / "tomograms" / f"{name}.mrc", np.zeros((10, 20, 20), np.float32)) as file:
            file.voxel_size = 270.0
    objects = [
        {"name": "ribosome", "is_particle": True},
        {"name": "microtubule", "is_particle": True, "label": 2, "metadata": {"copick": {"filament": {}}}},
        {"name": "membrane", "is_particle": False, "label": 3},
    ]
    config = {"config_type": "filesystem", "overlay_root": "data", "pickable_objects": objects}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_session_ends_in_the_values_that_it_began_with(folder, capsys):
    exec(SESSION, {})  # the document's own code

    before, after = (starfile.read(folder / name)["particles"] for name in ("run_data.star", "particles.star"))
    assert capsys.readouterr().out == f"{before['rlnTomoName'].nunique()} tomograms, 0 failed\n"
    origins = before[[f"rlnOrigin{axis}Angst" for axis in "XYZ"]].to_numpy()
    expected = before[CENTRED].to_numpy() - rotations(before, SUBTOMOGRAM).apply(origins)
    np.testing.assert_allclose(after[CENTRED], expected, atol=1e-6, rtol=0)
    poses = [(rotations(f, SUBTOMOGRAM) * rotations(f, ANGLES)).as_matrix() for f in (before, after)]
    assert np.abs(poses[0] @ np.swapaxes(poses[1], 1, 2) - np.eye(3)).max() < 1e-7
    kept = [
        name
        for name in before
        if not name.startswith(("rlnOrigin", "rlnCentered", "rlnAngleRot", "rlnOptics")) and name not in ANGLES
    ]
    assert after[kept].to_numpy().tolist() == before[kept].to_numpy().tolist()


def test_filaments_and_meshes_follow_the_session(folder):
    line = np.array([[0.0, 0, 0], [0, 0, 100], [0, 0, 1000]])
    write_imod_filaments("TS_01.mod", [FilamentsTable([line, line + 500], [1, 2])], frame=lambda _: None, voxel_size=270.0)
    run = copick_core.open("config.json").new_run("TS_01")
    run.new_mesh("membrane", "1", "alice", mesh=trimesh.creation.box((10, 20, 30)))

    exec(SESSION + FILAMENTS, {})

    particles = starfile.read("helical.star")["particles"]
    assert particles["rlnHelicalTubeID"].tolist() == [1] * 13 + [2] * 13
    assert sorted({*particles["rlnRandomSubset"]}) == [1, 2]
    assert trimesh.load("meshes/TS_01.ply").extents.tolist() == [10, 20, 30]
