"""Writing a local file all or nothing, and only if it is still what one has read."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
#: Errors of file systems on which a folder cannot be locked (NFS before 4, some FUSE).
_UNLOCKABLE = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def replace_file(path: str, data: bytes, check: Callable[[], None]) -> None:
    """Put a file with new content in the place of another one, or of none.

    A reader sees the old content or the new one, whenever it looks and whenever this process dies. The permissions of an
    existing file are kept.

    Args:
        path: The file, absolute; its folder exists.
        data: The new content.
        check: Raises an error if the file must not be replaced; called while nobody else who asks so can replace it.
    """
    folder = os.path.dirname(path)
    # Hidden, so that no listing shows what a killed process left behind.
    temporary = os.path.join(folder, f".tmp-{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        error.filename = path  # what the caller knows
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Without a file there are no permissions to keep; Windows has none of this kind.
            with contextlib.suppress(FileNotFoundError, AttributeError):
                os.fchmod(descriptor, os.stat(path).st_mode & 0o7777)
            os.fsync(descriptor)
        with locked(folder):
            check()
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # an interrupt may come right after the file was put in its place
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make a rename survive a power cut, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[int | None]:
    """Hold a folder's lock; gives the folder's file descriptor, or None where folders have none."""
    if fcntl is None:
        yield None
        return
    while True:
        fd = os.open(folder, _DIRECTORY)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _UNLOCKABLE:
                    raise
            if os.path.samestat(os.fstat(fd), os.stat(folder)):
                yield fd
                return
            # The folder was deleted and made again while we waited: lock the new one.
        finally:
            os.close(fd)
