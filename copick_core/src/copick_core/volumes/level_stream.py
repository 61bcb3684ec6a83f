"""Writing all levels of a volume in one pass over it, whatever it is read from.

The finest level is read in bricks; each coarser one is buffered by one row of chunks, which is written when
it is full and halved into the next. Every chunk is written once, none is read back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from copick_core.volumes.chunks import LevelWriter
from copick_core.volumes.labels import cast_lossless
from copick_core.volumes.pyramid import Kind, halve_into, level_shapes, nearest_start
from copick_core.volumes.workers import Task, Workers

Progress = Callable[[int, int], None]
"""Called with the number of voxels (of the finest level) written so far, and of all."""

Inspect = Callable[[npt.NDArray[Any]], None]
"""Called with pieces of the finest level as it is stored, from several threads at once."""

_BRICK_BYTES = 64 * 2**20
"""What is read from a file at once; two bricks are in memory at any time."""

_LARGE_BRICK_BYTES = 4 * _BRICK_BYTES
"""A larger brick (of whole planes) stays alone in memory."""


class Bricks(Protocol):
    """A volume that can be read piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size (z, y, x) in voxels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that `read` returns."""

    @property
    def in_memory(self) -> bool:
        """Whether `read` returns views, so that reading ahead and small bricks gain nothing."""

    @property
    def sequential(self) -> bool:
        """Whether a part of a plane costs as much as the plane."""

    def read(self, z0: int, z1: int, y0: int, y1: int) -> npt.NDArray[Any]:
        """Read planes ``z0:z1``, rows ``y0:y1``, all of x."""


def write_levels(
    workers: Workers,
    source: Bricks,
    levels: Sequence[LevelWriter],
    kind: Kind,
    lead: tuple[int, ...] = (),
    progress: Progress | None = None,
    inspect: Inspect | None = None,
) -> None:
    """Write a volume and its coarser levels in one pass over it.

    The finest level is read in bricks: one row of chunks in z, as many in y as fit 64 MiB, all of x. Each
    coarser level buffers one row of chunks, which is written when it is full and halved into the next; every
    chunk is written once and none is read back. A source in memory is not cut in y.

    Args:
        workers: Where chunks are made and stored.
        source: The volume (z, y, x).
        levels: The arrays, finest first, with the shapes of `copick_core.volumes.pyramid.level_shapes`.
        kind: How coarser levels are made. For ``"nearest"`` and for integer arrays, values that the array's
            dtype would change are refused.
        lead: Indices of the axes before z, for example the channel.
        progress: Told after each brick.
        inspect: Given the voxels of the finest level, while a processor has them at hand.
    """
    stack = _LevelStack(workers, levels, kind, lead, inspect)
    depth, height, width = source.shape
    row, rows_y, _ = levels[0].tile
    if source.in_memory or source.sequential:
        rows_y = height
    else:
        rows_y *= max(1, _BRICK_BYTES // (row * rows_y * width * source.dtype.itemsize))
    bricks = [
        (z, min(z + row, depth), y, min(y + rows_y, height)) for z in range(0, depth, row) for y in range(0, height, rows_y)
    ]
    done = 0
    for (z0, _z1, y0, y1), block in _read_ahead(source, bricks):
        stack.add(0, block, z0, y0)
        if y1 == height:
            stack.finish_row(0, z0 // row)
        done += block.size
        if progress is not None:
            progress(done, depth * height * width)


def _read_ahead(
    source: Bricks, bricks: Sequence[tuple[int, int, int, int]]
) -> Iterator[tuple[tuple[int, int, int, int], npt.NDArray[Any]]]:
    z0, z1, y0, y1 = bricks[0]
    brick_bytes = (z1 - z0) * (y1 - y0) * source.shape[2] * source.dtype.itemsize
    if source.in_memory or brick_bytes > _LARGE_BRICK_BYTES:
        for brick in bricks:
            yield brick, source.read(*brick)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="copick_reader") as reader:
        coming = reader.submit(source.read, *bricks[0])
        for brick, following in itertools.zip_longest(bricks, bricks[1:]):
            block = coming.result()
            if following is not None:
                coming = reader.submit(source.read, *following)
            yield brick, block
            del block


class _LevelStack:
    """The levels of one volume while it is written: a row of chunks is buffered for each but the finest."""

    def __init__(
        self,
        workers: Workers,
        levels: Sequence[LevelWriter],
        kind: Kind,
        lead: tuple[int, ...],
        inspect: Inspect | None = None,
    ) -> None:
        self._inspect = inspect
        self._workers = workers
        self._levels = levels
        self._kind = kind
        self._lead = lead
        self._shapes = level_shapes(levels[0].shape[-3:], len(levels), kind)
        self._rows = [
            np.zeros((min(level.tile[0], shape[0]), *shape[1:]), level.dtype) if i else None
            for i, (level, shape) in enumerate(zip(levels, self._shapes, strict=True))
        ]

    def add(self, number: int, block: npt.NDArray[Any], z0: int, y0: int) -> None:
        """Write a block of whole tiles that begins at (z0, y0, 0), and halve it into the next level's row."""
        level = self._levels[number]
        tile_bytes = math.prod(min(t, n) for t, n in zip(level.tile, block.shape, strict=True)) * level.dtype.itemsize
        steps = [range(0, n, t) for n, t in zip(block.shape, level.tile, strict=True)]
        self._workers.run(
            (self._task(number, block, corner, (z0 + corner[0], y0 + corner[1], corner[2]))
             for corner in itertools.product(*steps)),
            tile_bytes,
        )  # fmt: skip

    def _task(self, number: int, block: npt.NDArray[Any], corner: Sequence[int], origin: tuple[int, int, int]) -> Task:
        level = self._levels[number]

        def task() -> list[tuple[str, bytes]]:
            part = block[tuple(slice(k, k + t) for k, t in zip(corner, level.tile, strict=True))]
            if self._kind == "nearest" or level.dtype.kind != "f":
                tile = cast_lossless(part, level.dtype, origin=(*self._lead, *origin)[-3:])
            else:
                tile = part.astype(level.dtype, copy=False)
            tile = np.ascontiguousarray(tile)  # all that follows reads it faster than a strided view
            if number == 0 and self._inspect is not None:
                self._inspect(tile)
            if number + 1 < len(self._levels):
                self._halve(number, tile, origin)
            lead = self._lead
            return level.encode(tile[(None,) * len(lead)], (*lead, *origin))

        return task

    def _halve(self, number: int, tile: npt.NDArray[Any], origin: tuple[int, int, int]) -> None:
        row = self._rows[number + 1]
        if row is None:
            return
        depth = self._levels[number].tile[0]
        z, y, x = origin
        starts = [nearest_start(n) for n in self._shapes[number]]
        halve_into(tile, self._kind, starts, row[z % (2 * depth) // 2 :, y // 2 :, x // 2 :])

    def finish_row(self, number: int, index: int) -> None:
        """Tell that a row of tiles is complete; writes the next level's row if that is complete now."""
        if number + 1 == len(self._levels):
            return
        depth = self._levels[number].tile[0]
        last = (index + 1) * depth >= self._shapes[number][0]
        if index % 2 == 0 and not last:
            return
        z0 = index // 2 * depth
        row = self._rows[number + 1]
        planes = min(depth, self._shapes[number + 1][0] - z0)
        if row is None or planes <= 0:
            return
        self.add(number + 1, row[:planes], z0, 0)
        self.finish_row(number + 1, index // 2)
