"""The SQLite backend keeps the contract."""

import sqlite3

import pytest
from copick_backend_sqlite.layer import SQLiteLayer

import copick_core
from copick_core.errors import ConfigError
from copick_core.testing import BackendTests, LayerTests


class TestSQLiteLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return SQLiteLayer(str(tmp_path / "project.sqlite"))

    def reopen(self, layer, *, read_only=False):
        return SQLiteLayer(layer.location(None), read_only=read_only)


def test_a_link_to_a_database_is_the_same_place(tmp_path):
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "project.sqlite")

    project, link, other = (SQLiteLayer(str(tmp_path / f"{name}.sqlite")) for name in ("project", "link", "other"))

    assert project.place_id() == link.place_id() != other.place_id()


class TestSQLiteBackend(BackendTests):
    def make_config(self, folder, name):
        return {"config_type": "sqlite", "path": str(folder / f"{name}.sqlite")}


def test_a_file_is_opened_without_a_config(tmp_path):
    file = tmp_path / "project.sqlite"
    copick_core.open({"config_type": "sqlite", "path": str(file)}).new_run("TS_1")

    with pytest.warns(UserWarning, match="opened as 'sqlite'"):
        root = copick_core.open(file)

    assert [run.name for run in root.runs] == ["TS_1"]


def test_a_database_of_something_else_is_not_opened(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE entities (name TEXT)")
    connection.close()

    with pytest.raises(ConfigError, match="sqlite: nothing of its own there"):
        copick_core.open(tmp_path / "other.sqlite")
