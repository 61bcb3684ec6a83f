"""The labels that occur in a stored segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.tree.keys import SegmentationKey


def labels_present(layer: Layer, key: SegmentationKey) -> frozenset[int]:
    """The labels of a stored segmentation in its finest level, without 0; some planes are read at a time.

    Those of a panoptic segmentation are in its first channel. An instance segmentation has ids, and no labels.
    """
    import numpy as np

    from copick_core.volumes import ome

    if key.segmentation_type == "instance":
        return frozenset()
    array, _ = ome.open_with_image(layer.zarr(key), "0")
    above: tuple[int | slice, ...] = (0,) * (array.ndim - 3)
    depth = (array.shards or array.chunks)[-3]
    found: set[int] = set()
    for begin in range(0, array.shape[-3], depth):
        found.update(np.unique(np.asarray(array[(*above, slice(begin, begin + depth))])).tolist())
    return frozenset(found - {0})
