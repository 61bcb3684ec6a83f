"""The wrapped layer keeps its contract, and waits."""

import time

import pytest
from copick_plugin_example.layer import SlowLayer, SlowOptions

from copick_core import open as open_project
from copick_core.testing import LayerTests
from copick_core.tree.keys import RunKey


def open_layer(folder, seconds, *, read_only=False):
    wrappers = [{"name": "slow", "seconds": seconds}]
    config = {"config_type": "filesystem", "overlay_root": str(folder), "wrappers": wrappers}
    layer = open_project(config).layers.overlay
    layer.read_only = read_only
    return layer


class TestWrapped(LayerTests):
    """Everything that a layer promises holds with the wrapper around it."""

    @pytest.fixture
    def layer(self, tmp_path):
        return open_layer(tmp_path / "project", 0)

    def reopen(self, layer, *, read_only=False):
        return open_layer(layer.root, 0, read_only=read_only)


def test_every_call_waits(tmp_path):
    layer = open_layer(tmp_path, 0.05)
    start = time.perf_counter()

    layer.exists(RunKey("TS_1"))

    assert time.perf_counter() - start >= 0.05


def test_no_negative_time_is_accepted():
    with pytest.raises(ValueError, match="seconds"):
        SlowOptions(seconds=-1)


def test_the_wrapper_is_around_the_layer(tmp_path):
    assert isinstance(open_layer(tmp_path, 0), SlowLayer)
