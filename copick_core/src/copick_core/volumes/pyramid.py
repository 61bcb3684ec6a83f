"""The arithmetic of resolution pyramids: level sizes, and halving a block of voxels. NumPy only, no storage.

Two kinds of pyramid exist. ``"mean"`` is for densities: every coarse voxel is the mean of the (at most 2x2x2)
voxels that exist under it. ``"nearest"`` is for labels: every coarse voxel is one of the fine ones, so no
label is invented.

The mean differs from copick 1.x at odd edges on purpose: that library pads with zeros there and so darkens
the last plane, row and column of every level (an all-ones 3x3x3 volume gets voxels of 0.125).

Arrays are (..., z, y, x); the last three axes are halved, axes before them (channels) are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["mean", "nearest"]
"""How coarser levels are made: ``"mean"`` for densities, ``"nearest"`` for labels."""

_CACHE_BYTES = 512 * 1024
"""Size of the piece that is averaged at once; a piece should stay in a core's L2 cache between its three
passes."""


def check_kind(kind: str) -> None:
    """Refuse a word that is not a kind of pyramid.

    Raises:
        ValueError: If ``kind`` is neither ``"mean"`` nor ``"nearest"``.
    """
    if kind not in ("mean", "nearest"):
        raise ValueError(f"kind must be 'mean' (densities) or 'nearest' (labels), not {kind!r}.")


def coarse_length(length: int, kind: Kind) -> int:
    """The size of an axis one level coarser.

    Args:
        length: Size of the axis, at least 1.
        kind: ``"mean"``: half of it, rounded up. ``"nearest"``: half of it, rounded half to even as copick
            1.x does (3 becomes 2, 5 becomes 2), but never 0.

    Example:
        >>> [coarse_length(n, "mean") for n in (1, 4, 5, 7)]
        [1, 2, 3, 4]
        >>> [coarse_length(n, "nearest") for n in (1, 4, 5, 7)]
        [1, 2, 2, 4]
    """
    return (length + 1) // 2 if kind == "mean" else max(1, round(length / 2))


def nearest_start(length: int) -> int:
    """The first voxel that a ``"nearest"`` level takes from an axis; it takes every second one from there.

    0 where the halved size was rounded up (``length % 4 == 3``), otherwise 1: the voxels that scikit-image's
    ``rescale(order=0)`` picks, which copick 1.x uses.
    """
    return 0 if length == 1 or length % 4 == 3 else 1


def coarse_shape(shape: Sequence[int], kind: Kind) -> tuple[int, ...]:
    """The shape one level coarser: the last three axes (z, y, x) halved, the others kept."""
    return (*shape[:-3], *(coarse_length(n, kind) for n in shape[-3:]))


def level_shapes(shape: Sequence[int], levels: int, kind: Kind) -> list[tuple[int, ...]]:
    """The shapes of all levels, finest first.

    Raises:
        ValueError: If ``levels`` is below 1, or a size is below 1.
    """
    check_kind(kind)
    if levels < 1:
        raise ValueError(f"A volume has at least one level, not {levels}.")
    if len(shape) < 3 or min(shape) < 1:
        raise ValueError(f"A volume has axes (z, y, x) of at least one voxel each, not shape {tuple(shape)}.")
    shapes = [tuple(int(n) for n in shape)]
    while len(shapes) < levels:
        shapes.append(coarse_shape(shapes[-1], kind))
    return shapes


def coarse_range(start: int, stop: int, length: int, kind: Kind) -> tuple[int, int]:
    """The coarse voxels along an axis of ``length`` that depend on its fine voxels ``start:stop``."""
    if kind == "mean":
        return start // 2, (stop + 1) // 2
    first = nearest_start(length)
    low = max(0, -((first - start) // 2))
    high = -((first - stop) // 2)
    return low, max(low, min(high, coarse_length(length, kind)))


def halve(block: npt.NDArray[Any], kind: Kind, starts: Sequence[int] | None = None) -> npt.NDArray[Any]:
    """Halve the last three axes of a block of voxels.

    Args:
        block: (..., z, y, x), any real dtype. If it is a part of a larger level, it begins at even indices.
        kind: How.
        starts: For ``"nearest"`` and a part of a larger level: ``nearest_start`` of that level's z, y and x
            sizes.

    Returns:
        The coarser block, same dtype (a new array for ``"mean"``, a view for ``"nearest"``). Means of
        integers are rounded half to even.

    Example:
        >>> halve(np.ones((3, 3, 3)), "mean").min()
        np.float64(1.0)
    """
    if kind == "nearest":
        z, y, x = starts or [nearest_start(n) for n in block.shape[-3:]]
        return block[..., z::2, y::2, x::2]
    if block.ndim > 3:
        return np.stack([halve(channel, kind) for channel in block])
    out = np.empty(coarse_shape(block.shape, kind), block.dtype)
    _mean_into(block, out)
    return out


def halve_into(block: npt.NDArray[Any], kind: Kind, starts: Sequence[int], out: npt.NDArray[Any]) -> None:
    """Halve a (z, y, x) block as `halve` does, into the beginning of ``out``, which may be larger."""
    if kind == "nearest":
        coarse = halve(block, kind, starts)
        out[tuple(slice(n) for n in coarse.shape)] = coarse
    else:
        _mean_into(block, out[tuple(slice((n + 1) // 2) for n in block.shape)])


def _mean_into(block: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    # float32 holds sums of eight 16-bit integers exactly.
    narrow = block.dtype.itemsize <= 2 or (block.dtype.kind, block.dtype.itemsize) == ("f", 4)
    accumulator = np.dtype(np.float32 if narrow else np.float64)
    eighth = accumulator.type(0.125)
    plane_pair = 2 * block.shape[1] * block.shape[2] * accumulator.itemsize
    step = max(1, _CACHE_BYTES // max(1, plane_pair))
    for k in range(0, out.shape[0], step):
        total = block[2 * k : 2 * (k + step)]
        for axis in (0, 1, 2):
            total = _pair_sums(total, axis, accumulator)
        total *= eighth
        if out.dtype.kind != "f":
            np.rint(total, out=total)
        out[k : k + step] = total


def _pair_sums(block: npt.NDArray[Any], axis: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Sums of neighbours along an axis; a last voxel without one counts twice, so that means stay means."""
    length = block.shape[axis]
    before = (slice(None),) * axis
    even = block[(*before, slice(0, length - length % 2, 2))]
    odd = block[(*before, slice(1, None, 2))]
    sums: npt.NDArray[Any]
    if length % 2 == 0:
        sums = np.add(even, odd, dtype=dtype)
        return sums
    sums = np.empty((*block.shape[:axis], (length + 1) // 2, *block.shape[axis + 1 :]), dtype)
    np.add(even, odd, out=sums[(*before, slice(0, length // 2))], dtype=dtype)
    last = block[(*before, length - 1)].astype(dtype)
    np.add(last, last, out=sums[(*before, length // 2)])
    return sums
