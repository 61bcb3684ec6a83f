"""Where the voxels of each level of a volume lie, in angstrom, as copick means it.

Voxel i of the finest level has its centre at i × voxel size, whatever offset the metadata give to the whole image. Coarser
levels rarely say where they lie: copick, and most programs, write their voxel size alone. A viewer then puts the centre of
their first voxel at 0 too, half a voxel or more from where its content is. The offsets that are missing are made up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from copick_core.volumes.pyramid import coarse_shape, nearest_start

if TYPE_CHECKING:
    from copick_core.volumes.ome import LevelView

Pyramid = Literal["mean", "nearest"]


@dataclass(frozen=True)
class Level:
    """A level, as it lies in its tomogram.

    Attributes:
        path: Of its array in the store.
        shape: Number of voxels along z, y and x.
        scale: Size of its voxels in angstrom, along z, y and x.
        origin: Centre of its first voxel in angstrom, z, y, x.
    """

    path: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    origin: tuple[float, ...]


def place_levels(views: Sequence[LevelView], voxel_size: float, pyramid: Pyramid) -> list[Level]:
    """Place the levels of a volume.

    Args:
        views: The levels, finest first; (z, y, x), or (channel, z, y, x), of which the channel is left out.
        voxel_size: Of the finest one, in angstrom.
        pyramid: How coarser levels were made, if nothing else is known: ``"mean"`` of blocks, or ``"nearest"`` voxel.

    Returns:
        One level for each view.
    """
    shapes = [tuple(view.shape[-3:]) for view in views]
    levels: list[Level] = []
    for number, (view, shape) in enumerate(zip(views, shapes, strict=True)):
        factors = _factors(views[0], view, shapes[0], shape)
        shift = _stored_shift(views[0], view)
        if shift is None and pyramid == "nearest":
            shift = _nearest_shift(shapes[: number + 1])
        if shift is None:
            shift = tuple((factor - 1) / 2 for factor in factors)
        scale = tuple(voxel_size * factor for factor in factors)
        levels.append(Level(view.path, shape, scale, tuple(voxel_size * s for s in shift)))
    return levels


def _factors(finest: LevelView, view: LevelView, whole: Sequence[int], shape: Sequence[int]) -> tuple[float, ...]:
    """Finest voxels in a voxel, along each axis: as the metadata say, else as the sizes of the levels do."""
    base, scale = _stored(finest, "scale"), _stored(view, "scale")
    if base is not None and scale is not None:
        return tuple(s / b for s, b in zip(scale, base, strict=True))
    return tuple(float(max(1, round(n / m))) for n, m in zip(whole, shape, strict=True))


def _stored_shift(finest: LevelView, view: LevelView) -> tuple[float, ...] | None:
    """How far the first voxel lies from that of the finest level, in voxels of that, as the metadata say."""
    base, offset = _stored(finest, "scale"), _stored(view, "translation")
    if base is None or offset is None:
        return None
    start = _stored(finest, "translation") or (0.0, 0.0, 0.0)
    return tuple((o - s) / b for o, s, b in zip(offset, start, base, strict=True))


def _stored(view: LevelView, what: Literal["scale", "translation"]) -> tuple[float, ...] | None:
    """Scale or translation of a level along z, y and x, in the unit of the metadata; None if they give none of use."""
    datasets = () if view.image is None else view.image.datasets
    found = next((d for d in datasets if d.path == view.path), None)
    values = getattr(found, what, None)
    if values is None or found is None or found.problem or len(values) != view.array.ndim:
        return None
    return tuple(values[axis] for axis in view.order[-3:])


def _nearest_shift(shapes: Sequence[tuple[int, ...]]) -> tuple[float, ...] | None:
    """Which finest voxel the first one of the last level is, if all levels have the sizes that copick gives to labels."""
    shift = [0.0, 0.0, 0.0]
    for number, (fine, coarse) in enumerate(pairwise(shapes)):
        if coarse_shape(fine, "nearest") != coarse:
            return None
        shift = [s + nearest_start(n) * 2.0**number for s, n in zip(shift, fine, strict=True)]
    return tuple(shift)
