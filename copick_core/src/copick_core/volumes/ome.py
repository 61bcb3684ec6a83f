"""Volumes in zarr stores: OME-NGFF images as copick keeps tomograms, segmentations, maps and features.

Everything here works on a `zarr.abc.store.Store` that is rooted at one volume, and knows nothing of projects.
Arrays have axes (z, y, x), with a leading channel axis for panoptic segmentations and some features; voxel
sizes are in angstrom.

Two versions of OME-NGFF (https://ngff.openmicroscopy.org) are read and written: 0.4 in zarr v2, where
`multiscales` lies in ``.zattrs``, and 0.5 in zarr v3, where it lies under ``ome`` in the attributes of
``zarr.json``. This metadata is written
last: a volume whose writing was interrupted has none.

The parts: `pyramid` (arithmetic), `chunks` (layout and writing), `labels` (dtypes), `regions` (reading and
changing parts).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.volumes.chunks import LevelWriter
from copick_core.volumes.format import FormatOptions, VolumeFormat, layout_of
from copick_core.volumes.indexing import Index, expand_index, region_shape
from copick_core.volumes.labels import PANOPTIC_CHANNELS, cast_lossless, check_panoptic, smallest_unsigned
from copick_core.volumes.level_stream import Bricks, Inspect, Progress, write_levels
from copick_core.volumes.level_view import LevelView
from copick_core.volumes.levels import UNREAD, levels, open_level, open_with_image, read_image, voxel_size_of
from copick_core.volumes.multiscales import clear, multiscales, to_angstrom, write_group
from copick_core.volumes.pyramid import Kind, coarse_range, coarse_shape, halve, level_shapes, nearest_start
from copick_core.volumes.regions import as_stored, read_region, write_region
from copick_core.volumes.workers import Workers

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store

__all__ = [
    "PANOPTIC_CHANNELS",
    "UNREAD",
    "FormatOptions",
    "Index",
    "Kind",
    "LevelView",
    "Progress",
    "VolumeFormat",
    "cast_lossless",
    "check_levels",
    "check_panoptic",
    "expand_index",
    "layout_of",
    "levels",
    "open_level",
    "open_with_image",
    "read_image",
    "read_region",
    "region_shape",
    "smallest_unsigned",
    "to_angstrom",
    "update_levels",
    "voxel_size_of",
    "write_array",
    "write_bricks",
    "write_pyramid",
    "write_region",
    "write_volume",
]


def write_volume(
    store: Store,
    data: Any,
    voxel_size: float,
    *,
    levels: int = 3,
    kind: Kind = "mean",
    dtype: npt.DTypeLike | None = None,
    format: VolumeFormat | None = None,
    axes: Literal["zyx", "czyx"] = "zyx",
    channel: str = "c",
    metadata: Mapping[str, Any] | None = None,
    name: str = "/",
    progress: Progress | None = None,
    inspect: Inspect | None = None,
) -> None:
    """Write a volume with its coarser levels, replacing all that the store held.

    Chunks are compressed on all cores and none is held longer than needed: besides ``data``, memory holds
    some chunks and one row of chunks of every coarser level.

    Args:
        store: Where; writable.
        data: (z, y, x), or (channel, z, y, x) for ``axes="czyx"``: a NumPy array of any order and real dtype,
            a memory map, or anything with ``shape``, ``dtype`` and slicing (dask, zarr), which is then read
            slab by slab.
        voxel_size: In angstrom, the same along all axes. Every coarser level has twice the size of the one
            before.
        levels: Number of levels, at least 1.
        kind: ``"mean"`` for densities, ``"nearest"`` for labels; see `copick_core.volumes.pyramid`.
        dtype: The dtype to store; by default that of ``data``. Labels, and values stored as integers, are
            cast losslessly or refused.
        format: Zarr format, chunks, compression.
        axes: ``"zyx"``, or ``"czyx"`` with a leading axis in chunks of one.
        channel: Name of that axis.
        metadata: Goes to ``multiscales[0]["metadata"]``.
        name: Goes to ``multiscales[0]["name"]``.
        progress: Called with (voxels written, all voxels) of the finest level.
        inspect: Called with pieces of the finest level as it is stored, in any order and from several threads.

    Raises:
        ValueError: If the shape does not fit the axes, the voxel size is not a positive number, the dtype is
            not real, or (`InvalidDataError`) a value cannot be stored as ``dtype``.

    Example:
        >>> from zarr.storage import MemoryStore
        >>> store = MemoryStore()
        >>> write_volume(store, np.ones((20, 64, 64), np.float32), 10.0, levels=2)
        >>> open_level(store, "1").shape, voxel_size_of(store)
        ((10, 32, 32), 10.0)
    """
    data = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
    if axes not in ("zyx", "czyx") or len(data.shape) != len(axes):
        raise ValueError(f"Axes {axes!r} do not fit data of shape {tuple(data.shape)}.")
    channels: list[Bricks] = [_ArrayBricks(data, ())]
    if axes == "czyx":
        channels = [_ArrayBricks(data, (channel,)) for channel in range(data.shape[0])]
    write_bricks(
        store,
        channels,
        voxel_size,
        levels=levels,
        kind=kind,
        dtype=dtype,
        format=format,
        channel_axis=channel if axes == "czyx" else None,
        metadata=metadata,
        name=name,
        progress=progress,
        inspect=inspect,
    )


def write_bricks(
    store: Store,
    channels: Sequence[Bricks],
    voxel_size: float,
    *,
    levels: int,
    kind: Kind,
    dtype: npt.DTypeLike | None = None,
    format: VolumeFormat | None = None,
    channel_axis: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    name: str = "/",
    progress: Progress | None = None,
    inspect: Inspect | None = None,
) -> None:
    """Write a volume that is read piece by piece; `write_volume` for sources that are not arrays.

    Args:
        store: Where; all that it held is deleted.
        channels: One source (z, y, x), or one for each channel.
        voxel_size: In angstrom.
        levels: See `write_volume`, as for all that follow.
        kind: How coarser levels are made.
        dtype: The dtype to store.
        format: Zarr format, chunks, compression.
        channel_axis: Name of the leading axis of the arrays; None for arrays (z, y, x).
        metadata: Extra multiscales metadata.
        name: Name of the image.
        progress: Told about voxels written.
        inspect: Given the voxels of the finest level.

    Raises:
        ValueError: As `write_volume`.
    """
    layout = format or VolumeFormat()
    size = float(voxel_size)
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"A voxel size is a positive number of angstrom, not {voxel_size!r}.")
    if not channels:
        raise ValueError("A volume has at least one channel.")
    target = np.dtype(dtype if dtype is not None else channels[0].dtype)
    for checked in (target, channels[0].dtype):
        if checked.kind not in "biuf":
            raise ValueError(f"Volumes hold real numbers, not {checked}.")
    shapes = level_shapes(channels[0].shape, levels, kind)
    lead = (len(channels),) if channel_axis else ()
    names = [*([channel_axis] if channel_axis else []), *"zyx"]
    clear(store)
    arrays = [LevelWriter(store, str(i), (*lead, *shape), target, layout, names) for i, shape in enumerate(shapes)]
    with ExitStack() as stack:
        for array in arrays:
            stack.enter_context(array)
        workers = stack.enter_context(Workers(store))
        for i, channel in enumerate(channels):
            part = _part_of(progress, i, len(channels))
            write_levels(workers, channel, arrays, kind, (i,) if channel_axis else (), part, inspect)
    version: Literal["0.4", "0.5"] = "0.4" if layout.zarr_format == 2 else "0.5"
    sizes = [size * 2**level for level in range(levels)]
    write_group(store, multiscales(sizes, channel_axis, name, metadata, version), version)


def write_pyramid(
    store: Store,
    pyramid: Mapping[float, npt.ArrayLike],
    *,
    format: VolumeFormat | None = None,
    metadata: Mapping[str, Any] | None = None,
    name: str = "/",
) -> None:
    """Write levels that were made elsewhere, replacing all that the store held.

    Args:
        store: Where; writable.
        pyramid: Arrays (z, y, x) by their voxel size in angstrom, finest first; they are stored as they are.
        format: Zarr format, chunks, compression.
        metadata: Goes to ``multiscales[0]["metadata"]``.
        name: Goes to ``multiscales[0]["name"]``.

    Raises:
        ValueError: If there is no level, an array has other axes or is not real, or a size is not a positive number.

    Example:
        >>> from zarr.storage import MemoryStore
        >>> store = MemoryStore()
        >>> write_pyramid(store, {10.0: np.ones((4, 4, 4)), 40.0: np.ones((1, 1, 1))})
        >>> open_level(store, "1").shape
        (1, 1, 1)
    """
    layout = format or VolumeFormat()
    levels = {float(size): np.asanyarray(array) for size, array in pyramid.items()}
    if not levels or not all(math.isfinite(size) and size > 0 for size in levels):
        raise ValueError(f"A pyramid needs levels by their voxel size, a positive number of angstrom, not {[*levels]}.")
    for array in levels.values():
        if array.ndim != 3 or array.dtype.kind not in "biuf":
            raise ValueError(f"The levels of a pyramid are (z, y, x) and real, not {array.shape} of {array.dtype}.")
    clear(store)
    with Workers(store) as workers:
        for i, array in enumerate(levels.values()):
            with LevelWriter(store, str(i), array.shape, array.dtype, layout, [*"zyx"]) as writer:
                write_levels(workers, _ArrayBricks(array, ()), [writer], "mean")
    version: Literal["0.4", "0.5"] = "0.4" if layout.zarr_format == 2 else "0.5"
    write_group(store, multiscales([*levels], None, name, metadata, version), version)


def _part_of(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """What tells the progress of one of several equal parts to who wants that of the whole."""
    if progress is None:
        return None
    whole = progress
    return lambda done, total: whole(number * total + done, parts * total)


def write_array(
    store: Store,
    data: Any,
    format: VolumeFormat | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
) -> None:
    """Write a group with one plain array "0", replacing all that the store held: how copick keeps features.

    Args:
        store: Where; writable.
        data: Any number of axes (at least one) of any size, for example (feature, z, y, x); anything with
            ``shape``, ``dtype`` and slicing is accepted and read in rows of chunks along the first axis.
        format: Chunks belong to the last axes; axes before them get chunks of 1.
        dtype: The dtype to store; by default that of ``data``. Values stored as integers are cast losslessly.

    Raises:
        ValueError: If data is a scalar or not numeric, or (`InvalidDataError`) a value cannot be stored as
            ``dtype``.
    """
    layout = format or VolumeFormat()
    data = data if hasattr(data, "shape") and hasattr(data, "dtype") else np.asarray(data)
    target = np.dtype(dtype if dtype is not None else data.dtype)
    shape = tuple(int(n) for n in data.shape)
    if not shape or target.kind not in "biufc":
        raise ValueError(f"An array has at least one axis and numbers, not shape {shape} and {target}.")
    clear(store)
    tile = layout.nominal(len(shape))
    with LevelWriter(store, "0", shape, target, layout) as writer, Workers(store) as workers:
        for start in range(0, math.prod(shape) and shape[0], tile[0]):
            row = np.asarray(data[start : start + tile[0]])
            workers.run(_row_tasks(writer, row, start, tile), math.prod(tile) * target.itemsize)
    version: Literal["0.4", "0.5"] = "0.4" if layout.zarr_format == 2 else "0.5"
    write_group(store, {}, version)


def _row_tasks(writer: LevelWriter, row: npt.NDArray[Any], start: int, tile: Sequence[int]) -> Any:
    def task_of(corner: Sequence[int]) -> Any:
        def task() -> list[tuple[str, bytes]]:
            part = row[tuple(slice(k, k + t) for k, t in zip(corner, tile, strict=True))]
            origin = (start + corner[0], *corner[1:])
            exact = writer.dtype.kind in "biu" and part.dtype != writer.dtype
            return writer.encode(cast_lossless(part, writer.dtype, origin=origin) if exact else part, origin)

        return task

    grid = [range(0, n, t) for n, t in zip(row.shape, tile, strict=True)]
    return (task_of([axis[i] for axis, i in zip(grid, index, strict=True)]) for index in np.ndindex(*map(len, grid)))


class _ArrayBricks:
    """An array-like as a source of bricks; ``lead`` picks a channel."""

    def __init__(self, data: Any, lead: tuple[int, ...]) -> None:
        self._data = data
        self._lead = lead
        self.shape = tuple(int(n) for n in data.shape[len(lead) :])
        self.dtype = np.dtype(data.dtype)
        self.in_memory = isinstance(data, np.ndarray)
        self.sequential = not self.in_memory

    def read(self, z0: int, z1: int, y0: int, y1: int) -> npt.NDArray[Any]:
        return np.asarray(self._data[(*self._lead, slice(z0, z1), slice(y0, y1))])


def check_levels(arrays: Sequence[Array[Any] | LevelView], kind: Kind) -> None:
    """Check that each level has half the size of the finer one before it.

    Args:
        arrays: Open levels, finest first.
        kind: How they are made.

    Raises:
        ValueError: (`InvalidDataError`) If one has another size; no `update_levels` can keep it in step.
    """
    for fine, coarse in itertools.pairwise(arrays):
        if tuple(coarse.shape) != coarse_shape(fine.shape, kind):
            raise InvalidDataError(
                source=f"level {coarse.path!r}",
                reason=f"has shape {coarse.shape}, not half of {fine.shape} by {kind!r}; write the whole volume again",
            )


def update_levels(arrays: Sequence[Array[Any] | LevelView], index: Index, kind: Kind) -> None:
    """Recompute what depends on a changed region of one level in the coarser ones.

    Only the chunks that hold such voxels are read and written, one row of chunks at a time.

    Args:
        arrays: The level that was changed, then all coarser ones; of a writable store.
        index: The changed region of the first one, as `write_region` takes it.
        kind: How the volume's levels are made: ``"mean"`` for densities, ``"nearest"`` for labels.

    Raises:
        ValueError: As `check_levels`; nothing was written.
    """
    check_levels(arrays, kind)
    box = _bounding_box(index, arrays[0].shape)
    for fine, coarse in itertools.pairwise(map(as_stored, arrays)):
        box = _update_level(fine, coarse, box, kind)


def _bounding_box(index: Index, shape: Sequence[int]) -> list[tuple[int, int]]:
    box = []
    for item, length in zip(expand_index(shape, index), shape, strict=True):
        chosen = range(length)[item] if isinstance(item, slice) else range(item, item + 1)
        box.append((min(chosen), max(chosen) + 1) if len(chosen) else (0, 0))
    return box


def _update_level(fine: LevelView, coarse: LevelView, box: Sequence[tuple[int, int]], kind: Kind) -> list[tuple[int, int]]:
    space = [coarse_range(*axis, length, kind) for axis, length in zip(box[-3:], fine.shape[-3:], strict=True)]
    coarse_box = [*box[:-3], *space]
    if any(low >= high for low, high in coarse_box):
        return [(0, 0)] * len(coarse_box)
    starts = [nearest_start(n) for n in fine.shape[-3:]]

    def halved(target: Sequence[slice]) -> npt.NDArray[Any]:
        """The new values of a part of the coarse box."""
        box = [(low + part.start, low + part.stop) for (low, _), part in zip(coarse_box, target, strict=True)]
        lead = [slice(*axis, 1) for axis in box[:-3]]
        doubled = [slice(2 * low, min(2 * high, n), 1) for (low, high), n in zip(box[-3:], fine.shape[-3:], strict=True)]
        whole: Any = halve(fine.read([*lead, *doubled]), kind, starts)
        values: npt.NDArray[Any] = whole[(..., *(slice(high - low) for low, high in box[-3:]))]
        return values

    if coarse.sharded:
        coarse.write([slice(*axis, 1) for axis in coarse_box], halved)
        return coarse_box
    (z0, z1), *plane = space
    depth = coarse.chunks[-3]
    while z0 < z1:
        stop = min(z1, (z0 // depth + 1) * depth)
        rows = [*([slice(*axis, 1) for axis in coarse_box[:-3]]), slice(z0, stop, 1), *(slice(*axis, 1) for axis in plane)]
        part = [slice(row.start - low, row.stop - low) for row, (low, _) in zip(rows, coarse_box, strict=True)]
        coarse.write(rows, halved(part))
        z0 = stop
    return coarse_box
