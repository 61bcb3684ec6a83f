"""Copying, moving and synchronising entities, within a project and between projects of any two backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import AddressError, AlreadyExistsError, ConflictError, InvalidDataError, ReadOnlyError
from copick_core.layers.provenance import copy_provenance, note_copy
from copick_core.layers.revisions import note_change
from copick_core.projects.copying import add_objects, configured_format, copy_content, same_content
from copick_core.projects.selection import Row, Selection
from copick_core.tree.addresses import Address
from copick_core.tree.keys import CONTAINER_KINDS, ROOT, Key, Kind, ObjectKey
from copick_tools import __version__
from copick_tools.deletions import Deletion
from copick_tools.plans import Action, Change, Plan, Progress, Report, Skipped, Step
from copick_tools.targets import Target

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_core.volumes.format import VolumeFormat

#: Addresses of everything in a project but density maps of objects.
EVERYTHING: list[Address | str] = ["*/", "*/@*", "*", "*@*:*"]
#: What happens where the target exists and holds something else: it is an error, it stays, it is replaced, or it is replaced
#: if the source was written later.
IfExists = Literal["fail", "skip", "replace", "newer"]


@dataclass(frozen=True)
class MakeContainer:
    """Makes a run or a voxel spacing that the target lacks."""

    layer: Layer
    key: Key
    changes: tuple[Change, ...]
    source: str = ""

    def run(self, verify: bool) -> None:
        """Make it; one that exists meanwhile stays as it is."""
        self.layer.ensure(self.key)


@dataclass(frozen=True)
class Transfer:
    """Copies one entity; moves it if ``delete_source``."""

    layer: Layer
    key: Key
    target: Layer
    target_key: Key
    action: Action | None
    delete_source: bool
    changes: tuple[Change, ...]
    made_with: dict[str, Any] | None = None
    format: VolumeFormat | None = None

    @property
    def source(self) -> str:
        """What is copied."""
        return f"{self.key} in {self.layer.name}"

    def run(self, verify: bool) -> None:
        """Copy it; a source is deleted only after the copy has been compared with it.

        Raises:
            ConflictError: Somebody has meanwhile made features of a tomogram that is to be deleted.
            InvalidDataError: The copy is not what the source is; nothing was deleted.
        """
        provenance = None
        if self.action is not None:
            if self.made_with is not None:
                provenance = copy_provenance(source=self.layer, key=self.key, **self.made_with)
            replace = self.action == "replace"
            copy_content(self.layer, self.key, self.target, self.target_key, replace=replace, format=self.format)
        if (verify or self.delete_source) and not same_content(self.layer, self.key, self.target, self.target_key):
            reason = f"the copy in layer {self.target.name!r} differs from {self.key}; copy it again with if_exists='replace'"
            raise InvalidDataError(source=self.target_key, reason=reason)
        if provenance is not None:
            note_copy(self.target, self.target_key, provenance)
        if self.delete_source:
            if self.key.kind is Kind.TOMOGRAM and (added := [*self.layer.list(Kind.FEATURES, self.key)]):
                way_out = f"Deleting {self.key} would delete it: move again."
                raise ConflictError(key=added[0], layer=self.layer.name, expected=None, found="features", way_out=way_out)
            try:
                self.layer.delete(self.key)
            finally:
                note_change(self.key)


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
    return _plan("Copy", root, rows, Target(target).key, to or root, if_exists, move=False, text=target, made_with=made_with)


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
    return _plan("Move", root, rows, template.key, to or root, if_exists, move=True, text=target, made_with=made_with)


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
    plan = _plan("Move", root, [*tomograms.items()], template.key, to, if_exists, **how)
    moved = _plan("Move", root, sorted(features), features_key, to, if_exists, **how)
    transfers = [step for step in plan.steps if isinstance(step, Transfer)]
    others = [step for step in plan.steps if not isinstance(step, Transfer)]
    going = {transfer.key for transfer in transfers}
    if stuck := [row for row in moved.skipped if row.key.kind is Kind.FEATURES]:
        reason = f"{stuck[0].key} exists already, and the features of a tomogram move with it; choose if_exists='replace'"
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
    plan = _plan("Sync", source, wanted, renamed, target, if_exists, move=False, text=text, made_with=made_with)
    if delete:
        kept, overlay = {renamed(key) for key, _ in wanted}, target.layers.overlay
        for key, layer in rows(target):
            if layer is not None and layer is overlay and key not in kept:
                plan.steps.append(Deletion(layer, key, (Change("delete", key, layer.name, _name(target)),)))
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


@dataclass(frozen=True)
class AddObjects:
    """Adds objects to the configuration of the target, in memory."""

    root: CopickRootOverlay
    target: CopickRootOverlay
    names: tuple[str, ...]
    changes: tuple[Change, ...]
    source: str = ""

    def run(self, verify: bool) -> None:
        """Add them."""
        add_objects(self.root, self.target, self.names)


def _plan(
    title: str,
    root: CopickRootOverlay,
    rows: list[Row],
    key_of: Callable[[Key], Key],
    to: CopickRootOverlay,
    if_exists: IfExists,
    *,
    move: bool,
    text: str,
    made_with: dict[str, Any] | None,
) -> Plan:
    held = {key: layer for key, layer in rows if key.kind is not Kind.OBJECT}  # of several layers the last one
    project = _name(to) if to is not root else ""
    plan = Plan(title, afterwards=lambda: _refresh(root, to))
    format = configured_format(to)
    made: dict[Key, Key] = {}
    containers: dict[Key, None] = {}
    for key, layer in held.items():
        target_key = key_of(key)
        target = to._writable(target_key)
        if target_key in made:
            both = f"{made[target_key]} and {key} would both become {target_key}"
            reason = f"{both}; keep them apart, as with {{user}} or {{session}}"
            raise AddressError(address=text, position=None, reason=reason)
        made[target_key] = key
        if to is root and target_key == key and (layer is target or layer is None):
            raise AddressError(address=text, position=None, reason=f"{key} would be copied onto itself")
        if layer is None:
            if move:
                reason = "a run or a voxel spacing cannot be moved: copy what is in it"
                raise AddressError(address=text, position=None, reason=reason)
            containers |= dict.fromkeys([*_above(target_key), target_key])
            continue
        if move and layer.read_only:
            raise ReadOnlyError(subject=key, reason=f"layer {layer.name!r} is read-only: copy it instead of moving it")
        action = _action(layer, key, target, target_key, if_exists, plan, move)
        if action == "skip":
            continue
        containers |= dict.fromkeys(_above(target_key))
        changes = [Change("delete", key, layer.name)] if move else []
        if action != "same":
            changes.insert(0, Change(action, target_key, target.name, project))
        write = None if action == "same" else action
        plan.steps.append(Transfer(layer, key, target, target_key, write, move, tuple(changes), made_with, format))
    names = [step.target_key.object_name for step in plan.steps if hasattr(step.target_key, "object_name")]  # type: ignore[attr-defined]
    missing = tuple(name for name in dict.fromkeys(names) if to.get_object(name) is None)
    plan.steps[:0] = [*_objects(root, to, missing, project), *_containers(to, [*containers], project)]
    return plan


def _above(key: Key) -> list[Key]:
    """The run and the voxel spacing that hold an entity."""
    above: list[Key] = []
    parent: Any = key.parent
    while parent != ROOT:
        if parent.kind in CONTAINER_KINDS:
            above.insert(0, parent)
        parent = parent.parent
    return above


def _containers(to: CopickRootOverlay, keys: list[Key], project: str) -> list[Step]:
    """Steps that make those containers that no layer of the target has."""
    missing = [key for key in keys if not any(layer.exists(key) for layer in to.layers.all)]
    made = [(to._writable(key), key) for key in missing]
    return [MakeContainer(layer, key, (Change("create", key, layer.name, project),)) for layer, key in made]


def _objects(root: CopickRootOverlay, to: CopickRootOverlay, missing: tuple[str, ...], project: str) -> list[Step]:
    """The step that adds objects which the target lacks.

    Raises:
        InvalidDataError: The target uses the label of one for another object.
        UnknownObjectError: The source has no such object either.
    """
    if not missing:
        return []
    for name in missing:
        root._pickable_object(name)
    changes = tuple(Change("create", ObjectKey(name), "configuration", project) for name in missing)
    return [AddObjects(root, to, missing, changes)]


def _action(
    layer: Layer, key: Key, target: Layer, target_key: Key, if_exists: IfExists, plan: Plan, move: bool
) -> Literal["create", "replace", "same", "skip"]:
    """What happens to a target; what is skipped is noted in the plan.

    Raises:
        AlreadyExistsError: It exists with other content, and ``if_exists="fail"``.
    """
    if not target.exists(target_key):
        return "create"
    if if_exists == "skip":
        plan.skipped.append(Skipped(target_key, "it exists"))
        return "skip"
    if same_content(layer, key, target, target_key):
        if move:
            return "same"
        plan.skipped.append(Skipped(target_key, f"it equals {key}"))
        return "skip"
    if if_exists == "replace":
        return "replace"
    if if_exists == "newer":
        if is_newer([(layer, key)], target, target_key):
            return "replace"
        plan.skipped.append(Skipped(target_key, f"{key} is not newer"))
        return "skip"
    way_out = "It has other content than the source; choose if_exists='skip' or 'replace' (--if-exists)."
    raise AlreadyExistsError(key=target_key, layer=target.name, way_out=way_out)


def is_newer(sources: Iterable[tuple[Layer, Key]], target: Layer, target_key: Key) -> bool:
    """Whether one of several entities was written later than another one.

    The times are those of the storage: of two places with different clocks, that of each.

    Raises:
        InvalidDataError: A layer does not know when one of them was written.
    """
    times = []
    for layer, key in [(target, target_key), *sources]:
        written = layer.modified(key)
        if written is None:
            way_out = "choose if_exists='skip' or 'replace' (--if-exists)"
            reason = f"layer {layer.name!r} does not know when it was written; {way_out}"
            raise InvalidDataError(source=key, reason=reason)
        times.append(written)
    return max(times[1:]) > times[0]


def _made_with(command: str, root: CopickRootOverlay) -> dict[str, Any]:
    """Fields of the provenance of what a command copies."""
    return {"tool": f"copick-core {command}", "version": __version__, "by": root.user_id, "project": _name(root)}


def _name(root: CopickRootOverlay) -> str:
    return root.config.name or "the target project"


def _refresh(*roots: CopickRootOverlay) -> None:
    for root in roots:
        root.refresh()
