"""How often a program lists directories and opens files, from the interpreter's own audit events.

As a program, ``audit.py FOLDER SCRIPT ARGUMENTS...`` runs SCRIPT in this process and prints, as JSON, what
it did inside FOLDER. An audit hook cannot be removed: hence a process of its own.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_KINDS = {"os.scandir": "listings", "os.listdir": "listings", "open": "opened files"}


def count_events(script: Sequence[str], *, inside: Path) -> dict[str, int]:
    """Run a Python script with its arguments and return how many listings and opened files there were."""
    command = [sys.executable, __file__, str(inside), *script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{script} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run and count."""
    folder, script, *arguments = sys.argv[1:]
    counts: Counter[str] = Counter()

    def count(event: str, values: tuple[Any, ...]) -> None:
        if event in _KINDS and isinstance(values[0], str | bytes | os.PathLike):
            path = Path(os.fsdecode(values[0])).absolute()
            if path.is_relative_to(folder):
                counts[_KINDS[event]] += 1

    sys.addaudithook(count)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
