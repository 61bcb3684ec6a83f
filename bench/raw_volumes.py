"""Volumes without a library: NumPy, numcodecs, threads and plain files, as fast as this machine does it.

The layout is that of zarr v2: chunks of blosc (lz4, level 5, byte shuffle), one file each.
"""

from __future__ import annotations

import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc, blosc

#: Voxels along each edge of a chunk, as the product has them by default.
CHUNK = 128
_CODEC = Blosc("lz4", 5, Blosc.SHUFFLE)


def write_pyramid(folder: Path, data: np.ndarray, levels: int, mean: bool) -> None:
    """Write (z, y, x) data, of even lengths, and its coarser levels: by averages, or by every second voxel."""
    blosc.use_threads = False  # each chunk is one thread's
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for level in range(levels):
            if level:
                data = _halved(data, pool) if mean else np.ascontiguousarray(data[1::2, 1::2, 1::2])
            (folder / str(level)).mkdir()
            for plane in itertools.product(*(range(-(-n // CHUNK)) for n in data.shape[:2])):
                (folder / str(level) / "/".join(map(str, plane))).mkdir(parents=True)
            corners = itertools.product(*(range(0, n, CHUNK) for n in data.shape))
            list(pool.map(lambda corner, data=data, level=level: _write_chunk(folder / str(level), data, corner), corners))


def _halved(data: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    half = np.empty([n // 2 for n in data.shape], data.dtype)

    def planes(z: int) -> None:
        rows = data[2 * z : 2 * z + 16 : 2] + data[2 * z + 1 : 2 * z + 16 : 2]
        rows = rows[:, ::2] + rows[:, 1::2]
        np.multiply(rows[:, :, ::2] + rows[:, :, 1::2], 0.125, out=half[z : z + 8])

    list(pool.map(planes, range(0, len(half), 8)))
    return half


def _write_chunk(folder: Path, data: np.ndarray, corner: tuple[int, ...]) -> None:
    chunk = data[tuple(slice(n, n + CHUNK) for n in corner)]
    name = "/".join(str(n // CHUNK) for n in corner)
    (folder / name).write_bytes(_CODEC.encode(np.ascontiguousarray(chunk)))


def read(folder: Path, region: tuple[slice, ...]) -> np.ndarray:
    """Read a region of a level of float32."""
    blosc.use_threads = False
    chunk = json.loads((folder / ".zarray").read_bytes())["chunks"]
    result = np.empty([part.stop - part.start for part in region], "<f4")

    def one(index: tuple[int, ...]) -> None:
        content: Any = _CODEC.decode((folder / "/".join(map(str, index))).read_bytes())
        into, of = zip(*map(_overlap, region, index, chunk), strict=True)
        result[into] = np.frombuffer(content, "<f4").reshape(chunk)[of]

    touched = itertools.product(*(range(part.start // n, -(-part.stop // n)) for part, n in zip(region, chunk, strict=True)))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(one, touched))
    return result


def _overlap(part: slice, index: int, length: int) -> tuple[slice, slice]:
    """What a region and a chunk have in common along one axis, as the region and as the chunk counts."""
    begin, end = max(part.start, index * length), min(part.stop, (index + 1) * length)
    return slice(begin - part.start, end - part.start), slice(begin - index * length, end - index * length)
