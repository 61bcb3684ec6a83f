"""EM, the format of the EM program and the TOM toolbox: 512 bytes of header, then the voxels. It has no voxel size.

Header: byte 0 machine (byte order), byte 3 data type, then x, y and z sizes as int32.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.volumes.sources import VolumeSource
from copick_formats.raw_files import header_of, raw_volume

_HEADER = 512
_BIG_ENDIAN = {0: True, 1: False, 3: True, 4: True, 5: True, 6: False}
"""By byte 0, the machine: OS-9, VAX, SGI, Sun, Mac, PC."""
_DTYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 8: "c8", 9: "f8"}
"""By byte 3."""


def is_em(path: str, head: bytes) -> bool:
    """Whether a file is EM: it has no magic number, but known codes and just the size that its header promises."""
    if len(head) < _HEADER or head[0] not in _BIG_ENDIAN or head[3] not in _DTYPES:
        return False
    shape, dtype = _content(head)
    return min(shape) > 0 and os.path.getsize(path) == _HEADER + math.prod(shape) * dtype.itemsize


def read_em(path: str) -> VolumeSource:
    """Open an EM file, which may be packed by gzip or bzip2.

    Raises:
        InvalidDataError: It is not an EM file, is cut off, or its voxels are complex.
    """
    header = header_of(path, _HEADER)
    if header[0] not in _BIG_ENDIAN or header[3] not in _DTYPES:
        raise InvalidDataError(source=path, reason="is not a readable EM file: its header names no known machine or data type")
    shape, dtype = _content(header)
    return raw_volume(path, _HEADER, shape, dtype)


def _content(header: bytes) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    """Sizes (z, y, x) and type."""
    order = ">" if _BIG_ENDIAN[header[0]] else "<"
    x, y, z = (int(n) for n in np.frombuffer(header, f"{order}i4", 3, 4))
    return (z, y, x), np.dtype(order + _DTYPES[header[3]])


def em_header(shape: Sequence[int], dtype: np.dtype[Any]) -> bytes:
    """The header of a new file, written as a PC does.

    Args:
        shape: (z, y, x).
        dtype: One of those that EM files can hold.
    """
    code = next(code for code, name in _DTYPES.items() if np.dtype(name) == dtype)
    return (bytes([6, 0, 0, code]) + np.array(shape[::-1], "<i4").tobytes()).ljust(_HEADER, b"\0")
