"""A read-only place behind each wrapper shows what lies in it, and never changes."""

import itertools

import pytest

import copick_core
from copick_backend_fs import open_layer
from copick_core import plugins
from copick_core.projects.copying import copy_content
from copick_core.testing import StaticBackendTests, samples
from copick_core.testing.project_base import everything
from copick_core.tree.keys import CONTAINER_KINDS, FILE_KINDS, VOLUME_KINDS
from copick_layers.index.layer import IndexLayer
from copick_layers.log import LogLayer
from support.static_folder import EXPECTED, lay_out, times
from support.wrapped_places import SQLITE


class WrappedFolder(StaticBackendTests):
    """Read for the first time, and by a project that finds what another one has kept."""

    wrappers: tuple[dict, ...]

    @pytest.fixture(params=["first", "second"])
    def config(self, tmp_path, request):
        lay_out(tmp_path / "project")
        content = {**self.place(tmp_path / "project", tmp_path), "wrappers": self.options(tmp_path)}
        if request.param == "second":
            read_all(copick_core.open(content).layers.static[0])
        return content

    def place(self, project, tmp_path):
        """The configuration of a place with what is in a folder."""
        return {"config_type": "filesystem", "static_root": str(project)}

    def options(self, tmp_path):
        """The wrappers, each with a file or folder of its own, around one that counts."""
        around = [{**wrapper, "path": str(tmp_path / f"kept by {wrapper['name']}")} for wrapper in self.wrappers]
        return [*around, {"name": "log"}]

    @pytest.fixture
    def expected(self):
        return EXPECTED

    def test_what_was_listed_and_read_before_does_not_reach_the_storage_again(self, layer, expected):
        for wrapper in self.wrappers:
            if wrapper["name"] == "index":
                layer.unwrap(IndexLayer).update()
        read_all(layer)
        counts = layer.unwrap(LogLayer)
        counts.reset()

        read_all(layer)

        names = {wrapper["name"] for wrapper in self.wrappers}
        lists = {"list", "list_many"} if "index" in names else set()
        reads = {"read", "read_revised", "zarr.get", "load_picks", "load_mesh"} if "cache" in names else set()
        assert {*counts.statistics} & (lists | reads) == set()


class OnLocalDisk(WrappedFolder):
    def fingerprint(self, config):
        return times(config["static_root"])


@pytest.mark.exhaustive
class OnS3(WrappedFolder):
    numbers = itertools.count()

    @pytest.fixture(autouse=True)
    def _server(self, s3_url):
        self.fs_args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}

    def place(self, project, tmp_path):
        url = f"s3://conformance/static-{next(self.numbers)}"
        copied(project, open_layer("bucket", url, self.fs_args))
        return {"config_type": "filesystem", "static_root": url, "static_fs_args": self.fs_args}


@pytest.mark.exhaustive
class OnSQLite(WrappedFolder):
    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch):
        monkeypatch.syspath_prepend(str(SQLITE))
        from copick_backend_sqlite.plugin import copick_backend

        plugins.register(copick_backend())
        yield
        plugins.reset()

    def place(self, project, tmp_path):
        from copick_backend_sqlite.layer import SQLiteLayer

        copied(project, SQLiteLayer(str(tmp_path / "project.sqlite")))
        return {"config_type": "sqlite", "path": str(tmp_path / "project.sqlite"), "read_only": True}


@pytest.mark.exhaustive
class OnMemory(WrappedFolder):
    numbers = itertools.count()

    def place(self, project, tmp_path):
        name = f"static-{next(self.numbers)}"
        memory = {"config_type": "memory", "place": name}
        copied(project, copick_core.open(memory).layers.overlay)
        return {"config_type": "stack", "static": [memory]}


def copied(project, layer):
    """Copy what is in a folder into a layer."""
    source = open_layer("source", str(project))
    for key in everything(source):
        if key.kind in CONTAINER_KINDS:
            layer.ensure(key)
        else:
            copy_content(source, key, layer, key)


def read_all(layer):
    for key in everything(layer):
        if key.kind in FILE_KINDS:
            layer.read(key)
        elif key.kind in VOLUME_KINDS:
            samples.read_volume(layer.zarr(key))
            layer.volume_version(key)  # as a handle asks after each read, which confirms what was read of a bucket


CACHE = ({"name": "cache"},)
INDEX = ({"name": "index"},)
#: Of a place without a name, a cache keeps volumes only if it never asks.
FOR_EVER = ({"name": "cache", "revalidate": "never"},)
BOTH = (*CACHE, *INDEX)


class TestCachedFolder(OnLocalDisk):
    wrappers = CACHE


class TestFolderThatIsCachedForEver(OnLocalDisk):
    wrappers = FOR_EVER


class TestIndexedFolder(OnLocalDisk):
    wrappers = INDEX


class JustChanged(OnLocalDisk):
    # What changed a moment ago is listed again, since another change might not show.
    test_what_was_listed_and_read_before_does_not_reach_the_storage_again = None


class TestFolderWhoseIndexIsChecked(JustChanged):
    wrappers = ({"name": "index", "freshness": "check"},)


class TestFolderWhoseIndexIsUpdated(JustChanged):
    wrappers = ({"name": "index", "freshness": "update"},)


@pytest.mark.slow
class TestFolderBehindBoth(OnLocalDisk):
    wrappers = BOTH


class TestBucketThatIsCached(OnS3):
    wrappers = CACHE


class TestBucketThatIsIndexed(OnS3):
    wrappers = INDEX


class TestBucketBehindBoth(OnS3):
    wrappers = BOTH


class TestDatabaseThatIsCached(OnSQLite):
    wrappers = CACHE


class TestDatabaseThatIsIndexed(OnSQLite):
    wrappers = INDEX


class TestDatabaseBehindBoth(OnSQLite):
    wrappers = BOTH


class TestMemoryThatIsCached(OnMemory):
    wrappers = FOR_EVER


class TestMemoryThatIsIndexed(OnMemory):
    wrappers = INDEX


class TestMemoryBehindBoth(OnMemory):
    wrappers = (*FOR_EVER, *INDEX)
