"""A layer behind the log keeps the whole contract of layers."""

import pytest

from copick_backend_fs import open_layer
from copick_core.testing import LayerTests
from copick_layers.log import LogLayer, LogOptions


class TestLogLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return logged(tmp_path / "project")

    def reopen(self, layer, *, read_only=False):
        return logged(layer.root, read_only=read_only)


def logged(root, **options):
    return LogLayer(open_layer("overlay", str(root), **options), LogOptions(path=f"{root}.log"))
