"""Indices of regions as NumPy understands them: written out, turned around, and measured against free memory."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

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


def forward(region: Sequence[AxisIndex], shape: Sequence[int]) -> tuple[tuple[AxisIndex, ...], tuple[slice, ...]]:
    """The same region with positive steps, as zarr needs it, and what turns its result around."""
    steps: list[AxisIndex] = []
    flips = []
    for item, length in zip(region, shape, strict=True):
        if isinstance(item, int):
            steps.append(item)
            continue
        chosen = range(length)[item]
        reverse = len(chosen) > 0 and chosen.step < 0
        if reverse:
            chosen = chosen[::-1]
        steps.append(slice(chosen.start, chosen.stop, chosen.step))
        flips.append(slice(None, None, -1 if reverse else None))
    return tuple(steps), tuple(flips)
