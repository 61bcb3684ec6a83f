"""Bringing entities of one project into another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from copick.models import CopickRoot
from copick.ops.get import get_meshes, get_picks, get_segmentations, get_tomograms
from copick.ops.manage import one_address
from copick_core.projects.selection import Selection
from copick_core.tree.addresses import escaped
from copick_tools.transfers import plan_copy


def sync_picks(
    source_root: CopickRoot,
    target_root: CopickRoot,
    source_runs: Iterable[str] | None = None,
    target_runs: Mapping[str, str] | None = None,
    source_objects: Iterable[str] | None = None,
    target_objects: Mapping[str, str] | None = None,
    source_users: Iterable[str] | None = None,
    target_users: Mapping[str, str] | None = None,
    exist_ok: bool = False,
    max_workers: int = 4,
    log: bool = False,
) -> int:
    """Copy picks with all that they have into another project.

    Args:
        source_root: The project to read.
        target_root: The project to write; runs that it lacks are made, objects are added to its configuration in memory.
        source_runs: Names of runs; all by default.
        target_runs: Names of runs in the target, by theirs in the source; others keep theirs.
        source_objects: Names of objects; all by default.
        target_objects: The same for objects.
        source_users: Users; all by default.
        target_users: The same for users.
        exist_ok: Replace what exists.
        max_workers: Has no effect.
        log: Has no effect.

    Returns:
        How many were copied.

    Raises:
        ValueError: One exists, and not ``exist_ok``; then nothing was copied.
    """
    found = get_picks(source_root, _listed(source_runs), _listed(source_users), object_name=_listed(source_objects))
    return _bring(found, (source_root, source_runs), target_root, target_runs, target_objects, target_users, exist_ok)


def sync_meshes(
    source_root: CopickRoot,
    target_root: CopickRoot,
    source_runs: Iterable[str] | None = None,
    target_runs: Mapping[str, str] | None = None,
    source_objects: Iterable[str] | None = None,
    target_objects: Mapping[str, str] | None = None,
    source_users: Iterable[str] | None = None,
    target_users: Mapping[str, str] | None = None,
    exist_ok: bool = False,
    max_workers: int = 4,
    log: bool = False,
) -> int:
    """Copy meshes into another project; see :func:`sync_picks`."""
    found = get_meshes(source_root, _listed(source_runs), _listed(source_users), object_name=_listed(source_objects))
    return _bring(found, (source_root, source_runs), target_root, target_runs, target_objects, target_users, exist_ok)


def sync_segmentations(
    source_root: CopickRoot,
    target_root: CopickRoot,
    source_runs: Iterable[str] | None = None,
    target_runs: Mapping[str, str] | None = None,
    voxel_spacings: Iterable[float] | None = None,
    source_names: Iterable[str] | None = None,
    target_names: Mapping[str, str] | None = None,
    source_users: Iterable[str] | None = None,
    target_users: Mapping[str, str] | None = None,
    exist_ok: bool = False,
    max_workers: int = 4,
    log: bool = False,
    is_multilabel: bool | None = None,
    is_instance: bool | None = False,
    is_panoptic: bool | None = False,
) -> int:
    """Copy segmentations, binary and multilabel ones by default, into another project; see :func:`sync_picks`."""
    found = get_segmentations(
        source_root, _listed(source_runs), _listed(source_users), None, is_multilabel, _listed(source_names),
        _listed(voxel_spacings), is_instance=is_instance, is_panoptic=is_panoptic,
    )  # fmt: skip
    return _bring(found, (source_root, source_runs), target_root, target_runs, target_names, target_users, exist_ok)


def sync_tomograms(
    source_root: CopickRoot,
    target_root: CopickRoot,
    source_runs: Iterable[str] | None = None,
    target_runs: Mapping[str, str] | None = None,
    voxel_spacings: Iterable[float] | None = None,
    source_tomo_types: Iterable[str] | None = None,
    target_tomo_types: Mapping[str, str] | None = None,
    exist_ok: bool = False,
    max_workers: int = 4,
    log: bool = False,
) -> int:
    """Copy tomograms into another project; see :func:`sync_picks`."""
    sizes, types = _listed(voxel_spacings), _listed(source_tomo_types)
    found = [
        t
        for t in get_tomograms(source_root, _listed(source_runs))
        if (types is None or t.tomo_type in types)
        and (sizes is None or any(abs(t.voxel_spacing.voxel_size - size) < 1e-3 for size in sizes))
    ]
    done = _bring(found, (source_root, source_runs), target_root, target_runs, target_tomo_types, None, exist_ok)
    # Also the voxel spacings that have no tomograms, as in copick.
    for name in _listed(source_runs) or [run.name for run in source_root.runs]:
        run, target = source_root.get_run(name), target_root.get_run((target_runs or {}).get(name, name))
        if run is None or target is None:
            continue
        for spacing in run.voxel_spacings:
            if sizes is None or any(abs(spacing.voxel_size - size) < 1e-3 for size in sizes):
                target.new_voxel_spacing(spacing.voxel_size, exist_ok=True)
    return done


def _listed(values: Any) -> Any:
    return None if values is None else [*values] or None


def _bring(
    found: list[Any],
    source: tuple[CopickRoot, Iterable[str] | None],
    target: CopickRoot,
    runs: Mapping[str, str] | None,
    names: Mapping[str, str] | None,
    users: Mapping[str, str] | None,
    exist_ok: bool,
) -> int:
    plans = []
    for entity in found:
        key = entity.key
        run = (runs or {}).get(key.run, key.run)
        name = getattr(key, "object_name", None) or getattr(key, "name", None) or key.tomo_type
        text = f"{escaped(run)}/{escaped((names or {}).get(name, name))}"
        if hasattr(key, "user_id"):
            text += f":{escaped((users or {}).get(key.user_id, key.user_id))}"
        root: Any = entity._root if hasattr(entity, "_root") else entity.run.root
        plans.append(
            plan_copy(
                Selection(root, one_address(key), key.kind),
                text,
                to=target,  # type: ignore[arg-type]
                if_exists="replace" if exist_ok else "fail",
                provenance=False,
            )
        )
    for name in _listed(source[1]) or [run.name for run in source[0].runs]:
        target.new_run((runs or {}).get(name, name), exist_ok=True)  # also those of which nothing is brought, as in copick
    for plan in plans:
        plan.run()
    return len(plans)
