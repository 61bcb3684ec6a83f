"""A level as copick sees it: axes (z, y, x), whatever else the stored array has and in whatever order.

Leading axes of one entry (time, channel) are left out, and axes that are stored as x, y, z are exchanged, while a region is
read or written: nothing is copied for that. Arrays that are stored as copick stores them pass through as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError, by_caller
from copick_core.volumes import chunk_parts
from copick_core.volumes.free_memory import check_fits
from copick_core.volumes.image import Image, spatial
from copick_core.volumes.indexing import AxisIndex, Index, expand_index, forward, region_shape
from copick_core.volumes.shards import Values, change

if TYPE_CHECKING:
    from zarr import Array


Read = Callable[["Array[Any]", Sequence["AxisIndex"]], npt.NDArray[Any]]
"""Reads a region of a stored array, as `chunk_parts.read` does."""


class LevelView:
    """One resolution level with its axes in order.

    Args:
        array: The level as it is stored.
        image: Metadata of its image, if it has any.
        channels: Whether one axis before z, y and x is meant to be there. None: the array is taken as it is stored.
        source: What it belongs to, for messages.

    Attributes:
        array: The level as it is stored.
        image: Metadata of its image, or None.
        shape: Length of each axis.
        dtype: Of the voxels.
        chunks: What is written at once, along each axis: a shard, or else a chunk.
        inner: What is read at once, along each axis: a chunk.

    Raises:
        ValueError: (`InvalidDataError`) If the array has other axes of more than one entry, or lacks one.
    """

    def __init__(
        self, array: Array[Any], image: Image | None, channels: bool | None = False, source: str = "the volume"
    ) -> None:
        self.array = array
        self.image = image
        self.dtype: np.dtype[Any] = array.dtype
        self._order = tuple(range(array.ndim)) if channels is None else _order(array, image, channels, source)
        self._plain = self._order == tuple(range(array.ndim))
        self.shape = tuple(array.shape[axis] for axis in self._order)
        written = array.shards or array.chunks
        self.chunks = tuple(written[axis] for axis in self._order)
        self.inner = tuple(array.chunks[axis] for axis in self._order)

    @property
    def path(self) -> str:
        """Path of the array in its store."""
        return self.array.path

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def order(self) -> tuple[int, ...]:
        """Which stored axis each axis is; those that are missing have one entry."""
        return self._order

    def __getitem__(self, index: Index) -> npt.NDArray[Any]:
        """Read a region, by integers and slices as NumPy takes them."""
        return self.region(index)

    def region(
        self, index: Index = ..., read: Callable[[tuple[AxisIndex, ...]], npt.NDArray[Any]] | None = None
    ) -> npt.NDArray[Any]:
        """Read a region; see :func:`copick_core.volumes.regions.read_region`."""
        region = expand_index(self.shape, index)
        check_fits(math.prod(region_shape(self.shape, region)) * self.dtype.itemsize)
        steps, flips = forward(region, self.shape)
        values = self.read(steps) if read is None else read(steps)
        out = np.asarray(values[flips], self.dtype)  # a single voxel as NumPy's scalar forgets the byte order
        # "<f4", as zarr says, is "f4" here, but not to buffers: memoryview() reads no item of it.
        return out.view(out.dtype.newbyteorder("=")) if out.dtype.isnative else out

    def read(self, region: Sequence[AxisIndex], read: Read = chunk_parts.read) -> npt.NDArray[Any]:
        """Read a region.

        Args:
            region: One entry for each axis: an integer from 0 on, or a slice with three numbers and a positive step.
            read: What reads a region of the stored array.

        Returns:
            A new array, without the axes that have an integer.
        """
        if self._plain:
            return read(self.array, region)
        stored: list[AxisIndex] = [0] * self.array.ndim
        for axis, item in zip(self._order, region, strict=True):
            stored[axis] = item
        kept = [axis for axis, item in zip(self._order, region, strict=True) if isinstance(item, slice)]
        return read(self.array, stored).transpose([sorted(kept).index(axis) for axis in kept])

    @property
    def sharded(self) -> bool:
        """Whether the array's chunks lie in shards, which are written as a whole."""
        return self.array.shards is not None

    def write(self, boxes: Sequence[slice], values: npt.NDArray[Any] | Values) -> None:
        """Write a region.

        Args:
            boxes: A slice with a positive step for each axis.
            values: What to write, of the region's shape; or what gives the values of a part of the region, by slices of it.
        """
        array = self.array
        stored = [slice(0, 1, 1)] * array.ndim
        for axis, box in zip(self._order, boxes, strict=True):
            stored[axis] = box
        if self.sharded and len(getattr(array.metadata, "codecs", ())) == 1:
            change(array, stored, lambda target: self._as_stored(self._part(values, target)))
            return
        whole = values if isinstance(values, np.ndarray) else values(tuple(slice(0, len(_range(box))) for box in boxes))
        if array.dtype.kind == "f":
            # zarr's check for empty chunks takes as long as compressing them, and densities are hardly ever empty.
            array = array.with_config({"write_empty_chunks": True})
        array[tuple(stored)] = np.asarray(self._as_stored(whole), order="C")

    def _part(self, values: npt.NDArray[Any] | Values, target: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Some of the values of a region, by slices of the region as it is stored."""
        wanted = tuple(target[axis] for axis in self._order)
        return values[wanted] if isinstance(values, np.ndarray) else values(wanted)

    def _as_stored(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values with the axes that are stored, in their order."""
        if self._plain:
            return values
        order = [*self._order, *(axis for axis in range(self.array.ndim) if axis not in self._order)]
        full = values[(..., *[None] * (self.array.ndim - values.ndim))]
        return full.transpose([order.index(axis) for axis in range(self.array.ndim)])


def _range(box: slice) -> range:
    return range(box.start, box.stop, box.step or 1)


def _order(array: Array[Any], image: Image | None, channels: bool, source: str) -> tuple[int, ...]:
    """The stored axes of a view, first to last."""
    ndim = array.ndim
    axes = None if image is None else image.axes_of(ndim)
    if image is not None and axes is None:
        named = ", ".join(axis.name for axis in image.axes or ())
        reason = f"its metadata name the axes {named}, but level {array.path!r} has shape {array.shape}"
        raise InvalidDataError(source=source, reason=reason)
    names = [axis.name for axis in axes] if axes else [str(axis) for axis in range(ndim)]
    space = spatial(axes) if axes else (ndim - 3, ndim - 2, ndim - 1)
    if space is None or min(space) < 0:
        what = ", ".join(f"{name} ({n})" for name, n in zip(names, array.shape, strict=True))
        raise InvalidDataError(source=source, reason=f"it has no axes z, y and x, but {what}")
    others = [axis for axis in range(ndim) if axis not in space]
    kept = [axis for axis in others if array.shape[axis] != 1]
    if channels and not kept:
        kept = [axis for axis in others if axes and axes[axis].type == "channel"] or others[-1:]
    if len(kept) > channels:
        what = ", ".join(f"{names[axis]!r} of {array.shape[axis]} entries" for axis in kept)
        wanted = "(channel, z, y, x)" if channels else "(z, y, x)"
        raise InvalidDataError(
            source=source,
            reason=f"it has the axis {what}, where {wanted} is wanted. Store each part in a volume of its own"
            f"{by_caller('; array() and zarr() give what is stored', '')}",
        )
    return (*kept, *space)
