"""A volume that somebody replaces while it is read or written is never half the old one and half the new one."""

import numpy as np
import pytest

import copick_core
from copick_core.errors import BeingReplacedError
from copick_core.models import volume
from copick_core.volumes import chunk_parts, ome

SHAPE = (4, 5, 6)


@pytest.fixture
def two(project_config):
    """One tomogram, as two projects have it."""
    config = project_config()
    copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.zeros(SHAPE))
    return [copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp") for _ in range(2)]


def replacing(monkeypatch, other, times):
    """Have the other project replace the volume after each read of chunks, so often."""
    read, left = chunk_parts.read, [*range(1, times + 1)]

    def read_and_replace(*args):
        values = read(*args)
        if left:
            other.from_numpy(np.full(SHAPE, left.pop(0)))
        return values

    monkeypatch.setattr(chunk_parts, "read", read_and_replace)
    return left


def test_what_is_read_is_the_new_volume_after_somebody_has_replaced_the_old_one(two, monkeypatch):
    tomogram, other = two
    left = replacing(monkeypatch, other, times=2)

    assert (tomogram.numpy() == 2).all()
    assert not left


def test_reading_gives_up_if_the_volume_is_replaced_again_and_again(two, monkeypatch):
    tomogram, other = two
    monkeypatch.setattr(volume, "_PATIENCE", 0.0)
    left = replacing(monkeypatch, other, times=1000)

    with pytest.raises(BeingReplacedError, match="replaced again and again for 0 s") as caught:
        tomogram.numpy()

    assert (caught.value.key, caught.value.layer) == (tomogram.key, "overlay")
    assert len(left) > 900


def test_a_region_that_was_written_while_the_volume_was_replaced_is_an_error(two, monkeypatch):
    tomogram, other = two
    update = ome.update_levels

    def replace_meanwhile(*args):
        update(*args)
        other.from_numpy(np.ones(SHAPE))

    monkeypatch.setattr(ome, "update_levels", replace_meanwhile)

    with pytest.raises(BeingReplacedError, match="may be in neither volume") as caught:
        tomogram.set_region(7.0, z=0)

    assert (caught.value.key, caught.value.layer) == (tomogram.key, "overlay")
    assert (tomogram.numpy() == 1).all()
