"""Free memory: how much this process can have, by the machine and by the limits of its container or cluster job."""

from __future__ import annotations

import os
from collections.abc import Iterator

from copick_core.errors import RegionTooLargeError

#: Bytes that are always taken to fit: asking the system would cost more than reading them.
SMALL = 2**20

#: Controller in /proc/self/cgroup, folders where its tree may be mounted, and its files: limit, usage, and in "memory.stat"
#: the name of what the kernel gives up first. https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and cgroup-v2.html
_VERSIONS = (
    ("memory", ("memory",), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ("", ("", "unified"), "memory.max", "memory.current", "inactive_file"),
)


def check_fits(requested: int) -> None:
    """Refuse what does not fit into free memory, before it is allocated.

    Args:
        requested: Number of bytes.

    Raises:
        RegionTooLargeError: It does not fit.
    """
    if requested <= SMALL:
        return
    available = available_memory()
    if available is not None and requested > available:
        raise RegionTooLargeError(requested=requested, available=available)


def available_memory(proc: str = "/proc", cgroups: str = "/sys/fs/cgroup") -> int | None:
    """Bytes of memory that can be had without swapping and without being killed; None where the system does not tell.

    Args:
        proc: Where the kernel describes processes and the machine.
        cgroups: Where limits of groups of processes are mounted.
    """
    known = [value for value in (_of_machine(proc), *_of_groups(proc, cgroups)) if value is not None]
    return min(known, default=None)


def _of_machine(proc: str) -> int | None:
    for line in _lines(f"{proc}/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        import psutil  # type: ignore[import-untyped]

        return int(psutil.virtual_memory().available)
    except ImportError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_groups(proc: str, cgroups: str) -> Iterator[int]:
    """What the limit of each group that this process is in leaves."""
    for line in _lines(f"{proc}/self/cgroup"):
        _, controllers, path = line.rstrip("\n").split(":", 2)
        for controller, mounts, *files in _VERSIONS:
            if controller in controllers.split(","):
                for mount in mounts:
                    yield from _of_tree(os.path.join(cgroups, mount), path, *files)


def _of_tree(mount: str, path: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    # A container may see its own group as the root of the tree, and the path of the host: then only the root exists.
    while True:
        folder = mount + path.rstrip("/")
        most = _number(f"{folder}/{limit}")
        used = _number(f"{folder}/{usage}") if most is not None else None
        if most is not None and used is not None:
            cached = sum(
                int(line.split()[1]) for line in _lines(f"{folder}/memory.stat") if line.startswith(f"{reclaimable} ")
            )
            yield max(0, most - used + cached)
        if path in ("", "/"):
            return
        path = os.path.dirname(path)


def _number(path: str) -> int | None:
    """The number in a file; None where there is none ("max" means no limit)."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []
