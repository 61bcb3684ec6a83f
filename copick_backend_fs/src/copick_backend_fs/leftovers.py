"""Files that killed writers leave inside volumes on local disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from copick_core.layers.staged import PARTIAL, STAGED_SECONDS


def partial_files(volume: str | os.PathLike[str]) -> Iterator[str]:
    """Paths of values that somebody began to write a week ago or earlier, and never finished."""
    for folder, _, files in os.walk(volume):
        for name in files:
            if PARTIAL.search(name):
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):  # somebody else may sweep too
                    if time.time() - os.stat(path).st_mtime > STAGED_SECONDS:
                        yield path
