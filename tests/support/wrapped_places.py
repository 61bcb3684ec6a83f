"""Places that wrappers are tested around: each gives an empty layer, and another layer on the same place."""

import itertools
from pathlib import Path

import pytest

from copick_backend_fs import open_layer
from copick_backend_memory.layer import MemoryLayer

SQLITE = Path(__file__).parents[2] / "examples" / "copick_backend_sqlite" / "src"


class OnMemory:
    def bare(self, tmp_path):
        return MemoryLayer()

    def bare_again(self, bare, read_only):
        return MemoryLayer(place=bare.place, read_only=read_only)


class OnFiles:
    def bare(self, tmp_path):
        return open_layer("overlay", str(tmp_path / "project"))

    def bare_again(self, bare, read_only):
        return open_layer("again", bare.root, read_only=read_only)


class OnSQLite:
    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch):
        monkeypatch.syspath_prepend(str(SQLITE))

    def bare(self, tmp_path):
        from copick_backend_sqlite.layer import SQLiteLayer

        return SQLiteLayer(str(tmp_path / "project.sqlite"))

    def bare_again(self, bare, read_only):
        return type(bare)(bare._database.path, read_only=read_only)


class OnS3:
    examples = 3
    steps = 10
    _numbers = itertools.count()

    @pytest.fixture(autouse=True)
    def _bucket(self, s3_url):
        self.fs_args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}

    def bare(self, tmp_path):
        self.place = f"s3://conformance/cached-{next(self._numbers)}"
        return open_layer("overlay", self.place, self.fs_args)

    def bare_again(self, bare, read_only):
        return open_layer("again", self.place, self.fs_args, read_only=read_only)
