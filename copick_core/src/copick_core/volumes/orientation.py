"""Volumes with their axes exchanged and turned around while they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from copick_core.volumes.raw import spooled
from copick_core.volumes.sources import VolumeSource


class Oriented(VolumeSource):
    """Another source with its axes exchanged and turned around, without a copy of it.

    Args:
        source: The volume.
        axes: Which axis of the source becomes z, y and x, as for `numpy.transpose`.
        flipped: The axes, after exchanging, that run backwards.
    """

    def __init__(self, source: VolumeSource, axes: tuple[int, int, int], flipped: frozenset[int]) -> None:
        sizes = source.voxel_sizes
        turned = None if sizes is None else (sizes[axes[0]], sizes[axes[1]], sizes[axes[2]])
        super().__init__(source.name, [source.shape[axis] for axis in axes], source.dtype, turned)
        self.in_memory = source.in_memory
        self.sequential = source.sequential
        self._source = source
        self._axes = axes
        self._flipped = flipped

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def box(self, z: slice, y: slice, x: slice) -> npt.NDArray[Any]:
        """Read a box of the oriented volume: the box of the source that it comes from, turned."""
        wanted = [slice(0, 0)] * 3
        for axis, (part, length) in enumerate(zip((z, y, x), self.shape, strict=True)):
            flipped = axis in self._flipped
            wanted[self._axes[axis]] = slice(length - part.stop, length - part.start) if flipped else part
        block = self._source.box(*wanted).transpose(self._axes)
        return block[tuple(slice(None, None, -1 if axis in self._flipped else None) for axis in range(3))]


def orient(source: VolumeSource, transpose: str | Sequence[int] | None, flip: str | Sequence[int] | None) -> VolumeSource:
    """Exchange and turn around axes while reading.

    Args:
        source: The volume.
        transpose: The source's axes in their new order, z y x being 0 1 2: ``"2,1,0"`` or ``(2, 1, 0)``.
        flip: The axes that are to run backwards, after transposing: ``"0"`` or ``"0,2"``.

    Returns:
        The source itself if nothing is to be done.

    Raises:
        ValueError: If these are not axes.
    """
    axes = _axes(transpose, "transpose") if transpose else (0, 1, 2)
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"transpose needs each of the axes 0, 1, 2 once, not {transpose!r}.")
    flipped: frozenset[int] = frozenset()
    for axis in _axes(flip, "flip") if flip else ():
        flipped = flipped ^ {axis}
    if axes == (0, 1, 2) and not flipped:
        return source
    if source.sequential and axes[0] != 0:
        source = spooled(source)
    return Oriented(source, (axes[0], axes[1], axes[2]), flipped)


def _axes(text: str | Sequence[int], what: str) -> tuple[int, ...]:
    try:
        axes = [int(part) for part in (text.split(",") if isinstance(text, str) else text)]
    except ValueError:
        raise ValueError(f"{what} is a list of axes such as '2,1,0', not {text!r}.") from None
    if any(not -3 <= axis < 3 for axis in axes):
        raise ValueError(f"{what} takes the axes 0 (z), 1 (y) and 2 (x), not {text!r}.")
    return tuple(axis % 3 for axis in axes)
