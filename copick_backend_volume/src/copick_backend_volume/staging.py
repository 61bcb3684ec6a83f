"""Making whole folders appear in one step, so that nothing half-made is ever seen, whenever a writer dies.

What is being made lies under a hidden name beside the jobs. Its writer holds a lock on it, which the system drops when the
writer dies; so what is left over by the dead can be told from what the living make.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator

from copick_backend_volume.places import JOB_FOLDERS, STAGING, Volume, entries

#: Seconds after which what a dead writer has left is removed by the next one.
ABANDONED = 7 * 24 * 3600
#: Seconds without a change after which a writer counts as dead, where files cannot be locked.
_SILENT = 24 * 3600
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # <fcntl.h>, <linux/fs.h>


class Staged:
    """A hidden folder that is being filled.

    Attributes:
        folder: Where to write.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def publish(self, target: str, *, replace: bool = False) -> None:
        """Make the folder appear as the target, whole.

        A target that is replaced is exchanged in one step. Where the system cannot do that it is missing for a moment, and
        stays missing if the writer dies in that moment.

        Args:
            target: Its new path, in a folder that exists.
            replace: Replace a target that exists; otherwise that is a FileExistsError.
        """
        sync_folder(self.folder)
        if os.path.lexists(target):
            if not replace:
                raise FileExistsError(target)
            if not _exchange(self.folder, target):
                aside = f"{self.folder}-old"
                os.rename(target, aside)
                os.rename(self.folder, target)
                shutil.rmtree(aside, ignore_errors=True)
        else:
            os.rename(self.folder, target)
        sync_folder(os.path.dirname(target))


@contextlib.contextmanager
def staging(volume: Volume, kind: str) -> Iterator[Staged]:
    """Stage a folder beneath one of :data:`~copick_backend_volume.places.JOB_FOLDERS`; what is not published is removed."""
    sweep(volume)
    os.makedirs(os.path.join(volume.root, kind), exist_ok=True)
    folder = hidden(os.path.join(volume.root, kind))
    os.mkdir(folder)
    try:
        with _held(folder):
            yield Staged(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remains(volume: Volume) -> list[str]:
    """Paths of what writers that died have left."""
    folders = [volume.root, *(os.path.join(volume.root, kind) for kind in JOB_FOLDERS)]
    hidden_paths = [os.path.join(f, name) for f in folders for name, _ in entries(f) if name.startswith(STAGING)]
    return sorted(path for path in hidden_paths if not is_held(path))


def sweep(volume: Volume) -> None:
    """Remove what writers that died a week ago have left."""
    for path in remains(volume):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - os.stat(path).st_mtime > ABANDONED:
                shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)


def hidden(folder: str) -> str:
    """A new hidden path in a folder."""
    return os.path.join(folder, f"{STAGING}{uuid.uuid4().hex}")


def open_lock(path: str) -> int:
    """Open a file to lock it, and make it where it is missing; one that another user has made is only read."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not os.path.exists(path):
            raise
        return os.open(path, os.O_RDONLY)


def lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed, by whatever ends the process; False if somebody else has locked it."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # no locks on this filesystem: is_held goes by time
    return True


def is_held(path: str) -> bool:
    """Whether the writer of something staged lives; by time where files cannot be locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True  # published or removed meanwhile, or another user's: nothing to tell of
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return time.time() - os.fstat(descriptor).st_mtime < _SILENT
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _held(folder: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _exchange(one: str, other: str) -> bool:
    """Exchange two folders in one step; False where the system cannot do that."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return bool(renameat2(*paths, _RENAME_EXCHANGE) == 0)


def sync_folder(folder: str) -> None:
    """Force a folder to disk, so that what was renamed in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
