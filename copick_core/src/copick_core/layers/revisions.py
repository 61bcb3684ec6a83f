"""Revisions: which version of a file somebody has read, and which one they expect to replace; changes of this process."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Hashable
from typing import BinaryIO, Final

from copick_core.tree.keys import Key, RootKey

#: Opaque, comparable token of what is stored under a key: an ETag, a counter, modification time with size.
Revision = Hashable


class AnyRevision:
    """Type of :data:`ANY`."""

    def __repr__(self) -> str:
        return "ANY"

    def __reduce__(self) -> str:
        return "ANY"  # the one object, also after pickling


#: ``if_revision=ANY``: write whatever is stored now. (``None`` means: only if nothing is stored.)
ANY: Final = AnyRevision()


class FileChangedError(Exception):
    """Raised by ``PathLayer.write_file`` when the stored file is not the one that the writer expected.

    The layer's ``write`` turns it into a :class:`~copick_core.errors.ConflictError`, which names the entity.

    Args:
        found: Revision of the file that is stored; None if there is none.
    """

    def __init__(self, found: Revision | None) -> None:
        super().__init__(f"the revision that is stored is {found!r}")
        self.found = found


class FolderTakenError(Exception):
    """Raised by ``PathLayer.replace_folder`` when another writer is replacing the folder at this moment.

    The layer's ``replace_zarr`` turns it into a :class:`~copick_core.errors.BeingReplacedError`, which names the entity.

    Args:
        since: When that began, in seconds since 1970; None if that is not known.
    """

    def __init__(self, since: float | None = None) -> None:
        super().__init__("another writer is replacing the folder")
        self.since = since


_changes: Counter[Key] = Counter()
_changes_lock = threading.Lock()


def note_change(key: Key) -> None:
    """Note that this process has written or deleted an entity, in whatever place; call it when that is done or has failed."""
    with _changes_lock:
        _changes[key] += 1


def changes(key: Key) -> Hashable:
    """A token that differs after each change of an entity, or of what holds it, that was noted."""
    counts = []
    above: Key | RootKey = key
    while not isinstance(above, RootKey):
        counts.append(_changes[above])
        above = above.parent
    return tuple(counts)


#: Bytes of a file that are read at once for its checksum.
_BLOCK = 2**20


class Stamp(tuple[int, int, int]):
    """Modification time in nanoseconds, size and inode number of a file.

    The number alone may change while the file stays: sshfs gives new ones after it was mounted again, so does a restored
    backup. For that case a stamp of bytes that were read or written has their checksum, which equality leaves out. A stamp of
    a large file has one only where `numbers_may_change`; elsewhere another number means another file.

    Attributes:
        checksum: CRC-32 of the bytes, or None where they were not read.
    """

    checksum: int | None = None


def stamp(stat: os.stat_result, checksum: int | None = None) -> Stamp:
    """The stamp of a file."""
    made = Stamp((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    made.checksum = checksum
    return made


def numbers_may_change(stat: os.stat_result) -> bool:
    """Whether a place may give a file that stays another inode number.

    On Linux, file systems on a block device do not; those without one (shares, FUSE, memory) have the major number 0.
    """
    return sys.platform != "linux" or os.major(stat.st_dev) == 0


def checksum(data: bytes) -> int:
    """Checksum of bytes."""
    import zlib

    return zlib.crc32(data)


def checksum_of(file: BinaryIO) -> int:
    """Checksum of an open file."""
    import zlib

    file.seek(0)
    value = 0
    while block := file.read(_BLOCK):
        value = zlib.crc32(block, value)
    return value


def is_still(known: Revision | None, found: Stamp, path: str) -> bool:
    """Whether a file still holds what somebody has read or written, though its inode number may have changed.

    Args:
        known: The stamp of what was read.
        found: The stamp of the file now.
        path: The file; it is read only if nothing but the number differs.
    """
    if known == found:
        return True
    if not isinstance(known, Stamp) or known.checksum is None or known[:2] != found[:2]:
        return False
    with open(path, "rb") as file:
        return checksum_of(file) == known.checksum
