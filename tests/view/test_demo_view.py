"""The demo in the browser."""

from __future__ import annotations

import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")


@pytest.mark.slow
def test_the_demo_can_be_looked_at_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-m", "copick_core", "demo", "--view", "--no-browser", "--no-progress"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("http"):
                break
        address, _, run = lines[-1].strip().partition("#")
        with urlopen(address) as page:
            assert b"<title>copick</title>" in page.read()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert run == "phantom"
    assert (process.returncode, "done " in rest) == (0, True)
