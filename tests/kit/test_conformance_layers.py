"""Every layer of this repository keeps the contract of layers."""

import itertools
from pathlib import Path

import pytest

from copick_backend_fs.layer import open_layer
from copick_backend_memory.layer import MemoryLayer
from copick_core.testing import LayerTests

_numbers = itertools.count()


class TestDictLayerOfTheTests(LayerTests):
    """The kit passes on the smallest honest layer, which is the base of the mutants."""

    @pytest.fixture
    def layer(self):
        from copick_core.testing.dict_layer import DictLayer

        return DictLayer()

    def reopen(self, layer, *, read_only=False):
        return type(layer)(layer.place, read_only=read_only)


class TestSixPrimitives(LayerTests):
    """PathLayer needs no more than its six primitives."""

    @pytest.fixture
    def layer(self):
        from support.path_layer import DictPathLayer

        return DictPathLayer()

    def reopen(self, layer, *, read_only=False):
        return type(layer)(layer.disk, read_only=read_only)

    def stored_files(self, layer):
        return {path: data for path, (data, _) in layer.disk.files.items()}

    def plant(self, layer, path, data):
        layer.disk.files[path] = (data, 0)


class TestMemoryLayer(LayerTests):
    @pytest.fixture
    def layer(self):
        return MemoryLayer()

    def reopen(self, layer, *, read_only=False):
        return MemoryLayer(place=layer.place, read_only=read_only)


class TestLocalLayer(LayerTests):
    @pytest.fixture
    def layer(self, tmp_path):
        return open_layer("overlay", str(tmp_path / "project"))

    def reopen(self, layer, *, read_only=False):
        return open_layer("again", layer.root, read_only=read_only)

    def stored_files(self, layer):
        root = Path(layer.root)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def plant(self, layer, path, data):
        target = Path(layer.root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


class OnFsspec(LayerTests):
    """What layers on fsspec have in common: their files are seen through a fsspec filesystem of the test's own."""

    url: str
    fs_args: dict
    obstore = True

    def make_fs(self):
        import fsspec

        return fsspec.filesystem(
            self.url.partition(":")[0], **self.fs_args, skip_instance_cache=True, use_listings_cache=False
        )

    @pytest.fixture
    def layer(self):
        self.place = f"{self.url}/project-{next(_numbers)}"
        return open_layer("overlay", self.place, self.fs_args, obstore=self.obstore)

    def reopen(self, layer, *, read_only=False):
        return open_layer("again", self.place, self.fs_args, read_only=read_only, obstore=self.obstore)

    def stored_files(self, layer):
        fs, root = self.make_fs(), layer.root
        return {path.removeprefix(root).strip("/"): fs.cat_file(path) for path in fs.find(root)} if fs.exists(root) else {}

    def plant(self, layer, path, data):
        fs, target = self.make_fs(), f"{layer.root}/{path}"
        fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        fs.pipe_file(target, data)


class TestMemoryFilesystem(OnFsspec):
    url = "memory://"
    fs_args: dict = {}  # noqa: RUF012
    exclusive_writes = False
    examples = 4  # fsspec copies its whole store in memory for each look


class OnS3(OnFsspec):
    url = "s3://conformance"
    examples = 3
    steps = 10

    @pytest.fixture(autouse=True)
    def _bucket(self, s3_url):
        self.fs_args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}


@pytest.mark.slow
class TestS3(OnS3):
    """Over obstore, which is the default."""


@pytest.mark.exhaustive
class TestS3OverS3fs(OnS3):
    """Over s3fs. It takes as long again; CI runs the tests of test_fs_s3.py over both."""

    obstore = False
