"""A project that is served."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
import trimesh

import copick_core
from copick_view.server.serving import Server
from support.objects import OBJECTS


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


def ask(server, path, method="GET", host=None, **headers):
    """Send one request with exactly these headers and this path, which no client has tidied up."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", place.netloc if host is None else host)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def get(server, path, **headers):
    """Ask for a path below the address of the project."""
    return ask(server, f"/{server.token}/{path}", **headers)


@pytest.fixture
def served(layered):
    """The project of `layered`, served: (root, server)."""
    root, _ = layered
    with Server(root) as server:
        yield root, server


@pytest.fixture
def shared_project(tmp_path):
    """Configurations of one project: of alice and of bob, over what a tool has made.

    The tomogram is not a cube, its voxels are 13.5 Å, and everything in it is off its centre.
    """
    shape, size = (24, 40, 56), 13.5
    reference = {"config_type": "filesystem", "overlay_root": str(tmp_path / "reference"), "pickable_objects": OBJECTS}
    run = copick_core.open(reference).new_run("TS_1")
    z, y, x = np.indices(shape)
    ball = (z - 9) ** 2 + (y - 25) ** 2 + (x - 17) ** 2 < 6**2
    noise = np.random.default_rng(5).normal(size=shape)
    run.new_voxel_spacing(size).new_tomogram("wbp").from_numpy((noise - 8.0 * ball).astype(np.float32), levels=2)
    run.new_picks("ribosome", "0", "tool").from_numpy([[17 * size, 25 * size, 9 * size], [400.0, 300.0, 200.0]])
    labels = np.where(ball, 1, 0) + np.where((y < 6) & ~ball, 2, 0)
    run.new_segmentation(size, "all", "0", True, "tool").from_numpy(labels.astype(np.uint8))
    mesh = run.new_mesh("membrane", "0", "tool")
    mesh.mesh = trimesh.creation.icosphere(radius=80.0)
    mesh.store()

    def config(user: str, session: str = "1"):
        return {
            "config_type": "stack",
            "overlay": {"config_type": "filesystem", "overlay_root": str(tmp_path / "overlay")},
            "static": [{**reference, "layer_name": "static"}],
            "pickable_objects": OBJECTS,
            "user_id": user,
            "session_id": session,
        }

    copick_core.open(config("alice")).get_run("TS_1").new_picks("ribosome", "1", positions=[[300.0, 200.0, 100.0]])
    return config
