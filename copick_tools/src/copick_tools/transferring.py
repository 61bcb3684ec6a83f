"""What all functions that copy have in common: the steps of their plans, and how these are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from copick_core.errors import AddressError, AlreadyExistsError, ConflictError, InvalidDataError, ReadOnlyError
from copick_core.layers.provenance import copy_provenance, note_copy
from copick_core.layers.revisions import note_change
from copick_core.projects.copying import add_objects, configured_format, copy_content, same_content
from copick_core.projects.selection import Row
from copick_core.tree.keys import CONTAINER_KINDS, ROOT, Key, Kind, ObjectKey
from copick_tools.plans import Action, Change, Plan, Skipped, Step, choose_if_exists, replacing
from copick_tools.targets import check_names

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_core.volumes.format import VolumeFormat

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
            reason = f"the copy in layer {self.target.name!r} differs from {self.key}; copy it again with {replacing()}"
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


def plan_transfers(
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
    same: Callable[[Layer, Key, Layer, Key], bool] = same_content,
) -> Plan:
    """Plan to copy entities, and to make what holds them: what all functions that copy have in common.

    Args:
        title: What is done.
        root: The project to read.
        rows: What is copied.
        key_of: The key that a copy gets.
        to: The project to write.
        if_exists: What happens where the target exists and holds something else.
        move: Whether each source is deleted after its copy was compared with it.
        text: The target as the user wrote it, for errors.
        made_with: Fields of the provenance that is noted; None notes nothing.
        same: Whether a target is already what a copy of a source would be.

    Raises:
        AddressError: Two entities would become one, or one would be copied onto itself.
        AlreadyExistsError: A target exists with other content, and ``if_exists="fail"``.
        InvalidNameError: A name that changes cannot be stored as it is.
        ReadOnlyError: Where something is to be written, or what is to be moved, is read-only.
    """
    held = {key: layer for key, layer in rows if key.kind is not Kind.OBJECT}  # of several layers the last one
    project = project_name(to) if to is not root else ""
    plan = Plan(title, afterwards=lambda: _refresh(root, to))
    format = configured_format(to)
    made: dict[Key, Key] = {}
    containers: dict[Key, None] = {}
    for key, layer in held.items():
        target_key = key_of(key)
        check_names(key, target_key)
        target = to._writable(target_key)
        if target_key in made:
            both = f"{made[target_key]} and {key} would both become {target_key}"
            reason = f"{both}; keep them apart, for example with {{user}} or {{session}}"
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
        action = _action(layer, key, target, target_key, if_exists, plan, move, same)
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
    layer: Layer,
    key: Key,
    target: Layer,
    target_key: Key,
    if_exists: IfExists,
    plan: Plan,
    move: bool,
    same: Callable[[Layer, Key, Layer, Key], bool],
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
    if same(layer, key, target, target_key):
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
    way_out = f"It has other content than the source; {choose_if_exists()}."
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
            reason = f"layer {layer.name!r} does not know when it was written; {choose_if_exists()}"
            raise InvalidDataError(source=key, reason=reason)
        times.append(written)
    return max(times[1:]) > times[0]


def project_name(root: CopickRootOverlay) -> str:
    """The name of a project, for plans that change another one than they read."""
    return root.config.name or "the target project"


def _refresh(*roots: CopickRootOverlay) -> None:
    for root in roots:
        root.refresh()
