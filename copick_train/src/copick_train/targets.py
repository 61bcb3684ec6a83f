"""What a network is to predict of a patch, or is to see often: the labels of a segmentation, or a heat map of picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Voxels of Gaussians are made up to so many standard deviations.
_REACH = 4.0


@dataclass(frozen=True)
class Labels:
    """Labels of segmentations.

    Attributes:
        address: The segmentation of each run, such as ``"*/cells:alice/1@10.0"``; of the same shape as the tomogram.
    """

    address: str


@dataclass(frozen=True)
class HeatMap:
    """Gaussians around picks; where several overlap, the highest counts.

    Attributes:
        address: The picks, such as ``"*/ribosome:alice"``.
        sigma: Standard deviation in angstrom.
    """

    address: str
    sigma: float


def heat_map(
    points: NDArray[np.float64], origin: tuple[int, ...], shape: tuple[int, ...], sigma: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Make the heat map of a patch.

    Args:
        points: (n, 3), z, y, x in voxels of the volume.
        origin: First voxel of the patch, z, y, x.
        shape: Shape of the patch.
        sigma: Standard deviation in voxels, z, y, x.

    Returns:
        (z, y, x) with values from 0 to 1.
    """
    import numpy as np

    result = np.zeros(shape, np.float32)
    reach = _REACH * sigma
    local = points - np.asarray(origin)
    near = np.all((local > -reach) & (local < np.asarray(shape) - 1 + reach), axis=1)
    for point in local[near]:
        low = np.maximum(np.ceil(point - reach), 0).astype(int)
        high = np.minimum(np.floor(point + reach) + 1, shape).astype(int)
        if (low >= high).any():
            continue
        axes = [np.exp(-(((np.arange(a, b) - p) / s) ** 2) / 2) for a, b, p, s in zip(low, high, point, sigma, strict=True)]
        gaussian = axes[0][:, None, None] * axes[1][:, None] * axes[2]
        part = result[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        np.maximum(part, gaussian, out=part, casting="same_kind")
    return result
