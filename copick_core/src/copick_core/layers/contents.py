"""Conditions on what entities contain: points of picks, labels of segmentations."""

from __future__ import annotations

from dataclasses import dataclass

from copick_core.errors import InvalidDataError
from copick_core.tree.keys import Kind


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

    def has_points(self, count: int) -> bool:
        """Whether so many points are right."""
        return (self.min_points or 0) <= count and (self.max_points is None or count <= self.max_points)
