"""Writing a local file all or nothing, and only if it is still what one has read; leaving out what its mount cannot do."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
#: Errors of file systems on which a folder cannot be locked (NFS before 4, some FUSE).
_UNLOCKABLE = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

#: Errors by which CIFS, gvfs, FUSE mounts of buckets, VirtualBox and WSL say that they do not have a call.
_REFUSALS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
#: What is lost without a call.
_LOST = {
    "fsync": "after a power cut, the last changes there may be missing",
    "utime": "two changes in one moment may look like one",
    "chmod": "files that are replaced get the permissions of new ones",
}
#: Calls and devices that have been warned of.
_warned: set[tuple[str, int]] = set()

_NAMES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def replace_file(path: str, data: bytes, check: Callable[[], None]) -> None:
    """Put a file with new content in the place of another one, or of none.

    A reader sees the old content or the new one, whenever it looks and whenever this process dies. The permissions of an
    existing file are kept.

    Args:
        path: The file, absolute; its folder exists.
        data: The new content.
        check: Raises an error if the file must not be replaced; called while nobody else who asks so can replace it.

    Raises:
        InvalidDataError: The path is that of a pipe, a device or a socket.
    """
    folder = os.path.dirname(path)
    with contextlib.suppress(FileNotFoundError):
        check_regular(os.stat(path), path)
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
                mode = os.stat(path).st_mode & 0o7777
                where_possible("chmod", path, lambda: os.fchmod(descriptor, mode))
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


def where_possible(name: str, place: str, call: Callable[[], None]) -> None:
    """Make a call that a mount may refuse.

    Args:
        name: Name of the call: ``"fsync"``, ``"utime"`` or ``"chmod"``.
        place: A path on the mount.
        call: Makes it; any other error is raised.
    """
    try:
        call()
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        device = os.stat(os.path.dirname(place)).st_dev
        if (name, device) not in _warned:
            _warned.add((name, device))
            warn_caller(f"The file system of {place} refuses {name} ({error.strerror}); it is left out: {_LOST[name]}.")


def check_regular(found: os.stat_result, path: str) -> None:
    """Refuse to read or replace a pipe, device or socket: reading would wait for ever, replacing would remove it.

    Raises:
        InvalidDataError: It is one of these.
    """
    special = _NAMES.get(stat.S_IFMT(found.st_mode))
    if special is not None:
        raise InvalidDataError(source=path, reason=f"it is {special}, not a file")
