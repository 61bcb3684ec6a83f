"""`copick-core serve` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from copick_core.__main__ import main

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
