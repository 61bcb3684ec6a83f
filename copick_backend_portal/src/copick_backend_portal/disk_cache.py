"""Answers of the portal on disk, shared between processes.

One file holds one answer. It is written beside its place and renamed, so that a reader sees all of it or nothing; what is no
answer to the question, for whatever reason, is ignored and replaced. A lock keeps processes from asking the same at once; it
is only a courtesy, so a lock that is not released in time is passed by.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: Raised when the meaning of what is kept changes.
SCHEMA_VERSION = 2
FOLDER = ".copick_cache"
PREFIX = "portal_"
#: Seconds between two looks at a lock.
_POLL = 0.05


@dataclass(frozen=True)
class Entry:
    """One kept answer.

    Attributes:
        path: Its file.
        question: What was asked, in words; empty for files of other programs.
        age: Seconds since it was asked.
        size: Bytes.
        stale: Whether it is older than the time to live.
    """

    path: Path
    question: str
    age: float
    size: int
    stale: bool


class DiskCache:
    """Kept answers to the questions of one project.

    Args:
        folders: Where to look, in order; the first one that can be written takes new answers.
        fingerprint: What all questions have in common: address, datasets, objects, versions.
        ttl: Seconds after which an answer is stale; 0 or less: never.
        lock_timeout: Seconds to wait for another process.
    """

    def __init__(self, folders: Sequence[Path], fingerprint: Mapping[str, Any], ttl: float, lock_timeout: float) -> None:
        self.folders = list(folders)
        self._common = json.dumps({"schema_version": SCHEMA_VERSION, **fingerprint}, sort_keys=True)
        self._id = hashlib.sha256(self._common.encode()).hexdigest()[:16]
        self._ttl = ttl
        self._lock_timeout = lock_timeout

    def _name(self, question: str) -> str:
        return f"{PREFIX}{self._id}_{hashlib.sha256(question.encode()).hexdigest()[:16]}.json"

    def _is_stale(self, age: float) -> bool:
        return self._ttl > 0 and not 0 <= age < self._ttl

    def load(self, question: str, *, stale: bool = False) -> Any:
        """The kept answer to a question, or None.

        Args:
            question: The question.
            stale: Take one whatever its age.
        """
        for folder in self.folders:
            found = _read(folder / self._name(question))
            if found is None:
                continue
            header, data = found
            if header["common"] != self._common or header["question"] != question:
                continue
            if stale or not self._is_stale(time.time() - header["created"]):
                return json.loads(data)
        return None

    def store(self, question: str, data: Any) -> None:
        """Keep an answer; if no folder can be written, it is not kept."""
        body = json.dumps(data, separators=(",", ":")).encode()
        header = {"common": self._common, "question": question, "created": time.time(), "digest": _digest(body)}
        content = json.dumps(header).encode() + b"\n" + body
        for folder in self.folders:
            path = folder / self._name(question)
            staged = folder / f".{uuid.uuid4().hex}.tmp"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                staged.write_bytes(content)
                staged.replace(path)
            except OSError as error:
                logger.debug("portal answers cannot be kept in %s: %s", folder, error)
                with suppress(OSError):
                    staged.unlink()
                continue
            return

    @contextmanager
    def asking(self, question: str) -> Iterator[None]:
        """Wait while another process asks the same, then ask oneself."""
        path = self._acquire(question)
        try:
            yield
        finally:
            if path is not None:
                with suppress(OSError):
                    path.unlink()

    def _acquire(self, question: str) -> Path | None:
        deadline = time.monotonic() + self._lock_timeout
        for folder in self.folders:
            path = folder / f".{self._name(question)}.lock"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                while True:
                    try:
                        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                    except FileExistsError:
                        with suppress(OSError):
                            if time.time() - path.stat().st_mtime > self._lock_timeout:
                                path.unlink()  # whoever made it has died
                        if time.monotonic() >= deadline:
                            return None
                        time.sleep(_POLL)
                    else:
                        return path
            except OSError:
                continue
        return None

    def entries(self) -> list[Entry]:
        """The kept answers of this project."""
        return [e for e in entries(self.folders, self._ttl) if e.path.name.startswith(f"{PREFIX}{self._id}_")]

    def clear(self, *, everything: bool = False) -> list[Path]:
        """Delete the kept answers of this project, or everything that portal projects keep in the same folders."""
        found = entries(self.folders, self._ttl) if everything else self.entries()
        for entry in found:
            entry.path.unlink(missing_ok=True)
        return [entry.path for entry in found]


def entries(folders: Sequence[Path], ttl: float) -> list[Entry]:
    """All answers that portal projects, ours and those of copick 1.x, keep in some folders."""
    found = []
    for path in sorted(p for folder in folders if folder.is_dir() for p in folder.glob(f"{PREFIX}*.json")):
        read = _read(path)
        status = path.stat()
        age = time.time() - (read[0]["created"] if read else status.st_mtime)
        stale = read is None or (ttl > 0 and not 0 <= age < ttl)
        found.append(Entry(path, read[0]["question"] if read else "", age, status.st_size, stale))
    return found


def _read(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Header and data of a file of ours; None if it is anything else, or damaged. The header is the first line."""
    try:
        first, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(first)
        valid = (
            isinstance(header["common"], str)
            and isinstance(header["question"], str)
            and isinstance(header["created"], float)
            and header["digest"] == _digest(body)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (header, body) if valid else None


def _digest(body: bytes) -> str:
    """What tells a whole answer from a damaged one."""
    return hashlib.sha256(body).hexdigest()[:16]


def default_folders(pinned: str | None, overlay: str | None) -> list[Path]:
    """Where answers are kept: a pinned folder only; else a local overlay, then the user's cache folder."""
    if pinned:
        return [Path(pinned).expanduser()]
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "copick" / "portal"
    return [*([Path(overlay) / FOLDER] if overlay else []), user]
