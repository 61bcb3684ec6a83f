"""What a layer does with the files of a remote location: lists, reads, writes, moves, deletes them.

Each function here is a question for :meth:`copick_backend_fs.connection.Connection.ask`: its first argument is the live
connection, the other paths are absolute in its file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote

from copick_backend_fs.documents import DOCUMENTS
from copick_backend_fs.live import ask_beside, do, in_time, is_broken_connection, refusal_of
from copick_backend_fs.locks import Owner, is_abandoned, locked
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import ANY, AnyRevision, Revision
from copick_core.layers.staged import aside_of, staged_name

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from copick_backend_fs.live import Live

#: Attempts of what other writers and readers may hinder for a moment.
ATTEMPTS = 6
_MISSING = (FileNotFoundError, NotADirectoryError)
_WEB = {"http", "https"}
_ARCHIVES = {"tar", "zip"}
#: What file systems of fsspec tell of a file that changes when another one takes its place.
_IDENTITIES = (
    *("generation", "etag", "ETag", "e_tag", "versionId", "version_id", "content_md5", "created", "creation_time"),
    *("mtime", "updated", "last_modified", "LastModified", "last_write_time", "modified", "ino", "size"),
)
#: Protocols of SSH.
_SFTP = {"sftp", "ssh"}
#: Protocols that rename as they say; of others, each move is checked.
_TRIED = {"sftp", "smb", "ssh"}
#: Protocols that create a file on condition that there is none.
_CREATING = {"sftp", "smb", "ssh"}
#: HTTP statuses that say that there is nothing; all others leave that open.
_ABSENT = {404, 410}
#: Protocols whose writes take effect whole, as one request; elsewhere a file is written aside and renamed.
_WHOLE_WRITES = {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a"}


#: What names of volumes end in.
_VOLUME = ".zarr"
#: Bytes of a large file that are sent with one request.
PIECE = 16 * 2**20


class PreconditionFailedError(Exception):
    """What is stored is not what a conditional write expected."""

    def __init__(self, *, repeated: bool) -> None:
        super().__init__("precondition failed")
        #: Whether the request was sent more than once, so that the first one may have been the one that stored.
        self.repeated = repeated


class RemoteFiles:
    """The files of any file system of fsspec."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.writes_whole = protocol in _WHOLE_WRITES
        #: Whether files have versions: what web servers and archives hold is not replaced while it is read.
        self.has_versions = protocol not in _WEB | _ARCHIVES
        self._of_this_process: dict[str, asyncio.Lock] = {}

    @property
    def keeps_writers_apart(self) -> bool:
        """Whether of several writers at once each either stores or is told of the others."""
        return self.protocol in _CREATING or self.protocol == "memory"

    @contextlib.asynccontextmanager
    async def alone(self, live: Live, path: str, owner: Owner) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Keep other writers of a file away, where the server can.

        Yields:
            What makes sure of it once more, just before the file is replaced.

        Raises:
            LockLostError: Others keep this one away.
        """
        if self.protocol in _CREATING:
            async with locked(live, path, owner, self.create) as lock:
                yield lock.check
            return
        # memory:// is in one process; elsewhere that is better than nothing.
        lock_of_path = self._of_this_process.setdefault(path, asyncio.Lock())
        async with lock_of_path:
            yield _nothing

    async def create(self, live: Live, path: str, data: bytes) -> bool:
        """Create a file if there is none, in a folder that is there; whether it was."""

        def exclusively() -> None:
            # paramiko makes a file writable by "w" only.
            with live.fs.open(path, "wxb" if type(live.fs).__name__ == "SFTPFileSystem" else "xb") as file:
                file.write(data)

        for attempt in range(ATTEMPTS):
            try:
                await in_time(live, exclusively)
                return True
            except FileExistsError:
                return False
            except Exception as error:
                # SFTP has one error for everything that a server does not want to do.
                if is_broken_connection(error):
                    raise
                if await self._is_there(live, path):
                    return False
                if attempt == ATTEMPTS - 1:
                    raise  # else it may have been there, and be gone already
        return False

    async def ask_something(self, live: Live) -> None:
        """Ask something small, whose answer does not matter."""
        await ask_beside(live)

    async def remove_dead_lock(self, live: Live, lock: str) -> None:
        """Remove the lock of a writer that certainly is dead."""
        with contextlib.suppress(FileNotFoundError):
            if is_abandoned(await self.read(live, lock)):
                await do(live, "rm_file", lock)

    # ------------------------------------------------------------------ reading

    async def list_folders(self, live: Live, folders: Sequence[str]) -> dict[str, Listing]:
        """List several folders at once."""
        return dict(zip(folders, await asyncio.gather(*(self.list_folder(live, f) for f in folders)), strict=True))

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder; nothing for a missing one."""
        try:
            entries = await do(live, "ls", folder, detail=True)
        except _MISSING:
            return {}
        listing = {}
        for entry in entries:
            path = str(entry["name"]).rstrip("/")
            if path.lstrip("/") == folder.strip("/"):  # an object that stands for the folder itself
                continue
            name = path.rpartition("/")[2]
            if self.protocol in _WEB:
                name = unquote(name)
            kind = entry["type"]
            is_link = kind == "link" or bool(entry.get("islink"))
            listing[name] = bool(await do(live, "isdir", path)) if is_link else kind == "directory"
        return listing

    async def exists(self, live: Live, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder."""
        try:
            kind = (await do(live, "info", path))["type"]
        except _MISSING as error:
            cause = error.__cause__
            if self.protocol in _WEB and cause is not None and getattr(cause, "status", None) not in _ABSENT:
                # Whatever fails with a web server, fsspec says that there is no such file.
                raise refusal_of(cause) or cause from None
            return False
        return self.protocol in _WEB or (kind == "directory") is folder

    async def read(self, live: Live, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read a file or a part of it; a negative start without an end counts from the end."""
        if (start is not None or end is not None) and self.protocol in _CREATING:
            return await in_time(live, _read_part, live.fs, path, start or 0, end)
        try:
            return bytes(await do(live, "cat_file", path, start=start, end=end))
        except KeyError as error:  # so archives said until fsspec 2026 that a file is not in them
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        except Exception as error:
            # SFTP has one error for everything that a server does not want to do.
            if self.protocol in _SFTP and not is_broken_connection(error) and await self.exists(live, path, folder=True):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from error
            raise

    async def find(self, live: Live, folder: str) -> list[str]:
        """Paths of all files below a folder, relative to it."""
        try:
            found = await do(live, "find", folder)
        except _MISSING:
            return []
        below = folder.strip("/") + "/"
        return [path.strip("/").removeprefix(below) for path in found]

    async def size(self, live: Live, path: str) -> int:
        """Size of a file in bytes."""
        return int((await do(live, "info", path))["size"])

    # ------------------------------------------------------------------ writing

    async def write(self, live: Live, path: str, data: bytes) -> None:
        """Write a file as a reader may see it half written: for what is staged, or what nobody reads yet."""
        if not self.writes_whole:
            await do(live, "makedirs", _folder(path), exist_ok=True)
        await do(live, "pipe_file", path, data)

    async def write_all(self, live: Live, contents: Mapping[str, bytes]) -> None:
        """Write several files at once, by their paths."""
        await together(self.write(live, path, data) for path, data in contents.items())

    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """What the place knows that tells a file from those that it replaced; None where there is none: one request.

        Places differ: an ETag, a generation, or no more than a time, which two writes within one tick of its clock share.
        """
        try:
            known = await do(live, "info", path)
        except _MISSING:
            return None
        return tuple(str(known[name]) for name in _IDENTITIES if known.get(name) is not None)

    async def read_versioned(self, live: Live, path: str) -> tuple[bytes, tuple[Hashable, ...]]:
        """Read a file, and its version as it was before: two requests."""
        version = await self.version(live, path)
        return await self.read(live, path), version or ()

    async def read_revised(self, live: Live, path: str) -> tuple[bytes, Revision]:
        """Read a file and its revision, which is its content where the server gives none."""
        data = await self.read(live, path)
        return data, data

    async def write_if(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write a file if its revision is the expected one (None: if there is none); check and write are two requests.

        Raises:
            PreconditionFailedError: It is not.
        """
        found: bytes | None = None
        with contextlib.suppress(FileNotFoundError):
            found = await self.read(live, path)
        if expected is not ANY and found != expected:
            raise PreconditionFailedError(repeated=False)
        await self.write(live, path, data)
        return data

    async def write_file(self, live: Live, path: str, file: IO[bytes]) -> None:
        """Write a file of any size from an open one, piece by piece; readers see all of it or what was there before."""
        if self.writes_whole:
            await asyncio.to_thread(_stream, live.fs, path, file)
            return
        await do(live, "makedirs", _folder(path), exist_ok=True)
        staged = f"{_folder(path)}/{staged_name()}"
        try:
            await asyncio.to_thread(_stream, live.fs, staged, file)
            await self.move_over(live, staged, path)
        except BaseException:
            with contextlib.suppress(Exception):
                await do(live, "rm_file", staged)
            raise

    async def replace(
        self, live: Live, path: str, data: bytes, owner: Owner, check: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Write a file so that readers see all of it or what was there before.

        Args:
            live: The connection.
            path: The file.
            data: Its content.
            owner: The writer.
            check: Raises if what is stored is not to be replaced; no other writer can replace it after that.
        """
        if self.writes_whole:
            async with self.alone(live, path, owner):
                if check:
                    await check()
                await self.write(live, path, data)
            return
        if check:
            await check()  # what is refused leaves no new folders behind
        staged = f"{_folder(path)}/{staged_name()}"
        try:
            await self.write(live, staged, data)
            async with self.alone(live, path, owner) as still_alone:
                if check:
                    await check()
                await still_alone()
                await self.move_over(live, staged, path)
        except BaseException:
            with contextlib.suppress(Exception):
                await do(live, "rm_file", staged)
            raise

    async def move_over(self, live: Live, staged: str, path: str) -> None:
        """Move a file or folder to where another one may be; that one is gone afterwards."""
        folder = await self.exists(live, path, folder=True)
        if not folder:
            try:
                await self._move(live, staged, path)
                return
            except Exception as error:
                if is_broken_connection(error) or not await self.exists(live, path, folder=False):
                    raise
        # Not every server renames over what exists, and none over a folder.
        aside = aside_of(path) if folder else f"{_folder(path)}/{staged_name()}"
        await self._move_aside(live, path, aside)
        try:
            await self._move(live, staged, path)
        except BaseException:
            with contextlib.suppress(Exception):  # it may have been moved, and only the answer lost
                await self._move(live, aside, path)
            raise
        await self.delete(live, aside)

    async def _move_aside(self, live: Live, path: str, aside: str) -> None:
        """Move what is to be replaced aside, also where what was replaced before still is."""
        try:
            await self._move(live, path, aside)
        except Exception as error:
            if is_broken_connection(error) or not (await self._is_there(live, path) and await self._is_there(live, aside)):
                raise
            await self.delete(live, aside)
            await self._move(live, path, aside)

    async def put_back(self, live: Live, path: str) -> None:
        """Put back a folder that was moved aside; if there is one in its place again, delete what is aside."""
        aside = aside_of(path)
        if not await self.exists(live, path, folder=True):
            try:
                await self._move(live, aside, path)
                return
            except Exception as error:
                if is_broken_connection(error) or not await self.exists(live, path, folder=True):
                    raise
        with contextlib.suppress(FileNotFoundError):  # its writer may be doing that
            await self.delete(live, aside)

    async def _move(self, live: Live, source: str, target: str) -> None:
        """Move a file or folder to where nothing is."""
        if _renames(live.fs):
            await do(live, "mv", source, target, **_whole_folders(live.fs))
            if self.protocol not in _TRIED and await self._is_there(live, source):
                reason = "The file system reports that it has moved this, but it has not. Nothing was replaced or deleted"
                raise OSError(errno.EIO, reason, source)
            return
        names = await self.find(live, source) if await self.exists(live, source, folder=True) else [""]
        pairs = [(f"{source}/{name}".rstrip("/"), f"{target}/{name}".rstrip("/")) for name in names]
        for folder in dict.fromkeys(_folder(path) for _, path in pairs):
            await do(live, "makedirs", folder, exist_ok=True)
        await self.copy(live, pairs)
        await self._delete(live, source)

    async def _is_there(self, live: Live, path: str) -> bool:
        return await self.exists(live, path, folder=True) or await self.exists(live, path, folder=False)

    async def swap(self, live: Live, staged: str, path: str, *, again: bool) -> None:
        """Put a staged folder in the place of another one, or of nothing, by renaming.

        Asked again over a new connection it must not take what the first attempt has moved for never written.

        Args:
            live: The connection.
            staged: The staged folder.
            path: The other one.
            again: Whether an attempt has been cut off.
        """
        if not (again and not await self.exists(live, staged, folder=True)):
            await do(live, "makedirs", staged, exist_ok=True)
            await self._make_distinct(live, staged, path)
            await self.move_over(live, staged, path)

    async def _make_distinct(self, live: Live, staged: str, path: str) -> None:
        """Give a staged volume another version than that of the one it replaces.

        Over SSH a time has whole seconds: a volume that replaces one of the same second would not be told from it.
        """
        for name in DOCUMENTS:
            replaced, document = await self.version(live, f"{path}/{name}"), f"{staged}/{name}"
            if replaced is None or await self.version(live, document) != replaced:
                continue
            data = await self.read(live, document)
            for _ in range(ATTEMPTS):
                await asyncio.sleep(0.25)
                await self.write(live, document, data)
                if await self.version(live, document) != replaced:
                    break

    async def copy_marked(self, live: Live, source: str, target: str, mark: str) -> None:
        """Copy a file so that its version is another one than that of any equal file, where the server can do that."""
        await self.copy(live, [(source, target)])

    async def copy(self, live: Live, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy files, many at once."""
        await together(do(live, "cp_file", source, target) for source, target in pairs)

    async def delete_files(self, live: Live, paths: Sequence[str]) -> None:
        """Delete files that may be gone already, many at once."""

        async def one(path: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                await do(live, "rm_file", path)

        await together(map(one, paths))

    async def delete(self, live: Live, path: str) -> None:
        """Delete a file, or a folder with all it holds."""
        if not self.writes_whole and await self.exists(live, path, folder=True):
            if path.endswith(_VOLUME):  # what was moved aside would be put back
                with contextlib.suppress(FileNotFoundError):
                    await self._delete(live, aside_of(path))
            # Nobody lists half of it, and a delete that is cut off is not seen either.
            hidden = f"{_folder(path)}/{staged_name()}"
            await self._move(live, path, hidden)
            path = hidden
            await self._delete(live, path)
            return
        if not self.keeps_writers_apart:
            await self._delete(live, path)
            return
        if not await self.exists(live, path, folder=False):
            await self._delete(live, path)  # a folder of memory://, or nothing at all
            return
        async with self.alone(live, path, Owner()) as still_alone:
            await still_alone()
            await self._delete(live, path)

    async def _delete(self, live: Live, path: str) -> None:
        # Not rm(): it takes names for patterns.
        if (await do(live, "info", path))["type"] != "directory":
            await do(live, "rm_file", path)
        elif self.writes_whole and self.protocol != "memory":
            await self.delete_files(live, [f"{path}/{name}" for name in await self.find(live, path)])
        else:
            entries = await do(live, "ls", path, detail=True)
            await together(self._delete_entry(live, str(e["name"]).rstrip("/"), e["type"]) for e in entries)
            with contextlib.suppress(FileNotFoundError):  # memory:// has folders that are nothing but names
                await do(live, "rmdir", path)

    async def _delete_entry(self, live: Live, path: str, kind: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # an attempt that was cut off has deleted it
            if kind == "directory":
                await self._delete(live, path)
            else:
                await do(live, "rm_file", path)


async def together(requests: Iterable[Awaitable[None]]) -> None:
    """Make many requests at once; if one fails, none is still under way when that is raised.

    Whoever repeats them over a new connection would be overtaken by those of the old one.
    """
    for outcome in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _nothing() -> None:
    """Nothing is to be made sure of."""


def _read_part(fs: AbstractFileSystem, path: str, start: int, end: int | None) -> bytes:
    """Read a part of a file over SSH or SMB, whose ``cat_file`` reads it whole, or not from its end."""
    with fs.open(path, "rb") as file:
        if start < 0:
            file.seek(max(0, file.seek(0, os.SEEK_END) + start))
        else:
            file.seek(start)
        return bytes(file.read(-1 if end is None else max(0, end - start)))


def _stream(fs: AbstractFileSystem, path: str, file: IO[bytes]) -> None:
    """Copy an open file to a path; where the copy fails, nothing is stored if writes take effect whole."""
    import shutil

    file.seek(0)
    # Servers of SSH close the connection for a request of more than 256 KiB; sshfs knows what one takes.
    piece = None if type(fs).__name__ == "SSHFileSystem" else PIECE
    target = fs.open(path, "wb", block_size=piece, autocommit=False)
    try:
        shutil.copyfileobj(file, target, PIECE)
        target.close()
        if hasattr(target, "commit"):  # files over SSH have no such thing: what they hold is stored
            target.commit()
    except BaseException:
        with contextlib.suppress(Exception):
            target.discard()
        raise


def _renames(fs: AbstractFileSystem) -> bool:
    """Whether a file system renames by itself; fsspec's own substitute copies, and takes names for patterns."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    if fs.async_impl and hasattr(fs, "_mv"):
        return getattr(type(fs), "_mv", None) is not getattr(AsyncFileSystem, "_mv", None)
    return type(fs).mv is not AbstractFileSystem.mv


def _whole_folders(fs: AbstractFileSystem) -> dict[str, bool]:
    """What tells a file system's own ``mv`` to move what is in a folder too: some make an empty one otherwise."""
    mv = fs._mv if fs.async_impl and hasattr(fs, "_mv") else fs.mv
    return {"recursive": True} if "recursive" in inspect.signature(mv).parameters else {}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
