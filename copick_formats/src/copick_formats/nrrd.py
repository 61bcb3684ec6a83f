"""NRRD (https://teem.sourceforge.net/nrrd/format.html): one file of a text header and voxels, plain or packed.

Axes are stored x fastest. The voxel size is taken where the header gives its unit.
"""

from __future__ import annotations

import bz2
import gzip
import math
import re
import tempfile
from typing import IO, Any

import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins import packed
from copick_core.volumes.raw import RawSource
from copick_core.volumes.sources import VolumeSource
from copick_formats.units import in_angstrom

_HEADER = 2**16
_BLOCK = 2**20
_PACKED: dict[str, Any] = {"gz": gzip.open, "gzip": gzip.open, "bz2": bz2.open, "bzip2": bz2.open}
_NAMES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names}
_VECTOR = re.compile(r"\(([^(),]*),([^(),]*),([^(),]*)\)")


def is_nrrd(path: str, head: bytes) -> bool:
    """Whether a file is NRRD: its first line."""
    return head[:7] == b"NRRD000"


def read_nrrd(path: str) -> VolumeSource:
    """Open an NRRD file whose voxels are plain, or packed by gzip or bzip2.

    Raises:
        InvalidDataError: It is not an NRRD file, is cut off, has other than three axes or turned ones, or keeps its voxels in
            another file.
    """
    fields, offset = _header(path)
    if "datafile" in fields:
        raise InvalidDataError(source=path, reason="keeps its voxels in another file; save it as one file")
    if fields.get("dimension") != "3":
        raise InvalidDataError(source=path, reason=f"has {fields.get('dimension', 'an unknown number of')} axes, not 3")
    try:
        x, y, z = (int(n) for n in fields.get("sizes", "").split())
        skipped = int(fields.get("byteskip", "0")), int(fields.get("lineskip", "0"))
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"its header cannot be read: {error}") from error
    dtype, sizes = _dtype(path, fields), _voxel_sizes(path, fields)
    encoding = fields.get("encoding", "").lower()
    if encoding == "raw" and skipped[0] >= 0 and not skipped[1]:
        return RawSource(path, path, offset + skipped[0], (z, y, x), dtype, sizes)
    if encoding not in _PACKED or any(skipped):
        skips = f" with {skipped[0]} bytes and {skipped[1]} lines to skip" if any(skipped) else ""
        reason = f"its encoding is {encoding!r}{skips}, which is not read; save it as raw or gzip"
        raise InvalidDataError(source=path, reason=reason)
    if min(z, y, x) < 1:
        raise InvalidDataError(source=path, reason=f"is not a volume: its sizes are {x}, {y} and {z}")
    file = _unpacked(path, offset, encoding, z * y * x * dtype.itemsize)
    try:
        return RawSource(path, file, 0, (z, y, x), dtype, sizes)
    except BaseException:
        file.close()
        raise


def _header(path: str) -> tuple[dict[str, str], int]:
    """The fields by name, in small letters without spaces, and where the voxels begin."""
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    if not is_nrrd(path, head):
        raise InvalidDataError(source=path, reason="is not an NRRD file: its first line does not say so")
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None:
        raise InvalidDataError(source=path, reason="its header has no end")
    fields = {}
    for line in head[: end.start()].decode("utf-8", "replace").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            fields[name.lower().replace(" ", "")] = value.strip()
    return fields, end.end()


def _dtype(path: str, fields: dict[str, str]) -> np.dtype[Any]:
    name = fields.get("type", "").lower()
    if name not in _TYPES:
        raise InvalidDataError(source=path, reason=f"voxels of the type {name!r} cannot be read")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and not _TYPES[name].endswith("1"):
        raise InvalidDataError(source=path, reason="does not give the order of its bytes (endian)")
    return np.dtype((order or "") + _TYPES[name])


def _voxel_sizes(path: str, fields: dict[str, str]) -> tuple[float, float, float] | None:
    """Along z, y and x in angstrom; None where the header gives none, or no unit."""
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", "")))
    directions = fields.get("spacedirections")
    try:
        if directions is None:
            lengths = [float(number) for number in fields.get("spacings", "").split()]
        else:
            vectors = np.array([[float(number) for number in vector] for vector in _VECTOR.findall(directions)])
            lengths = np.diag(vectors).tolist() if vectors.shape == (3, 3) else []
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"its voxel size cannot be read: {error}") from error
    if directions is not None and (len(lengths) != 3 or not np.array_equal(vectors, np.diag(lengths)) or min(lengths) <= 0):
        reason = f"its axes are turned or flipped (space directions {directions}), which is not read; save it without that"
        raise InvalidDataError(source=path, reason=reason)
    if len(lengths) != 3 or len(units) != 3 or not all(0 < length < math.inf for length in lengths):
        return None
    return in_angstrom([*zip(lengths[::-1], units[::-1], strict=True)])


def _unpacked(path: str, offset: int, encoding: str, size: int) -> IO[bytes]:
    """The packed voxels in a temporary file, which is deleted when it is closed."""
    target = tempfile.TemporaryFile(prefix="copick_")  # noqa: SIM115 - the volume closes it
    try:
        with open(path, "rb") as plain:
            plain.seek(offset)
            with _PACKED[encoding](plain) as file:
                while size > 0 and (block := file.read(min(size, _BLOCK))):
                    target.write(block)
                    size -= len(block)
    except packed.ERRORS as error:
        target.close()
        raise InvalidDataError(source=path, reason=f"cannot be unpacked: {error}") from error
    target.flush()
    return target
