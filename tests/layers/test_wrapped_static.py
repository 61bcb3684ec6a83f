"""A read-only place behind each wrapper shows what lies in it, and never changes."""

import pytest

import copick_core
from copick_core.testing import StaticBackendTests, samples
from copick_core.testing.project_base import everything
from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS
from support.static_folder import EXPECTED, lay_out, times


class WrappedFolder(StaticBackendTests):
    """Read for the first time, and by a project that finds what another one has kept."""

    wrapper: dict

    @pytest.fixture(params=["first", "second"])
    def config(self, tmp_path, request):
        lay_out(tmp_path / "project")
        content = {
            "config_type": "filesystem",
            "static_root": str(tmp_path / "project"),
            "wrappers": [{**self.wrapper, "path": str(tmp_path / "kept")}],
        }
        if request.param == "second":
            read_all(copick_core.open(content).layers.static[0])
        return content

    @pytest.fixture
    def expected(self):
        return EXPECTED

    def fingerprint(self, config):
        return times(config["static_root"])


def read_all(layer):
    for key in everything(layer):
        if key.kind in FILE_KINDS:
            layer.read(key)
        elif key.kind in VOLUME_KINDS:
            samples.read_volume(layer.zarr(key))


class TestCachedFolder(WrappedFolder):
    wrapper = {"name": "cache"}  # noqa: RUF012


class TestFolderThatIsCachedForEver(WrappedFolder):
    wrapper = {"name": "cache", "revalidate": "never"}  # noqa: RUF012


class TestIndexedFolder(WrappedFolder):
    wrapper = {"name": "index"}  # noqa: RUF012


class TestFolderWhoseIndexIsChecked(WrappedFolder):
    wrapper = {"name": "index", "freshness": "check"}  # noqa: RUF012


class TestFolderWhoseIndexIsUpdated(WrappedFolder):
    wrapper = {"name": "index", "freshness": "update"}  # noqa: RUF012
