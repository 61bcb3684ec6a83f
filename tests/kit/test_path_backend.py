"""The worked example of a backend over paths, of docs/writing-a-plugin.md, keeps the contract."""

import sys
from pathlib import Path

import pytest

from copick_core.testing import BackendTests, LayerTests

sys.path.append(str(Path(__file__).parents[2] / "examples" / "path_backend"))

from copick_backend_table import TableLayer, copick_backend

pytestmark = pytest.mark.slow


class TestTableLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return TableLayer(str(tmp_path / "project.sqlite"))

    def reopen(self, layer, *, read_only=False):
        return TableLayer(layer.file, read_only=read_only)


class TestTableBackend(BackendTests):
    backend = copick_backend()

    def make_config(self, folder, name):
        return {"config_type": "table", "file": str(folder / f"{name}.sqlite")}
