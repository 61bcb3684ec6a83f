"""A run with a voxel spacing and a tomogram."""

import numpy as np
import pytest


@pytest.fixture
def run(root):
    return root.new_run("TS_1")


@pytest.fixture
def spacing(run):
    return run.new_voxel_spacing(10.0)


@pytest.fixture
def tomogram(spacing):
    tomogram = spacing.new_tomogram("wbp")
    tomogram.from_numpy(np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5))
    return tomogram
