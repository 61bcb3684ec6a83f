"""Records of writers: small objects beside a volume that say who is writing it, and what is to be done if they die.

A record is hidden by its leading dot, put on condition that there is none, and is the lock between writers.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

from copick_backend_fs.writers import host, is_dead, started

PREFIX = ".replacing-"
"""What the name of a record begins with; the volume's name follows."""

LEASE = 60.0
"""Seconds after which a record that was not renewed belongs to a writer that died."""


class RecordTakenError(Exception):
    """Another writer's record stands.

    Args:
        record: That record; None if it is unreadable.
    """

    def __init__(self, record: Record | None) -> None:
        super().__init__("another writer is replacing the volume")
        self.record = record


@dataclass(frozen=True)
class Record:
    """What a writer means to do.

    Attributes:
        staged: Name of the folder, beside the volume, that holds the complete new one.
        last: The document that makes it a volume: it is put last. Of a new volume, empty until all its values are stored.
        owner: Unique name of the writer.
        host: Name of its machine.
        process: Its process.
        started: When that process started, as the kernel counts it: a number may be given again.
        since: When the writer began, in seconds since 1970.
        renewed: When the writer was last known to be alive.
        kind: Whether a volume is replaced, or a new one is made in its place.
    """

    staged: str
    last: str
    owner: str
    host: str
    process: int
    started: str
    since: float
    renewed: float
    kind: Literal["replace", "new"] = "replace"

    @classmethod
    def of_this_process(cls, kind: Literal["replace", "new"], staged: str = "", last: str = "") -> Self:
        """A record of what this process begins now."""
        now = time.time()
        return cls(staged, last, since=now, kind=kind, **_owner(), renewed=now)  # type: ignore[arg-type]

    def taken_over(self) -> Self:
        """The same record, as this process's."""
        return replace(self, **_owner(), renewed=time.time())  # type: ignore[arg-type]

    @property
    def is_abandoned(self) -> bool:
        """Whether its writer is dead."""
        if time.time() - self.renewed > LEASE:
            return True
        return is_dead(self.host, self.process, self.started)

    def encoded(self) -> bytes:
        """The record as it is stored."""
        return json.dumps(asdict(self)).encode()


UNREADABLE = Record("", "", "", "", 0, "", 0.0, 0.0)
"""What stands for somebody's file of that name, or a record that was damaged: it locks until it is old, which it is."""


def decode(data: bytes) -> Record | None:
    """Read a record; None if it is none."""
    try:
        return Record(**json.loads(data))
    except (ValueError, TypeError):
        return None


def record_of(path: str) -> str:
    """Path of the record of a volume."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{PREFIX}{name}"


def volume_of(record: str) -> str:
    """Path of the volume of a record."""
    folder, _, name = record.rpartition("/")
    return f"{folder}/{name.removeprefix(PREFIX)}"


def _owner() -> dict[str, object]:
    process = os.getpid()
    return {"owner": uuid.uuid4().hex, "host": host(), "process": process, "started": started(process)}
