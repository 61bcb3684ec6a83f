"""Writing a local file all or nothing."""

from __future__ import annotations

import contextlib
import os
import uuid


def replace_file(path: str, data: bytes) -> os.stat_result:
    """Put a file with new content in the place of another one, or of none.

    A reader sees the old content or the new one, whenever it looks and whenever this process dies. The permissions of an
    existing file are kept.

    Args:
        path: The file; its folder exists.
        data: The new content.

    Returns:
        What ``os.fstat`` says of the new file.
    """
    folder = os.path.dirname(path)
    # Hidden, so that no listing shows what a killed process left behind.
    temporary = os.path.join(folder, f".tmp-{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Without a file there are no permissions to keep; Windows has none of this kind.
            with contextlib.suppress(FileNotFoundError, AttributeError):
                os.fchmod(descriptor, os.stat(path).st_mode & 0o7777)
            os.fsync(descriptor)
            status = os.fstat(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder or ".")
    return status


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
