"""The demo in the browser."""

from __future__ import annotations

import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest

pytest.importorskip("neuroglancer", reason="neuroglancer is not installed (copick-core[view])")


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs that a shell runs in the background begin with it ignored
from copick_core.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_demo_can_be_looked_at_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-c", INTERRUPTIBLE, "demo", "--view", "--no-browser", "--no-progress"]
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
