"""The SQLite backend keeps the contract."""

import pytest
from copick_backend_sqlite.layer import SQLiteLayer

from copick_core.testing import BackendTests, LayerTests


class TestSQLiteLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return SQLiteLayer(str(tmp_path / "project.sqlite"))

    def reopen(self, layer, *, read_only=False):
        return SQLiteLayer(layer.location(None), read_only=read_only)


class TestSQLiteBackend(BackendTests):
    def make_config(self, folder, name):
        return {"config_type": "sqlite", "path": str(folder / f"{name}.sqlite")}
