"""Replacing a volume where nothing can be renamed: a record of what is meant, then copies, metadata last.

An object store copies object by object. So that a replacement which is cut off is never taken for a volume, and that of
several writers at once exactly one wins, a small object beside the volume, hidden by its leading dot, records it:

1. The record is put, on condition that there is none. It names the complete staged copy, and is the lock between writers.
2. The old volume's metadata are deleted, its root's last document first: from here on nobody can open it.
3. Values are copied from the staged copy, and old ones that the new volume lacks are deleted.
4. Metadata are copied, those of the levels first, the root's last document last: the new volume is there.
5. The record is deleted, then the staged copy.

While the record stands the staged copy is complete. Whoever may write finishes what a dead writer has left: if the root's
last document is there, nothing is to be done but step 5 (the old volume was not touched, or the new one is complete);
otherwise steps 2 to 5 are done again. A writer is dead if its process on this machine has ended, or if it has not renewed
its record for a minute. A volume that is new is made in place: see :mod:`copick_backend_fs.making`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from copick_backend_fs.documents import DOCUMENTS, ROOT, is_metadata
from copick_backend_fs.files import PreconditionFailedError
from copick_backend_fs.records import UNREADABLE, Record, RecordTakenError, decode, record_of

if TYPE_CHECKING:
    from copick_backend_fs.connection import Connection
    from copick_backend_fs.files import RemoteFiles
    from copick_core.layers.revisions import AnyRevision, Revision

logger = logging.getLogger(__name__)

_RENEWED = 15.0
"""Seconds after which a writer renews its record."""

_BATCH = 256
"""Objects that are copied between two looks at the clock."""


class Replacement:
    """One replacement of a volume, by this process.

    Every step may be asked again after a broken connection, and does no harm then.

    Args:
        connection: The location.
        files: Its files.
        path: The volume, in the file system.
    """

    def __init__(self, connection: Connection, files: RemoteFiles, path: str) -> None:
        self._connection, self._files, self._path = connection, files, path
        self._place = record_of(path)
        self._folder = path.rpartition("/")[0]
        self._revision: Revision | None = None
        self._record: Record | None = None
        #: What is deleted first of the old volume, while that may still be there.
        self._guard: str | None = None

    # ------------------------------------------------------------------ the whole

    def run(self, staged: str) -> None:
        """Put a staged folder, which is complete, in the place of the volume.

        Raises:
            RecordTakenError: Another writer is at it. Nothing was changed.
        """
        new = self._ask(self._files.find, staged)
        root = [name for name in ROOT if name in new]
        self._take(Record.of_this_process("replace", staged.rpartition("/")[2], root[-1] if root else ""))
        try:
            self._carry_out(new)
        except RecordTakenError:
            raise
        except BaseException as error:
            if isinstance(error, Exception) and self._is_untouched():
                self._clean_up([])  # the old volume is whole: what is staged is the caller's
                self._record = None
                raise
            self._abandon()
            if not isinstance(error, Exception) or self.finish() is not None:
                raise

    @property
    def began(self) -> bool:
        """Whether a record of this replacement may stand: the staged copy is needed then."""
        return self._record is not None

    def _is_untouched(self) -> bool:
        """Whether the old volume certainly is as it was: what is deleted of it first is still there."""
        try:
            return self._guard is not None and self._ask(self._files.exists, f"{self._path}/{self._guard}", folder=False)
        except Exception:
            return False

    def _abandon(self) -> None:
        """Let anybody finish this, without waiting; if even that cannot be stored, the record grows old by itself."""
        if self._record is not None:
            with contextlib.suppress(Exception):
                self._put(replace(self._record, renewed=0.0), self._revision)

    def finish(self) -> Record | None:
        """Finish what a dead writer has left.

        Returns:
            The record of a living writer; None if there is nothing left to finish.
        """
        found, revision = self.stored()
        if found is None:
            return None
        if not found.is_abandoned:
            return found
        mine = found.taken_over()
        try:
            self._put(mine, revision)
        except RecordTakenError as error:
            return error.record  # somebody else finishes it
        if found.kind == "new":
            self._finish_new(found)
            return None
        staged = f"{self._folder}/{found.staged}"
        new = self._ask(self._files.find, staged) if found.staged else []
        there = not found.staged or (found.last and self._ask(self._files.exists, f"{self._path}/{found.last}", folder=False))
        if there or (found.last and not new):
            self._clean_up(new)
        else:
            self._carry_out(new)
        return None

    def _finish_new(self, record: Record) -> None:
        """Remove a new volume whose writer died, unless it is complete.

        Before the record names its last document, none was put by its writer: then the volume is somebody else's, who made
        it just before the record stood.
        """
        last = [record.last] if record.last else ROOT
        if not any(self._ask(self._files.exists, f"{self._path}/{name}", folder=False) for name in last):
            self._remove()
        self._clean_up([])

    def _remove(self) -> None:
        """Remove all of the volume: what would make it one first."""
        names = self._ask(self._files.find, self._path)
        self._delete([name for name in DOCUMENTS if name in names])
        rest = [name for name in names if name not in DOCUMENTS]
        for at in range(0, len(rest), _BATCH):
            self._renew()
            self._delete(rest[at : at + _BATCH])

    def stored(self) -> tuple[Record | None, Revision | None]:
        """The record that stands, and its revision; None where there is none."""
        try:
            data, revision = self._ask(self._files.read_revised, self._place)
        except FileNotFoundError:
            return None, None
        return decode(data) or UNREADABLE, revision

    # ------------------------------------------------------------------ the steps

    def _take(self, record: Record) -> None:
        for _ in range(3):
            try:
                self._put(record, None)
            except RecordTakenError:
                living = self.finish()
                if living is not None:
                    raise RecordTakenError(living) from None
            else:
                return
        raise RecordTakenError(None)

    def _put(self, record: Record, revision: Revision | AnyRevision | None) -> None:
        """Store the record if the one of a revision stands (None: if none does)."""
        try:
            self._revision = self._ask(self._files.write_if, self._place, record.encoded(), revision)
        except PreconditionFailedError:
            found, self._revision = self.stored()
            if found is None or found.owner != record.owner:  # else the first of two requests had stored it
                raise RecordTakenError(found) from None
        self._record = record

    def _carry_out(self, new: Sequence[str]) -> None:
        record = self._record
        if record is None:
            raise RuntimeError("a replacement begins with its record")
        staged = f"{self._folder}/{record.staged}"
        old = self._ask(self._files.find, self._path)
        rank = {name: n for n, name in enumerate(ROOT)}
        root = sorted((name for name in new if name in rank), key=rank.__getitem__)
        stale = [name for name in old if name in rank]
        stale.sort(key=lambda name: (name != record.last, -rank[name]))
        stale += [name for name in old if name not in rank and is_metadata(name)]
        self._guard = stale[0] if stale else None
        for some in (stale[:1], stale[1:]):  # a volume that lacks its last document is none, whatever else is left of it
            self._delete(some)
        self._guard = None
        values = [name for name in new if not is_metadata(name)]
        for at in range(0, len(values), _BATCH):
            self._renew()
            self._copy(staged, values[at : at + _BATCH])
        self._renew()
        kept = set(new)
        self._delete([name for name in old if name not in kept and not is_metadata(name)])
        self._copy(staged, [name for name in new if name not in rank and is_metadata(name)])
        self._renew()
        for name in root[:-1]:
            self._copy(staged, [name])
        for name in root[-1:]:
            self._ask(self._files.copy_marked, f"{staged}/{name}", f"{self._path}/{name}", record.owner)
        self._clean_up(new)

    def _clean_up(self, new: Sequence[str]) -> None:
        """Delete the record, then what was staged. The new volume is in its place: an error would say that the old one is."""
        staged = f"{self._folder}/{self._record.staged}" if self._record else ""
        try:
            self._ask(self._files.delete_files, [self._place])
        except Exception as error:
            logger.warning("%s is complete, but %s could not be deleted: %s", self._path, self._place, error)
            self._abandon()  # or other writers would wait for this one
            return
        if not new:
            return
        try:
            self._ask(self._files.delete_files, [f"{staged}/{name}" for name in new])
        except Exception as error:
            logger.warning("%s is complete, but %s could not be deleted: %s", self._path, staged, error)

    def _renew(self) -> None:
        """Say that this writer is alive.

        Raises:
            RecordTakenError: It was taken for dead, and another one has taken over.
        """
        record = self._record
        if record is None or time.time() - record.renewed < _RENEWED:
            return
        self._put(replace(record, renewed=time.time()), self._revision)

    def _copy(self, staged: str, names: Sequence[str]) -> None:
        if names:
            self._ask(self._files.copy, [(f"{staged}/{name}", f"{self._path}/{name}") for name in names])

    def _delete(self, names: Sequence[str]) -> None:
        if names:
            self._ask(self._files.delete_files, [f"{self._path}/{name}" for name in names])

    # ------------------------------------------------------------------ requests

    def _ask(self, question: Any, *args: Any, **kwargs: Any) -> Any:
        return self._connection.ask(question, *args, **kwargs)
