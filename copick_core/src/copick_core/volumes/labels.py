"""Label volumes: dtypes that hold every value, casts that change none, rules of panoptic segmentations.

Big volumes are scanned in slabs along their first axis, so that no temporary is larger than a few megabytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError

#: What data are called in messages, where nobody says which they are.
UNNAMED = "data"
_SLAB_BYTES = 8 * 2**20
#: Values below which a table says which are labels; beyond it, they are looked for.
_TABLE = 2**16

PANOPTIC_CHANNELS = ("label", "instance")
"""Channels of a panoptic segmentation (2, z, y, x): the object's label, and the instance id within that
object."""


def smallest_unsigned(
    data: npt.ArrayLike,
    floor: npt.DTypeLike = np.uint8,
    *,
    source: str = "labels",
    origin: Sequence[int] | None = None,
) -> np.dtype[Any]:
    """The smallest unsigned integer dtype that holds every value.

    Args:
        data: Labels of any shape: bool, integers, or floats with integral values.
        floor: The narrowest dtype to return (uint16 is the custom for instance and panoptic segmentations).
        source: What the data are, for the message.
        origin: Index of the first element in the whole volume, for the message; zeros by default.

    Raises:
        ValueError: (`InvalidDataError`) If a value is negative, fractional or not finite; it names the first
            one and its index.

    Example:
        >>> smallest_unsigned([0, 3, 300])
        dtype('uint16')
    """
    array = np.asarray(data)
    check_real(array, source)
    if array.dtype.kind in "bu" and array.dtype.itemsize <= np.dtype(floor).itemsize:
        return np.dtype(floor)  # whatever the values are
    high = 0
    first, *rest = origin or (0,)
    for start, slab in _slabs(array):
        _refuse(slab, ~_is_label(slab), (first + start, *rest), "is not a label: labels are whole numbers from 0 on", source)
        high = max(high, int(slab.max()))
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        if np.dtype(dtype).itemsize >= np.dtype(floor).itemsize and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise InvalidDataError(source=source, reason=f"value {high} is larger than any unsigned integer dtype holds")


def cast_lossless(
    data: npt.ArrayLike,
    dtype: npt.DTypeLike,
    *,
    source: str = UNNAMED,
    origin: Sequence[int] | None = None,
) -> npt.NDArray[Any]:
    """Cast an array, but refuse to change any value.

    Args:
        data: Any shape, any real dtype.
        dtype: The dtype to get.
        source: What the data are, for the message.
        origin: Index of the first element in the whole volume, for the message; zeros by default.

    Returns:
        ``data`` itself if it has that dtype, otherwise a copy.

    Raises:
        ValueError: (`InvalidDataError`) If the cast would change a value (negative, fractional, NaN,
            overflow); it names the first one and its index.
    """
    array = np.asarray(data)
    target = np.dtype(dtype)
    if array.dtype == target:
        return array
    check_real(array, source)
    # NumPy calls it safe to round integers of 64 bits to float64.
    rounds = array.dtype.kind in "iu" and array.dtype.itemsize == target.itemsize == 8 and target.kind == "f"
    if np.can_cast(array.dtype, target, "safe") and not rounds:
        return array.astype(target)
    out = np.empty(array.shape, target)
    flat_out = out if out.ndim else out.reshape(1)
    first, *rest = origin or (0,)
    for start, slab in _slabs(array):
        with np.errstate(invalid="ignore", over="ignore"):
            cast = slab.astype(target)
            changed = ~_same(slab, cast)
        _refuse(slab, changed, (first + start, *rest), f"cannot be stored as {target} unchanged", source)
        flat_out[start : start + len(slab)] = cast
    return out


def check_panoptic(data: npt.NDArray[Any], allowed: Collection[int], *, source: str = "panoptic volume") -> None:
    """Check the two rules of a panoptic segmentation.

    Args:
        data: (2, z, y, x) or a region of it; channels ``label`` and ``instance``.
        allowed: The labels of the project's objects; 0 (background) is always allowed.
        source: What the data are, for the message.

    Raises:
        ValueError: (`InvalidDataError`) If there are not two channels, a label is not allowed, or a
            background voxel carries an instance id. The first offending voxel is named.
    """
    if data.ndim < 1 or data.shape[0] != len(PANOPTIC_CHANNELS):
        reason = f"needs shape (2, z, y, x) with channels {PANOPTIC_CHANNELS}, not {data.shape}"
        raise InvalidDataError(source=source, reason=reason)
    legal = np.array([0, *sorted(allowed)])
    instances = data[1] if data.ndim > 1 else data[1:]
    for start, labels in _slabs(data[0]):
        _refuse(labels, ~np.isin(labels, legal), (start,), "is the label of no object of the project", source)
        orphans = (labels == 0) & (instances[start : start + len(labels)] != 0)
        _refuse(
            instances[start : start + len(labels)],
            orphans,
            (start,),
            "is an instance id on a background voxel (label 0)",
            source,
        )


class LabelCheck:
    """Notices values that are neither 0 nor one of some labels, or one that objects share. Takes pieces, from any thread.

    Args:
        labels: The labels.
        shared: Those that tell nobody which object is meant.

    Attributes:
        found: A value that is none of them; None as long as there is none.
        found_shared: A value that is one of ``shared``; None as long as there is none.
    """

    def __init__(self, labels: Collection[int], shared: Collection[int] = ()) -> None:
        self.found: int | float | None = None
        self.found_shared: int | None = None
        self._shared = shared
        self._labels = np.unique([0, *labels])
        # Most projects number their objects one after another: then the largest value tells.
        self._gapless = int(np.argmax(np.append(self._labels, -1) != np.arange(len(self._labels) + 1))) - 1

    def __call__(self, values: npt.NDArray[Any]) -> None:
        """Look at a piece."""
        if self.found_shared is None:
            self.found_shared = next((label for label in self._shared if (values == label).any()), None)
        if self.found is not None or not values.size:
            return
        if values.dtype.kind in "bu":
            high = int(values.max())
            if high <= self._gapless:
                return
            if high < _TABLE:
                wrong = np.ones(high + 1, np.bool_)
                wrong[self._labels[self._labels <= high]] = False
                unlisted = wrong[values]
            else:
                unlisted = ~np.isin(values, self._labels)
        else:
            unlisted = ~np.isin(values, self._labels)
        if unlisted.any():
            self.found = values[unlisted][0].item()


def check_real(array: npt.NDArray[Any], source: str) -> None:
    """Refuse arrays of anything but real numbers.

    Raises:
        ValueError: (`InvalidDataError`) If there are others.
    """
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(source=source, reason=f"need a real number dtype, not {array.dtype}")


def _slabs(array: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Slabs of a few megabytes along the first axis, each with its first index; a scalar is one."""
    if array.size == 0:
        return
    array = array if array.ndim else array.reshape(1)
    step = max(1, _SLAB_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def _is_label(slab: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if slab.dtype.kind == "b" or slab.dtype.kind == "u":
        return np.ones(slab.shape, np.bool_)
    valid: npt.NDArray[np.bool_] = slab >= 0
    if slab.dtype.kind == "f":
        valid &= np.isfinite(slab) & (slab == np.floor(slab))
    return valid


def _same(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a cast kept the value. Casting back alone would miss values that wrap there and back."""
    back = after.astype(before.dtype)
    same: npt.NDArray[np.bool_] = back == before
    if after.dtype.kind in "iub":
        if before.dtype.kind == "f":
            # 2.0**64 casts to some uint64 and may come back equal: the range is checked in floats, exclusive
            # above.
            low, high = (0, 1) if after.dtype.kind == "b" else (np.iinfo(after.dtype).min, np.iinfo(after.dtype).max)
            wide = before.astype(np.float64, copy=False)
            same &= (wide >= float(low)) & (wide < float(high + 1))
        elif before.dtype.kind == "i" and after.dtype.kind == "u":
            same &= before >= 0
        elif before.dtype.kind == "u" and after.dtype.kind == "i":
            same &= after >= 0
    elif before.dtype.kind in "iu":
        # An integer beyond a float's mantissa is rounded; 2**64 - 1 -> 2.0**64 -> wraps back to a wrong
        # integer.
        same &= np.isfinite(after) & (after.astype(np.float64) < 2.0 ** (64 if before.dtype.kind == "u" else 63))
    else:
        same |= np.isnan(before) & np.isnan(after)
    return same


def _refuse(slab: npt.NDArray[Any], wrong: npt.NDArray[np.bool_], origin: Sequence[int], reason: str, source: str) -> None:
    if not wrong.any():
        return
    local = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    offsets = (*origin, *(0,) * len(local))
    index = tuple(int(i) + o for i, o in zip(local, offsets, strict=False))
    raise InvalidDataError(source=source, reason=f"value {slab[local]} at index {index} {reason}", index=index)
