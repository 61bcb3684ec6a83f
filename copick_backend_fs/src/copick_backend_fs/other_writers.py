"""Volumes that other writers are replacing, or were replacing when they died: waiting for them, and finishing their work.

Where a server renames no folders, a record beside the volume says what is meant (:mod:`copick_backend_fs.replacing`).
Elsewhere the old volume lies aside for a moment (:mod:`copick_backend_fs.aside`). Meanwhile its own place may be empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from copick_backend_fs import aside, locks
from copick_backend_fs.records import PREFIX, Record, RecordTakenError, decode, record_of, volume_of
from copick_backend_fs.replacing import Replacement
from copick_core.errors import BeingReplacedError
from copick_core.layers.revisions import FolderTakenError
from copick_core.layers.staged import ASIDE, aside_of

if TYPE_CHECKING:
    from copick_backend_fs.connection import Connection
    from copick_backend_fs.files import RemoteFiles
    from copick_core.layers.path_layer import Listing
    from copick_core.layers.problems import OfWriters, Severity
    from copick_core.tree.keys import Key

#: Seconds to wait for another writer who replaces a volume.
_PATIENCE = 5.0
_CUT_OFF = "reading it with a project that may write it finishes the work."
_UNFINISHED = (
    "somebody began to replace it and died: until that is finished it cannot be read. The new volume is complete beside it"
)
_ASIDE = "somebody began to replace it and died: the old volume is whole beside it, and is put back when it is read or written"
_GIVEN_UP = "somebody began to write it and died before it was complete; nobody sees or uses what there is of it"


class OtherWriters:
    """What other writers do in one place, or have left there. Paths are below its root.

    Args:
        name: Name of the layer.
        connection: The location.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self._name, self._connection = name, connection

    @property
    def _files(self) -> RemoteFiles:
        return self._connection.live.files

    def _full(self, path: str) -> str:
        return self._connection.live.full_path(path)

    def _is_there(self, folder: str) -> bool:
        return self._connection.ask(self._files.exists, self._full(folder), folder=True)

    # ------------------------------------------------------------------ listing

    def add_replaced(self, folder: str, listing: Listing) -> None:
        """List volumes of which nothing is in its place while another one is put there, or since a writer died at that."""
        marks = PREFIX if self._files.writes_whole else ASIDE
        for name in [name for name in listing if name.startswith(marks)]:
            volume = name[len(marks) :]
            if volume not in listing and (marks == ASIDE or self._is_replaced(f"{folder}/{volume}")):
                listing[volume] = True

    def _is_replaced(self, path: str) -> bool:
        """Whether there is a volume, of which nothing may be in its place, where a record was seen."""
        record = self.record(path)
        if record is None:  # its writer is done
            return self._is_there(path)
        return record.kind == "replace"

    # ------------------------------------------------------------------ waiting

    def replacement(self, path: str) -> Replacement:
        """What replaces a volume, where no folder can be renamed."""
        return Replacement(self._connection, self._files, self._full(path))

    def record(self, path: str) -> Record | None:
        """The record of a volume: one request."""
        try:
            return decode(self._connection.ask(self._files.read, self._full(record_of(path))))
        except FileNotFoundError:
            return None

    def settle(self, key: Key, path: str, *, read_only: bool) -> Hashable | None:
        """Wait until nobody replaces a volume that cannot be opened.

        Args:
            key: The volume.
            path: Its folder.
            read_only: Leave what was cut off as it is.

        Returns:
            The record of a replacement that has ended meanwhile; None if there was none.

        Raises:
            BeingReplacedError: Somebody still does, or it was cut off and is left as it is.
        """
        if not self._files.writes_whole:
            try:
                return self._put_back(path, read_only=read_only)
            except FolderTakenError as error:
                raise BeingReplacedError(key=key, layer=self._name, way_out=aside.WAY_OUT) from error
        replacement = self.replacement(path)
        before = replacement.stored()[0]
        patience = time.monotonic() + _PATIENCE
        while before is not None:
            found = replacement.stored()[0] if read_only else replacement.finish()
            if found is None:
                break
            if time.monotonic() > patience or (read_only and found.is_abandoned):
                cut = f"It was cut off: {_CUT_OFF}" if found.is_abandoned else None
                raise BeingReplacedError(key=key, layer=self._name, since=found.since or None, way_out=cut)
            time.sleep(0.2)
        return before

    def _put_back(self, path: str, *, read_only: bool) -> Hashable | None:
        """Wait for a writer that has moved a volume aside, and put it back if nothing follows.

        Returns:
            What is not None if there was one.

        Raises:
            FolderTakenError: Nothing follows, and it may not be put back.
        """
        cut_off = self._is_cut_off(path)
        if cut_off and read_only:
            raise FolderTakenError(None)
        if cut_off:
            self._connection.ask(self._files.put_back, self._full(path))
        return cut_off

    def _is_cut_off(self, path: str) -> bool | None:
        """Whether a volume that was moved aside stays there, and nothing takes its place; None if none is aside."""
        waited, patience = None, time.monotonic() + _PATIENCE
        while self._is_there(aside_of(path)) and not self._is_there(path):
            if time.monotonic() > patience:
                return True
            waited = False
            time.sleep(0.2)
        return waited

    # ------------------------------------------------------------------ finishing

    def finish(self, path: str, *, read_only: bool) -> None:
        """Finish what a dead writer has left, if a path is the name of something that writers leave beside volumes."""
        name = path.rpartition("/")[2]
        if name.startswith(PREFIX):
            self.replacement(volume_of(path)).finish()
        elif name.startswith(ASIDE):
            self._sweep_aside(aside.place_of(path), read_only=read_only)
        elif name.startswith(locks.PREFIX):
            self._connection.ask(self._files.remove_dead_lock, self._full(path))

    def _sweep_aside(self, path: str, *, read_only: bool) -> None:
        """Put back what a dead writer has moved aside, or delete it if something else is in its place."""
        if self._put_back(path, read_only=read_only) is None:
            with suppress(FileNotFoundError):
                self._connection.ask(self._files.put_back, self._full(path))

    def problems(self, folder: str, listing: Listing, key_of: Callable[[str], Key | None], *, read_only: bool) -> OfWriters:
        """Find replacements that were not finished, and new volumes that were given up.

        Args:
            folder: The folder.
            listing: What it holds.
            key_of: The key of what has a name in it.
            read_only: Offer no repairs.
        """
        from copick_core.layers.problems import OfWriters, Problem, Repair

        problems, needed = [], set()
        for name in sorted(name for name in listing if name.startswith(PREFIX)):
            volume = volume_of(f"{folder}/{name}")
            replacement = self.replacement(volume)
            record, _ = replacement.stored()
            if record is None:
                continue
            needed |= {name, record.staged}
            if not record.is_abandoned:
                continue
            what, description, message = (
                ("abandoned-new-volume", f"remove what there is of {volume}, unless it is complete", _GIVEN_UP)
                if record.kind == "new"
                else ("unfinished-replacement", f"finish replacing {volume}", _UNFINISHED)
            )
            repair = None if read_only else Repair(description, partial(_finish, replacement))
            key = key_of(volume.rpartition("/")[2])
            problems.append(Problem(what, key, f"layer {self._name!r}, {volume}", "error", message, repair))
        for name in sorted(name for name in listing if name.startswith(ASIDE)):
            needed.add(name)
            volume = aside.place_of(f"{folder}/{name}")
            cut_off = self._is_cut_off(volume)
            if not (cut_off or self._is_there(f"{folder}/{name}")):
                continue  # its writer is done
            description, message = (
                (f"put back {volume}", _ASIDE) if cut_off else (f"delete {folder}/{name}", "a writer that died has left it")
            )
            repair = None if read_only else Repair(description, partial(self._sweep_aside, volume, read_only=False))
            what, key = ("unfinished-replacement" if cut_off else "replaced-leftover"), key_of(volume.rpartition("/")[2])
            severity: Severity = "error" if cut_off else "warning"
            problems.append(Problem(what, key, f"layer {self._name!r}, {volume}", severity, message, repair))
        return OfWriters(problems, needed)


def _finish(replacement: Replacement) -> None:
    """Finish what a dead writer has left.

    Raises:
        RecordTakenError: Another writer is at it now.
    """
    if (living := replacement.finish()) is not None:
        raise RecordTakenError(living)
