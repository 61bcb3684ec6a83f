"""Small documents and files in neuroglancer's "precomputed" formats: names of labels, meshes, and annotations to look at.

https://github.com/google/neuroglancer/tree/master/src/datasource/precomputed
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_ANGSTROM_IN_M = 1e-10
_NM_PER_ANGSTROM = 0.1


def label_names(names: dict[int, str]) -> bytes:
    """``info`` that gives names to labels."""
    properties = [{"id": "label", "type": "label", "values": [*names.values()]}]
    inline = {"ids": [str(label) for label in names], "properties": properties}
    return json.dumps({"@type": "neuroglancer_segment_properties", "inline": inline}).encode()


def mesh_files(vertices: ArrayLike, faces: ArrayLike) -> dict[str, bytes]:
    """Files of a mesh, which is the segment 1.

    Args:
        vertices: (n, 3) in angstrom, columns x, y, z.
        faces: (m, 3), indices of vertices.
    """
    points = np.ascontiguousarray(np.asarray(vertices, np.float64).reshape(-1, 3) * _NM_PER_ANGSTROM, "<f4")
    corners = np.ascontiguousarray(np.asarray(faces).reshape(-1, 3), "<u4")
    return {
        "info": b'{"@type": "neuroglancer_legacy_mesh"}',
        "1:0": b'{"fragments": ["surface"]}',
        "surface": struct.pack("<I", len(points)) + points.tobytes() + corners.tobytes(),
    }


@dataclass(frozen=True)
class Shapes:
    """Annotations of one type that are only looked at.

    Attributes:
        kind: ``"LINE"`` or ``"ELLIPSOID"``.
        values: (n, 6) in angstrom: both ends, or centre and radii; x, y, z each.
    """

    kind: str
    values: NDArray[np.float64]

    def files(self) -> dict[str, bytes]:
        """Their files: all in one chunk."""
        values = np.ascontiguousarray(self.values.reshape(-1, 6), "<f4")
        ids = np.arange(1, len(values) + 1, dtype="<u8")
        lower, upper = self._bounds()
        info: dict[str, Any] = {
            "@type": "neuroglancer_annotations_v1",
            "dimensions": {axis: [_ANGSTROM_IN_M, "m"] for axis in "xyz"},
            "lower_bound": lower,
            "upper_bound": upper,
            "annotation_type": self.kind,
            "properties": [],
            "relationships": [],
            "by_id": {"key": "by_id"},
            "spatial": [
                {
                    "key": "all",
                    "grid_shape": [1, 1, 1],
                    "chunk_size": [high - low for low, high in zip(lower, upper, strict=True)],
                    "limit": max(1, len(values)),
                }
            ],
        }
        files = {"info": json.dumps(info).encode()}
        files["all/0_0_0"] = struct.pack("<Q", len(values)) + values.tobytes() + ids.tobytes()
        for number, row in zip(ids.tolist(), values, strict=True):
            files[f"by_id/{number}"] = row.tobytes()
        return files

    def _bounds(self) -> tuple[list[float], list[float]]:
        if not len(self.values):
            return [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
        first, second = self.values[:, :3], self.values[:, 3:]
        corners = (first, second) if self.kind == "LINE" else (first - second, first + second)
        low, high = np.minimum(*corners).min(axis=0), np.maximum(*corners).max(axis=0)
        return [float(v) for v in np.floor(low) - 1], [float(v) for v in np.ceil(high) + 1]


def polylines(curves: Sequence[NDArray[np.float64]]) -> Shapes:
    """Curves (n, 3) in angstrom as lines from vertex to vertex."""
    parts = [np.hstack([curve[:-1], curve[1:]]) for curve in curves if len(curve) > 1]
    return Shapes("LINE", np.vstack(parts) if parts else np.zeros((0, 6)))


def orientations(centres: NDArray[np.float64], transforms: NDArray[np.float64], length: float) -> Shapes:
    """The z axes of particles, as lines from their centres.

    Args:
        centres: (n, 3) in angstrom.
        transforms: (n, 4, 4); rotations by less than 1e-6 are none.
        length: Of the lines, in angstrom.
    """
    rotations = transforms[:, :3, :3]
    turned = np.abs(rotations - np.eye(3)).max(axis=(1, 2), initial=0) > 1e-6
    if not turned.any():
        return Shapes("LINE", np.zeros((0, 6)))
    return Shapes("LINE", np.hstack([centres, centres + rotations[:, :, 2] * length]))


def spheres(centres: NDArray[np.float64], radius: float) -> Shapes:
    """Points (n, 3) as spheres of a radius, in angstrom."""
    return Shapes("ELLIPSOID", np.hstack([centres, np.full((len(centres), 3), radius)]))


def tube(curve: NDArray[np.float64], radius: float, sides: int = 12) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The surface of a filament.

    Args:
        curve: (n, 3) vertices in angstrom, at least two.
        radius: In angstrom.
        sides: Of its cross-section.

    Returns:
        Vertices (n × sides, 3) and faces (m, 3); the ends are open.
    """
    steps = np.gradient(curve, axis=0)
    tangents = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    across = np.zeros_like(tangents)
    side = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    for number, tangent in enumerate(tangents):  # each frame is turned as little as possible from the one before
        side = side - tangent * (side @ tangent)
        side = side / max(float(np.linalg.norm(side)), 1e-12)
        across[number] = side
    other = np.cross(tangents, across)
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(angles)[None, :, None] * across[:, None] + np.sin(angles)[None, :, None] * other[:, None]
    vertices = (curve[:, None] + radius * ring).reshape(-1, 3)
    corners = np.arange(len(curve) * sides).reshape(len(curve), sides)
    here, there = corners[:-1], corners[1:]
    next_here, next_there = np.roll(here, -1, axis=1), np.roll(there, -1, axis=1)
    quads = np.concatenate([np.stack([here, next_here, there], -1), np.stack([next_here, next_there, there], -1)])
    return vertices, quads.reshape(-1, 3)
