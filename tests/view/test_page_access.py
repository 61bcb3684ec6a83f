"""Who may ask the page's server: the token, Host and Origin, on its own paths and on neuroglancer's."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import copick_core

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")

from copick_view.viewer.serving import PageServer


@pytest.fixture
def server(shared_project, tmp_path):
    """The page of alice, with one run open."""
    with PageServer(copick_core.open(shared_project("alice")), drafts=tmp_path / "drafts") as server:
        server.session("TS_1", f"127.0.0.1:{server.port}")
        yield server


def _status(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Host": f"127.0.0.1:{server.port}", **headers}
    try:
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _paths(server):
    session = server.session("TS_1", f"127.0.0.1:{server.port}")
    volume = next(iter(session.sources._stores))
    viewer = session.drawing.viewer.token
    return {
        "page": f"/{server.token}/",
        "part": f"/{server.token}/viewer/part/page.js",
        "run": f"/{server.token}/viewer/run/TS_1",
        "points": f"/{server.token}/viewer/run/TS_1/points/ribosome:alice%2F1",
        "volume": f"/{server.token}/viewer/data/{viewer}/{volume}/.zattrs",
        "viewer": f"/v/{viewer}/",
    }


@pytest.mark.parametrize("name", ["page", "part", "run", "points", "volume", "viewer"])
def test_every_path_answers_this_machine_and_no_other_name(server, name):
    path = _paths(server)[name]

    assert _status(server, "GET", path) == 200
    assert _status(server, "GET", path, Host="localhost:1") == 200
    assert _status(server, "GET", path, Host="evil.example") == 403


@pytest.mark.parametrize("name", ["page", "part", "run", "points", "volume"])
def test_paths_need_the_token(server, name):
    path = _paths(server)[name].replace(server.token, "0" * 40)

    assert _status(server, "GET", path) == 403


def test_pages_of_other_origins_can_change_nothing(server):
    body = json.dumps({"action": "choose", "with": {"object": "proteasome"}})
    path = _paths(server)["run"]

    assert _status(server, "POST", path, body, Origin="https://evil.example") == 403
    assert server.session("TS_1", f"127.0.0.1:{server.port}").lists.chosen == "ribosome"
    assert _status(server, "POST", path, body, Origin=f"http://127.0.0.1:{server.port}") == 200


@pytest.mark.parametrize("body", ["", "[]", '{"action": "rm"}', '{"action": "choose", "with": {"nothing": 1}}'])
def test_bodies_that_mean_nothing_are_refused(server, body):
    assert _status(server, "POST", _paths(server)["run"], body) == 400


@pytest.mark.parametrize("path", ["viewer/part/../../x", "viewer/part/serving.py", "viewer/data/x/y/z", "viewer/run/TS_9"])
def test_paths_lead_nowhere_else(server, path):
    assert _status(server, "GET", f"/{server.token}/{path}") in (400, 404)


def test_64_requests_at_once_are_all_answered_alike(server):
    path = _paths(server)["volume"].replace(".zattrs", "0/0/0/0")

    def fetch(_):
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=30) as answer:
            return answer.read()

    with ThreadPoolExecutor(64) as pool:
        answers = [*pool.map(fetch, range(64))]

    tomogram = server.root.get_run("TS_1").get_voxel_spacing(13.5).get_tomogram("wbp")
    assert {*answers} == {sync(tomogram.zarr().get("0/0/0/0", default_buffer_prototype())).to_bytes()}


def test_a_page_that_is_closed_while_it_reads_harms_nobody(server):
    path = _paths(server)["volume"].replace(".zattrs", "0/0/0/0")
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())

    assert _status(server, "GET", path) == 200
