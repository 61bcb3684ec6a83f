"""Files packed by gzip or bzip2: recognised by content, read without unpacking them in memory."""

from __future__ import annotations

import bz2
import gzip
import tempfile
import zlib
from collections.abc import Callable
from typing import IO, Any

from copick_core.errors import InvalidDataError

SUFFIXES = (".gz", ".bz2")
#: What damaged files make the openers raise.
ERRORS = (OSError, EOFError, zlib.error)

_BLOCK = 2**20


def opener(path: str) -> Callable[..., Any] | None:
    """The function that opens a packed file: ``gzip.open`` or ``bz2.open``; None for a file that is not packed."""
    with open(path, "rb") as file:
        start = file.read(3)
    return gzip.open if start[:2] == b"\x1f\x8b" else bz2.open if start == b"BZh" else None


def head(path: str, size: int) -> bytes:
    """The first bytes of a file, unpacked if it is packed and undamaged."""
    unpack = opener(path)
    if unpack is not None:
        try:
            with unpack(path, "rb") as file:
                start: bytes = file.read(size)
                return start
        except ERRORS:
            pass
    with open(path, "rb") as plain:
        return plain.read(size)


def unpacked(path: str, limit: int) -> IO[bytes]:
    """Unpack a file into a temporary file (in the system's folder for those), which is deleted when it is closed.

    Args:
        path: A packed file.
        limit: Bytes after which to stop: what the header promises. A few kB can unpack to many GB.

    Raises:
        InvalidDataError: The file is damaged.
    """
    unpack = opener(path) or open
    target = tempfile.TemporaryFile(prefix="copick_")  # noqa: SIM115 - the caller closes it
    try:
        with unpack(path, "rb") as file:
            while limit > 0 and (block := file.read(min(limit, _BLOCK))):
                target.write(block)
                limit -= len(block)
    except ERRORS as error:
        target.close()
        raise InvalidDataError(source=path, reason=f"cannot be unpacked: {error}") from error
    target.flush()
    return target
