"""Which runs are for training, which for validation and which for tests; kept in the metadata of the config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.errors import InvalidDataError, closest

if TYPE_CHECKING:
    from copick_core.models import CopickRoot

_METADATA, _SPLITS = "metadata", "splits"


def splits(root: CopickRoot) -> dict[str, list[str]]:
    """Names of the runs of each split, as the config has them."""
    return {name: [*runs] for name, runs in _metadata(root).get(_SPLITS, {}).items()}


def runs_of(root: CopickRoot, split: str) -> list[str]:
    """Names of the runs of a split.

    Raises:
        InvalidDataError: There is none of that name.
    """
    known = splits(root)
    if split not in known:
        listed = ", ".join(known) or "none; make them with 'copick-core split'"
        raise InvalidDataError(source=f"split {split!r}", reason=f"there are: {listed}.{closest(split, known)}")
    return known[split]


def set_splits(root: CopickRoot, new: Mapping[str, Iterable[str]]) -> None:
    """Replace the splits of a project. Save the config afterwards: ``root.save_config(path)``.

    Args:
        root: The project.
        new: Names of runs by the name of their split; without any, the project has no splits.

    Raises:
        InvalidDataError: A run is in two splits.
    """
    made = {name: sorted(set(runs)) for name, runs in new.items()}
    where: dict[str, str] = {}
    for name, runs in made.items():
        for run in runs:
            if run in where:
                raise InvalidDataError(
                    source=f"run {run!r}", reason=f"it is in the splits {where[run]!r} and {name!r}; choose one"
                )
            where[run] = name
    kept = {key: value for key, value in _metadata(root).items() if key != _SPLITS}
    setattr(root.config, _METADATA, kept | ({_SPLITS: made} if made else {}))


def divided(runs: Sequence[str], shares: Mapping[str, float], seed: int = 0) -> dict[str, list[str]]:
    """Divide runs at random.

    The same runs and seed give the same splits. Sizes are rounded such that they add up, the largest remainders first.

    Args:
        runs: Names of the runs.
        shares: The share of each split, of all shares together.
        seed: Of the random order.

    Raises:
        InvalidDataError: A share is negative, or all are zero.
    """
    import numpy as np

    total = sum(shares.values())
    if min(shares.values(), default=0) < 0 or total <= 0:
        raise InvalidDataError(source="shares", reason="they must be zero or more, and not all zero")
    exact = {name: share / total * len(runs) for name, share in shares.items()}
    sizes = {name: int(size) for name, size in exact.items()}
    rest = sorted(exact, key=lambda name: (sizes[name] - exact[name], [*exact].index(name)))
    for name in rest[: len(runs) - sum(sizes.values())]:
        sizes[name] += 1
    names = sorted(runs)
    order = np.random.default_rng(seed).permutation(len(names))
    found: dict[str, list[str]] = {}
    start = 0
    for name, size in sizes.items():
        found[name] = sorted(names[i] for i in order[start : start + size])
        start += size
    return found


def _metadata(root: CopickRoot) -> dict[str, Any]:
    found = getattr(root.config, _METADATA, None)
    return dict(found) if isinstance(found, Mapping) else {}
