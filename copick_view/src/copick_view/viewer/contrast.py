"""The range of grey values that shows a volume well, from few of its voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.volumes.ome import LevelView

#: Percentiles that become black and white.
_BLACK, _WHITE = 1.0, 99.0
#: Most voxels of the coarsest level that are read; of larger ones some planes.
_MOST_VOXELS = 4_000_000
#: Sides of the part of the finest level that is read, z, y, x: few chunks, enough for its noise.
_PART = (4, 256, 256)


def contrast(views: Sequence[LevelView]) -> tuple[float, float]:
    """Values that are drawn black and white.

    They are percentiles 1 and 99 of the coarsest level, and of the middle of the finest one, whose noise is stronger: the
    wider range of both.

    Args:
        views: Levels (z, y, x), finest first.

    Returns:
        Two different numbers, the smaller one first. Voxels that are not finite numbers are left out.
    """
    ranges = [found for values in (_middle(views[0]), _overview(views[-1])) if (found := _range(values)) is not None]
    if not ranges:
        return 0.0, 1.0
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _middle(view: LevelView) -> NDArray[Any]:
    starts = [max(0, (n - size) // 2) for n, size in zip(view.shape, _PART, strict=True)]
    return view[tuple(slice(start, min(n, start + size)) for start, size, n in zip(starts, _PART, view.shape, strict=True))]


def _overview(view: LevelView) -> NDArray[Any]:
    depth = view.shape[0]
    planes = max(1, min(depth, _MOST_VOXELS // max(1, math.prod(view.shape[1:]))))
    if planes == depth:
        return view[:]
    # Planes around the middle: the outermost ones of a tomogram hold next to nothing.
    chosen = np.unique(np.linspace(depth / 4, 3 * depth / 4, min(planes, 5)).astype(int))
    return np.stack([view[int(z)] for z in chosen])


def _range(values: NDArray[Any]) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return None
    low, high = (float(v) for v in np.percentile(finite, (_BLACK, _WHITE)))
    return (low, high) if low < high else (float(finite.min()), float(finite.max()))
