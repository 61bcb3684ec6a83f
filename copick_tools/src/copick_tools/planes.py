"""Planes through tomograms: where a picture is taken, and what lies in it.

A plane has axes of its own: columns and rows of the picture, and its depth. What is drawn is turned into these, as if the
tomogram had been reconstructed that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from copick_core.errors import InvalidDataError, by_caller

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Which plane is drawn: the middle one across an axis, or the one that fits the picks best.
PlaneName = Literal["z", "y", "x", "picks"]
PLANES: tuple[PlaneName, ...] = ("z", "y", "x", "picks")
#: Columns, rows and depth of the picture across each axis, as indices into (x, y, z).
_ACROSS = {"z": (0, 1, 2), "y": (0, 2, 1), "x": (1, 2, 0)}
#: Voxels to each side of the plane of picks that can be read.
_REACH = 32
#: Points whose second principal spread is below this share of the first lie on a line, and give no plane.
_ON_A_LINE = 1e-3


@dataclass(frozen=True)
class Plane:
    """A plane, as a box of voxels in whose middle it lies.

    Attributes:
        name: Which plane it is.
        axes: (3, 3): unit vectors (x, y, z) of the picture's columns, rows and depth.
        origin: Where the first voxel of the box lies, as (x, y, z) in angstrom.
        shape: The box in voxels: depth, rows, columns.
        voxel_size: In angstrom.
    """

    name: PlaneName
    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    shape: tuple[int, int, int]
    voxel_size: float

    @property
    def point(self) -> NDArray[np.float64]:
        """A point of the plane, as (x, y, z) in angstrom."""
        return np.asarray(self.origin + self.axes[2] * (self.shape[0] // 2) * self.voxel_size)

    @property
    def caption(self) -> str:
        """What the slices of the picture are called, with fields ``number`` and ``count``."""
        if self.name == "picks":
            return "Plane of the picks"
        return "Slice {number} of {count}" + ("" if self.name == "z" else f" across {self.name}")

    def turned(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions (…, 3) as (x, y, z) in angstrom, as columns, rows and depth in angstrom."""
        return np.asarray((positions - self.origin) @ self.axes.T)

    def turned_transforms(self, transforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms (N, 4, 4) with the directions of the plane."""
        turned = np.array(transforms, np.float64)
        turned[:, :3, :3] = self.axes @ turned[:, :3, :3]
        return turned

    def slices(self, view: Any) -> Slices:
        """The voxels of a level of the tomogram that the plane was made for."""
        return Slices(self, view)

    def mask(self, view: Any, tomogram_shape: tuple[int, ...]) -> NDArray[Any]:
        """The plane's values of a segmentation of the same extent, as (1, rows, columns); 0 outside.

        Args:
            view: A level of the segmentation.
            tomogram_shape: The level of the tomogram that the plane was made for, (z, y, x).
        """
        if self.name != "picks":
            axis = 2 - _ACROSS[self.name][2]
            at = int((self.shape[0] // 2) / self.shape[0] * view.shape[axis])
            return _across(self.name, view, slice(at, at + 1))
        scale = np.array(view.shape) / tomogram_shape
        indices = np.rint((self._voxels([self.shape[0] // 2])[:, ::-1] / self.voxel_size + 0.5) * scale - 0.5).astype(int)
        inside = ((indices >= 0) & (indices < view.shape)).all(axis=1)
        values = np.zeros(len(indices), view.dtype)
        if inside.any():
            low, high = indices[inside].min(axis=0), indices[inside].max(axis=0) + 1
            part = view[tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))]
            values[inside] = part[tuple((indices[inside] - low).T)]
        return values.reshape(1, *self.shape[1:])

    def _voxels(self, depths: list[int]) -> NDArray[np.float64]:
        """Where the voxels of some slices of the box lie, (N, 3) as (x, y, z) in angstrom."""
        depth, row, column = np.meshgrid(depths, np.arange(self.shape[1]), np.arange(self.shape[2]), indexing="ij")
        steps = np.stack([column, row, depth], axis=-1).reshape(-1, 3) * self.voxel_size
        return np.asarray(self.origin + steps @ self.axes)


class Slices:
    """The voxels of a plane's box, read when they are sliced along its depth."""

    def __init__(self, plane: Plane, view: Any) -> None:
        self.plane = plane
        self.view = view
        self.shape = plane.shape

    def __getitem__(self, depths: slice) -> NDArray[Any]:
        """Slices as (depth, rows, columns)."""
        plane = self.plane
        if plane.name != "picks":
            return _across(plane.name, self.view, depths)
        chosen = [*range(*depths.indices(plane.shape[0]))]
        return _interpolated(self.view, plane._voxels(chosen)[:, ::-1] / plane.voxel_size).reshape(-1, *plane.shape[1:])


def plane_across(name: Literal["z", "y", "x"], shape: tuple[int, ...], voxel_size: float) -> Plane:
    """The middle plane across an axis.

    Args:
        name: The axis.
        shape: The level that is drawn, (z, y, x).
        voxel_size: Of the level, in angstrom.
    """
    columns, rows, depth = _ACROSS[name]
    box = (shape[2 - depth], shape[2 - rows], shape[2 - columns])
    return Plane(name, np.eye(3)[[columns, rows, depth]], np.zeros(3), box, voxel_size)


def _another() -> str:
    return by_caller("plane='z'", "--plane z")


def plane_of(positions: NDArray[np.float64], shape: tuple[int, ...], voxel_size: float) -> Plane:
    """The plane that lies nearest to picks: the sum of the squares of their distances is smallest.

    Args:
        positions: Picks, (N, 3) as (x, y, z) in angstrom.
        shape: The level that is drawn, (z, y, x).
        voxel_size: Of the level, in angstrom.

    Raises:
        InvalidDataError: There are fewer than three picks, they lie on a line, or their plane misses the tomogram.
    """
    reason = f"fewer than three picks, or picks on a line, have no plane; draw another one ({_another()})"
    if len(positions) < 3:
        raise InvalidDataError(source="picks", reason=reason)
    centre = positions.mean(axis=0)
    _, spreads, directions = np.linalg.svd(positions - centre, full_matrices=False)
    if not spreads[1] > _ON_A_LINE * spreads[0]:
        raise InvalidDataError(source="picks", reason=reason)
    normal = directions[2] * (1 if directions[2][np.argmax(np.abs(directions[2]))] > 0 else -1)
    # Columns lie as x does, as far as the plane allows; across x, as y does.
    along = np.eye(3)[1 if abs(normal[0]) > 0.9 else 0]
    columns = along - normal * (along @ normal)
    columns /= np.linalg.norm(columns)
    rows = np.cross(normal, columns)
    axes = np.array([columns, rows if rows[np.argmax(np.abs(rows))] > 0 else -rows, normal])
    corners = _section(centre, normal, (np.array(shape[::-1]) - 1) * voxel_size)
    if not len(corners):
        raise InvalidDataError(source="picks", reason=f"their plane misses the tomogram; draw another one ({_another()})")
    inside = (corners - centre) @ axes[:2].T
    low = inside.min(axis=0)
    columns_rows = np.floor((inside.max(axis=0) - low) / voxel_size).astype(int) + 1
    origin = centre + low @ axes[:2] - axes[2] * _REACH * voxel_size
    return Plane("picks", axes, origin, (2 * _REACH + 1, int(columns_rows[1]), int(columns_rows[0])), voxel_size)


def _section(centre: NDArray[np.float64], normal: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a plane meets the edges of a box that begins at 0, (N, 3)."""
    corners = np.array([*product((0, 1), repeat=3)]) * size
    heights = (corners - centre) @ normal
    found = [corners[heights == 0]]
    for one, other in ((a, b) for a in range(8) for b in range(a) if (a ^ b).bit_count() == 1):
        if heights[one] * heights[other] < 0:
            share = heights[one] / (heights[one] - heights[other])
            found.append((corners[one] + share * (corners[other] - corners[one]))[None])
    return np.concatenate(found)


def _across(name: PlaneName, view: Any, at: slice) -> NDArray[Any]:
    """Slices of a volume across an axis, as (depth, rows, columns)."""
    order = [2 - axis for axis in reversed(_ACROSS[name])]
    index = tuple(at if axis == order[0] else slice(None) for axis in range(3))
    return np.transpose(view[index], order)


def _interpolated(view: Any, indices: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of a volume between its voxels, linearly; outside, the mean of those inside.

    Args:
        view: The volume, (z, y, x).
        indices: (N, 3) as (z, y, x) in voxels.
    """
    limits = np.array(view.shape) - 1
    inside = ((indices >= 0) & (indices <= limits)).all(axis=1)
    values = np.zeros(len(indices), np.float32)
    if not inside.any():
        return values
    wanted = indices[inside]
    low = np.floor(wanted.min(axis=0)).astype(int)
    high = np.minimum(np.floor(wanted.max(axis=0)).astype(int) + 2, limits + 1)
    part = np.asarray(view[tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))], np.float32)
    first = np.floor(wanted).astype(int)
    share = (wanted - first).astype(np.float32)
    found = np.zeros(len(wanted), np.float32)
    for step in product((0, 1), repeat=3):
        weight = np.where(step, share, 1 - share).prod(axis=1)
        corner = np.minimum(first + step, limits) - low
        found += weight * part[tuple(corner.T)]
    values[inside] = found
    values[~inside] = found.mean()
    return values
