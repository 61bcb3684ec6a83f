"""Drafts: edits that are not stored yet, kept in a file of the user so that nothing is lost with the process.

Each change appends one line with all that differs from what is stored, so the last line of an object counts. A file belongs
to one process, which holds a lock on it; a file without a living process is offered at the next start.

Before several objects are stored, one line has a digest of the points of each. If the process dies between two of them, those
whose stored points have that digest are stored, and only the others are offered.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: drafts of all processes are offered
    fcntl = None  # type: ignore[assignment]

from copick_core.tree.schema import CopickPoint
from copick_view.viewer.points import Place, Points, centre, moved

_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Difference:
    """What differs between points that are stored and those that are shown.

    Attributes:
        added: New points.
        moved: Old and new centre of each moved point, in angstrom.
        deleted: Centres of deleted points.
    """

    added: tuple[CopickPoint, ...] = ()
    moved: tuple[tuple[Place, Place], ...] = ()
    deleted: tuple[Place, ...] = ()

    def __len__(self) -> int:
        return len(self.added) + len(self.moved) + len(self.deleted)

    def __str__(self) -> str:
        counts = ((len(self.added), "added"), (len(self.moved), "moved"), (len(self.deleted), "deleted"))
        return ", ".join(f"{n} {what}" for n, what in counts if n) or "no changes"

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return {
            "added": [point.model_dump(mode="json") for point in self.added],
            "moved": [[[*old], [*new]] for old, new in self.moved],
            "deleted": [[*place] for place in self.deleted],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Difference:
        """The difference that JSON values say."""
        return cls(
            tuple(CopickPoint.model_validate(point) for point in value["added"]),
            tuple((_place(old), _place(new)) for old, new in value["moved"]),
            tuple(_place(place) for place in value["deleted"]),
        )


def difference(stored: Points, shown: Points) -> Difference:
    """What has to be done to stored points to get those that are shown."""
    both = [(point, shown[name]) for name, point in stored.items() if name in shown]
    return Difference(
        tuple(point for name, point in shown.items() if name not in stored),
        tuple((centre(old), centre(new)) for old, new in both if old is not new),
        tuple(centre(point) for name, point in stored.items() if name not in shown),
    )


def apply(difference: Difference, stored: Points) -> tuple[Points, int]:
    """Do to stored points what a difference says.

    Returns:
        The points, and how many of the moved or deleted ones are not stored any more: those are left out.
    """
    names: dict[Place, list[str]] = {}
    for name, point in stored.items():
        names.setdefault(centre(point), []).append(name)
    points, missing = dict(stored), 0
    for place in difference.deleted:
        if found := names.get(place):
            del points[found.pop(0)]
        else:
            missing += 1
    for old, new in difference.moved:
        if found := names.get(old):
            name = found.pop(0)
            points[name] = moved(points[name], new)
        else:
            missing += 1
    added = {f"d{secrets.token_hex(8)}": point for point in difference.added}
    return {**points, **added}, missing


@dataclass(frozen=True)
class Left:
    """A draft that a process left behind.

    Attributes:
        path: Its file.
        at: When the last edit was made, in UTC, as ``"2026-01-31T12:00:00Z"``.
        edits: What was not stored, by object; of a process that died while it stored, perhaps more.
        storing: Digests of the points of objects that were just being stored, see :func:`digest`.
        stored: Objects that were stored before the process died.
    """

    path: Path
    at: str
    edits: Mapping[str, Difference]
    storing: Mapping[str, str] = field(default_factory=dict)
    stored: tuple[str, ...] = ()

    def without(self, stored: Collection[str]) -> Left:
        """The same draft without the edits of objects that are stored."""
        edits = {name: found for name, found in self.edits.items() if name not in stored}
        return replace(self, edits=edits, stored=(*stored,))


class Draft:
    """The draft of one process, for one run: a file that is made with the first edit, and deleted once all is stored.

    Args:
        folder: Of drafts; :func:`folder_of_drafts` by default.
        where: Which project, run, user and session; see :func:`draft_name`.
    """

    def __init__(self, where: str, folder: Path | None = None) -> None:
        self._folder = folder or folder_of_drafts()
        self._where = where
        self._file: int | None = None
        self._path: Path | None = None

    def note(self, object_name: str, edits: Difference) -> None:
        """Append what differs now for an object; it is on the disk when this returns."""
        self._append({"object": object_name, "edits": edits.to_json()})

    def storing(self, digests: Mapping[str, str]) -> None:
        """Append what is about to be stored: a digest of the points of each object."""
        self._append({"storing": digests})

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps({"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **entry}) + "\n"
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path = self._folder / f"{self._where}-{secrets.token_hex(6)}{_SUFFIX}"
            self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._file, line.encode())
        os.fsync(self._file)

    def end(self) -> None:
        """Delete the draft: all is stored, or was given up."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Leave what is not stored to the next start, as the end of the process does."""
        if self._file is not None:
            os.close(self._file)
            self._file = self._path = None

    def left(self) -> list[Left]:
        """Drafts of the same project, run, user and session whose process is gone, oldest first."""
        found = [left for path in self._folder.glob(f"{self._where}-*{_SUFFIX}") if (left := _read(path, self._path))]
        return sorted(found, key=lambda left: left.at)


def _read(path: Path, own: Path | None) -> Left | None:
    """A draft, unless a living process holds it or nothing is in it."""
    if path == own or _is_held(path):
        return None
    at, edits, storing = "", dict[str, Difference](), dict[str, str]()
    for entry in _entries(path):
        if "storing" in entry:
            storing = entry["storing"]
            continue
        at = entry["at"]
        edits[entry["object"]] = Difference.from_json(entry["edits"])
        storing.pop(entry["object"], None)  # it was edited again, so storing it failed
    edits = {name: found for name, found in edits.items() if len(found)}
    return Left(path, at, edits, storing) if edits else None


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a draft; a last one that was cut off is left out."""
    try:
        lines: Sequence[bytes] = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return
    for line in lines:
        yield json.loads(line)


def _is_held(path: Path) -> bool:
    if fcntl is None:
        return False
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def digest(points: Points) -> str:
    """A digest of where points are: equal for points that were stored and read again, whatever ids they have."""
    places = sorted(centre(point) for point in points.values())
    return hashlib.sha256(json.dumps(places).encode()).hexdigest()[:24]


def folder_of_drafts() -> Path:
    """``$XDG_STATE_HOME/copick/drafts``, by default ``~/.local/state/copick/drafts``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "copick" / "drafts"


def draft_name(place: str, run: str, user_id: str, session_id: str) -> str:
    """Name that drafts of one project, run, user and session share.

    Args:
        place: Which project; two that are equal hold the same picks.
        run: Name of the run.
        user_id: User.
        session_id: Session.
    """
    return hashlib.sha256(json.dumps([place, run, user_id, session_id]).encode()).hexdigest()[:24]


def _place(values: Sequence[float]) -> Place:
    x, y, z = values
    return float(x), float(y), float(z)
