"""Writers as others see them: which process on which machine one is, and whether it still runs."""

from __future__ import annotations

import os
import socket


def host() -> str:
    """This machine; two containers on it are two, as their processes have the same numbers."""
    return f"{socket.gethostname()}:{os.stat('/proc/self/ns/pid').st_ino if os.path.exists('/proc/self/ns/pid') else ''}"


def started(process: int) -> str:
    """When a process of this machine started; empty if there is none, or if that cannot be known."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def is_dead(at: str, process: int, since: str) -> bool:
    """Whether a process certainly has ended: one of this machine, that started at a time that :func:`started` gave."""
    return at == host() and since != started(process)
