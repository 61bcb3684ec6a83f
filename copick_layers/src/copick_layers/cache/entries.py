"""What an entry of the cache looks like as a file: a header in one line, then the bytes that were read.

The header is JSON: the revision or version of what was read, the length of the bytes and the CRC-32 of each piece of them, and
whether there were none (a chunk that is not stored). A file that is cut short or damaged is not an entry.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from copick_core.layers.revisions import Stamp

_MAGIC = b"copick-cache-2 "
#: Bytes of which each piece has a checksum of its own, and the most pieces: of larger entries, pieces are larger.
_PIECE, _MOST_PIECES = 256 * 1024, 1024


class UnknownTokenError(Exception):
    """Raised for a revision of a type that cannot be written to a file."""


@dataclass(frozen=True)
class Entry:
    """Something that is kept.

    Attributes:
        token: Revision of the file, or version of the volume.
        data: The bytes; None where storage had nothing.
    """

    token: Hashable | None
    data: bytes | None


def packed(entry: Entry) -> bytes:
    """The file of an entry.

    Raises:
        UnknownTokenError: Its revision cannot be written.
    """
    data = b"" if entry.data is None else entry.data
    piece = max(_PIECE, -(-len(data) // _MOST_PIECES))
    header = {
        "token": _plain(entry.token),
        "absent": entry.data is None,
        "size": len(data),
        "piece": piece,
        "crcs": _checksums(memoryview(data), piece),
    }
    return b"".join((_MAGIC, json.dumps(header).encode(), b"\n", data))


@dataclass(frozen=True)
class Header:
    """The first line of an entry's file.

    Attributes:
        token: As in :class:`Entry`.
        absent: Whether storage had nothing.
        size: How many bytes follow.
        piece: How many of them are a piece.
        crcs: The CRC-32 of each piece.
        end: Where the bytes begin.
    """

    token: Hashable | None
    absent: bool
    size: int
    piece: int
    crcs: Sequence[int]
    end: int


def header_of(content: bytes) -> Header | None:
    """The header of the file of an entry, from its beginning; None if it is damaged or something else."""
    end = content.find(b"\n")
    if not content.startswith(_MAGIC) or end < 0:
        return None
    try:
        found = json.loads(content[len(_MAGIC) : end])
        facts = (found["absent"], found["size"], found["piece"], found["crcs"])
        return Header(_token(found["token"]), *facts, end + 1)
    except (ValueError, KeyError, TypeError):
        return None


def unpacked(content: bytes) -> Entry | None:
    """The entry that a file holds; None if it is damaged or something else."""
    header = header_of(content)
    if header is None:
        return None
    data = content[header.end :]
    if len(data) != header.size or not is_whole(header, data, 0):
        return None
    return Entry(header.token, None if header.absent else data)


def is_whole(header: Header, data: bytes | memoryview, first: int) -> bool:
    """Whether whole pieces are as they were written.

    Args:
        header: The header of the entry.
        data: The pieces, one after the other.
        first: The number of the first one.
    """
    found = _checksums(memoryview(data), header.piece)
    return found == [*header.crcs[first : first + len(found)]]


def _checksums(data: memoryview, piece: int) -> list[int]:
    return [zlib.crc32(data[start : start + piece]) for start in range(0, len(data), piece)]


def as_text(token: Hashable) -> str:
    """A revision as text: equal for equal ones.

    Raises:
        UnknownTokenError: It is of a type that is not known.
    """
    return json.dumps(_plain(token))


def _plain(token: Any) -> Any:
    """A revision as JSON has it; tuples are lists, and a stamp is an object."""
    if isinstance(token, Stamp):
        return {"stamp": [*token], "checksum": token.checksum}
    if token is None or type(token) in (str, int, float, bool):
        return token
    if type(token) is tuple:
        return [_plain(part) for part in token]
    raise UnknownTokenError(f"{type(token).__name__} cannot be written to the cache")


def _token(plain: Any) -> Hashable | None:
    if isinstance(plain, dict):
        made = Stamp(plain["stamp"])
        made.checksum = plain["checksum"]
        return made
    return tuple(_token(part) for part in plain) if isinstance(plain, list) else plain
