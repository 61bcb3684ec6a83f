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

from copick_backend_volume.arrays import write_synced
from copick_backend_volume.database import (
    TIME_FIELD,
    Document,
    Resolver,
    is_as_new,
    joined,
    later_than,
    merged,
    parse,
    salvage,
    undone,
)
from copick_backend_volume.places import STAGING, Volume, is_job_id
from copick_backend_volume.records import Job, RecoverableJob, parse_job
from copick_backend_volume.staging import open_lock, sync_folder
from copick_backend_volume.status import JobStatus, check_transition
from copick_core.callers import warn_caller
from copick_core.errors import ConflictError, CopickError, InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.tree.keys import RunKey

#: Seconds that reading waits for a torn file; the app itself gives up after 1.5, and fills a file in milliseconds.
PATIENCE = 2.0
#: Seconds after a write in which the app, having read the old state, may put it back; its own update takes milliseconds.
SETTLE = 0.02
#: The same where the app has written since we last did: it works just now, and may be slow on a busy machine.
SETTLE_BESIDE = 0.15
#: Seconds for which a store remembers what it has written, to see whether the app has put an older state over it.
REMEMBER = 60.0
#: What is wrong with a file that stays torn.
_TORN = (
    "it is torn, or no object of JSON: its writer died, or is another program. Nothing was changed. "
    "`copick-core volume restore` puts back what is whole in it; in Python, restore_job(id) does"
)
#: Seconds in which the app, having truncated a file, has surely filled it again.
_WHOLE_AGAIN = 1.0
_MOVED_ASIDE = re.compile(r"jobs\.json\.(\d+(?:\.\d+)?)")
#: Seconds for which a file must have stayed as it is before its content is remembered: clocks of file systems tick slowly.
_STEADY = 0.1


#: What tells one state of a file from another: time, size and inode.
_Signature = tuple[int, int, int]


@dataclass(frozen=True)
class _Content:
    """What a state of the file holds: the entries, or why there are none."""

    signature: _Signature
    entries: Document
    problem: str | None = None


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
    _known: _Content | None = field(default=None, init=False, repr=False)
    _told: _Signature | None = field(default=None, init=False, repr=False)
    _lock: int | None = field(default=None, init=False, repr=False)
    _beside: bool = field(default=False, init=False, repr=False)

    # ------------------------------------------------------------------ reading

    def jobs(self) -> dict[str, Job]:
        """All jobs by id: those of the database, and those that only have folders.

        Of a database that stays torn, jobs are listed by their folders, and a UserWarning tells so once.
        """
        content = self._content()
        jobs = {job_id: parse_job(job_id, entry) for job_id, entry in content.entries.items() if is_job_id(job_id)}
        for job_id in self.volume.job_folders() - jobs.keys():
            jobs[job_id] = self._by_folder(job_id, content)
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
        content = self._content()
        if job_id in content.entries and is_job_id(job_id):
            return parse_job(job_id, content.entries[job_id])
        return self._by_folder(job_id, content) if self.volume.has_any(job_id) else None

    def _by_folder(self, job_id: str, content: _Content) -> Job:
        """A job that the database does not list; of a torn database that is said, once as a warning."""
        if content.problem is None:
            return Job(job_id, in_database=False)
        if self._told != content.signature:
            self._told = content.signature
            warn_caller(f"{self.volume.database}: {content.problem}. Jobs are listed by their folders, without status.")
        return Job(job_id, in_database=False, problem=f"{self.volume.database}: {content.problem}")

    def problem(self) -> str | None:
        """What is wrong with the database as a whole; None if nothing is, or it is missing."""
        return self._content().problem

    def document(self) -> Document:
        """The whole file, as written; waits while it is torn, and never moves or changes it.

        Raises:
            InvalidDataError: It has been torn for :attr:`patience` seconds, or it is not an object of JSON.
        """
        content = self._content()
        if content.problem is not None:
            raise InvalidDataError(source=self.volume.database, reason=content.problem)
        return content.entries

    def _content(self) -> _Content:
        """What the file holds; read again only if it has changed, and waited for only once while it stays torn."""
        deadline: float | None = None
        delay = 0.001
        while True:
            try:
                with open(self.volume.database, "rb") as file:
                    stat = os.fstat(file.fileno())
                    signature = stat.st_mtime_ns, stat.st_size, stat.st_ino
                    if self._known is not None and self._known.signature == signature:
                        return self._known
                    entries = parse(file.read())
            except FileNotFoundError:
                return _Content((0, 0, 0), {})
            except IsADirectoryError:
                return _Content((0, 0, 0), {}, "it is a folder. Move it away: the app cannot work with it")
            age = time.time() - stat.st_mtime
            if entries is not None:
                content = _Content(signature, entries)
                if age > _STEADY:
                    self._known = content
                return content
            deadline = deadline or time.monotonic() + self.patience
            if time.monotonic() > deadline:
                self._known = _Content(signature, {}, _TORN)
                return self._known
            time.sleep(delay)
            delay = min(2 * delay, 0.05)

    def recoverable(self) -> list[RecoverableJob]:
        """Jobs in the databases that the app has moved aside, and in a database that is torn.

        The newest copy of each; torn files give the entries that are whole.
        """
        content = self._content()
        sources = [(moved_at, path) for path, moved_at in self.moved_aside().items()]
        if content.problem is not None:
            sources.append((content.signature[0] / 1e9, self.volume.database))
        found: dict[str, RecoverableJob] = {}
        for moved_at, path in sorted(sources):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                for job_id, entry in salvage(file.read()).items():
                    if is_job_id(job_id):
                        lost = job_id not in content.entries
                        found[job_id] = RecoverableJob(parse_job(job_id, entry), path, moved_at, lost, entry)
        return [found[job_id] for job_id in sorted(found)]

    def moved_aside(self) -> dict[str, float]:
        """Paths of the databases that the app has moved aside, and when, in seconds since the epoch."""
        root = self.volume.root
        names = os.listdir(root) if os.path.isdir(root) else []
        return {os.path.join(root, name): float(m[1]) for name in names if (m := _MOVED_ASIDE.fullmatch(name))}

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
            return self._enter(job_id, title, JobStatus.UPLOADING, datetime.now(), None)

    def adopt(
        self, job_id: str, title: str, status: JobStatus, created_at: datetime, shape: tuple[int, int, int] | None
    ) -> Job:
        """Enter a job that has folders only.

        Args:
            job_id: Its id.
            title: Its title.
            status: Its status.
            created_at: When it was made, local time.
            shape: Shape (x, y, z) of its image.

        Raises:
            ConflictError: The database lists it.
        """
        self._check_writable()
        with self._locked():
            if job_id in self.document():
                reason = f"job {job_id!r} stands in the database already"
                raise ConflictError(key=RunKey(job_id), layer="volume", expected=None, found=job_id, reason=reason)
            return self._enter(job_id, title, status, created_at, shape)

    def _enter(
        self, job_id: str, title: str, status: JobStatus, created_at: datetime, shape: tuple[int, int, int] | None
    ) -> Job:
        entry = {
            "status": status.stored,
            "name": title,
            "id": job_id,
            "created_at": created_at.isoformat(),
            "last_updated_at": datetime.now().isoformat(),
            "current_job_progress": 0.0,
            "shape": None if shape is None else [*shape],
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
                found = present.status_text
                reason = f"job {job_id!r} is {found}, not {expected.name}: somebody else has changed it"
                raise ConflictError(key=RunKey(job_id), layer="volume", expected=expected.name, found=found, reason=reason)
            if status is not None:
                if not force:
                    check_transition(job_id, present.status, status)
                entry = {**entry, "status": status.stored}
            return {**entry, **fields, TIME_FIELD: later_than(entry)}

        with self._locked():
            return parse_job(job_id, self._apply(job_id, change))

    def release(self, job_id: str, working: JobStatus, status: JobStatus, **fields: Any) -> Job:
        """Change a job that was claimed, and its status if that still is the one of the claim.

        The app may have set another one meanwhile, such as that of a request. That one stays.

        Args:
            job_id: The job.
            working: Its status while it was claimed.
            status: Its status now.
            fields: As for :meth:`update`.
        """
        try:
            return self.update(job_id, status=status, expected=working, force=True, **fields)
        except ConflictError:
            return self.update(job_id, **fields) if fields else self.job(job_id)

    def restore(self, job_id: str) -> Job:
        """Put a job back that the app has lost, as it stands in the newest copy that was moved aside.

        A database that is torn is moved aside first, as the app does it, and all its entries that are whole are put back.

        Raises:
            NotFoundError: Neither the database nor a copy has it.
            ReadOnlyError: The project does not write back.
        """
        self._check_writable()
        with self._locked():
            if not os.path.isdir(self.volume.database) and self.problem() is not None:
                return parse_job(job_id, self._restore_torn(job_id))
            return parse_job(job_id, self._apply(job_id, lambda entry: entry))

    def _restore_torn(self, job_id: str) -> Document:
        """Replace a torn database by what is whole in it and one more job; the torn one is kept beside it."""
        with open(self.volume.database, "rb") as file:
            data, mode = file.read(), os.fstat(file.fileno())
        whole = salvage(data)
        entry = whole.get(job_id) or self._present({}, job_id)
        if entry is None:
            raise NotFoundError(key=RunKey(job_id), layer="volume", location=self.volume.database)
        write_synced(f"{self.volume.database}.{time.time()}", data)
        self._put({**whole, job_id: entry}, mode)
        self._written[job_id] = _Written(entry, time.monotonic())
        return entry

    def _apply(self, job_id: str, change: Callable[[Document], Document], *, create: bool = False) -> Document:
        """Write a change of one entry, and look that it stays; under the lock.

        Of a change that somebody else made at the same time, ours is the later one. If it may not follow theirs, theirs stays.
        """
        base = self._base()
        before = self._present(base, job_id)
        if before is None and not create:
            raise NotFoundError(key=RunKey(job_id), layer="volume", location=self.volume.database)
        changed = change(copy.deepcopy(before or {}))
        refused: CopickError | None = None

        def resolve(job: str, old: Any, ours: Document, theirs: Document) -> Document:
            nonlocal refused
            if job != job_id:
                return joined(old, ours, theirs)
            untouched = ours == self._written[job_id].entry
            try:
                result = change(copy.deepcopy(theirs))
            except CopickError as error:
                refused, result = error, theirs
            if not untouched:  # the app has gone on from what we wrote: that is later than what it wrote beside it
                result = joined(old, ours, theirs)
            self._written[job_id] = _Written(result, time.monotonic())
            return result

        while True:
            self._written[job_id] = _Written(changed, time.monotonic())
            base = self._settle(base, resolve)
            if refused is not None:
                raise refused
            stored = base.get(job_id)
            put_back = undone(before, changed, stored)
            if not put_back:
                return dict(stored) if isinstance(stored, dict) else changed
            # The app had read the entry before we wrote ours, and has written it after: with its own changes, without ours.
            changed = {**stored, **put_back, TIME_FIELD: later_than(stored)}  # type: ignore[dict-item, arg-type]

    def _present(self, base: Document, job_id: str) -> Document | None:
        """The entry of a job; from what we wrote last, or from a copy moved aside, where the app has lost it."""
        entry = base.get(job_id)
        if isinstance(entry, dict):
            return entry
        if job_id in self._written:
            return self._written[job_id].entry
        return next((dict(r.entry) for r in self.recoverable() if r.job.id == job_id and isinstance(r.entry, dict)), None)

    def _settle(self, base: Document, resolve: Resolver) -> Document:
        """Write until what we have written lately stands in the file, after the app had time to put an older state back."""
        while True:
            lost = self._lost(base)
            if not lost:
                return base
            self._replace({**base, **lost}, base, resolve)
            base = self._base()

    def _lost(self, document: Document) -> Document:
        """What we have written lately and the file does not hold, nor anything newer."""
        oldest = time.monotonic() - REMEMBER
        self._written = {job: written for job, written in self._written.items() if written.at > oldest}
        return {
            job: written.entry for job, written in self._written.items() if not is_as_new(document.get(job), written.entry)
        }

    def _base(self) -> Document:
        """The file's content; where the app has just moved the file aside, what it has moved."""
        document = self.document()
        if document or os.path.exists(self.volume.database):
            return document
        oldest = time.time() - REMEMBER
        return {r.job.id: dict(r.entry) for r in self.recoverable() if r.moved_at > oldest}

    def _replace(self, document: Document, base: Document, resolve: Resolver) -> None:
        """Put a new file in place of the present one, keeping what the app writes into either meanwhile."""
        while True:
            old = _open_or_none(self.volume.database)
            try:
                if old is not None:
                    document = merged(document, base, self._when_whole(old), resolve)
                self._put(document, None if old is None else os.fstat(old))
                time.sleep(max(self.settle, SETTLE_BESIDE) if self._beside and self.settle else self.settle)
                if old is None:
                    return
                # The app may have opened the old file before it was replaced: what it writes there, nobody else sees.
                theirs = self._when_whole(old)
            finally:
                if old is not None:
                    os.close(old)
            present = self._base()
            both = merged(present, base, theirs, resolve)
            if both == present:
                return
            document, base = both, present

    def _put(self, document: Document, like: os.stat_result | None) -> None:
        temporary = os.path.join(self.volume.root, f"{STAGING}jobs-{os.getpid()}-{time.monotonic_ns()}")
        try:
            _write_file(temporary, document, like)
            stat = os.stat(temporary)
            os.replace(temporary, self.volume.database)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_folder(self.volume.root)
        self._note(f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}".encode())

    def _note(self, signature: bytes) -> None:
        """Leave in the lock file which state of the database is ours; see :attr:`_beside`."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # another user's lock file is only read
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, signature, 0)

    def _when_whole(self, descriptor: int) -> Document | None:
        """The content of an open file as soon as it is not torn; None if it stays torn for long."""
        deadline = time.monotonic() + _WHOLE_AGAIN
        while (document := parse(_read_all(descriptor))) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return document

    def _app_has_written(self) -> bool:
        """Whether somebody else has written the database since the last writer of ours did."""
        try:
            stat = os.stat(self.volume.database)
        except FileNotFoundError:
            return False
        return _read_all(self._lock or 0) != f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}".encode()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other writers of ours, in this process and in others."""
        import fcntl

        descriptor = open_lock(f"{self.volume.database}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._lock = descriptor
            self._beside = self._app_has_written()
            yield
        finally:
            self._lock = None
            os.close(descriptor)

    def _check_writable(self) -> None:
        if not self.writable:
            raise ReadOnlyError(
                subject=f"volume {self.volume.root}", reason='it is written only with "write_back": true in the configuration.'
            )


def _open_or_none(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None


def _read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _write_file(path: str, document: Document, like: os.stat_result | None) -> None:
    """Write a document with the app's own formatting, forced to disk; with owner and mode of the file that it replaces."""
    data = json.dumps(document, indent=4).encode()
    with open(path, "xb") as file:
        if like is not None:
            with contextlib.suppress(PermissionError):  # only root may give files away
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o7777)  # before anything is in it that others must not read
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
