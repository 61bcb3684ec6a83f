"""What is forced to disk, and when: each fsync as it is made, with what lay where at that moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Sync(NamedTuple):
    """One file or folder that was forced to disk.

    Attributes:
        path: Where it lay.
        content: Bytes of the file as others would read them; None for a folder.
        seen: What ``look`` gave at that moment.
    """

    path: Path
    content: bytes | None
    seen: Any


@contextmanager
def recorded_syncs(look: Callable[[], Any] = lambda: None) -> Iterator[list[Sync]]:
    """Note every fsync of this process, in order, and make it.

    Args:
        look: Called at each one: what it returns tells what came before and what after a rename.
    """
    syncs: list[Sync] = []
    fsync = os.fsync

    def record(file: Any) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file if isinstance(file, int) else file.fileno()}"))
        syncs.append(Sync(path, None if path.is_dir() else path.read_bytes(), look()))
        fsync(file)

    os.fsync = record
    try:
        yield syncs
    finally:
        os.fsync = fsync


def content_of(path: Path) -> bytes | None:
    """Content of a file, None where there is none."""
    return path.read_bytes() if path.exists() else None


def identity_of(path: Path) -> int | None:
    """Number of a file or folder, None where there is none."""
    return path.stat().st_ino if path.exists() else None


def assert_published(syncs: list[Sync], target: Path) -> None:
    """Check that a folder and all its files were on disk before it was at its place, and its place afterwards.

    Args:
        syncs: What was recorded with ``lambda: identity_of(target)``.
        target: The folder.
    """
    new = identity_of(target)
    before, after = ([s for s in syncs if (s.seen == new) is is_there] for is_there in (False, True))
    for file in (path for path in target.rglob("*") if path.is_file()):
        same = [s for s in before if s.path.name == file.name and s.content == file.read_bytes()]
        assert same, f"{file} was not on disk before it was published"
    hidden = [n for n, s in enumerate(before) if s.content is None and s.path.name.startswith(".")]
    assert hidden, f"{target} was not on disk as a folder before it was published"
    staged = before[hidden[-1]].path
    assert staged not in [s.path.parent for s in before[hidden[-1] :]], "files were stored after their folder"
    assert target.parent in [s.path for s in after if s.content is None]


def assert_synced(syncs: list[Sync], file: Path) -> None:
    """Check that a file was on disk before it took its place, and its folder afterwards.

    Args:
        syncs: What was recorded with ``lambda: content_of(file)``.
        file: The file.
    """
    new = file.read_bytes()
    written = [n for n, s in enumerate(syncs) if s.content == new and s.seen != new]
    assert written, f"{file} was not on disk before it took its place"
    assert (file.parent, None, new) in [tuple(s) for s in syncs[written[0] + 1 :]]
