"""What a request of zarr for a part of a value means."""

from __future__ import annotations

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

from copick_core.layers.byte_ranges import limits


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, b"0123456789"),
        (RangeByteRequest(2, 5), b"234"),
        (OffsetByteRequest(7), b"789"),
        (SuffixByteRequest(4), b"6789"),
        (SuffixByteRequest(99), b"0123456789"),
        (SuffixByteRequest(0), b""),
    ],
    ids=str,
)
def test_a_request_means_a_part_of_a_value(part, expected):
    assert b"0123456789"[slice(*limits(part))] == expected


def test_what_is_no_request_is_refused():
    with pytest.raises(TypeError, match="not a byte range"):
        limits(slice(2, 5))
