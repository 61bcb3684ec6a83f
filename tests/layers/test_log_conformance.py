"""A layer behind the log keeps the whole contract of layers."""

import pytest
import zarr

from copick_backend_fs import open_layer
from copick_core.testing import LayerTests, samples
from copick_core.tree.keys import Kind
from copick_layers.log import LogLayer, LogOptions


class TestLogLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return logged(tmp_path / "project")

    def reopen(self, layer, *, read_only=False):
        return logged(layer.root, read_only=read_only)


def test_a_logged_store_knows_which_volume_it_has_read(s3_url):
    args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}
    layer = LogLayer(open_layer("overlay", "s3://conformance/logged", args))
    key = samples.key(Kind.TOMOGRAM)
    samples.fill(layer, key, seed=1)
    store = layer.zarr(key)

    zarr.open_group(store, mode="r+")  # with "r" zarr opens a read-only copy of the store

    assert store.seen_version == layer.volume_version(key) is not None


def logged(root, **options):
    return LogLayer(open_layer("overlay", str(root), **options), LogOptions(path=f"{root}.log"))
