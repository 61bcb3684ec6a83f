"""The portal's point files: NDJSON with locations in voxels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from copick_core.picks import PicksArrays


def decode_points(data: bytes, voxel_size: float, header: Mapping[str, Any], source: str) -> PicksArrays:
    """Read a point file.

    Args:
        data: Its bytes: one JSON object a line; an empty file has no points.
        voxel_size: Voxel size in angstrom of the tomogram that was annotated, exactly as the portal has it.
        header: Header of the picks.
        source: What the bytes are, for messages.

    Returns:
        Points in angstrom; ``xyz_rotation_matrix`` becomes the rotation, ``instance_id`` the instance.

    Raises:
        InvalidDataError: A line is not a point; tells which.
    """
    import numpy as np

    from copick_core.picks import from_arrays

    rows = [line for line in data.splitlines() if line.strip()]
    positions = np.empty((len(rows), 3))
    transforms = np.tile(np.eye(4), (len(rows), 1, 1))
    instances: list[Any] = [0] * len(rows)
    for n, line in enumerate(rows):
        try:
            point = json.loads(line)
            location = point["location"]
            positions[n] = location["x"], location["y"], location["z"]
            if point.get("xyz_rotation_matrix") is not None:
                rotation = np.asarray(point["xyz_rotation_matrix"], float)
                if rotation.shape != (3, 3):  # NumPy would fill the matrix with a number or a row
                    raise ValueError(f"xyz_rotation_matrix has the shape {rotation.shape}")
                transforms[n, :3, :3] = rotation
            instances[n] = point.get("instance_id") or 0
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InvalidDataError(
                source=source, reason=f"line {n + 1} is not a point of the portal ({error!r})", index=n
            ) from error
    return from_arrays(positions * voxel_size, transforms, instances, header=header, source=source)
