"""Counts of what a project has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from copick.models import CopickRoot
from copick.ops.get import Runs, get_meshes, get_picks, get_segmentations


def picks_stats(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    object_name: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Count points and sets of picks.

    Args:
        root: The project, or its configuration file.
        runs: Runs or their names; all by default.
        user_id: User or users.
        session_id: Session or sessions.
        object_name: Object or objects.
        parallel: Has no effect: the lists of all runs are loaded together.
        workers: Has no effect.
        show_progress: Has no effect.

    Returns:
        ``total_picks`` (points), ``total_pick_files``, points in ``distribution_by_run``, ``…_user``, ``…_session`` and
        ``…_object``, and ``session_user_object_combinations``: sets by ``session_user_object``.
    """
    found = get_picks(root, runs, user_id, session_id, object_name)
    counts = [(p, len(p.numpy()[0])) for p in found]

    def by(attribute: Any) -> dict[str, int]:
        counter: Counter[str] = Counter()
        for picks, number in counts:
            counter[attribute(picks)] += number
        return dict(counter)

    return {
        "total_picks": sum(number for _, number in counts),
        "total_pick_files": len(found),
        "distribution_by_run": by(lambda p: p.run.name),
        "distribution_by_user": by(lambda p: p.user_id),
        "distribution_by_session": by(lambda p: p.session_id),
        "distribution_by_object": by(lambda p: p.pickable_object_name),
        "session_user_object_combinations": _combinations(found, ("session_id", "user_id", "pickable_object_name")),
    }


def meshes_stats(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    object_name: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Count meshes; see :func:`picks_stats`."""
    found = get_meshes(root, runs, user_id, session_id, object_name)
    return {
        "total_meshes": len(found),
        **_distributions(found, {"user": "user_id", "session": "session_id", "object": "pickable_object_name"}),
        "session_user_object_combinations": _combinations(found, ("session_id", "user_id", "pickable_object_name")),
    }


def segmentations_stats(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    is_multilabel: bool | None = None,
    name: Any = None,
    voxel_size: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
    is_instance: bool | None = False,
    is_panoptic: bool | None = False,
) -> dict[str, Any]:
    """Count segmentations, binary and multilabel ones by default; see :func:`picks_stats`."""
    types: Any = {"is_instance": is_instance, "is_panoptic": is_panoptic}
    found = get_segmentations(root, runs, user_id, session_id, is_multilabel, name, voxel_size, **types)
    fields = {
        "user": "user_id",
        "session": "session_id",
        "name": "name",
        "voxel_size": "voxel_size",
        "multilabel": "is_multilabel",
        "type": "segmentation_type",
    }
    return {
        "total_segmentations": len(found),
        **_distributions(found, fields),
        "session_user_voxelspacing_multilabel_combinations": _combinations(
            found, ("session_id", "user_id", "voxel_size", "is_multilabel")
        ),
    }


def _distributions(found: Sequence[Any], fields: Mapping[str, str]) -> dict[str, dict[Any, int]]:
    by = {"distribution_by_run": dict(Counter(e.run.name for e in found))}
    return by | {f"distribution_by_{name}": dict(Counter(getattr(e, field) for e in found)) for name, field in fields.items()}


def _combinations(found: Sequence[Any], fields: tuple[str, ...]) -> dict[str, int]:
    return dict(Counter("_".join(str(getattr(e, field)) for field in fields) for e in found))
