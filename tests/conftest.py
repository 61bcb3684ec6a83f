"""What all tests share: where packages come from, hypothesis settings, and projects to work on."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from support.objects import OBJECTS

INSTALL = '.venv/bin/pip install ".[test]"'

_spec = importlib.util.find_spec("copick_core")
if _spec is None or _spec.origin is None:
    # The folder copick_core/ of the repository would be imported as an empty namespace package.
    raise pytest.UsageError(f"copick_core is not installed in this environment. In the repository's folder run: {INSTALL}")

from hypothesis import HealthCheck, settings  # noqa: E402 - the check above comes first

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


def pytest_report_header() -> list[str]:
    """Say where each package is imported from: pip copies, so an edit may not be what is tested."""
    backends = [f"copick_backend_{name}" for name in ("fs", "icechunk", "memory", "portal", "volume")]
    names = ("copick_core", *backends, "copick_formats", "copick_layers", "copick_tools", "copick_train", "copick_view")
    found = {name: importlib.util.find_spec(name) for name in names}
    return [f"{name}: {Path(spec.origin).parent if spec and spec.origin else 'not installed'}" for name, spec in found.items()]


@pytest.fixture
def project_config(tmp_path):
    """Make configurations of filesystem projects below the test's folder."""

    def make(overlay: str | None = "overlay", static: str | None = None, **fields):
        roots = {"overlay_root": overlay, "static_root": static}
        return {
            "config_type": "filesystem",
            "pickable_objects": OBJECTS,
            "user_id": "alice",
            **{name: str(tmp_path / value) for name, value in roots.items() if value is not None},
            **fields,
        }

    return make


@pytest.fixture(params=["filesystem", "memory"])
def root(request, project_config):
    """An empty, writable project, on each backend that every installation has."""
    import copick_core

    if request.param == "filesystem":
        return copick_core.open(project_config())
    return copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"})


@pytest.fixture
def layered(project_config):
    """A project in a folder, opened as the static side under a fresh overlay: (root, folder of the static side)."""
    import numpy as np
    import trimesh

    import copick_core

    config = project_config("reference")
    reference = copick_core.open(config)
    run = reference.new_run("TS_1")
    spacing = run.new_voxel_spacing(10.0)
    tomogram = spacing.new_tomogram("wbp")
    tomogram.from_numpy(np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6))
    tomogram.new_features("sobel").from_numpy(np.ones((4, 5, 6), np.float32))
    run.new_picks("ribosome", "0", "tool").from_numpy([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    mesh = run.new_mesh("membrane", "0", "tool")
    mesh.mesh = trimesh.creation.box()
    mesh.store()
    run.new_segmentation(10.0, "membrane", "0", user_id="tool").from_numpy(
        np.eye(4, 5, dtype=int)[:, :, None] * np.ones(6, int)
    )
    reference.get_object("ribosome").from_numpy(np.ones((3, 3, 3)), 10.0)
    root = copick_core.open(project_config("overlay", "reference"))
    return root, Path(config["overlay_root"])


@pytest.fixture
def generated(tmp_path):
    """A compose volume with a job in every condition, and what it was made from."""
    from support import volume_generator

    return volume_generator.generate(tmp_path / "volume")


@pytest.fixture
def sample(tmp_path):
    """Folder of the shared sample of a compose volume."""
    import tarfile

    from support.shared_data import data_file

    archive = data_file("compose_volume_mini.tar.gz")
    if archive is None:
        pytest.skip("the shared sample volume is absent (COPICK_TEST_DATA)")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "sample_mini"


@pytest.fixture(params=["generated", "sample"])
def either(request):
    """Folder of the generated compose volume, then of the sample."""
    made = request.getfixturevalue(request.param)
    return made.root if request.param == "generated" else made


@pytest.fixture(autouse=True)
def _no_surprises_from_the_environment(monkeypatch):
    """Settings of whoever runs the tests do not change what is tested."""
    for name in [n for n in os.environ if n.startswith("COPICK_") and not n.startswith(("COPICK_TEST", "COPICK_REFERENCE"))]:
        monkeypatch.delenv(name)
    of_tests = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # the portal's loopback sets them
    for name in [n for n in os.environ if n.startswith(("AWS_", "AZURE_", "GOOGLE_")) and n not in of_tests]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


@pytest.fixture(scope="session")
def s3_url():
    """Endpoint of an S3 server on loopback that has one bucket."""
    import fsspec

    from support.s3_server import S3Server

    with S3Server() as server:
        fs = fsspec.filesystem(
            "s3", key="test", secret="test", client_kwargs={"endpoint_url": server.url}, skip_instance_cache=True
        )
        fs.mkdir("conformance")
        yield server.url


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Real servers, each started when it is first wanted."""
    from support.places import Servers

    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()
