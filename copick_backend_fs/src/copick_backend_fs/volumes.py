"""zarr stores that keep two promises which zarr's own do not: looking makes nothing, and read-only means all of it.

In a module of its own because it imports zarr, and because stores are pickled into the processes of a cluster by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Hashable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from copick_backend_fs.documents import DOCUMENTS, is_metadata
from copick_backend_fs.leftovers import partial_files
from copick_core.layers.byte_ranges import limits
from copick_core.layers.staged import natural

if TYPE_CHECKING:
    from copick_backend_fs.connection import Connection
    from copick_backend_fs.files import RemoteFiles


#: Folders below the root of a volume, mostly its levels, whose documents are read together.
_FEW = 32
#: Errors by which mounts say that they have no hard links, which zarr's store uses.
_NO_LINKS = {errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
#: Volumes that this process has swept.
_swept: set[Path] = set()


class LocalVolume(LocalStore):
    """The files of one volume. Its folder is made by the first write; zarr's store makes it when it is read."""

    #: Each value is the file of its name below the root, as it is.
    keeps_files = True

    async def _open(self, *, mode: Any = None) -> None:
        await Store._open(self)

    def _ensure_open_sync(self) -> None:
        self._is_open = True

    async def clear(self) -> None:
        """Delete everything in the volume."""
        await self.delete_dir("")

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value or a part of it.

        zarr lists arrays in the order in which their documents arrive: these are read at once, and not by threads that
        overtake each other.
        """
        if byte_range is None and is_metadata(key):
            try:
                data = (self.root / key).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
            return (prototype or default_buffer_prototype()).buffer.from_bytes(data)
        return await super().get(key, prototype, byte_range)

    async def getsize(self, key: str) -> int:
        """Size of a value in bytes; a folder is not a value.

        Raises:
            FileNotFoundError: There is no such value.
        """
        found = await asyncio.to_thread(os.stat, self.root / key)
        if stat.S_ISDIR(found.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root / key))
        return found.st_size

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix, in their order: whoever takes the first array gets the finest level."""
        for name in sorted([name async for name in super().list_dir(prefix)], key=natural):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value; a full disk says which one it had no room for."""
        if not self.read_only:
            await asyncio.to_thread(self._sweep)
        try:
            await super().set(key, value)
        except OSError as error:
            if error.filename is None:
                error.filename = str(self.root / key)
            raise

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value if there is none. Where a mount has no hard links, two who do that in one moment may both store."""
        try:
            await super().set_if_not_exists(key, value)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not await self.exists(key):
                await self.set(key, value)

    def _sweep(self) -> None:
        """Remove, once, what writers that died have left of values that they were writing."""
        if self.root in _swept:
            return
        _swept.add(self.root)
        for path in partial_files(self.root):
            with contextlib.suppress(OSError):
                os.unlink(path)


class RemoteVolume(Store):
    """The files of one volume on a remote file system.

    It shares the connection of its layer, with everything that comes with it: the limit on requests that are under way,
    and one retry over a new connection when that breaks. It can be pickled, and used from any event loop.

    Args:
        connection: The location.
        path: Path of the volume in it.
        read_only: Refuse writes.
        written: Names of the values of a volume that only this process knows of, for the volume to keep: whether one is
            there need not be asked. A copy in another process asks.
        documents: Where to note which document makes the volume one.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True

    def __init__(
        self,
        connection: Connection,
        path: str,
        *,
        read_only: bool = False,
        written: set[str] | None = None,
        documents: dict[str, str] | None = None,
    ) -> None:
        super().__init__(read_only=read_only)
        self._connection = connection
        self._path = path
        self._written = written
        self._documents = {} if documents is None else documents
        #: Version of the document that makes the volume one, as it was last read.
        self.seen_version: Hashable | None = None
        #: Documents that were read before they are asked for.
        self._ahead: dict[str, Buffer | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        self._written = None  # from now on other processes may write as well
        return {**self.__dict__, "_ahead": {}}

    def with_read_only(self, read_only: bool = False) -> RemoteVolume:
        """The same volume, writable or not."""
        return type(self)(self._connection, self._path, read_only=read_only, written=self._written, documents=self._documents)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RemoteVolume)
            and (self._connection.place, self._path) == (other._connection.place, other._path)
            and self.read_only == other.read_only
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<RemoteVolume {self._path} on {self._connection!r}>"

    @property
    def _files(self) -> RemoteFiles:
        return self._connection.live.files

    def _full(self, key: str = "") -> str:
        root = self._connection.live.root.rstrip("/")
        return "/".join(part for part in (root, self._path, key.rstrip("/")) if part)

    # ------------------------------------------------------------------ reading

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value or a part of it: one request."""
        if byte_range is None and key in self._ahead:
            known = self._ahead.pop(key)
            return known and (prototype or default_buffer_prototype()).buffer.from_bytes(known.to_bytes())
        start, end = limits(byte_range)
        if self._written is not None and is_metadata(key) and key not in self._written:
            return None
        try:
            if key in DOCUMENTS and byte_range is None and self._files.has_versions:
                data, version = await self._ask(self._files.read_versioned, key)
                if key != DOCUMENTS[-1] or self.seen_version is None:
                    self.seen_version = (key, *version)
                if key != DOCUMENTS[-1]:  # which may be there a moment before what makes the volume one
                    self._documents[self._path] = key
                return (prototype or default_buffer_prototype()).buffer.from_bytes(data)
            data = await self._ask(self._files.read, key, start, end)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Get parts of several values at once."""
        return [*await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))]

    async def exists(self, key: str) -> bool:
        """Whether there is such a value."""
        if self._written is not None:
            return key in self._written
        return bool(await self._ask(self._files.exists, key, folder=False))

    async def is_empty(self, prefix: str) -> bool:
        """Whether there is no value below a prefix."""
        if self._written is None:
            return await super().is_empty(prefix)
        below = f"{prefix.rstrip('/')}/".lstrip("/")
        return not any(name.startswith(below) for name in self._written)

    async def getsize(self, key: str) -> int:
        """Size of a value in bytes."""
        return int(await self._ask(self._files.size, key))

    async def list(self) -> AsyncIterator[str]:
        """Names of all values."""
        for name in await self._ask(self._files.find, ""):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix."""
        folder = prefix.rpartition("/")[0]
        for name in await self._ask(self._files.find, folder):
            path = f"{folder}/{name}" if folder else name
            if path.startswith(prefix):
                yield path

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix, in their order."""
        listing = await self._ask(self._files.list_folder, prefix.rstrip("/"))
        names = sorted(listing, key=natural)
        folders = [name for name in names if listing[name]]
        if not prefix.strip("/") and len(folders) <= _FEW:
            await self._read_ahead(folders)
        for name in names:
            yield name

    async def _read_ahead(self, folders: Sequence[str]) -> None:
        """Read the documents of what lies directly below the root.

        zarr asks for them next, and lists arrays in the order in which they arrive; whoever takes the first array gets the
        finest level if all are at hand.
        """
        is_v3 = self._documents.get(self._path) == "zarr.json"
        documents = ("zarr.json",) if is_v3 else (".zarray", ".zgroup", ".zattrs")
        keys = [f"{folder}/{document}" for folder in folders for document in documents]
        for key, found in zip(keys, await asyncio.gather(*map(self.get, keys)), strict=True):
            self._ahead[key] = found

    # ------------------------------------------------------------------ writing

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value: one request where the file system needs no folders."""
        self._check_writable()
        await self._ask(self._files.write, key, value.to_bytes())
        if self._written is not None:
            self._written.add(key)

    async def set_file(self, key: str, file: IO[bytes]) -> None:
        """Store a value of any size from an open file, piece by piece: it is never in memory whole."""
        self._check_writable()
        await self._ask(self._files.write_file, key, file)
        if self._written is not None:
            self._written.add(key)

    async def delete(self, key: str) -> None:
        """Delete a value if there is one."""
        self._check_writable()
        await self._ask_paths(self._files.delete_files, [key])
        self._forget([key])

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        self._check_writable()
        folder = prefix.rstrip("/")
        if self._written is None:
            names = [f"{folder}/{n}" if folder else n for n in await self._ask(self._files.find, folder)]
        else:
            names = [name for name in self._written if not folder or name.startswith(f"{folder}/")]
        if not names:
            return
        await self._ask_paths(self._files.delete_files, names)
        self._forget(names)

    async def clear(self) -> None:
        """Delete all values."""
        await self.delete_dir("")

    def _forget(self, names: Sequence[str]) -> None:
        if self._written is not None:
            self._written.difference_update(names)

    async def _ask(self, question: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        async def ask(live: Any) -> Any:
            return await question(live, self._full(key), *args, **kwargs)

        return await self._connection.ask_async(ask)

    async def _ask_paths(self, question: Any, names: Sequence[str]) -> Any:
        async def ask(live: Any) -> Any:
            return await question(live, [self._full(name) for name in names])

        return await self._connection.ask_async(ask)
