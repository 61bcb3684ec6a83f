"""The columns of helical processing that RELION's particles have.

The +z axis of a point's transform is the direction of its filament. RELION's helical refinement searches about a tilt of 90
degrees, so with ``helical="frame"`` the pose is that of the subtomogram, turned by Ry(90), and the particle in it has the
angles 0, 90, 0. With ``"pose"`` the particle's angles are the pose, and its priors are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats.rotations import angles, matrices, rotations_in

SUBTOMOGRAM = ["rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi"]
PRIORS = ["rlnAngleTiltPrior", "rlnAnglePsiPrior"]
TRACK = "rlnHelicalTrackLengthAngst"
"""Distance from the filament's beginning, along it."""
FLIP_RATIO = "rlnAnglePsiFlipRatio"
"""0 where the polarity is known, 0.5 where it is not."""
HALF_SET = "rlnRandomSubset"
MODES = ("frame", "pose")


def with_helical_columns(path: str, table: PicksTable, mode: str) -> PicksTable:
    """A table with the columns of helical processing; track lengths and flip ratios that it has already stay.

    Args:
        path: The file, for errors.
        table: Points of filaments, in order along each.
        mode: ``"frame"`` or ``"pose"``.

    Raises:
        InvalidDataError: A point belongs to no filament, or a transform is not a rotation.
    """
    n = len(table.positions)
    ids = np.zeros(n, np.int64) if table.instance_ids is None else np.asarray(table.instance_ids)
    if (free := np.flatnonzero(ids == 0)).size:
        reason = f"point {free[0]} of run {table.run!r} belongs to no filament: its instance id is 0"
        raise InvalidDataError(source=path, reason=reason, index=int(free[0]))
    columns = dict(table.columns)
    rotations = rotations_in(f"{path}: {table.run}", table.transforms, n)
    if mode == "frame":
        turned = rotations @ matrices([0], [90], [0], "y")
        columns |= dict(zip(SUBTOMOGRAM, angles(np.swapaxes(turned, 1, 2), "y"), strict=True))
        columns |= dict(zip(PRIORS, (np.full(n, 90.0), np.zeros(n)), strict=True))
    else:
        for label in SUBTOMOGRAM:
            columns.pop(label, None)
        _, tilt, psi = angles(np.swapaxes(rotations, 1, 2), "y")
        columns |= dict(zip(PRIORS, (np.round(tilt, 6), np.round(psi, 6)), strict=True))
    columns.setdefault(TRACK, track_lengths(centres(table), ids))
    columns.setdefault(FLIP_RATIO, np.full(n, 0.5))
    return replace(table, columns=columns)


def with_half_sets(tables: Sequence[PicksTable]) -> list[PicksTable]:
    """Tables with each filament in one of two half sets of about as many particles: the longest first, to the smaller set.

    Points of no filament (instance id 0) are one filament each.
    """
    units: list[tuple[int, npt.NDArray[np.intp]]] = []
    for index, table in enumerate(tables):
        n = len(table.positions)
        ids = np.zeros(n, np.int64) if table.instance_ids is None else np.asarray(table.instance_ids)
        units += [(index, np.flatnonzero(ids == number)) for number in dict.fromkeys(ids[ids > 0].tolist())]
        units += [(index, np.array([row])) for row in np.flatnonzero(ids == 0)]
    sets: list[npt.NDArray[Any]] = [np.ones(len(table.positions), np.int64) for table in tables]
    counts = [0, 0]
    for index, rows in sorted(units, key=lambda unit: -len(unit[1])):
        smaller = int(counts[1] < counts[0])
        counts[smaller] += len(rows)
        sets[index][rows] = smaller + 1
    return [replace(table, columns={**table.columns, HALF_SET: half}) for table, half in zip(tables, sets, strict=True)]


def track_lengths(positions: npt.ArrayLike, ids: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far along its tube each particle is.

    Args:
        positions: (n, 3) in angstrom, those of one tube in its order.
        ids: (n,) ids of the tubes; particles of one need not be neighbours.

    Returns:
        (n,) in angstrom, 0 at the first particle of each tube.
    """
    points = np.asarray(positions, float).reshape(-1, 3)
    tubes = np.asarray(ids)
    lengths = np.zeros(len(tubes))
    for number in dict.fromkeys(tubes.tolist()):
        rows = np.flatnonzero(tubes == number)
        lengths[rows[1:]] = np.cumsum(np.linalg.norm(np.diff(points[rows], axis=0), axis=1))
    return lengths


def centres(table: PicksTable) -> npt.NDArray[np.float64]:
    """Centres of particles, (n, 3) in angstrom: positions, with the translations of their transforms."""
    positions = np.asarray(table.positions, float)
    return positions if table.transforms is None else positions + np.asarray(table.transforms, float)[:, :3, 3]
