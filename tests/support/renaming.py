"""A file system that renames, and does not overwrite by renaming, as SFTP and SMB servers do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem


class Renaming(LocalFileSystem):
    """A folder of this disk behind ``renaming://``."""

    protocol = "renaming"

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        target = Path(self._strip_protocol(path2))
        if target.exists():
            raise OSError(errno.EIO, "Failure")
        Path(self._strip_protocol(path1)).rename(target)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(path.removeprefix("renaming://")))
