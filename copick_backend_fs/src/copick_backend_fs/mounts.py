"""Mounts that rename no folders, such as those of buckets: volumes are replaced there as in the bucket itself.

Whether a mount renames folders is tried when it first refuses to, with an empty folder. Readers cannot try: on all mounts
that may be of this kind (FUSE) they look for the document that makes a volume one, and for a writer's record if it is missing.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Hashable
from functools import cache
from typing import TYPE_CHECKING

from copick_backend_fs.connection import Connection
from copick_backend_fs.documents import DOCUMENTS
from copick_backend_fs.files import PreconditionFailedError, RemoteFiles
from copick_backend_fs.live import Live
from copick_backend_fs.remote import FsspecLayer
from copick_core.callers import warn_caller
from copick_core.layers.revisions import AnyRevision, Revision
from copick_core.layers.staged import staged_name

if TYPE_CHECKING:
    from copick_core.tree.keys import Key

#: Errors by which mounts refuse to rename folders: some have no call for it, gcsfuse finds "too many files".
_REFUSALS = {errno.EMFILE, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EXDEV, errno.EINVAL}


class MountFiles(RemoteFiles):
    """Files of a mount, of which a folder is replaced file by file."""

    def __init__(self) -> None:
        super().__init__("file")
        self.writes_whole = True

    async def write_if(self, live: Live, path: str, data: bytes, expected: Revision | AnyRevision | None) -> Revision:
        """Write a file if its revision is the expected one; of several who make one, one does.

        Raises:
            PreconditionFailedError: It is another one.
        """
        if expected is not None:
            return await super().write_if(live, path, data, expected)

        def make() -> None:
            with open(path, "xb") as file:
                file.write(data)

        try:
            await asyncio.to_thread(make)
        except FileExistsError as error:
            raise PreconditionFailedError(repeated=False) from error
        return data


class _MountConnection(Connection):
    """A folder, over fsspec's local file system."""

    def _connect(self) -> Live:
        live = super()._connect()
        return Live(live.fs, live.root, live.slots, MountFiles(), live.pid)


class MountLayer(FsspecLayer):
    """What a layer in a local folder leaves to the way of object stores.

    Args:
        name: Name of the layer.
        root: The project's folder.
        read_only: Refuse writes.
    """

    def __init__(self, name: str, root: str, *, read_only: bool) -> None:
        super().__init__(name, _MountConnection(f"file://{root}", {"auto_mkdir": True}), read_only=read_only)

    def needs(self, staged: str) -> bool:
        """Whether a replacement that was cut off is to be finished from a staged folder."""
        return staged in self._needed

    def settled(self, key: Key, folder: str) -> tuple[Hashable, ...]:
        """Identity of the document that makes a volume one, when nobody replaces the volume.

        Raises:
            BeingReplacedError: Somebody does.
        """
        found = _document(folder)
        if not found and self._settled(key) is not None:
            found = _document(folder)
        return found


def _document(folder: str) -> tuple[Hashable, ...]:
    for name in DOCUMENTS:
        try:
            found = os.stat(f"{folder}/{name}")
        except OSError:
            continue
        return (name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return ()


@cache
def is_fuse(device: int) -> bool:
    """Whether a device, as ``st_dev`` gives it, is a FUSE file system; False where the system does not tell."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo") as file:
            mounts = [line.partition(" - ") for line in file]
    except OSError:
        return False
    return any(before.split()[2] == number and after.startswith("fuse") for before, _, after in mounts)


#: Devices that rename no folders.
_without: set[int] = set()


def renames_no_folders(error: OSError, folder: str) -> bool:
    """Whether an error of renaming a folder in another one means that its mount renames none; tried once, and warned of."""
    if error.errno not in _REFUSALS:
        return False
    device = os.stat(folder).st_dev
    if device not in _without:
        if not _refuses(folder):
            return False
        _without.add(device)
        warn_caller(
            f"The file system of {folder} renames no folders ({error.strerror}): volumes are replaced file by file, as in a "
            "bucket. Whoever reads one meanwhile waits for it."
        )
    return True


def _refuses(folder: str) -> bool:
    """Whether an empty folder cannot be renamed either, where it can be made."""
    tried, other = (os.path.join(folder, staged_name()) for _ in range(2))
    try:
        os.mkdir(tried)
    except OSError:
        return False  # nothing can be written here, however it is done
    try:
        os.rename(tried, other)
    except OSError as error:
        os.rmdir(tried)
        return error.errno in _REFUSALS
    os.rmdir(other)
    return False
