"""Conditions on what entities contain, and how they are answered by reading: points of picks, labels of segmentations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from copick_core.errors import InvalidDataError
from copick_core.tree.keys import Kind

if TYPE_CHECKING:
    from copick_core.layers.layer import Layer
    from copick_core.tree.keys import Key


@dataclass(frozen=True)
class Content:
    """What entities must contain.

    Attributes:
        min_points: Fewest points of picks.
        max_points: Most points of picks.
        label: A label of a segmentation: a value of its voxels, of the label channel where it is panoptic.

    Raises:
        InvalidDataError: Nothing has both points and labels.
    """

    min_points: int | None = None
    max_points: int | None = None
    label: int | None = None

    def __post_init__(self) -> None:
        if self.label is not None and (self.min_points, self.max_points) != (None, None):
            raise InvalidDataError(
                source="selection", reason="picks have points and segmentations have labels: nothing has both"
            )

    @property
    def kind(self) -> Kind | None:
        """The kind that can contain it; None where nothing is demanded."""
        if self.label is not None:
            return Kind.SEGMENTATION
        return None if (self.min_points, self.max_points) == (None, None) else Kind.PICKS

    def matches(self, layer: Layer, key: Key) -> bool:
        """Read an entity, and look."""
        if self.label is not None:
            return self.label in labels(layer, key)
        count = points(layer, key)
        return (self.min_points or 0) <= count and (self.max_points is None or count <= self.max_points)


def points(layer: Layer, key: Key) -> int:
    """The number of points of stored picks.

    Raises:
        InvalidDataError: The file is damaged.
    """
    from copick_core.picks import decode

    return len(decode(layer.read(key), str(key)))


def labels(layer: Layer, key: Key) -> frozenset[int]:
    """The labels of a stored segmentation in its finest level, without 0; some planes are read at a time.

    Those of a panoptic segmentation are in its first channel. An instance segmentation has ids, and no labels.
    """
    import numpy as np

    from copick_core.volumes import ome

    if getattr(key, "segmentation_type", "") == "instance":
        return frozenset()
    array, _ = ome.open_with_image(layer.zarr(key), "0")
    above = (0,) * (array.ndim - 3)
    depth = (array.shards or array.chunks)[-3]
    found: set[int] = set()
    for begin in range(0, array.shape[-3], depth):
        found.update(np.unique(np.asarray(array[(*above, slice(begin, begin + depth))])).tolist())
    return frozenset(found - {0})
