"""`copick-core view` as a process, as `browse` starts it too."""

from __future__ import annotations

import json
import os
import threading
import time
from urllib.request import urlopen

import pytest

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")

from copick_core.__main__ import main
from copick_tools.browsing.viewer import Viewers

PATIENCE = 30


@pytest.fixture
def config(shared_project, tmp_path):
    path = tmp_path / "project.json"
    path.write_text(json.dumps(shared_project("alice")))
    return str(path)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A desktop that writes down what it is to open: waits for that."""
    file, folder = tmp_path / "opened", tmp_path / "bin"
    folder.mkdir()
    desktop = folder / "xdg-open"
    desktop.write_text(f'#!/bin/sh\necho "$1" > {file}.new && mv {file}.new {file}\n')
    desktop.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def address():
        end = time.monotonic() + PATIENCE
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.02)
        return file.read_text().strip()

    return address


@pytest.mark.slow
def test_the_viewer_that_browse_starts_opens_the_run_in_the_browser_and_ends_with_it(config, opened):
    viewers = Viewers(config)
    showing = threading.Thread(target=viewers.show, args=["TS_1/"])
    showing.start()

    url, _, run = opened().partition("#")
    with urlopen(f"{url}viewer/run/{run}", timeout=PATIENCE) as answer:
        panel = json.load(answer)
    viewers.close()
    showing.join(PATIENCE)

    assert (panel["run"], panel["tomogram"], panel["user"]) == ("TS_1", "TS_1/wbp@13.5", "alice")
    assert not showing.is_alive()


def test_an_address_that_names_no_single_run_is_one_line(config, capsys):
    assert main(["view", "*/", "-c", config, "--no-browser"]) == 1

    assert "it names no single run" in capsys.readouterr().err.splitlines()[0]
