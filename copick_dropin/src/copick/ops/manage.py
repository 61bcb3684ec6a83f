"""Copying, moving and deleting what URIs name.

All checks are made before anything is changed: one target for each source, no target that exists, no wide pattern by accident.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from copick.models import CopickRoot
from copick.util.uri import resolve_copick_objects
from copick_core.errors import InvalidDataError
from copick_core.projects.selection import Selection
from copick_core.tree.addresses import Address, address_of
from copick_core.tree.keys import Key, Kind
from copick_tools.targets import Target
from copick_tools.transfers import plan_copy, plan_move

KINDS = {
    "picks": Kind.PICKS,
    "filaments": Kind.FILAMENTS,
    "mesh": Kind.MESH,
    "segmentation": Kind.SEGMENTATION,
    "tomogram": Kind.TOMOGRAM,
    "feature": Kind.FEATURES,
}


#: One name, several, or None for all runs.
Runs = Iterable[str] | str | None


def is_wide(uri: str) -> bool:
    """Whether a URI is a pattern, so that it may name more than one entity of a run."""
    return uri.strip().startswith("re:") or any(char in uri.split("?")[0] for char in "*[")


def _entities(root: CopickRoot, object_type: str, uri: str, runs: Iterable[str] | str | None) -> list[Any]:
    if object_type not in KINDS:
        raise InvalidDataError(source="object_type", reason=f"{object_type!r} is none of {', '.join(KINDS)}")
    if runs is None or not runs:
        return resolve_copick_objects(uri, root, object_type)
    names = [runs] if isinstance(runs, str) else [*runs]
    return [entity for name in names for entity in resolve_copick_objects(uri, root, object_type, name)]


def one_address(key: Any) -> Address:
    """The address of exactly one entity: a segmentation's without a type would name those of all types."""
    address = address_of(key)
    if key.kind is Kind.SEGMENTATION and not address.flags:
        address = replace(address, flags=(("multilabel", False), ("instance", False), ("panoptic", False)))
    return address


def remove_copick_objects(
    root: CopickRoot, object_type: str, uri: str, run_name: Runs = None, dry_run: bool = False, log: bool = False
) -> dict[str, Any]:
    """Delete entities.

    Args:
        root: The project.
        object_type: picks, filaments, mesh, segmentation, tomogram or feature.
        uri: Which.
        run_name: Only those of this run, or of these.
        dry_run: Change nothing.
        log: Has no effect.

    Returns:
        ``removed``: how many, ``keys``: which, and ``errors``. If one is read-only, none is deleted.
    """
    try:
        found = _entities(root, object_type, uri, run_name)
        if not dry_run:
            for entity in found:
                entity._check_deletable()
            for entity in found:
                entity.delete()
    except (ValueError, OSError) as error:
        return {"removed": 0, "keys": [], "errors": [str(error)]}
    return {"removed": len(found), "keys": [str(entity.key) for entity in found], "errors": []}


def remove_copick_objects_batch(
    root: CopickRoot, object_type: str, uri: str, run_names: Runs = None, dry_run: bool = False, workers: int = 8
) -> dict[str, Any]:
    """Delete entities of several runs; see :func:`remove_copick_objects`."""
    return remove_copick_objects(root, object_type, uri, run_names, dry_run)


def remove_copick_objects_per_run(run: Any, object_type: str, uri: str, dry_run: bool = False) -> dict[str, Any]:
    """Delete entities of a run; see :func:`remove_copick_objects`."""
    return remove_copick_objects(run.root, object_type, uri, run.name, dry_run)


def copy_copick_objects(
    root: CopickRoot,
    object_type: str,
    source_uri: str,
    target_uri: str,
    run_name: Runs = None,
    overwrite: bool = False,
    log: bool = False,
) -> dict[str, Any]:
    """Copy entities, bytes as they are.

    Args:
        root: The project.
        object_type: As for :func:`remove_copick_objects`.
        source_uri: Which.
        target_uri: What they become; ``{object_name}``, ``{name}``, ``{user_id}`` and ``{session_id}`` stand for the source's.
        run_name: Only those of this run, or of these.
        overwrite: Replace targets that exist.
        log: Has no effect.

    Returns:
        ``copied``: how many, and ``errors``. Nothing is copied if two sources have one target, a target is its source, or
        exists and not ``overwrite``.
    """
    return _reported("copied", "copy", root, object_type, source_uri, target_uri, run_name, overwrite)


def copy_copick_objects_batch(
    root: CopickRoot,
    object_type: str,
    source_uri: str,
    target_uri: str,
    run_names: Runs = None,
    overwrite: bool = False,
    workers: int = 8,
) -> dict[str, Any]:
    """Copy entities of several runs; see :func:`copy_copick_objects`."""
    return _reported("copied", "copy", root, object_type, source_uri, target_uri, run_names, overwrite)


def copy_copick_objects_per_run(
    run: Any, object_type: str, source_uri: str, target_uri: str, overwrite: bool = False
) -> dict[str, Any]:
    """Copy entities of a run; see :func:`copy_copick_objects`."""
    return _reported("copied", "copy", run.root, object_type, source_uri, target_uri, run.name, overwrite)


def move_copick_objects(
    root: CopickRoot,
    object_type: str,
    source_uri: str,
    target_uri: str,
    run_name: Runs = None,
    overwrite: bool = False,
    log: bool = False,
) -> dict[str, Any]:
    """Move entities; see :func:`copy_copick_objects`. A source is deleted after its copy was compared with it."""
    return _reported("moved", "move", root, object_type, source_uri, target_uri, run_name, overwrite)


def move_copick_objects_batch(
    root: CopickRoot,
    object_type: str,
    source_uri: str,
    target_uri: str,
    run_names: Runs = None,
    overwrite: bool = False,
    workers: int = 8,
) -> dict[str, Any]:
    """Move entities of several runs; see :func:`move_copick_objects`."""
    return _reported("moved", "move", root, object_type, source_uri, target_uri, run_names, overwrite)


def move_copick_objects_per_run(
    run: Any, object_type: str, source_uri: str, target_uri: str, overwrite: bool = False
) -> dict[str, Any]:
    """Move entities of a run; see :func:`move_copick_objects`."""
    return _reported("moved", "move", run.root, object_type, source_uri, target_uri, run.name, overwrite)


def _reported(done: str, how: Literal["copy", "move"], *given: Any) -> dict[str, Any]:
    try:
        return {done: _transfer(how, *given), "errors": []}
    except (ValueError, OSError) as error:
        return {done: 0, "errors": [str(error)]}


def _transfer(
    how: Literal["copy", "move"],
    root: CopickRoot,
    object_type: str,
    source_uri: str,
    target_uri: str,
    run_names: Runs,
    overwrite: bool,
) -> int:
    found = _entities(root, object_type, source_uri, run_names)
    target, plan_one = Target(target_uri), plan_copy if how == "copy" else plan_move
    taken: dict[Key, Key] = {}
    for entity in found:
        key = target.key(entity.key)
        if key in taken:
            reason = f"{taken[key]} and {entity.key} would both become {key}; use {{user_id}}, {{session_id}} or the like"
            raise InvalidDataError(source=target_uri, reason=reason)
        taken[key] = entity.key
    plans = [
        plan_one(
            Selection(root, one_address(entity.key), entity.key.kind),  # type: ignore[arg-type]
            target_uri,
            if_exists="replace" if overwrite else "fail",
            provenance=False,
        )
        for entity in found
    ]
    for plan in plans:
        plan.run()
    return len(plans)
