"""`copick-core serve` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest

import copick_core
from copick_core.__main__ import main
from support.memory import peak_mib

#: Runs the command where nothing of the viewer can be imported.
WITHOUT_VIEWER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs that a shell runs in the background begin with it ignored
sys.modules["neuroglancer"] = None
from copick_core.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def config(layered, tmp_path):
    root, _ = layered
    path = tmp_path / "project.json"
    root.save_config(path)
    return path


@contextmanager
def serving(*arguments):
    command = [sys.executable, "-c", WITHOUT_VIEWER, "serve", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_it_prints_the_address_and_serves_without_the_viewer(config):
    with serving("-c", config) as (_, url), urllib.request.urlopen(url, timeout=30) as answer:
        project = json.load(answer)

    assert url.startswith("http://127.0.0.1:")
    assert [run["name"] for run in project["runs"]] == ["TS_1"]


def test_memory_is_one_value_for_each_connection_that_waits(tmp_path):
    shape, mib = (128, 64, 64), 2
    root = copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path / "project"), "pickable_objects": []})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    tomogram.from_numpy(data, chunks=shape, compressor=None, levels=1)
    root.save_config(tmp_path / "project.json")
    with serving("-c", tmp_path / "project.json") as (process, url):
        place = urlsplit(url)
        request = f"GET {place.path}tomogram/TS_1/wbp@10.0/0/0/0/0 HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
        with ExitStack() as opened:
            pages = [opened.enter_context(socket.create_connection((place.hostname, place.port), 30)) for _ in range(65)]
            first, *others = pages
            first.sendall(request)
            assert _body(first) == data.tobytes()
            before = peak_mib(process.pid)
            for page in others:
                page.sendall(request)
            heads = [page.recv(16) for page in others]  # every answer has begun, so every value is held
            bodies = {_body(page) == data.tobytes() for page in others}
        after = peak_mib(process.pid)

    assert (set(heads), bodies) == ({b"HTTP/1.1 200 OK\r\n"[:16]}, {True})
    assert after - before < 64 * mib + 32


def _body(page):
    """Read the rest of an answer; its body."""
    answer = page.makefile("rb")
    length = next(int(line.split()[1]) for line in iter(answer.readline, b"") if line.lower().startswith(b"content-length"))
    while answer.readline() != b"\r\n":
        pass
    return answer.read(length)


def test_an_interrupt_ends_it_without_a_word(config):
    with serving("-c", config) as (process, url):
        assert url
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")


def test_port_and_token_are_those_that_were_asked_for(config):
    from support.servers.process import unused_port

    port = unused_port()
    with serving("-c", config, "--port", port, "--token", "a-token-of-my-own") as (_, url):
        assert url == f"http://127.0.0.1:{port}/a-token-of-my-own/"


def test_a_token_that_is_easily_guessed_is_one_line(config, capsys):
    assert main(["serve", "-c", str(config), "--token", "secret"]) == 1

    assert capsys.readouterr().err.splitlines() == ["error: token: it must be at least 16 letters, digits, - or _"]


def test_importing_the_server_imports_neither_viewer_nor_zarr():
    script = "import sys, copick_view.server.handlers; print({'neuroglancer', 'zarr', 'PIL'} & {*sys.modules})"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "set()"
