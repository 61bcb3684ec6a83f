"""What the database tells of a job, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from copick_backend_volume.status import JobStatus


@dataclass(frozen=True)
class Job:
    """One job, as the database tells.

    Attributes:
        id: Its id; always text, also where it looks like a number.
        status: Its status; None for a job that is not in the database, or whose status is unknown.
        status_text: The status as it is stored.
        name: Its title.
        created_at: When it was made, local time; None where that cannot be read.
        last_updated_at: When it was last written, local time.
        progress: Progress of its current stage, 0 to 1; the app never sets it to 1, and keeps that of the last stage.
        shape: Shape (x, y, z) of the image, None where it is not known.
        source_type: Kind of the uploads, where the app tells.
        in_database: Whether the database lists it; others are known by their folders only.
        problem: What is wrong with its entry, None if nothing is.
    """

    id: str
    status: JobStatus | None = None
    status_text: str | None = None
    name: str | None = None
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    progress: float | None = None
    shape: tuple[int, int, int] | None = None
    source_type: str | None = None
    in_database: bool = True
    problem: str | None = None

    @property
    def shape_zyx(self) -> tuple[int, int, int] | None:
        """Shape in the order of our arrays."""
        return None if self.shape is None else (self.shape[2], self.shape[1], self.shape[0])


@dataclass(frozen=True)
class RecoverableJob:
    """A job that stands in a database that the app has moved aside.

    Attributes:
        job: The job.
        source: File that it stands in.
        moved_at: When the file was moved aside, seconds since the epoch.
        lost: Whether the database does not list it any more.
        entry: The entry as it was written.
    """

    job: Job
    source: str
    moved_at: float
    lost: bool
    entry: Mapping[str, Any]


def parse_job(job_id: str, entry: Any) -> Job:
    """Read one entry; whatever is wrong with it degrades this job only."""
    if not isinstance(entry, dict):
        return Job(job_id, problem=f"its entry is not an object but {type(entry).__name__}")
    problems: list[str] = []

    def read(name: str, convert: Callable[[Any], Any], optional: bool = False) -> Any:
        value = entry.get(name)
        if value is None:
            if not optional:
                problems.append(f"{name} is missing")
            return None
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            problems.append(f"{name} {value!r} cannot be read")
            return None

    return Job(
        id=job_id,
        status=read("status", JobStatus.parse),
        status_text=str(entry["status"]) if entry.get("status") is not None else None,
        name=read("name", str, optional=True),
        created_at=read("created_at", datetime.fromisoformat),
        last_updated_at=read("last_updated_at", datetime.fromisoformat, optional=True),
        progress=read("current_job_progress", float, optional=True),
        shape=read("shape", _shape, optional=True),
        source_type=read("source_type", str, optional=True),
        problem="; ".join(problems) or None,
    )


def _shape(value: Any) -> tuple[int, int, int]:
    x, y, z = (int(n) for n in value)
    return x, y, z
