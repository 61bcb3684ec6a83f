"""How much memory the large workloads take: peaks of fresh processes, as bench/w4_picks.py to bench/w7_import.py have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak"),
]

START = """
import sys
import numpy as np
import copick_core, copick_core.volumes.ome, copick_core.picks, zarr.storage
from support.memory import peak_mib, reset_peak

config = {"config_type": "filesystem", "overlay_root": sys.argv[1] + "/project", "user_id": "alice"}
config["pickable_objects"] = [{"name": "ribosome", "is_particle": True, "label": 1}]
root = copick_core.open(config)
run = root.get_run("TS_1") or root.new_run("TS_1")
spacing = run.get_voxel_spacing(10.0) or run.new_voxel_spacing(10.0)
noise = np.random.default_rng(0).standard_normal((16, 512, 512), np.float32)
"""
WRITE_TOMOGRAM = """
data = np.tile(noise, (16, 1, 1))
tomogram = spacing.new_tomogram("wbp")
reset_peak()
tomogram.from_numpy(data)
"""
READ_TOMOGRAM = """
tomogram = spacing.get_tomogram("wbp")
reset_peak()
assert tomogram.numpy().shape == (256, 512, 512)
"""
IMPORT_MRC = """
import mrcfile
with mrcfile.new_mmap(sys.argv[1] + "/v.mrc", (500, 1024, 1024), mrc_mode=2) as mrc:
    mrc.voxel_size = 10.0
    for z in range(500):
        mrc.data[z] = np.tile(noise[z % 16], (2, 2))
reset_peak()
copick_core.import_tomogram(run, sys.argv[1] + "/v.mrc", "imported")
"""
STORE_PICKS = """
rng = np.random.default_rng(0)
points, transforms = rng.random((100_000, 3)), np.tile(np.eye(4), (100_000, 1, 1))
picks = run.new_picks("ribosome", "1", "alice")
reset_peak()
picks.from_numpy(points, transforms)
"""
LOAD_PICKS = """
picks = run.get_picks("ribosome")[0]
reset_peak()
assert picks.numpy()[0].shape == (100_000, 3)
"""


def peak(folder: Path, work: str) -> float:
    """Peak memory in MiB of a fresh process that does some work, without what its preparations took."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, "-c", f"{START}\n{work}\nprint(peak_mib())", str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_writing_and_reading_256_mib_with_three_levels_is_bounded(tmp_path: Path) -> None:
    assert peak(tmp_path, WRITE_TOMOGRAM) <= 600  # of which 256 are the data

    assert peak(tmp_path, READ_TOMOGRAM) <= 600


def test_importing_2_gib_is_bounded(tmp_path: Path) -> None:
    assert peak(tmp_path, IMPORT_MRC) <= 500


def test_storing_and_loading_100000_picks_is_bounded(tmp_path: Path) -> None:
    assert peak(tmp_path, STORE_PICKS) <= 300

    assert peak(tmp_path, LOAD_PICKS) <= 300
