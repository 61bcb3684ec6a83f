"""The job database, ``jobs.json``: reading it while others write, and writing it so that nothing is lost.

The app's processes truncate the file and write it again, without a lock, and take a file that they cannot read for a new
one. So reading waits while the file is torn. Writing holds a lock among writers of ours, replaces the file in one step, looks
into the file that it replaced for what the app has written meanwhile, and afterwards looks whether the app has put an
older state over ours.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from copick_backend_volume.places import STAGING, Volume, is_job_id
from copick_backend_volume.records import Job, RecoverableJob, parse_job
from copick_backend_volume.staging import open_lock, sync_folder
from copick_backend_volume.status import JobStatus, check_transition
from copick_core.errors import ConflictError, InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.tree.keys import RunKey

Document = dict[str, Any]

#: Seconds that reading waits for a torn file; the app itself gives up after 1.5.
PATIENCE = 10.0
#: Seconds after a write in which the app, having read the old state, may put it back; its own update takes milliseconds.
SETTLE = 0.02
#: Seconds for which a store remembers what it has written, to see whether the app has put an older state over it.
REMEMBER = 60.0
#: Seconds in which the app, having truncated a file, has surely filled it again.
_WHOLE_AGAIN = 1.0
_MOVED_ASIDE = re.compile(r"jobs\.json\.(\d+(?:\.\d+)?)")
_ENTRY = re.compile(r'"((?:[^"\\]|\\.)+)"\s*:\s*(?=\{)')


@dataclass
class _Written:
    """What this store last wrote of a job."""

    entry: Document
    at: float


@dataclass
class JobStore:
    """The database of one volume.

    Args:
        volume: The volume.
        writable: Allow writes; reading never creates anything.
        patience: Seconds to wait for a torn file.
        settle: Seconds after which a write is looked at again.
    """

    volume: Volume
    writable: bool = False
    patience: float = PATIENCE
    settle: float = SETTLE
    _written: dict[str, _Written] = field(default_factory=dict, init=False, repr=False)

    # ------------------------------------------------------------------ reading

    def jobs(self) -> dict[str, Job]:
        """All jobs by id: those of the database, and those that only have folders.

        Raises:
            InvalidDataError: The file has been torn for longer than we wait.
        """
        entries = self.document()
        jobs = {job_id: parse_job(job_id, entry) for job_id, entry in entries.items() if is_job_id(job_id)}
        for job_id in self.volume.job_folders() - jobs.keys():
            jobs[job_id] = Job(job_id, in_database=False)
        return dict(sorted(jobs.items()))

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFoundError: Neither the database nor a folder knows it.
        """
        found = self.find(job_id)
        if found is None:
            raise NotFoundError(key=RunKey(job_id), layer="volume", location=self.volume.database)
        return found

    def find(self, job_id: str) -> Job | None:
        """One job, or None; the others are not looked at."""
        entries = self.document()
        if job_id in entries and is_job_id(job_id):
            return parse_job(job_id, entries[job_id])
        return Job(job_id, in_database=False) if self.volume.has_any(job_id) else None

    def document(self) -> Document:
        """The whole file, as written; waits while it is torn, and never moves or changes it."""
        deadline = time.monotonic() + self.patience
        delay = 0.001
        while True:
            try:
                with open(self.volume.database, "rb") as file:
                    document = _parse(file.read())
            except FileNotFoundError:
                return {}
            if document is not None:
                return document
            if time.monotonic() > deadline:
                raise InvalidDataError(
                    source=self.volume.database,
                    reason=f"it has been torn for {self.patience:g} s: its writer died, or is another program. "
                    "Nothing was changed; see recoverable_jobs() and doctor()",
                )
            time.sleep(delay)
            delay = min(2 * delay, 0.05)

    def recoverable(self) -> list[RecoverableJob]:
        """Jobs in the databases that the app has moved aside, the newest copy of each; torn copies give what is whole."""
        try:
            names = os.listdir(self.volume.root)
        except FileNotFoundError:
            return []
        try:
            known = self.document().keys()
        except InvalidDataError:
            known = {}.keys()
        found: dict[str, RecoverableJob] = {}
        for moved_at, name in sorted((float(m[1]), n) for n in names if (m := _MOVED_ASIDE.fullmatch(n))):
            path = os.path.join(self.volume.root, name)
            with contextlib.suppress(OSError), open(path, "rb") as file:
                for job_id, entry in _salvage(file.read()).items():
                    if is_job_id(job_id):
                        found[job_id] = RecoverableJob(parse_job(job_id, entry), path, moved_at, job_id not in known, entry)
        return [found[job_id] for job_id in sorted(found)]

    # ------------------------------------------------------------------ writing

    def create(self, title: str, new_id: Callable[[], str]) -> Job:
        """Make a job in status UPLOADING, with an empty folder of uploads.

        Args:
            title: Its title.
            new_id: Gives candidates; those that the database or any folder knows are passed over.
        """
        self._check_writable()
        with self._locked():
            while True:
                job_id = new_id()
                if job_id in self.document() or job_id in self.volume.job_folders():
                    continue
                os.makedirs(os.path.join(self.volume.root, "uploads"), exist_ok=True)
                try:
                    os.mkdir(self.volume.folder("uploads", job_id))
                    break
                except FileExistsError:
                    continue
            now = datetime.now().isoformat()
            entry = {
                "status": JobStatus.UPLOADING.stored,
                "name": title,
                "id": job_id,
                "created_at": now,
                "last_updated_at": now,
                "current_job_progress": 0.0,
                "shape": None,
            }
            return parse_job(job_id, self._apply(job_id, lambda _: entry, create=True))

    def update(
        self,
        job_id: str,
        *,
        status: JobStatus | None = None,
        expected: JobStatus | None = None,
        force: bool = False,
        name: str | None = None,
        progress: float | None = None,
        shape: tuple[int, int, int] | None = None,
        source_type: str | None = None,
    ) -> Job:
        """Change fields of a job; those that are None stay as they are.

        Args:
            job_id: The job.
            status: New status; refused if the state machine does not allow it from the present one.
            expected: Only if this is the present status: a claim that exactly one of several workers wins.
            force: Allow any status, to repair jobs that are stuck.
            name: New title.
            progress: New progress.
            shape: New shape (x, y, z).
            source_type: New kind of the uploads.

        Raises:
            InvalidDataError: The transition is not allowed.
            ConflictError: The present status is not the expected one.
            NotFoundError: The database does not list the job.
            ReadOnlyError: The project does not write back.
        """
        self._check_writable()
        fields: Document = {"name": name, "current_job_progress": progress, "shape": None if shape is None else [*shape]}
        fields["source_type"] = source_type
        fields = {key: value for key, value in fields.items() if value is not None}

        def change(entry: Document) -> Document:
            present = parse_job(job_id, entry)
            if expected is not None and present.status is not expected:
                raise ConflictError(key=RunKey(job_id), layer="volume", expected=expected.name, found=present.status_text)
            if status is not None:
                if not force:
                    check_transition(job_id, present.status, status)
                entry = {**entry, "status": status.stored}
            return {**entry, **fields, "last_updated_at": datetime.now().isoformat()}

        with self._locked():
            return parse_job(job_id, self._apply(job_id, change))

    def restore(self, job_id: str) -> Job:
        """Put a job back that the app has lost, as it stands in the newest copy that was moved aside.

        Raises:
            NotFoundError: Neither the database nor a copy has it.
            ReadOnlyError: The project does not write back.
        """
        self._check_writable()
        with self._locked():
            return parse_job(job_id, self._apply(job_id, lambda entry: entry))

    def _apply(self, job_id: str, change: Callable[[Document], Document], *, create: bool = False) -> Document:
        """Write a change of one entry, and look that it stays; under the lock."""
        base = self._base()
        entry = self._present(base, job_id)
        if entry is None and not create:
            raise NotFoundError(key=RunKey(job_id), layer="volume", location=self.volume.database)
        changed = change(copy.deepcopy(entry or {}))
        self._written[job_id] = _Written(changed, time.monotonic())
        self._settle(base)
        return changed

    def _present(self, base: Document, job_id: str) -> Document | None:
        """The entry of a job; from what we wrote last, or from a copy moved aside, where the app has lost it."""
        entry = base.get(job_id)
        if isinstance(entry, dict):
            return entry
        if job_id in self._written:
            return self._written[job_id].entry
        return next((dict(r.entry) for r in self.recoverable() if r.job.id == job_id and isinstance(r.entry, dict)), None)

    def _settle(self, base: Document) -> None:
        """Write until what we have written lately stands in the file, after the app had time to put an older state back."""
        while True:
            lost = self._lost(base)
            if not lost:
                return
            self._replace({**base, **lost}, base)
            base = self._base()

    def _lost(self, document: Document) -> Document:
        """What we have written lately and the file does not hold, nor anything newer."""
        oldest = time.monotonic() - REMEMBER
        self._written = {job: written for job, written in self._written.items() if written.at > oldest}
        return {
            job: written.entry for job, written in self._written.items() if not _is_as_new(document.get(job), written.entry)
        }

    def _base(self) -> Document:
        """The file's content; where the app has just moved the file aside, what it has moved."""
        document = self.document()
        if document or os.path.exists(self.volume.database):
            return document
        oldest = time.time() - REMEMBER
        return {r.job.id: dict(r.entry) for r in self.recoverable() if r.moved_at > oldest}

    def _replace(self, document: Document, base: Document) -> None:
        """Put a new file in place of the present one, keeping what the app writes into either meanwhile."""
        while True:
            old = _open_or_none(self.volume.database)
            try:
                if old is not None:
                    document = _merged(document, base, self._when_whole(old))
                self._put(document, None if old is None else os.fstat(old).st_mode & 0o7777)
                time.sleep(self.settle)
                if old is None:
                    return
                # The app may have opened the old file before it was replaced: what it writes there, nobody else sees.
                theirs = self._when_whole(old)
            finally:
                if old is not None:
                    os.close(old)
            present = self._base()
            merged = _merged(present, base, theirs)
            if merged == present:
                return
            document, base = merged, present

    def _put(self, document: Document, mode: int | None) -> None:
        temporary = os.path.join(self.volume.root, f"{STAGING}jobs-{os.getpid()}-{time.monotonic_ns()}")
        try:
            _write_file(temporary, document, mode)
            os.replace(temporary, self.volume.database)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_folder(self.volume.root)

    def _when_whole(self, descriptor: int) -> Document | None:
        """The content of an open file as soon as it is not torn; None if it stays torn for long."""
        deadline = time.monotonic() + _WHOLE_AGAIN
        while (document := _parse(_read_all(descriptor))) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return document

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other writers of ours, in this process and in others."""
        import fcntl

        descriptor = open_lock(f"{self.volume.database}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check_writable(self) -> None:
        if not self.writable:
            raise ReadOnlyError(
                subject=f"volume {self.volume.root}", reason='it is written only with "write_back": true in the configuration.'
            )


def _is_as_new(stored: Any, ours: Document) -> bool:
    """Whether a stored entry is ours or a later one; an app that put an older state back has an older time in it."""
    if not isinstance(stored, dict):
        return False
    return stored == ours or _time(stored) > _time(ours)


def _time(entry: Document) -> datetime:
    try:
        return datetime.fromisoformat(str(entry.get("last_updated_at"))).replace(tzinfo=None)
    except ValueError:
        return datetime.min


def _merged(document: Document, base: Document, theirs: Document | None) -> Document:
    """Our document with what others have changed since the base, but for entries of which ours is newer."""
    if theirs is None or theirs == base:
        return document
    changed = {
        job: entry
        for job, entry in theirs.items()
        if entry != base.get(job)
        and not (
            isinstance(entry, dict)
            and isinstance(document.get(job), dict)
            and document[job] != base.get(job)
            and _time(document[job]) >= _time(entry)
        )
    }
    return {**document, **changed}


def _parse(data: bytes) -> Document | None:
    """The document in a file's bytes; None where it is torn."""
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _salvage(data: bytes) -> Document:
    """Every entry of a moved-aside file that is whole."""
    document = _parse(data)
    if document is not None:
        return document
    text = data.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    found: Document = {}
    position = 0
    while match := _ENTRY.search(text, position):
        try:
            job_id = json.loads(f'"{match[1]}"')
            entry, position = decoder.raw_decode(text, match.end())
        except ValueError:
            position = match.end() + 1
            continue
        if "status" in entry:
            found[job_id] = entry
    return found


def _open_or_none(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None


def _read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _write_file(path: str, document: Document, mode: int | None) -> None:
    """Write a document with the app's own formatting, forced to disk; with the mode of any new file if None is given."""
    data = json.dumps(document, indent=4).encode()
    with open(path, "xb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)  # before anything is in it that others must not read
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
