"""Making a volume that is new where nothing can be renamed: values in place, metadata last.

Nothing is staged, so that each value is one request:

1. The record is put, on condition that there is none: it hides the volume from listings, and is the lock between writers.
2. Values are put in their places. Metadata are held back: without them nobody can open what is there.
3. The record is put again, on condition that it is still this writer's, with the name of the last document.
4. Metadata are put, those of the levels first, the root's last document last: the volume is there.
5. The record is deleted.

After a crash, whoever writes beside it next, or the doctor, removes what is there; only the record if the volume is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from copick_backend_fs.documents import ROOT, is_metadata
from copick_backend_fs.records import LEASE, Record, RecordTakenError
from copick_backend_fs.replacing import Replacement
from copick_backend_fs.volumes import RemoteVolume
from copick_core.layers.byte_ranges import limits
from copick_core.layers.staged import natural

if TYPE_CHECKING:
    from copick_backend_fs.buckets import BucketFiles
    from copick_backend_fs.connection import Connection

_RENEWED = 15.0
"""Seconds after which a writer renews its record."""


class Making(Replacement):
    """One new volume in a bucket, made by this process."""

    _files: BucketFiles
    _lost = False

    def begin(self) -> bool:
        """Put the record.

        Returns:
            Whether there is no volume yet; otherwise nothing is left of the record.

        Raises:
            RecordTakenError: Another writer is at it.
        """
        if self._ask(self._files.exists, self._path, folder=True):
            return False
        self._take(Record.of_this_process("new"))
        try:
            if self._ask(self._files.exists, self._path, folder=True):  # somebody else was faster, and is done
                self._clean_up([])
                return False
        except BaseException:
            self._abandon()
            raise
        self._stopped = threading.Event()
        self._renewing = threading.Lock()
        self._beat = threading.Thread(target=self._keep_renewing, name="copick_record", daemon=True)
        self._beat.start()
        return True

    def _keep_renewing(self) -> None:
        while not self._stopped.wait(_RENEWED):
            with contextlib.suppress(Exception):  # the next value that is stored finds out
                self.renew()

    def renew(self, *, after: float = _RENEWED) -> None:
        """Say that this writer is alive, if it has not done so for some seconds.

        Raises:
            RecordTakenError: It was taken for dead, and another one has taken over.
        """
        with self._renewing:
            record = self._record
            if self._lost or record is None:
                raise RecordTakenError(None)
            if time.time() - record.renewed >= after:
                try:
                    self._put(replace(record, renewed=time.time()), self._revision)
                except RecordTakenError:
                    self._lost = True
                    raise

    @property
    def is_due(self) -> bool:
        """Whether the record has to be renewed before another value is stored: the process may have been suspended."""
        return self._lost or self._record is None or time.time() - self._record.renewed > LEASE / 2

    def publish(self, documents: Mapping[str, bytes]) -> None:
        """Store the documents, the one that makes it a volume last, and delete the record.

        Raises:
            RecordTakenError: This writer was taken for dead.
        """
        self._stop()
        root = [name for name in ROOT if name in documents]
        if self._lost or self._record is None:
            raise RecordTakenError(None)
        record = replace(self._record, last=root[-1] if root else "", renewed=time.time())
        try:
            self._put(record, self._revision)
        except RecordTakenError:
            self._lost = True
            raise
        inner = {f"{self._path}/{name}": data for name, data in documents.items() if name not in root}
        self._ask(self._files.write_all, inner)
        for name in root[:-1]:
            self._ask(self._files.write, f"{self._path}/{name}", documents[name])
        for name in root[-1:]:
            self._ask(self._files.write_marked, f"{self._path}/{name}", documents[name], record.owner)
        self._clean_up([])

    def discard(self) -> None:
        """Remove what was stored; what cannot be is left to whoever comes next."""
        self._stop()
        if self._lost:
            return
        try:
            self._remove()
            self._ask(self._files.delete_files, [self._place])
        except Exception:
            self._abandon()

    def _stop(self) -> None:
        self._stopped.set()
        self._beat.join()


class NewVolume(RemoteVolume):
    """The values of a volume that is being made: documents are held back until it is complete.

    Args:
        connection: The location.
        path: Path of the volume in it.
        making: Its maker; None in other processes, which may only add values.
        **options: Those of :class:`RemoteVolume`.

    Attributes:
        held: The documents, by their names.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        *,
        making: Making | None = None,
        held: dict[str, bytes] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(connection, path, **options)
        self._making = making
        self.held: dict[str, bytes] = {} if held is None else held

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_making": None}

    def with_read_only(self, read_only: bool = False) -> NewVolume:
        """The same volume, writable or not."""
        shared: dict[str, Any] = {"written": self._written, "documents": self._documents}
        shared |= {"making": self._making, "held": self.held}
        return type(self)(self._connection, self._path, read_only=read_only, **shared)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value or a part of it."""
        if is_metadata(key):
            if key not in self.held:
                return None if self._making is not None else await super().get(key, prototype, byte_range)
            data = self.held[key][slice(*limits(byte_range))]
            return (prototype or default_buffer_prototype()).buffer.from_bytes(data)
        return await super().get(key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        """Whether there is such a value."""
        if key in self.held or (self._making is not None and is_metadata(key)):
            return key in self.held
        return await super().exists(key)

    async def is_empty(self, prefix: str) -> bool:
        """Whether there is no value below a prefix."""
        below = f"{prefix.rstrip('/')}/".lstrip("/")
        return not any(name.startswith(below) for name in self.held) and await super().is_empty(prefix)

    async def getsize(self, key: str) -> int:
        """Size of a value in bytes."""
        return len(self.held[key]) if key in self.held else await super().getsize(key)

    async def list(self) -> AsyncIterator[str]:
        """Names of all values."""
        for name in self.held:
            yield name
        async for name in super().list():
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix."""
        for name in self.held:
            if name.startswith(prefix):
                yield name
        async for name in super().list_prefix(prefix):
            yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix, in their order."""
        below = f"{prefix.rstrip('/')}/".lstrip("/")
        names = {name[len(below) :].partition("/")[0] for name in self.held if name.startswith(below)}
        names |= {name async for name in super().list_dir(prefix)}
        for name in sorted(names, key=natural):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value; a document is held back.

        Raises:
            RecordTakenError: This process was taken for dead, and another one has taken over.
        """
        self._check_writable()
        if is_metadata(key) and self._making is not None:
            self.held[key] = value.to_bytes()
            return
        await self._check_owner()
        await super().set(key, value)

    async def set_file(self, key: str, file: IO[bytes]) -> None:
        """Store a value of any size from an open file, piece by piece.

        Raises:
            RecordTakenError: This process was taken for dead, and another one has taken over.
        """
        await self._check_owner()
        await super().set_file(key, file)

    async def _check_owner(self) -> None:
        if self._making is not None and self._making.is_due:
            await asyncio.to_thread(self._making.renew, after=0.0)

    async def delete(self, key: str) -> None:
        """Delete a value if there is one."""
        self._check_writable()
        if self.held.pop(key, None) is None:
            await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        self._check_writable()
        below = f"{prefix.rstrip('/')}/".lstrip("/")
        for name in [name for name in self.held if name.startswith(below)]:
            del self.held[name]
        await super().delete_dir(prefix)
