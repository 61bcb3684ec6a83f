"""Windows shares, where fsspec falls short: listings in one go, renaming over a file, and names that they refuse."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from copick_backend_fs.files import ATTEMPTS, RemoteFiles
from copick_backend_fs.live import in_time, is_broken_connection
from copick_core.layers.path_layer import Listing

if TYPE_CHECKING:
    from copick_backend_fs.live import Live

#: Characters that no name on a Windows share has, and ends that Windows cuts off.
_REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]|^ |[. ]$')


def refused_part(path: str) -> str | None:
    """The first name of a path that a Windows share does not take as it is; None if it takes all."""
    return next((name for name in path.split("/") if _REFUSED.search(name)), None)


class Turns:
    """Who has a file open and who replaces it, in this process.

    A server replaces no file that the same client has open, not even to ask for its size. All projects of a process are one
    client, so that readers who come one after another would keep a writer away for good.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._unread = asyncio.Event()
        self._unread.set()
        self._replacing = asyncio.Lock()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Have the file open, when nobody replaces it or waits to do so."""
        async with self._replacing:
            self._readers += 1
            self._unread.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if self._readers == 0:
                self._unread.set()

    @asynccontextmanager
    async def replaced(self) -> AsyncIterator[None]:
        """Replace the file, when all who have it open are done."""
        async with self._replacing:
            await self._unread.wait()
            yield


#: Stands for all folders: a server moves none in which a file is open.
_FOLDERS = ""
#: Of each file that is in use, by process and server; a forked process has turns of its own.
_turns: WeakValueDictionary[Hashable, Turns] = WeakValueDictionary()


def _turns_of(live: Live, path: str) -> Turns:
    key = (os.getpid(), live.fs.host, live.fs._port, path.lower())  # shares ignore the case of names
    turns = _turns.get(key)
    if turns is None:
        turns = _turns[key] = Turns()
    return turns


@asynccontextmanager
async def _opened(live: Live, path: str) -> AsyncIterator[None]:
    """Have a file open: neither it is replaced meanwhile, nor any folder moved, which may be one above it."""
    async with _turns_of(live, _FOLDERS).opened(), _turns_of(live, path).opened():
        yield


class SMBFiles(RemoteFiles):
    """The files of a share, over the client that fsspec's file system uses."""

    def __init__(self) -> None:
        super().__init__("smb")

    async def read(self, live: Live, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Read a file or a part of it; a negative start without an end counts from the end."""
        async with _opened(live, path):
            return await super().read(live, path, start, end)

    async def exists(self, live: Live, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder."""
        async with _opened(live, path):
            return await super().exists(live, path, folder=folder)

    async def size(self, live: Live, path: str) -> int:
        """Size of a file in bytes."""
        async with _opened(live, path):
            return await super().size(live, path)

    async def version(self, live: Live, path: str) -> tuple[Hashable, ...] | None:
        """What the server knows that tells a file from those that it replaced; None where there is none."""
        async with _opened(live, path):
            return await super().version(live, path)

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder.

        fsspec asks for each name anew, and fails where one of them is deleted meanwhile.
        """
        import smbclient  # type: ignore[import-not-found,import-untyped,unused-ignore]

        def scan(path: str) -> Listing:
            return {entry.name: bool(entry.is_dir()) for entry in smbclient.scandir(path, port=live.fs._port)}

        try:
            async with _turns_of(live, _FOLDERS).opened():
                return await in_time(live, scan, _unc(live, folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}

    async def move_over(self, live: Live, staged: str, path: str) -> None:
        """Move a file or folder to where another one may be: for a file in one step.

        Windows refuses that while another client has the file open, so it is tried again.
        """
        import smbclient  # type: ignore[import-not-found,import-untyped,unused-ignore]

        if await self.exists(live, staged, folder=True):
            await super().move_over(live, staged, path)
            return
        for attempt in range(ATTEMPTS):
            try:
                async with _turns_of(live, path).replaced():
                    await in_time(live, smbclient.replace, _unc(live, staged), _unc(live, path), port=live.fs._port)
                return
            except OSError as error:
                if is_broken_connection(error) or attempt == ATTEMPTS - 1 or not await self._is_there(live, path):
                    raise
            await asyncio.sleep(0.05 * 2**attempt)

    async def _move(self, live: Live, source: str, target: str) -> None:
        """Move a file or folder to where nothing is, when this process has nothing open; what others have passes."""
        for attempt in range(ATTEMPTS):
            try:
                async with _turns_of(live, _FOLDERS).replaced():
                    await super()._move(live, source, target)
                return
            except PermissionError:
                if attempt == ATTEMPTS - 1 or not await self._is_there(live, source):
                    raise
            await asyncio.sleep(0.05 * 2**attempt)


def _unc(live: Live, path: str) -> str:
    return f"\\\\{live.fs.host}" + path.replace("/", "\\")
