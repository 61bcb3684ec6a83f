"""MRC2014 (https://www.ccpem.ac.uk/mrc-format/mrc2014/), and the older files that mrcfile makes sense of."""

from __future__ import annotations

import io
import logging
import math
import warnings
from typing import Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.volumes.orientation import orient
from copick_core.volumes.sources import VolumeSource
from copick_formats.raw_files import header_of, raw_volume
from copick_formats.units import six_digits

logger = logging.getLogger(__name__)

_HEADER = 1024
_EXTENDED_SIZE = slice(92, 96)
_IMOD_STAMP = 1146047817
"""Offset 152 of IMOD's headers; the flags after it tell, in bit 0, whether bytes (mode 0) are signed."""


def is_mrc(path: str, head: bytes) -> bool:
    """Whether a file is MRC: the map ID at offset 208. Files from before 2000 have none."""
    return head[208:211] == b"MAP"


def read_mrc(path: str) -> VolumeSource:
    """Open an MRC file, which may be packed by gzip or bzip2.

    Columns, rows and sections are turned to z, y, x as mapc, mapr and maps say, while they are read.

    Raises:
        InvalidDataError: It is not an MRC file, is cut off, holds several volumes, or its mode is none of real numbers.
    """
    header = _header(path)
    shape = (int(header.nz), int(header.ny), int(header.nx))
    if int(header.ispg) > 400 and 0 < int(header.mz) < shape[0]:
        raise InvalidDataError(source=path, reason=f"is a stack of {shape[0] // int(header.mz)} volumes, not one")
    extended = int(header.nsymbt)
    if extended < 0:
        raise InvalidDataError(source=path, reason=f"its extended header has {extended} bytes")
    axes = _axes(path, header)
    sizes = _voxel_sizes(header)
    stored = None if sizes is None else (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]])
    volume = raw_volume(path, _HEADER + extended, shape, _dtype(path, header), stored)
    # orient() wants to know for each axis of the result which axis of the file it is.
    return orient(volume, [axes.index(axis) for axis in range(3)], None)


def _header(path: str) -> Any:
    """The header as mrcfile reads it, with the byte order found out."""
    from mrcfile.dtypes import HEADER_DTYPE
    from mrcfile.mrcinterpreter import MrcInterpreter

    content = header_of(path, _HEADER)
    # mrcfile would read as much of an extended header as this number says, whatever the file has.
    without_extended = bytearray(content)
    without_extended[_EXTENDED_SIZE] = bytes(4)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            found = MrcInterpreter(io.BytesIO(without_extended), permissive=True, header_only=True).header
        except ValueError as error:
            raise InvalidDataError(source=path, reason=f"is not a readable MRC file: {error}") from error
    for note in notes:
        logger.warning("%s: %s", path, note.message)
    dtype = HEADER_DTYPE.newbyteorder(found.dtype["mode"].byteorder)
    return np.frombuffer(content, dtype, 1).reshape(()).view(np.recarray)


def _axes(path: str, header: Any) -> tuple[int, int, int]:
    """Which axis (0 = z, 1 = y, 2 = x) the sections, rows and columns are."""
    order = (int(header.maps), int(header.mapr), int(header.mapc))
    if order == (0, 0, 0):  # old files do not say
        return 0, 1, 2
    if sorted(order) != [1, 2, 3]:
        raise InvalidDataError(
            source=path,
            reason=f"mapc, mapr, maps are {order[::-1]}, no order of the axes 1 (x), 2 (y), 3 (z); correct the header",
        )
    return 3 - order[0], 3 - order[1], 3 - order[2]


def _dtype(path: str, header: Any) -> np.dtype[Any]:
    from mrcfile.utils import data_dtype_from_header

    try:
        dtype: np.dtype[Any] = np.dtype(data_dtype_from_header(header))
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"mode {int(header.mode)} cannot be read as a volume") from error
    if dtype == np.int8 and _bytes_are_unsigned(header):
        return np.dtype(np.uint8)
    return dtype


def _bytes_are_unsigned(header: Any) -> bool:
    words = np.frombuffer(header.tobytes(), f"{header.dtype['mode'].byteorder}i4", 2, 152)
    return int(words[0]) == _IMOD_STAMP and not int(words[1]) & 1


def _voxel_sizes(header: Any) -> tuple[float, float, float] | None:
    """Cell size over sampling, along z, y, x: both count along these axes, however the voxels are stored."""
    cell = [float(header.cella[axis]) for axis in "zyx"]
    samples = [int(header[name]) for name in ("mz", "my", "mx")]
    if min(samples) < 1 or not all(math.isfinite(length) for length in cell) or min(cell) <= 0:
        return None
    z, y, x = (six_digits(length / n) for length, n in zip(cell, samples, strict=True))
    return z, y, x
