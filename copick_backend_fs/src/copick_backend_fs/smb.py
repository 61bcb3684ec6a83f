"""Windows shares, where fsspec falls short: listings in one go, renaming over a file, and names that they refuse."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

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


class SMBFiles(RemoteFiles):
    """The files of a share, over the client that fsspec's file system uses."""

    def __init__(self) -> None:
        super().__init__("smb")

    async def list_folder(self, live: Live, folder: str) -> Listing:
        """Names in a folder, and whether each is a folder.

        fsspec asks for each name anew, and fails where one of them is deleted meanwhile.
        """
        import smbclient  # type: ignore[import-not-found,import-untyped,unused-ignore]

        def scan(path: str) -> Listing:
            return {entry.name: bool(entry.is_dir()) for entry in smbclient.scandir(path, port=live.fs._port)}

        try:
            return await in_time(live, scan, _unc(live, folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}

    async def move_over(self, live: Live, staged: str, path: str) -> None:
        """Move a file or folder to where another one may be: for a file in one step; Windows waits until nobody reads it."""
        import smbclient  # type: ignore[import-not-found,import-untyped,unused-ignore]

        if await self.exists(live, staged, folder=True):
            await super().move_over(live, staged, path)
            return
        for attempt in range(ATTEMPTS):
            try:
                await in_time(live, smbclient.replace, _unc(live, staged), _unc(live, path), port=live.fs._port)
                return
            except OSError as error:
                if is_broken_connection(error) or attempt == ATTEMPTS - 1 or not await self._is_there(live, path):
                    raise
            await asyncio.sleep(0.05 * 2**attempt)


def _unc(live: Live, path: str) -> str:
    return f"\\\\{live.fs.host}" + path.replace("/", "\\")
