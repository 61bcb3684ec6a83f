"""Parts of a volume: reading and writing no more than an index covers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from copick_core.volumes.indexing import AxisIndex, Index, expand_index, forward, region_shape
from copick_core.volumes.labels import UNNAMED, cast_lossless, check_real
from copick_core.volumes.level_view import LevelView

if TYPE_CHECKING:
    from zarr import Array


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
    return as_stored(level).region(index, read)


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
            level, or is not a real number.
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
    steps, flips = forward(region, level.shape)
    # zarr 3.1 cannot write a region without axes, so integers become slices of one.
    boxes = tuple(i if isinstance(i, slice) else slice(i, i + 1, 1) for i in steps)
    full = values[flips][tuple(slice(None) if isinstance(i, slice) else None for i in steps)]
    level.write(boxes, full)
