"""The kit passes on the smallest honest layer."""

import pytest

from copick_core.testing import LayerTests
from support.dict_layer import DictLayer


class TestDictLayer(LayerTests):
    @pytest.fixture
    def layer(self):
        return DictLayer()

    def reopen(self, layer, *, read_only=False):
        return DictLayer(layer.place, read_only=read_only)
