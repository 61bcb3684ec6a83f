"""Arrays of compose volumes, which the app reads and writes with zarr 2."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.libraries import Library
from support.volumes import open_volume

pytestmark = [pytest.mark.reference]

IMAGE = np.arange(9 * 30 * 70, dtype="<u2").reshape(9, 30, 70)  # (z, y, x)

READ = """
import sys, numpy, zarr
assert zarr.__version__.startswith("2."), zarr.__version__
source, target = sys.argv[1:]
numpy.save(target, zarr.open_array(source, mode="r")[:])
"""
WRITE = """
import sys, numpy, zarr
assert zarr.__version__.startswith("2."), zarr.__version__
source, target = sys.argv[1:]
data = numpy.load(source)
zarr.open(target, mode="w", shape=data.shape, chunks=(16, 16, 4), dtype=data.dtype)[:] = data
"""


@pytest.fixture
def root(generated: Any) -> Any:
    return open_volume(generated.root, write_back=True)


def run_in(reference: Library, code: str, source: Path, target: Path) -> None:
    subprocess.run([*reference.interpreter, "-c", code, str(source), str(target)], check=True)


def test_zarr_2_reads_what_we_convert_and_publish(root: Any, reference: Library, tmp_path: Path) -> None:
    run = root.new_job("by hand")
    run.add_slices(IMAGE)
    run.finish_upload()
    run.convert()
    published = run.publish_segmentation(IMAGE > 9000, "threshold")
    mask = Path(root.layers.static[0].location(published.key))

    run_in(reference, READ, Path(root.volume.chunks(run.name)), tmp_path / "image.npy")
    run_in(reference, READ, mask, tmp_path / "mask.npy")

    np.testing.assert_array_equal(np.load(tmp_path / "image.npy"), IMAGE.T)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy") != 0, (IMAGE > 9000).T)


def test_what_zarr_2_converts_is_read_in_z_y_x(root: Any, reference: Library, tmp_path: Path) -> None:
    run = root.new_job("by the app")
    run.add_slices(IMAGE)
    run.finish_upload()
    run.convert()
    np.save(tmp_path / "image.npy", (IMAGE + 1).T)

    run_in(reference, WRITE, tmp_path / "image.npy", Path(root.volume.chunks(run.name)))

    again = open_volume(root.config.volume_root).get_run(run.name)
    np.testing.assert_array_equal(again.voxel_spacings[0].get_tomogram("raw").numpy(), IMAGE + 1)
