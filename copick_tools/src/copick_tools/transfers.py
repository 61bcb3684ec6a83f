"""Copying, moving and synchronising entities, within a project and between projects of any two backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from copick_core.errors import AddressError
from copick_core.projects.selection import Row, Selection
from copick_core.tree.addresses import Address
from copick_core.tree.keys import Key, Kind
from copick_tools import __version__
from copick_tools.deletions import Deletion
from copick_tools.plans import Change, Plan, Progress, Report, replacing
from copick_tools.targets import Target
from copick_tools.transferring import IfExists, Transfer, plan_transfers, project_name

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Addresses of everything in a project but density maps of objects.
EVERYTHING: list[Address | str] = ["*/", "*/@*", "*", "*@*:*"]


def plan_copy(
    selection: Selection,
    target: str,
    *,
    to: CopickRootOverlay | None = None,
    if_exists: IfExists = "fail",
    provenance: bool = True,
) -> Plan:
    """Plan to copy entities to other addresses, or into another project.

    Args:
        selection: What is copied: entities of one kind. Of several layers that hold one, the overlay's is copied.
        target: The parts that change, such as ``"ribosome:bob/2"`` or ``"{name}:reviewed"``; see
            :class:`~copick_tools.targets.Target`. ``"*"`` changes none.
        to: The project to copy into; that of the selection by default. Objects that it lacks are added to its configuration
            in memory when the plan runs.
        if_exists: What happens where the target exists and holds something else. What equals its source is always skipped.
        provenance: Note in a hidden record of each run what made the copies, and from what.

    Returns:
        The plan; nothing has been changed.

    Raises:
        AddressError: The selection has several kinds, two entities would become one, or one would be copied onto itself.
        AlreadyExistsError: A target exists with other content, and ``if_exists="fail"``.
        InvalidDataError: An object of the target contradicts the source's.
        ReadOnlyError: The target project has no writable layer.
        UnknownObjectError: The target project has no object of the target's name.
    """
    root, rows = selection.root, selection.one_kind("copied")
    made_with = _made_with("cp", root) if provenance else None
    return plan_transfers(
        "Copy", root, rows, Target(target).key, to or root, if_exists, move=False, text=target, made_with=made_with
    )


def plan_move(
    selection: Selection,
    target: str,
    *,
    to: CopickRootOverlay | None = None,
    if_exists: IfExists = "fail",
    provenance: bool = True,
) -> Plan:
    """Plan to move entities; see :func:`plan_copy`. Each source is deleted after its copy was compared with it.

    The features of a tomogram move with it.

    Raises:
        ReadOnlyError: A source is in a read-only layer; copy it instead.
    """
    root, rows = selection.root, selection.one_kind("moved")
    template, made_with = Target(target), _made_with("mv", root) if provenance else None
    tomograms: dict[Key, Layer] = {key: layer for key, layer in rows if key.kind is Kind.TOMOGRAM and layer is not None}
    if tomograms:
        return _plan_move_of_tomograms(root, tomograms, template, to or root, if_exists, made_with)
    return plan_transfers("Move", root, rows, template.key, to or root, if_exists, move=True, text=target, made_with=made_with)


def _plan_move_of_tomograms(
    root: CopickRootOverlay,
    tomograms: dict[Key, Layer],
    template: Target,
    to: CopickRootOverlay,
    if_exists: IfExists,
    made_with: dict[str, Any] | None,
) -> Plan:
    """Copy tomograms, move their features, then delete the tomograms: deleting one deletes its features."""

    def features_key(key: Key) -> Key:
        tomogram: Any = template.key(key.parent)  # type: ignore[arg-type]
        return key._replace(run=tomogram.run, tomo_type=tomogram.tomo_type)  # type: ignore[call-arg]

    features: list[Row] = [(f, layer) for key, layer in tomograms.items() for f in layer.list(Kind.FEATURES, key)]  # type: ignore[arg-type]
    how: dict[str, Any] = {"move": True, "text": template.text, "made_with": made_with}
    plan = plan_transfers("Move", root, [*tomograms.items()], template.key, to, if_exists, **how)
    moved = plan_transfers("Move", root, sorted(features), features_key, to, if_exists, **how)
    transfers = [step for step in plan.steps if isinstance(step, Transfer)]
    others = [step for step in plan.steps if not isinstance(step, Transfer)]
    going = {transfer.key for transfer in transfers}
    if stuck := [row for row in moved.skipped if row.key.kind is Kind.FEATURES]:
        reason = f"{stuck[0].key} exists already, and the features of a tomogram move with it; choose {replacing()}"
        raise AddressError(address=template.text, position=None, reason=reason)
    copies = [replace(t, delete_source=False, changes=t.changes[:1]) for t in transfers if t.action is not None]
    deletions = [replace(t, action=None, changes=t.changes[-1:]) for t in transfers]
    below = [step for step in moved.steps if isinstance(step, Transfer) and step.key.parent in going]
    return replace(plan, steps=[*others, *copies, *below, *deletions])


def copy(selection: Selection, target: str, *, verify: bool = False, progress: Progress | None = None, **how: Any) -> Report:
    """Copy entities; :func:`plan_copy` describes the arguments, and :meth:`Plan.run` ``verify`` and ``progress``."""
    return plan_copy(selection, target, **how).run(verify=verify, progress=progress)


def move(selection: Selection, target: str, *, verify: bool = False, progress: Progress | None = None, **how: Any) -> Report:
    """Move entities; :func:`plan_move` describes the arguments, and :meth:`Plan.run` ``verify`` and ``progress``."""
    return plan_move(selection, target, **how).run(verify=verify, progress=progress)


def plan_sync(
    source: CopickRootOverlay,
    target: CopickRootOverlay,
    address: Address | str | None = None,
    *,
    kind: Kind | str | None = None,
    runs: Mapping[str, str] | None = None,
    objects: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    if_exists: IfExists = "skip",
    delete: bool = False,
    provenance: bool = True,
) -> Plan:
    """Plan to bring what a project has into another one.

    Args:
        source: The project to read.
        target: The project to write.
        address: What is brought; by default everything but density maps of objects.
        kind: The one kind that is wanted.
        runs: Names of runs in the target, by their names in the source; others keep theirs.
        objects: The same for objects, and for names of segmentations.
        users: The same for users.
        if_exists: ``"skip"`` brings only what is missing; ``"replace"`` also replaces what is different, ``"newer"`` only
            where the source was written later.
        delete: Delete what the target's overlay has at such addresses and the source has not.
        provenance: Note in a hidden record of each run what brought the copies, and from where.

    Raises:
        AddressError: Two entities would become one.
        InvalidDataError: An object of the target contradicts the source's.
        ReadOnlyError: The target has no writable layer.
        UnknownObjectError: The target has no object of a name in ``objects``.
    """
    maps = {"run": runs or {}, "object_name": objects or {}, "name": objects or {}, "user_id": users or {}}

    def renamed(key: Key) -> Key:
        if key.kind is Kind.RUN:
            return key._replace(name=maps["run"].get(key.name, key.name))
        values = {name: getattr(key, name) for name in maps if hasattr(key, name)}
        return key._replace(**{name: maps[name].get(value, value) for name, value in values.items()})

    def rows(root: CopickRootOverlay) -> list[Row]:
        addresses = [address] if address is not None else EVERYTHING if kind is None else ["*"]
        return [row for a in addresses for row in Selection(root, a, kind).rows() if row[0].kind is not Kind.OBJECT]

    wanted = rows(source)
    made_with = _made_with("sync", source) if provenance else None
    text = str(address or "*")
    plan = plan_transfers("Sync", source, wanted, renamed, target, if_exists, move=False, text=text, made_with=made_with)
    if delete:
        kept, overlay = {renamed(key) for key, _ in wanted}, target.layers.overlay
        for key, layer in rows(target):
            if layer is not None and layer is overlay and key not in kept:
                plan.steps.append(Deletion(layer, key, (Change("delete", key, layer.name, project_name(target)),)))
    return plan


def sync(
    source: CopickRootOverlay,
    target: CopickRootOverlay,
    address: Address | str | None = None,
    *,
    verify: bool = False,
    progress: Progress | None = None,
    **how: Any,
) -> Report:
    """Bring what a project has into another one; :func:`plan_sync` describes the arguments."""
    return plan_sync(source, target, address, **how).run(verify=verify, progress=progress)


def _made_with(command: str, root: CopickRootOverlay) -> dict[str, Any]:
    """Fields of the provenance of what a command copies."""
    return {"tool": f"copick-core {command}", "version": __version__, "by": root.user_id, "project": project_name(root)}
