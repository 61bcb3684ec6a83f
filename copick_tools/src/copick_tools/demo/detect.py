"""Simple image processing that finds something true in any volume: peaks, a foreground, local directions.

NumPy alone, so that the demonstration needs nothing else. Volumes are (z, y, x); positions are returned as voxel indices in
that order.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.float32]


def low_pass(volume: Volume, sigma: float) -> Volume:
    """Convolves with a Gaussian of ``sigma`` voxels; edges are reflected."""
    result = volume.astype(np.float32)
    reach = max(1, int(np.ceil(3.5 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in range(3):
        width = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(result, width, mode="symmetric")
        length = result.shape[axis]
        result = np.zeros_like(result)
        for shift, weight in enumerate(kernel):
            result += weight * padded[tuple(slice(shift, shift + length) if i == axis else slice(None) for i in range(3))]
    return result


def band_pass(volume: Volume, sigma: float) -> Volume:
    """Keeps structures of about ``sigma`` voxels: the difference of two Gaussians, one 1.6 times as wide as the other."""
    return low_pass(volume, sigma) - low_pass(volume, 1.6 * sigma)


def contrast(volume: Volume) -> int:
    """1 if the specimen is bright, -1 if it is dark: the side on which the histogram has its longer tail."""
    smooth = low_pass(volume, 1.5)
    deviation = smooth - smooth.mean()
    return -1 if float((deviation**3).mean()) < 0 else 1


def peaks(
    volume: Volume, distance: float, count: int, margin: int = 0, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The highest local maxima that are not next to a higher one (non-maximum suppression).

    Args:
        volume: Where to look.
        distance: Least distance of two peaks in voxels.
        count: How many at most.
        margin: Voxels to leave out at every face.
        allowed: Where a peak may lie; everywhere if None.

    Returns:
        (N, 3) indices (z, y, x), highest first, and the (N,) values there.
    """
    inner = tuple(slice(margin, n - margin) for n in volume.shape)
    padded = np.pad(volume, 1, constant_values=-np.inf)
    is_peak = np.zeros(volume.shape, dtype=bool)
    is_peak[inner] = True
    if allowed is not None:
        is_peak &= allowed
    for shift in product((0, 1, 2), repeat=3):
        if shift != (1, 1, 1):
            neighbour = padded[tuple(slice(s, s + n) for s, n in zip(shift, volume.shape, strict=True))]
            is_peak &= volume >= neighbour
    candidates = np.argwhere(is_peak)
    values = volume[tuple(candidates.T)].astype(np.float64)
    order = np.argsort(-values, kind="stable")
    kept: list[int] = []
    for index in order[values[order] > 0]:
        if len(kept) == count:
            break
        if not kept or np.linalg.norm(candidates[kept] - candidates[index], axis=1).min() >= distance:
            kept.append(int(index))
    return candidates[kept], values[kept]


def otsu(volume: Volume) -> float:
    """The threshold that parts the histogram into the two classes with the least variance inside (Otsu 1979)."""
    counts, edges = np.histogram(volume, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * middles)
    between = np.zeros(len(counts))
    both = (below > 0) & (above > 0)
    means = total[both] / below[both], (total[-1] - total[both]) / above[both]
    between[both] = below[both] * above[both] * (means[0] - means[1]) ** 2
    return float(edges[1:][int(between.argmax())])


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part of a mask whose voxels are connected through faces."""
    members = np.flatnonzero(mask)
    if not len(members):
        return mask.copy()
    number = np.full(mask.shape, -1, dtype=np.int64)
    number.reshape(-1)[members] = np.arange(len(members))
    pairs = []
    for axis in range(3):
        low = number[tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))]
        high = number[tuple(slice(1, None) if i == axis else slice(None) for i in range(3))]
        both = (low >= 0) & (high >= 0)
        pairs.append(np.stack([low[both], high[both]]))
    first, second = np.concatenate(pairs, axis=1)

    # Every voxel points at the lowest one it is known to be connected with; pointing on halves the way in each round.
    lowest = np.arange(len(members))
    while True:
        joined = np.minimum(lowest[first], lowest[second])
        differs = lowest[first] != lowest[second]
        if not differs.any():
            break
        np.minimum.at(lowest, lowest[first[differs]], joined[differs])
        np.minimum.at(lowest, lowest[second[differs]], joined[differs])
        while not np.array_equal(onward := lowest[lowest], lowest):
            lowest = onward
    result = np.zeros(mask.shape, dtype=bool)
    result.reshape(-1)[members[lowest == np.bincount(lowest).argmax()]] = True
    return result


def gradient_magnitude(volume: Volume) -> Volume:
    """Length of the gradient per voxel, by central differences."""
    total: Volume = np.zeros(volume.shape, dtype=np.float32)
    for axis in range(3):
        if volume.shape[axis] > 1:
            slope = np.asarray(np.gradient(volume, axis=axis), dtype=np.float32)
            total += slope * slope
    np.sqrt(total, out=total)
    return total


def directions(volume: Volume, indices: NDArray[np.int64], reach: int = 4) -> NDArray[np.float64]:
    """Orientations from the structure tensor: the mean outer product of the gradient around each index.

    Args:
        volume: (z, y, x).
        indices: (N, 3) as (z, y, x).
        reach: Half the edge of the window in voxels.

    Returns:
        (N, 4, 4) transforms in (x, y, z). The object's Z axis lies where the density changes least (along a filament), its X
        axis where it changes most. A tensor tells no forward from backward; Z is chosen to point to increasing z, x or y.
    """
    transforms = np.tile(np.eye(4), (len(indices), 1, 1))
    for transform, index in zip(transforms, indices, strict=True):
        window = tuple(slice(max(0, i - reach), i + reach + 1) for i in index)
        part = volume[window].astype(np.float64)
        slopes = [np.gradient(part, axis=axis) if part.shape[axis] > 1 else np.zeros_like(part) for axis in (2, 1, 0)]
        away = np.meshgrid(
            *(np.arange(w.start, w.start + n) - i for w, n, i in zip(window, part.shape, index, strict=True)), indexing="ij"
        )
        weight = np.exp(-0.5 * sum(a.astype(np.float64) ** 2 for a in away) / (reach / 2) ** 2)
        tensor = np.array([[float((weight * a * b).sum()) for b in slopes] for a in slopes])
        _, vectors = np.linalg.eigh(tensor)  # Columns by rising eigenvalue.
        axis_z, axis_x = vectors[:, 0], vectors[:, 2]
        leading = axis_z[[2, 0, 1]]
        if leading[np.abs(leading) > 1e-6][0] < 0:
            axis_z = -axis_z
        transform[:3, :3] = np.stack([axis_x, np.cross(axis_z, axis_x), axis_z], axis=1)
    return transforms


def mean_subvolume(volume: Volume, indices: NDArray[np.int64], size: int) -> Volume:
    """The average of the cubes of ``size`` voxels around indices; beyond a face, its voxels are repeated."""
    half = size // 2
    padded = np.pad(volume, half, mode="edge")
    cubes = [padded[tuple(slice(i, i + size) for i in index)] for index in indices]
    return np.asarray(np.mean(cubes, axis=0, dtype=np.float64), dtype=np.float32)
