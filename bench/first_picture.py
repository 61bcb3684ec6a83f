"""First picture: seconds from `copick-core view` until all of a tomogram of 256 x 512 x 512 voxels is drawn in Chromium.

Part of W15; there is no limit or reference to compare with. `python bench/first_picture.py [ROUNDS]`
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rounds  # noqa: F401 - makes the package tests/support importable
from projects import RUN, new_tomogram, open_project

from support.browser import OpenPage, chromium

GOAL = 3.0


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        data = np.random.default_rng(15).standard_normal((256, 512, 512), np.float32)
        new_tomogram(open_project("copick_core", Path(folder))).from_numpy(data)
        seconds = [_round(browser, Path(folder, "config.json")) for _ in range(count)]
    found = statistics.median(seconds)
    print(f"first picture: {found:.2f} s, median of {count}: {', '.join(f'{s:.2f}' for s in seconds)}; goal {GOAL} s")
    print(f"{os.getloadavg()[0]:.1f} processes were busy on {os.cpu_count()} cores")


def _round(browser: Any, config: Path) -> float:
    context = browser.new_context(viewport={"width": 1100, "height": 700})
    page = OpenPage(context.new_page(), None)
    begin = time.perf_counter()
    command = [sys.executable, "-m", "copick_core", "view", f"{RUN}/", "-c", str(config), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            page.show(process.stdout.readline().strip())
            return time.perf_counter() - begin
        finally:
            context.close()
            process.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
