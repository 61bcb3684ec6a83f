"""Checks of a TIFF's pages before they are decoded: complete, no larger than their bytes allow, of a known compression."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, MissingDependencyError

_INSTALL = 'pip install "copick-formats[tiff]"'

_MOST_OUT_OF_A_BYTE = 1100
"""Deflate makes at most 1032 bytes of one (RFC 1951: 258 bytes for two bits). The others rarely reach that; so that masks of
one value can be read, pages up to `_ALWAYS_BYTES` are decoded whatever they were compressed from."""
_ALWAYS_BYTES = 32 * 2**20

_NDPI = 65420
"""Tag of Hamamatsu's files, whose offsets are not those of TIFF."""


def check_chain(path: str, tiff: Any) -> None:
    """Refuse a file whose list of pages breaks off: what comes after would be left out without a word.

    Raises:
        InvalidDataError: An offset leads out of the file, or back.
    """
    if _NDPI in tiff.pages[0].tags:
        return
    order = tiff.byteorder
    count, entry, offset = ("Q", 20, "Q") if tiff.is_bigtiff else ("H", 12, "I")
    seen: set[int] = set()
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(8 if tiff.is_bigtiff else 4)
        while True:
            (at,) = _numbers(file, order + offset)
            if at == 0:
                return
            file.seek(at)
            numbers = _numbers(file, order + count) if at < size and at not in seen else (None,)
            seen.add(at)
            if numbers[0] is None or file.tell() + numbers[0] * entry > size:
                reason = f"is cut off or damaged: the list of its pages breaks off after {len(seen) - 1}"
                raise InvalidDataError(source=path, reason=reason)
            file.seek(numbers[0] * entry, 1)


def _numbers(file: Any, form: str) -> tuple[Any, ...]:
    content = file.read(struct.calcsize(form))
    return struct.unpack(form, content) if len(content) == struct.calcsize(form) else (None,)


def check_codecs(path: str, tifffile: ModuleType, page: Any) -> None:
    """Refuse a compression that nothing installed decodes.

    Raises:
        MissingDependencyError: imagecodecs decodes it, and is not installed.
        InvalidDataError: Nothing decodes it.
    """
    for number, known, what in (
        (int(page.compression), tifffile.TIFF.DECOMPRESSORS, "compression"),
        (int(page.predictor), tifffile.TIFF.UNPREDICTORS, "predictor"),
    ):
        try:
            known[number]
        except KeyError as error:
            if number == 1:
                continue
            name = getattr(getattr(page, what), "name", number)
            _refuse(path, f"{what} {name}", str(error).strip("\"'"))


def decoded(path: str, pages: Sequence[Any], number: int) -> npt.NDArray[Any]:
    """Decode a page: an array (y, x).

    Raises:
        InvalidDataError: The page is missing, damaged, or said to be much larger than its bytes or the file can be.
        MissingDependencyError: imagecodecs decodes it, and is not installed.
    """
    try:
        page = pages[number]  # it is parsed now
        if page is None:
            raise InvalidDataError(source=path, reason=f"page {number} is missing; it may lie in another file")
        check_size(path, page.keyframe.shape, page.keyframe.dtype, page.databytecounts, f"page {number}")
        if max(page.databytecounts, default=0) > page.parent.filehandle.size:
            raise InvalidDataError(source=path, reason=f"page {number} is damaged: it is said to be larger than the file")
        array: npt.NDArray[Any] = page.asarray(maxworkers=1)
    except (InvalidDataError, MemoryError):
        raise
    except Exception as error:  # every codec has errors of its own
        if isinstance(error, ImportError) or "imagecodecs" in str(error):
            _refuse(path, f"page {number}", str(error))
        reason = f"page {number} is damaged ({type(error).__name__}: {error})"
        raise InvalidDataError(source=path, reason=reason) from error
    return array


def check_size(path: str, shape: Any, dtype: npt.DTypeLike, stored: Any, what: str) -> None:
    """Refuse what is said to be larger than the bytes that are stored of it can be.

    Raises:
        InvalidDataError: It is.
    """
    claimed = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    found = sum(int(n) for n in stored)
    if claimed > max(_ALWAYS_BYTES, _MOST_OUT_OF_A_BYTE * found):
        reason = f"{what} is damaged: {found:,} stored bytes cannot be {claimed:,} bytes of voxels"
        raise InvalidDataError(source=path, reason=reason)


def _refuse(path: str, what: str, reason: str) -> None:
    try:
        import imagecodecs  # noqa: F401 - whether it is there is the question
    except ImportError as error:
        raise MissingDependencyError(feature=f"Reading {path} ({what})", install=_INSTALL) from error
    raise InvalidDataError(source=path, reason=f"{what} cannot be decoded: {reason}")
