"""Files with changed bytes: whatever is in them, only our errors come out, and memory stays in proportion to the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.fuzz import TARGETS, Report

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")


def fuzz(name: str, count: int, folder: Path) -> Report:
    """Read mutated files in a process of its own."""
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", "support.fuzz", name, str(count), "20", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return Report(**json.loads(done.stdout.splitlines()[-1]))


def check(report: Report, count: int) -> None:
    assert report.failures == []
    assert report.too_much == []
    assert report.files == count
    assert report.in_parsed_bytes >= count / 4
    assert report.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_200_mutated_files_give_only_our_errors_in_bounded_memory(name: str, tmp_path: Path) -> None:
    check(fuzz(name, 200, tmp_path), 200)


@pytest.mark.full
@pytest.mark.parametrize("name", TARGETS)
def test_2000_mutated_files_give_only_our_errors_in_bounded_memory(name: str, tmp_path: Path) -> None:
    check(fuzz(name, 2000, tmp_path), 2000)
