"""Deposits: a tree of links or copies, in the layout of a project, as the CryoET Data Portal takes it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copick_core.errors import AddressError, ConflictError, InvalidDataError, by_caller
from copick_core.layers.path_layer import PathLayer
from copick_core.layers.revisions import note_change
from copick_core.layers.staged import staged_name
from copick_core.plugins import known
from copick_core.projects.copying import same_content
from copick_core.projects.selection import Row, Selection
from copick_core.tree.addresses import Address
from copick_core.tree.keys import FILE_KINDS, ROOT, Key, Kind
from copick_tools.plans import Change, Plan, Progress, Report, Step
from copick_tools.transferring import IfExists, Transfer, plan_transfers

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Everything that a run has.
CONTENTS: tuple[Address | str, ...] = ("*", "*@*:*")
#: Kinds whose files hold the name of their run, and are copied where that changes.
_NAMES_ITS_RUN = frozenset(FILE_KINDS) - {Kind.MESH}


@dataclass(frozen=True)
class Link:
    """Makes a symbolic link to what is stored of an entity.

    Attributes:
        layer: Where the entity is.
        key: The entity.
        target: The layer of the deposit.
        target_key: What the link is there.
        original: Absolute path of what is stored.
        path: Absolute path of the link.
        changes: What is changed.
    """

    layer: Layer
    key: Key
    target: Layer
    target_key: Key
    original: str
    path: str
    changes: tuple[Change, ...]

    @property
    def source(self) -> str:
        """What is linked."""
        return f"a link to {self.original}"

    def run(self, verify: bool) -> None:
        """Make the link, in one step.

        Raises:
            ConflictError: Somebody else has made something of this name meanwhile.
            InvalidDataError: The link leads to other content.
        """
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        try:
            if self.changes[0].action == "replace" or (os.path.islink(self.path) and not os.path.exists(self.path)):
                self._replace()
            else:
                os.symlink(self.original, self.path)
        except FileExistsError as error:
            raise ConflictError(
                key=self.target_key, layer=self.target.name, expected=None, found="a file or a link"
            ) from error
        finally:
            self.target.forget(ROOT)
            note_change(self.target_key)
        if verify and not same_content(self.layer, self.key, self.target, self.target_key):
            raise InvalidDataError(source=self.target_key, reason=f"its link does not lead to what {self.original} holds")

    def _replace(self) -> None:
        """Take the place of a file or a link in one step; a folder of copies is deleted first."""
        if os.path.isdir(self.path) and not os.path.islink(self.path):
            self.target.delete(self.target_key)
        hidden = os.path.join(os.path.dirname(self.path), staged_name())
        os.symlink(self.original, hidden)
        os.replace(hidden, self.path)


def plan_deposit(
    root: CopickRootOverlay,
    target: str | os.PathLike[str],
    addresses: Sequence[Address | str] = CONTENTS,
    *,
    kind: Kind | str | None = None,
    copy: bool = False,
    run_prefix: str | None = None,
    run_regex: str | None = None,
    if_exists: IfExists = "fail",
) -> Plan:
    """Plan to make a tree of links, or of copies, of what a project has; several deposits may go into one folder.

    The tree is that of a project in a folder (docs/on-disk-format.md), as the CryoET Data Portal takes it. Of several layers
    that hold an entity, the overlay's is deposited. Picks and filaments hold the name of their run: where that changes they
    are copied, with the new name inside.

    Args:
        root: The project.
        target: The folder. With ``copy`` also a URL that the default backend can write.
        addresses: What is deposited; by default everything in runs.
        kind: The one kind that is wanted.
        copy: Copy instead of linking. What is not in local folders can only be copied.
        run_prefix: What the names of runs begin with in the tree. By default, runs of a data portal begin with the id of
            their dataset and their name there: ``10301_TS_026_``; others with nothing.
        run_regex: What is kept of the names of runs, before the prefix: the first group of this regular expression, or all
            that it matches.
        if_exists: What happens where the tree has something else. A link that leads to the right place is always skipped, as
            are equal copies; one that leads nowhere is always replaced.

    Returns:
        The plan; nothing has been changed.

    Raises:
        AddressError: Two entities would become one.
        AlreadyExistsError: The tree has something else, and ``if_exists="fail"``.
        InvalidDataError: The target is a folder of the project, a run does not match ``run_regex``, or something that is to be
            linked does not lie in a local folder.
    """
    fields: dict[str, Any] = {"config_type": known()["default_config_type"], "pickable_objects": root.config.pickable_objects}
    from copick_core import opening

    place = os.fspath(target) if "://" in os.fspath(target) else str(Path(target).absolute())
    to = opening.open({**fields, "name": os.fspath(target), "overlay_root": place})
    ours = to.layers.all[-1]
    for layer in root.layers.all:
        if layer.place_id() is not None and layer.place_id() == ours.place_id():
            reason = f"it holds layer {layer.name!r} of the project; choose another folder"
            raise InvalidDataError(source=f"target {place!r}", reason=reason)
    rows = _rows(root, addresses, kind)
    names = _names(root, {_run_of(key) for key, _ in rows}, run_prefix, run_regex)

    def renamed(key: Any) -> Key:
        changed: Key = key._replace(run=names[key.run])
        return changed

    def links(key: Key, target_key: Key) -> bool:
        return not copy and (key == target_key or key.kind not in _NAMES_ITS_RUN)

    def same(layer: Layer, key: Key, other: Layer, other_key: Key) -> bool:
        path = other.location(other_key) or ""
        if os.path.islink(path):
            return links(key, other_key) and os.path.realpath(path) == os.path.realpath(layer.location(key) or "")
        return not links(key, other_key) and same_content(layer, key, other, other_key)

    text = " ".join(map(str, addresses))
    how: dict[str, Any] = {"move": False, "text": text, "made_with": None, "same": same}
    plan = plan_transfers("Deposit", root, rows, renamed, to, if_exists, **how)
    plan.steps[:] = [
        _linked(step) if isinstance(step, Transfer) and links(step.key, step.target_key) else step for step in plan.steps
    ]
    return plan


def deposit(
    root: CopickRootOverlay,
    target: str | os.PathLike[str],
    addresses: Sequence[Address | str] = CONTENTS,
    *,
    verify: bool = False,
    progress: Progress | None = None,
    **how: Any,
) -> Report:
    """Make a tree of links or copies; :func:`plan_deposit` describes the arguments."""
    return plan_deposit(root, target, addresses, **how).run(verify=verify, progress=progress)


def _rows(root: CopickRootOverlay, addresses: Sequence[Address | str], kind: Kind | str | None) -> list[Row]:
    """What is deposited; an address that cannot mean the kind, as one for features, has nothing of it."""
    found: dict[Row, None] = {}
    refused = []
    for address in addresses:
        try:
            found |= dict.fromkeys(Selection(root, address, kind).rows())
        except AddressError as error:
            refused.append(error)
    if len(refused) == len(addresses) and refused:
        raise refused[0]
    return [row for row in found if row[0].kind not in (Kind.OBJECT, Kind.RUN) and row[1] is not None]


def _run_of(key: Any) -> str:
    run: str = key.run
    return run


def _names(root: CopickRootOverlay, runs: set[str], prefix: str | None, regex: str | None) -> dict[str, str]:
    """Names of runs in the tree.

    Raises:
        InvalidDataError: A name does not match the regular expression, or that is not valid.
    """
    try:
        pattern = re.compile(regex) if regex is not None else None
    except re.error as error:
        raise InvalidDataError(source=f"run_regex {regex!r}", reason=f"it is not a regular expression: {error}") from error
    names = {}
    for run in sorted(runs):
        found = pattern.search(run) if pattern is not None else None
        if pattern is not None and found is None:
            raise InvalidDataError(source=f"run {run!r}", reason=f"its name does not match run_regex {regex!r}")
        kept = run if found is None else found[1] if found.re.groups else found[0]
        names[run] = f"{_portal_prefix(root, run) if prefix is None else prefix}{kept}"
    return names


def _portal_prefix(root: CopickRootOverlay, run: str) -> str:
    """Dataset and name that a run has on a data portal, as a prefix; empty for other runs."""
    handle = root.get_run(run)
    dataset, name = (getattr(handle, f"portal_{field}", None) for field in ("dataset_id", "run_name"))
    return f"{dataset}_{name}_" if dataset is not None and name is not None else ""


def _copying() -> str:
    return by_caller("copy instead (copy=True)", "copy instead (--copy)")


def _linked(transfer: Transfer) -> Step:
    """A link in place of a copy.

    Raises:
        InvalidDataError: What is stored does not lie in a local folder, in the layout of a project.
    """
    original = transfer.layer.location(transfer.key)
    files = transfer.layer.unwrap(PathLayer)  # type: ignore[type-abstract]
    if files is None or original is None or not os.path.exists(original):
        reason = f"layer {transfer.layer.name!r} keeps it in no local folder, so it cannot be linked; {_copying()}"
        raise InvalidDataError(source=transfer.key, reason=reason)
    path = transfer.target.location(transfer.target_key)
    if path is None or not os.path.isabs(path):
        reason = f"links can only be made in a local folder, not at {path}; {_copying()}"
        raise InvalidDataError(source="target", reason=reason)
    original = os.path.abspath(original)
    return Link(transfer.layer, transfer.key, transfer.target, transfer.target_key, original, path, transfer.changes)
