"""Voxels in one piece behind a header, in files that may be packed by gzip or bzip2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.plugins import packed
from copick_core.volumes.raw import RawSource


def header_of(path: str, size: int) -> bytes:
    """Read the header of a file, unpacked.

    Raises:
        InvalidDataError: The file is shorter, or damaged.
    """
    header = packed.head(path, size)
    if len(header) < size:
        raise InvalidDataError(
            source=path, reason=f"is not a readable file: it has {len(header)} bytes, its header alone {size}"
        )
    return header


def raw_volume(
    path: str,
    offset: int,
    shape: Sequence[int],
    dtype: npt.DTypeLike,
    voxel_sizes: tuple[float, float, float] | None = None,
) -> RawSource:
    """Open the voxels behind a header; those of a packed file are unpacked into a temporary file.

    Args:
        path: The file.
        offset: Bytes before the first voxel.
        shape: Sizes in the order of the file, the fastest one last.
        dtype: Type and byte order.
        voxel_sizes: In angstrom, in the order of ``shape``.

    Raises:
        InvalidDataError: The file has fewer bytes than its header promises, or is damaged.
    """
    if packed.opener(path) is None:
        return RawSource(path, path, offset, shape, dtype, voxel_sizes)
    file = packed.unpacked(path, offset + math.prod(shape) * np.dtype(dtype).itemsize)
    try:
        return RawSource(path, file, offset, shape, dtype, voxel_sizes)
    except BaseException:
        file.close()
        raise
