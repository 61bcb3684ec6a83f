"""The header Range: one range of bytes of a value (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


class Range(NamedTuple):
    """Bytes of a value.

    Attributes:
        start: The first one; negative ones count from the end.
        stop: The one after the last; None for the end.
    """

    start: int
    stop: int | None

    def content_range(self, length: int, size: int | None) -> str:
        """The header Content-Range of bytes that were read.

        Args:
            length: How many there are.
            size: Size of the whole value; None where it is not known.
        """
        first = self.start if self.start >= 0 else (size or length) - length
        return f"bytes {first}-{first + length - 1}/{'*' if size is None else size}"


def parse_range(header: str | None) -> Range | None:
    """Parse the header.

    Returns:
        The range; None for the whole value: without the header, and where it has several ranges, another unit or makes no
        sense, as servers may ignore it then.

    Example:
        >>> parse_range("bytes=10-19"), parse_range("bytes=-8"), parse_range("bytes=0-1,5-6")
        (Range(start=10, stop=20), Range(start=-8, stop=None), None)
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return Range(-int(found[2]), None)
    start = int(found[1])
    if not found[2]:
        return Range(start, None)
    return Range(start, int(found[2]) + 1) if int(found[2]) >= start else None
