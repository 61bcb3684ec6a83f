"""How many system calls a command makes, counted by strace."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(?P<calls>\d+)\s+(?:\d+\s+)?(?P<name>\w+)$", re.MULTILINE)


def can_trace() -> bool:
    """Return whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-c", "true"], capture_output=True, check=False).returncode == 0


def count_system_calls(command: Sequence[str]) -> dict[str, int]:
    """Run a command under strace, with its threads and children, and return how often it made each call."""
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as summary:
        strace = ["strace", "-f", "-qq", "-c", "-o", summary.name]
        subprocess.run([*strace, *command], capture_output=True, check=True)
        rows = _ROW.finditer(Path(summary.name).read_text())
        return {row["name"]: int(row["calls"]) for row in rows if row["name"] != "total"}
