"""Comparing picks with picks: two annotators, or a prediction with the truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import AddressError, InvalidDataError
from copick_core.tree.keys import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.projects.selection import Selection


@dataclass(frozen=True)
class Agreement:
    """How far two sets of points agree.

    Attributes:
        matched: Points that both have.
        missed: Points that only the truth has.
        false: Points that only the prediction has.
        distance: Mean distance of matched points in angstrom; None if nothing matched.
    """

    matched: int
    missed: int
    false: int
    distance: float | None

    @property
    def precision(self) -> float | None:
        """Share of the predicted points that are true; None if nothing was predicted."""
        predicted = self.matched + self.false
        return self.matched / predicted if predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the true points that were found; None if there are none."""
        true = self.matched + self.missed
        return self.matched / true if true else None

    @property
    def f_score(self) -> float | None:
        """Harmonic mean of precision and recall; None if neither set has a point."""
        points = 2 * self.matched + self.missed + self.false
        return 2 * self.matched / points if points else None

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        shares = {"precision": self.precision, "recall": self.recall, "f_score": self.f_score}
        return {"matched": self.matched, "missed": self.missed, "false": self.false, "distance": self.distance, **shares}


def match(
    first: NDArray[np.float64], second: NDArray[np.float64], distance: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Pair the points of two sets, nearest first; no point is in two pairs.

    Args:
        first: Points (N, 3) in angstrom.
        second: Points (M, 3) in angstrom.
        distance: Points further apart than this, in angstrom, make no pair.

    Returns:
        Index of each pair in ``first`` and in ``second``, and its distance in angstrom.
    """
    cells: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, cell in enumerate(np.floor(second / distance).astype(int).tolist()):
        cells[tuple(cell)].append(index)
    pairs: list[tuple[float, int, int]] = []
    for index, cell in enumerate(np.floor(first / distance).astype(int).tolist()):
        near = [other for step in product((-1, 0, 1), repeat=3) for other in cells.get(tuple(np.add(cell, step).tolist()), ())]
        apart = np.linalg.norm(second[near] - first[index], axis=1) if near else []
        pairs += [(float(d), index, other) for d, other in zip(apart, near, strict=True) if d <= distance]
    taken_first, taken_second, kept = set(), set(), []
    for d, one, other in sorted(pairs):
        if one not in taken_first and other not in taken_second:
            taken_first.add(one)
            taken_second.add(other)
            kept.append((one, other, d))
    ones, others, apart_of = zip(*kept, strict=True) if kept else ((), (), ())
    return np.array(ones, np.intp), np.array(others, np.intp), np.array(apart_of, np.float64)


def compare(truth: Selection, prediction: Selection, distance: float) -> dict[str, Agreement]:
    """Compare picks of one object with other picks of it, run by run.

    Points count where their particles are: location and translation. The picks of several sessions or users in one selection
    are taken together.

    Args:
        truth: What counts as right, or the first annotator's picks.
        prediction: What is compared with it.
        distance: Points further apart than this, in angstrom, are not the same.

    Returns:
        The agreement in each run that has picks of either, by name, and in all runs under ``""``, whose distance is that
        of all pairs.

    Raises:
        AddressError: A selection matches nothing, or several objects.
        InvalidDataError: The distance is not above 0.
    """
    if not distance > 0:
        raise InvalidDataError(source="distance", reason=f"{distance!r} is not above 0")
    sides = [_points(selection) for selection in (truth, prediction)]
    found: dict[str, Agreement] = {}
    everything: list[NDArray[np.float64]] = []
    nothing = np.zeros((0, 3))
    for run in sorted({*sides[0], *sides[1]}):
        true, predicted = (side.get(run, nothing) for side in sides)
        pairs, _, apart = match(true, predicted, distance)
        everything.append(apart)
        mean = float(apart.mean()) if len(apart) else None
        found[run] = Agreement(len(pairs), len(true) - len(pairs), len(predicted) - len(pairs), mean)
    total = np.concatenate(everything)
    matched, missed, false = (sum(getattr(a, name) for a in found.values()) for name in ("matched", "missed", "false"))
    return {"": Agreement(matched, missed, false, float(total.mean()) if len(total) else None), **found}


def _points(selection: Selection) -> dict[str, NDArray[np.float64]]:
    """Points by run; of several layers that hold picks, the overlay's."""
    held = {key: layer for key, layer in selection.rows() if key.kind is Kind.PICKS and layer is not None}
    names = {key.object_name for key in held}
    if len(names) != 1:
        reason = (
            f"it matches picks of {', '.join(sorted(names))}, and one object is compared" if names else "it matches no picks"
        )
        raise AddressError(address=str(selection.address), position=None, reason=reason)
    points: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for key, layer in held.items():
        arrays, _ = layer.load_picks(key)
        points[key.run].append(arrays.positions + arrays.transforms[:, :3, 3])
    return {run: np.concatenate(parts) for run, parts in points.items()}
