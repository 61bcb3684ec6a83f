"""Rotations as matrices, from and to triples of angles about z, an axis, and z again.

RELION, Dynamo and TOM describe one rotation, from the reference into the tomogram, by three angles in degrees::

    RELION  Rz(-psi)   Ry(-tilt)  Rz(-rot)
    Dynamo  Rz(-tdrot) Rx(-tilt)  Rz(-narot)
    TOM     Rz(psi)    Rx(theta)  Rz(phi)

so one function does all: ``matrices(first, second, third, axis)`` is Rz(first) R_axis(second) Rz(third).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def matrices(first: npt.ArrayLike, second: npt.ArrayLike, third: npt.ArrayLike, axis: str) -> Floats:
    """Rz(first) R_axis(second) Rz(third).

    Args:
        first: Degrees (n,).
        second: Degrees (n,).
        third: Degrees (n,).
        axis: ``"x"`` or ``"y"``.

    Returns:
        Matrices (n, 3, 3).
    """
    (ca, sa), (cb, sb), (cc, sc) = ((np.cos(r), np.sin(r)) for r in np.deg2rad(np.asarray([first, second, third], float)))
    if axis == "y":
        cells = [
            [ca * cb * cc - sa * sc, -ca * cb * sc - sa * cc, ca * sb],
            [sa * cb * cc + ca * sc, -sa * cb * sc + ca * cc, sa * sb],
            [-sb * cc, sb * sc, cb],
        ]
    else:
        cells = [
            [ca * cc - sa * cb * sc, -ca * sc - sa * cb * cc, sa * sb],
            [sa * cc + ca * cb * sc, -sa * sc + ca * cb * cc, -ca * sb],
            [sb * sc, sb * cc, cb],
        ]
    return np.moveaxis(np.array(cells), 2, 0)


def angles(rotations: npt.NDArray[Any], axis: str) -> tuple[Floats, Floats, Floats]:
    """The angles whose `matrices` are the rotations: the second from 0 to 180 degrees; the first 0 where only a sum counts."""
    r = np.asarray(rotations, float)
    sine = np.hypot(r[:, 2, 0], r[:, 2, 1])
    second = np.arctan2(sine, r[:, 2, 2])
    first = np.arctan2(r[:, 1, 2], r[:, 0, 2]) if axis == "y" else np.arctan2(r[:, 0, 2], -r[:, 1, 2])
    first = np.where(sine < 1e-12, 0.0, first)
    # What is left behind the first angle tells the third one exactly, however small the second is.
    c, s = np.cos(first), np.sin(first)
    if axis == "y":
        third = np.arctan2(c * r[:, 1, 0] - s * r[:, 0, 0], c * r[:, 1, 1] - s * r[:, 0, 1])
    else:
        third = np.arctan2(-c * r[:, 0, 1] - s * r[:, 1, 1], c * r[:, 0, 0] + s * r[:, 1, 0])
    return np.rad2deg(first), np.rad2deg(second), np.rad2deg(third)


def transforms_of(rotations: Floats | None, translations: Floats | None, n: int) -> Floats:
    """Transforms (n, 4, 4) as picks have them."""
    transforms = np.tile(np.eye(4), (n, 1, 1))
    if rotations is not None:
        transforms[:, :3, :3] = rotations
    if translations is not None:
        transforms[:, :3, 3] = translations
    return transforms


def rotations_in(source: str, transforms: npt.NDArray[Any] | None, n: int) -> Floats:
    """The rotations of transforms (n, 3, 3), identities where there are none.

    Raises:
        InvalidDataError: One is not a rotation: it scales, shears or mirrors, which no file of angles can hold.
    """
    from copick_core.errors import InvalidDataError

    if transforms is None:
        return np.tile(np.eye(3), (n, 1, 1))
    rotations = np.asarray(transforms, float)[:, :3, :3]
    wrong = np.abs(rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3)).max((1, 2), initial=0) > 1e-5
    wrong |= np.linalg.det(rotations) < 0
    if wrong.any():
        index = int(np.argmax(wrong))
        reason = "the transform is not a rotation, so it cannot be written as angles"
        raise InvalidDataError(source=f"{source}: point {index}", reason=reason, index=index)
    return rotations
