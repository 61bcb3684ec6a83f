"""Parts of a volume: indices as NumPy understands them, and reading and writing no more than they cover."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import RegionTooLargeError
from copick_core.volumes.labels import UNNAMED, cast_lossless, check_real
from copick_core.volumes.level_view import LevelView

if TYPE_CHECKING:
    from zarr import Array

AxisIndex = int | slice
"""One axis: an integer (drops the axis, negative counts from the end) or a slice (any step)."""

Index = AxisIndex | EllipsisType | tuple[AxisIndex | EllipsisType, ...]
"""A region: an index for each axis. Missing last axes and ``...`` mean all of them."""


def expand_index(shape: Sequence[int], index: Index) -> tuple[AxisIndex, ...]:
    """Write an index out: one entry for each axis, integers from 0 on, slices with all three numbers.

    A slice with a negative step keeps it and is written as NumPy needs it (``stop=None`` where it reaches the
    beginning).

    Raises:
        IndexError: If an integer is outside, or there are more entries than axes.
        TypeError: If an entry is neither an integer nor a slice nor ``...``.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("An index has at most one ellipsis (...).")
    if len(items) - len(dots) > len(shape):
        raise IndexError(f"Index {index!r} has more entries than the array has axes (shape {tuple(shape)}).")
    at = dots[0] if dots else len(items)
    missing = [slice(None)] * (len(shape) - len(items) + len(dots))
    items = [*items[:at], *missing, *items[at + len(dots) :]]
    return tuple(_expand_axis(item, n, axis) for axis, (item, n) in enumerate(zip(items, shape, strict=True)))


def _expand_axis(item: Any, length: int, axis: int) -> AxisIndex:
    if isinstance(item, slice):
        start, stop, step = item.indices(length)
        if step > 0:
            return slice(start, max(start, stop), step)
        return slice(start, None if stop < 0 else stop, step) if start > stop else slice(0, 0, 1)
    if isinstance(item, (bool, np.bool_)):
        raise TypeError("A region is made of integers and slices, not of masks.")
    try:
        number = operator.index(item)
    except TypeError:
        raise TypeError(f"A region is made of integers and slices, not of {type(item).__name__}.") from None
    if not -length <= number < length:
        raise IndexError(f"Index {number} is outside axis {axis}, which has {length} entries.")
    return number % length


def region_shape(shape: Sequence[int], index: Index) -> tuple[int, ...]:
    """The shape of a region: axes with integers are dropped."""
    expanded = expand_index(shape, index)
    return tuple(len(range(n)[item]) for item, n in zip(expanded, shape, strict=True) if isinstance(item, slice))


def as_stored(level: Array[Any] | LevelView) -> LevelView:
    """A level whose axes are taken as they are stored, unless it is one whose axes are known already."""
    return level if isinstance(level, LevelView) else LevelView(level, None, channels=None)


def read_region(
    level: Array[Any] | LevelView,
    index: Index = ...,
    read: Callable[[tuple[AxisIndex, ...]], npt.NDArray[Any]] | None = None,
) -> npt.NDArray[Any]:
    """Read a region into memory; touches only the chunks that it covers, and of these only what it needs.

    Args:
        level: An open level; an array is taken as it is stored.
        index: Integers and slices, as NumPy's.
        read: What reads a region with positive steps into a new array; by default `LevelView.read`.

    Returns:
        What ``numpy_array[index]`` would be, in a new array of the level's dtype; a 0-d array for a single
        voxel.

    Raises:
        ValueError: (`RegionTooLargeError`) If it takes more memory than is free; nothing has been read.
        IndexError: If an integer is outside.
        TypeError: If the index is made of something else.
    """
    level = as_stored(level)
    region = expand_index(level.shape, index)
    requested = math.prod(region_shape(level.shape, region)) * level.dtype.itemsize
    available = available_memory()
    if available is not None and requested > available:
        raise RegionTooLargeError(requested=requested, available=available)
    forward, flips = _forward(region, level.shape)
    values = level.read(forward) if read is None else read(forward)
    out = np.asarray(values[flips], level.dtype)  # a single voxel as NumPy's scalar forgets the byte order
    # "<f4", as zarr says, is "f4" here, but not to buffers: memoryview() reads no item of it.
    return out.view(out.dtype.newbyteorder("=")) if out.dtype.isnative else out


def write_region(level: Array[Any] | LevelView, index: Index, data: npt.ArrayLike) -> None:
    """Write a region; reads and writes only the chunks that it covers.

    Chunks that it covers in part are read, changed and written back: two writers must not change one chunk at
    a time. Coarser levels are not touched; see `copick_core.volumes.ome.update_levels`.

    Args:
        level: An open level of a writable store; an array is taken as it is stored.
        index: Integers and slices, as NumPy's.
        data: What to write; must have the region's shape or broadcast to it. Integer levels take only values
            that they hold exactly.

    Raises:
        ValueError: If the shape does not fit, or (`InvalidDataError`) a value would be changed by an integer
            level, or is no real number.
        IndexError: If an integer is outside.
    """
    level = as_stored(level)
    region = expand_index(level.shape, index)
    values = np.asarray(data)
    if level.dtype.kind in "biu":
        values = cast_lossless(values, level.dtype)
    elif level.dtype.kind == "f":
        check_real(values, UNNAMED)
    wanted = region_shape(level.shape, region)
    try:
        values = np.broadcast_to(values, wanted)
    except ValueError:
        raise ValueError(f"Data of shape {values.shape} do not fit a region of shape {wanted}.") from None
    if values.size == 0:
        return
    forward, flips = _forward(region, level.shape)
    # zarr 3.1 cannot write a region without axes, so integers become slices of one.
    boxes = tuple(i if isinstance(i, slice) else slice(i, i + 1, 1) for i in forward)
    full = values[flips][tuple(slice(None) if isinstance(i, slice) else None for i in forward)]
    level.write(boxes, full)


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil  # type: ignore[import-untyped]

        return int(psutil.virtual_memory().available)
    except ImportError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _forward(region: Sequence[AxisIndex], shape: Sequence[int]) -> tuple[tuple[AxisIndex, ...], tuple[slice, ...]]:
    """The same region with positive steps, as zarr needs it, and what turns its result around."""
    forward: list[AxisIndex] = []
    flips = []
    for item, length in zip(region, shape, strict=True):
        if isinstance(item, int):
            forward.append(item)
            continue
        chosen = range(length)[item]
        reverse = len(chosen) > 0 and chosen.step < 0
        if reverse:
            chosen = chosen[::-1]
        forward.append(slice(chosen.start, chosen.stop, chosen.step))
        flips.append(slice(None, None, -1 if reverse else None))
    return tuple(forward), tuple(flips)
