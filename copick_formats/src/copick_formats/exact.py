"""The data type in which a file can hold a volume without change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.sources import VolumeSource


def exact_dtype(path: str, volume: VolumeSource, choices: Sequence[str], given: str | None) -> np.dtype[Any]:
    """Choose the first type that holds every value; integers that no type holds for certain are read once to find out.

    Args:
        path: The new file, for the error.
        volume: What is to be written.
        choices: Types that the format has, smallest first.
        given: The type that was asked for: fractions may be rounded to it, integers may not change.

    Raises:
        InvalidDataError: No type of the format holds the values without change.
    """
    source = volume.dtype.newbyteorder("=")
    types = [np.dtype(choice) for choice in choices]
    if given is not None:
        asked = np.dtype(given)
        if asked not in types:
            raise InvalidDataError(source=path, reason=f"the format has no {asked}; it has {', '.join(choices)}")
        types = [asked]
        if source.kind == "f" and asked.kind == "f":
            return asked
    if fitting := [dtype for dtype in types if _always_fits(source, dtype)]:
        return fitting[0]
    if source.kind in "iub":
        low, high = _range(volume)
        for dtype in types:
            if dtype.kind in "iu" and np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return dtype
            if dtype.kind == "f" and max(-low, high) <= 2 ** (np.finfo(dtype).nmant + 1):
                return dtype
        reason = f"values from {low} to {high} do not fit any type of the format ({', '.join(choices)}) without change"
        raise InvalidDataError(source=path, reason=reason)
    way_out = f"; give dtype={choices[-1]!r} to round them" if source.kind == "f" else ""
    raise InvalidDataError(source=path, reason=f"the format holds no {source} without change{way_out}")


def slabs(volume: VolumeSource, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """The volume's planes in a type, some at a time, in C order."""
    for _, slab in volume.each_slab():
        with np.errstate(over="ignore"):
            yield np.ascontiguousarray(slab, dtype)


def _always_fits(source: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    if source.kind in "iu" and dtype.kind == "f" and 8 * source.itemsize > np.finfo(dtype).nmant + 1:
        return False  # NumPy calls int64 to float64 safe
    return np.can_cast(source, dtype, "safe")


def _range(volume: VolumeSource) -> tuple[int, int]:
    low, high = 0, 0
    for _, slab in volume.each_slab():
        if slab.size:
            low, high = min(low, int(slab.min())), max(high, int(slab.max()))
    return low, high
