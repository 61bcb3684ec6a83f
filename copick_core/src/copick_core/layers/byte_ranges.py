"""Parts of values: the bytes that a request of zarr means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest


def limits(part: ByteRequest | None) -> tuple[int | None, int | None]:
    """First byte of a request, and the one after its last, as :class:`slice` takes them.

    Args:
        part: The request; None means the whole value.

    Raises:
        TypeError: It is not a request of zarr.
    """
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

    if part is None:
        return None, None
    if isinstance(part, RangeByteRequest):
        return part.start, part.end
    if isinstance(part, OffsetByteRequest):
        return part.offset, None
    if isinstance(part, SuffixByteRequest):
        return (-part.suffix, None) if part.suffix else (0, 0)
    raise TypeError(f"{part!r} is not a byte range")
