"""Many requests at once, slow storage, and callers that go away."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from zarr.storage import WrapperStore

from copick_core.layers import WrapperLayer
from copick_view.server.serving import Server

from .conftest import get

PATH = "tomogram/TS_1/wbp@10.0/"
PATIENCE = 30


class GatedStore(WrapperStore):
    """Answers chunks when the gate is opened."""

    def __init__(self, store, gate):
        super().__init__(store)
        self.gate = gate

    async def get(self, key, prototype, byte_range=None):
        if key.startswith("0/") and not key.startswith("0/."):
            with self.gate.lock:
                self.gate.waiting += 1
            while not self.gate.open.is_set():
                await asyncio.sleep(0.005)
        return await super().get(key, prototype, byte_range)


class GatedLayer(WrapperLayer):
    """A slow place: chunks come when somebody opens the gate."""

    def __init__(self, inner):
        super().__init__(inner)
        self.lock = threading.Lock()
        self.open = threading.Event()
        self.waiting = 0

    def wrap_store(self, key, store, *, staged):
        return GatedStore(store, self)

    def wait_for(self, count):
        end = time.monotonic() + PATIENCE
        while self.waiting < count and time.monotonic() < end:
            time.sleep(0.005)
        assert self.waiting >= count


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)


@pytest.fixture
def project(root, data):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(data, chunks=(8, 8, 8), compressor=None, levels=1)
    root.get_run("TS_1").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    return root


@pytest.fixture
def gated(project):
    """The project behind a slow place: (root, gate)."""
    gate = GatedLayer(project.layers.overlay)
    yield type(project)(project.config, lambda config: replace(project.layers, overlay=gate)), gate
    gate.open.set()


def chunk_names():
    return [f"0/{z}/{y}/{x}" for z in range(4) for y in range(4) for x in range(4)]


def blocks(data):
    whole = data.reshape(4, 8, 4, 8, 4, 8).transpose(0, 2, 4, 1, 3, 5).reshape(64, 512)
    return [block.tobytes() for block in whole]


def test_64_requests_at_once_are_all_answered_right(project, data):
    with Server(project) as server, ThreadPoolExecutor(64) as pool:
        answers = [*pool.map(lambda name: get(server, PATH + name), chunk_names())]

    assert [a.status for a in answers] == [200] * 64
    assert [a.content for a in answers] == blocks(data)


def test_64_requests_wait_for_a_slow_place_at_once_and_the_server_answers_others_meanwhile(gated, data):
    root, gate = gated
    with Server(root) as server, ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(get, server, PATH + name) for name in chunk_names()]
        gate.wait_for(64)
        picks = get(server, "picks/TS_1/ribosome:alice/1")
        gate.open.set()
        contents = [answer.result().content for answer in answers]

    assert picks.status == 200
    assert contents == blocks(data)


def test_many_pictures_keep_nothing_else_waiting(gated):
    root, gate = gated
    with Server(root) as server, ThreadPoolExecutor(32) as pool:
        pictures = [pool.submit(get, server, "picture/run/TS_1?size=32") for _ in range(32)]
        gate.wait_for(1)
        picks = get(server, "picks/TS_1/ribosome:alice/1")
        gate.open.set()
        drawn = [picture.result().status for picture in pictures]

    assert (picks.status, drawn) == (200, [200] * 32)


def test_pages_that_are_closed_while_they_read_do_no_harm(gated, data, caplog):
    root, gate = gated
    with Server(root) as server:
        pages = [_request(server, PATH + name) for name in chunk_names()]
        gate.wait_for(64)
        for page in pages:
            page.close()
        gate.open.set()
        answers = [get(server, PATH + name).content for name in chunk_names()]

    assert answers == blocks(data)
    assert caplog.records == []


def test_pages_that_are_closed_while_they_are_answered_do_no_harm(root, caplog):
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((128, 128, 128), np.float32), chunks=(128, 128, 128), compressor=None, levels=1)
    with Server(root) as server:
        for _ in range(8):
            page = _request(server, PATH + "0/0/0/0")
            assert page.recv(64)  # the answer has begun
            page.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # reset, as a killed browser does
            page.close()
        answer = get(server, PATH + "0/0/0/0")

    assert len(answer.content) == 4 * 128**3
    assert caplog.records == []


def test_a_server_that_is_stopped_while_it_reads_ends(gated):
    root, gate = gated
    with Server(root) as server:
        page = _request(server, PATH + "0/0/0/0")
        gate.wait_for(1)
    gate.open.set()

    assert page.recv(64) == b""
    page.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "copick-serve"]


def test_an_answer_that_fails_leaves_the_connection_usable(project):
    with Server(project) as server:
        place = urlsplit(server.url)
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE)
        statuses = []
        for path in ("run/..", PATH + "0/0/0/0", PATH + "0/9/9/9", PATH + "0/0/0/1"):
            connection.request("GET", f"/{server.token}/{path}")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    assert statuses == [400, 200, 404, 200]


def test_the_port_is_free_again_after_the_end(project):
    with Server(project) as first:
        port = first.port
    with Server(project, port=port) as second:
        assert get(second, "project").status == 200


def test_a_port_that_is_taken_is_an_error_that_names_it(project):
    from copick_core.errors import InvalidDataError

    with Server(project) as server, pytest.raises(InvalidDataError) as caught:
        Server(project, port=server.port)

    assert str(server.port) in caught.value.source


def test_a_region_is_written_while_it_is_served(project, data):
    tomogram = project.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for value in (1.0, 2.0):
                tomogram.set_region(np.full((8, 8, 8), value, np.float32), x=slice(0, 8), y=slice(0, 8), z=slice(0, 8))

    writer = threading.Thread(target=write)
    with Server(project) as server:
        writer.start()
        found = [np.unique(np.frombuffer(get(server, PATH + "0/0/0/0").content, "<f4")).size for _ in range(50)]
        stop.set()
        writer.join()

    assert set(found) <= {1, 512}  # one whole block or another, never a mixture


def _request(server, path):
    place = urlsplit(server.url)
    page = socket.create_connection((place.hostname, place.port), timeout=PATIENCE)
    page.sendall(f"GET /{server.token}/{path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
    return page
