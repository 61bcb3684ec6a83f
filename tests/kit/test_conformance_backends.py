"""Every writable backend of this repository passes the kit."""

import pytest

from copick_core.testing import BackendTests, StaticBackendTests
from support.static_folder import EXPECTED, lay_out, times


class TestFilesystem(BackendTests):
    def make_config(self, folder, name):
        return {"config_type": "filesystem", "overlay_root": str(folder / name)}


class TestMemory(BackendTests):
    process_bound = True

    def make_config(self, folder, name):
        return {"config_type": "memory", "place": str(folder / name)}


class TestMemoryFilesystem(BackendTests):
    process_bound = True
    examples = 2  # fsspec copies its whole store in memory for each look

    def make_config(self, folder, name):
        return {"config_type": "filesystem", "overlay_root": f"memory://{folder}/{name}"}


class OnS3(BackendTests):
    examples = 2
    steps = 6
    whole_volumes = False
    obstore = True

    @pytest.fixture(autouse=True)
    def _bucket(self, s3_url):
        self.fs_args = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": s3_url}}

    def make_config(self, folder, name):
        url = f"s3://conformance/{folder.name}/{name}"
        return {"config_type": "filesystem", "overlay_root": url, "overlay_fs_args": self.fs_args, "obstore": self.obstore}


@pytest.mark.slow
class TestS3(OnS3):
    """Over obstore, which is the default."""


@pytest.mark.exhaustive
class TestS3OverS3fs(OnS3):
    """Over s3fs. It takes as long again; CI runs the tests of test_fs_s3.py over both."""

    obstore = False


class TestReadOnlyFilesystem(StaticBackendTests):
    """A folder that somebody else laid out by hand."""

    @pytest.fixture
    def config(self, tmp_path):
        lay_out(tmp_path)
        return {"config_type": "filesystem", "static_root": str(tmp_path)}

    @pytest.fixture
    def expected(self):
        return EXPECTED

    def fingerprint(self, config):
        return times(config["static_root"])
