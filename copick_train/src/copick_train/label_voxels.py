"""Where the voxels of a label are: counted by block, so that each can be drawn as often as any other."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.models import CopickSegmentation

#: What is drawn of a segmentation that is not multilabel: any voxel but 0.
_ANY = -1


@dataclass(frozen=True)
class LabelVoxels:
    """The voxels of a label in a level of a segmentation, as a sequence of positions.

    Attributes:
        segmentation: The segmentation.
        level: The level, by name.
        label: The label, or -1 for all but 0.
        block: Shape of the blocks, (z, y, x).
        origins: First voxels of the blocks that have the label, (n, 3).
        totals: How many voxels have it in the blocks up to and including each one.
    """

    segmentation: CopickSegmentation
    level: str
    label: int
    block: tuple[int, ...]
    origins: NDArray[np.int64]
    totals: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of voxels."""
        return int(self.totals[-1])

    def __getitem__(self, number: int) -> NDArray[np.float64]:
        """The position of a voxel, (z, y, x); one block is read.

        Raises:
            InvalidDataError: The segmentation has changed since its voxels were counted.
        """
        which = int(np.searchsorted(self.totals, number, side="right"))
        origin = self.origins[which]
        values = self.segmentation.numpy(self.level, **_slices(origin, self.block))
        found = np.flatnonzero(values if self.label == _ANY else values == self.label)
        rest = number - int(self.totals[which - 1] if which else 0)
        if rest >= len(found):
            reason = "it has changed since its voxels were counted; make the patches anew"
            raise InvalidDataError(source=str(self.segmentation.key), reason=reason)
        return np.asarray(origin + np.unravel_index(found[rest], values.shape), np.float64)


def label_voxels(segmentation: CopickSegmentation, level: str) -> dict[str, LabelVoxels]:
    """Count the voxels of each label, block by block; the whole level is read.

    Args:
        segmentation: The segmentation.
        level: The level, by name.

    Returns:
        The voxels by object: those with the object's label in a multilabel segmentation, all but 0 in any other, whose name is
        the object's. Labels of no object are named ``label 7``.
    """
    view = segmentation.view(level)
    block, shape = view.inner[-3:], view.shape[-3:]
    counts: dict[int, list[tuple[tuple[int, ...], int]]] = defaultdict(list)
    for origin in itertools.product(*(range(0, size, step) for size, step in zip(shape, block, strict=True))):
        values = segmentation.numpy(level, **_slices(origin, block))
        if segmentation.is_multilabel:
            labels, numbers = np.unique(values, return_counts=True)
            found = {int(label): int(number) for label, number in zip(labels, numbers, strict=True)}
        else:
            found = {_ANY: int(np.count_nonzero(values))}
        for label, number in found.items():
            if label and number:
                counts[label].append((origin, number))
    objects = {item.label: item.name for item in segmentation.run.root.pickable_objects}
    return {
        segmentation.name if label == _ANY else objects.get(label, f"label {label}"): LabelVoxels(
            segmentation,
            level,
            label,
            block,
            np.array([origin for origin, _ in blocks]),
            np.cumsum([number for _, number in blocks]),
        )
        for label, blocks in counts.items()
    }


def _slices(origin: Any, block: tuple[int, ...]) -> dict[str, Any]:
    return {axis: slice(int(start), int(start) + size) for axis, start, size in zip("zyx", origin, block, strict=True)}
