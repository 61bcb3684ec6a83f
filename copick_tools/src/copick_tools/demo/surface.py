"""A triangle mesh of a volume's level set, with NumPy alone."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

# For each axis, the two others in cyclic order: walking round an edge along the axis in this order is counter-clockwise.
_AROUND = ((1, 2), (2, 0), (0, 1))


def isosurface(volume: ArrayLike, level: float, voxel_size: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface between the voxels below a level and those at or above it (naive surface nets).

    Every cube of eight voxels that the surface passes has one vertex, the mean of the surface's crossings with the cube's
    edges; every crossed edge has two triangles between the vertices of the cubes around it. The surface is closed where it
    does not leave the volume; pad the volume to close it there too.

    Args:
        volume: (z, y, x).
        level: The value on the surface.
        voxel_size: Ångström.

    Returns:
        Vertices (V, 3) as (x, y, z) in Ångström and triangles (F, 3), whose right-hand normals point to higher values.
    """
    values = np.asarray(volume, dtype=np.float64) - level
    above = values >= 0
    cells = tuple(n - 1 for n in values.shape)
    if min(cells) < 1:
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)

    total = np.zeros((*cells, 3))
    count = np.zeros(cells)
    crossings = []
    for axis in range(3):
        low = _cut(values, axis, slice(None, -1))
        high = _cut(values, axis, slice(1, None))
        crossed = (low >= 0) != (high >= 0)
        at = np.argwhere(crossed)
        crossings.append((axis, at, above[tuple(at.T)]))
        point = at.astype(np.float64)
        point[:, axis] += low[crossed] / (low[crossed] - high[crossed])
        for step in product((0, -1), repeat=2):
            cell = at.copy()
            cell[:, _AROUND[axis][0]] += step[0]
            cell[:, _AROUND[axis][1]] += step[1]
            inside = np.all((cell >= 0) & (cell < cells), axis=1)
            # One edge meets one cube at one place, so no index repeats within this assignment.
            where = tuple(cell[inside].T)
            total[where] += point[inside]
            count[where] += 1

    used = count > 0
    number = np.full(cells, -1, dtype=np.int64)
    number[used] = np.arange(int(used.sum()))
    vertices = (total[used] / count[used][:, None])[:, ::-1] * voxel_size

    faces = []
    for axis, at, starts_above in crossings:
        first, second = _AROUND[axis]
        inner = np.all(at[:, [first, second]] >= 1, axis=1) & np.all(
            at[:, [first, second]] < np.array(cells)[[first, second]], axis=1
        )
        at, starts_above = at[inner], starts_above[inner]
        corners = []
        for step in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = at.copy()
            cell[:, first] += step[0]
            cell[:, second] += step[1]
            corners.append(number[tuple(cell.T)])
        quad = np.stack(corners, axis=1)
        # (z, y, x) is a left-handed order of the axes (x, y, z), which turns every loop round.
        quad = np.where(starts_above[:, None], quad, quad[:, ::-1])
        faces += [quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]
    return np.ascontiguousarray(vertices), np.concatenate(faces).astype(np.int64)


def _cut(values: NDArray[np.float64], axis: int, part: slice) -> NDArray[np.float64]:
    return values[tuple(part if i == axis else slice(None) for i in range(3))]
