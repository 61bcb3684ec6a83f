"""Bringing two branches together, entity by entity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from copick_backend_icechunk.history import Change, changed_between, common_ancestor, differs
from copick_backend_icechunk.restoring import described, take
from copick_backend_icechunk.tree import entity_of
from copick_backend_icechunk.views import Changes, Sign, View
from copick_core.errors import ConflictError
from copick_core.tree.keys import Key, Kind

if TYPE_CHECKING:
    from copick_backend_icechunk.commits import Committer

#: Conflicts that a message lists.
_LISTED = 10


@dataclass(frozen=True)
class Merge:
    """What a merge did, or would do.

    Attributes:
        taken: What the other branch changed and this one did not.
        combined: Picks that both changed, brought together point by point.
        conflicts: Entities that both changed, each in another way.
    """

    taken: tuple[Change, ...]
    combined: tuple[Change, ...]
    conflicts: tuple[Key, ...]


def merge(commits: Committer, branch: str, prefer: Literal["ours", "theirs"] | None, *, dry_run: bool) -> Merge:
    """Merge a branch into the transaction that is open; into none for a dry run."""
    repository = commits.walked()
    commits.check_branch(branch)
    transaction = None if dry_run else commits.open_transaction()
    ours = commits.newest() if transaction is None else commits.base_of(transaction)
    theirs = commits.view_at(branch)
    base = commits.view_at(common_ancestor(repository, ours.id, theirs.id).id)
    mine = changed_between(repository, base, ours)
    taken: dict[str, Sign] = {}
    conflicts: dict[str, Sign] = {}
    combined: dict[str, bytes] = {}
    for path, sign in changed_between(repository, base, theirs).items():
        if path not in mine:
            taken[path] = sign
        elif "-" in (sign, mine[path]):
            if sign != mine[path]:
                conflicts[path] = sign if sign == "-" else "+"
        elif differs(ours, theirs, path):
            data = _combined(base, ours, theirs, path, known=sign == "~" and mine[path] == "~")
            if data is None:
                conflicts[path] = "~"
            else:
                combined[path] = data
    if conflicts and prefer is None and not dry_run:
        raise _conflict(branch, conflicts)
    if prefer == "theirs":
        taken |= conflicts
    if transaction is not None:
        transaction.change(lambda view: take(theirs, view, taken))
        transaction.change(lambda view: _write(view, combined))
    keys = tuple(key for path in conflicts if (key := entity_of(path)) is not None)
    return Merge(described(taken), described(dict.fromkeys(combined, "~")), keys)


def _combined(base: View, ours: View, theirs: View, path: str, *, known: bool) -> bytes | None:
    """Picks that both changed, brought together; None for other kinds, and where they contradict."""
    from zarr.core.sync import sync

    from copick_backend_icechunk.files import read_file
    from copick_backend_icechunk.points import brought_together

    key = entity_of(path)
    if key is None or key.kind is not Kind.PICKS:
        return None
    start = sync(read_file(base.store, path)) if known else None
    return brought_together(start, sync(read_file(ours.store, path)), sync(read_file(theirs.store, path)))


def _write(view: View, files: dict[str, bytes]) -> Changes:
    from zarr.core.sync import sync

    from copick_backend_icechunk.files import write_file

    for path, data in files.items():
        sync(view.store.delete_dir(path))
        sync(write_file(view.store, path, data))
    return dict.fromkeys(files, "~")


def _conflict(branch: str, conflicts: Changes) -> ConflictError:
    keys = [key for path in conflicts if (key := entity_of(path)) is not None]
    listed = ", ".join(map(str, keys[:_LISTED])) + (f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else "")
    reason = f"both branches changed {listed}. Prefer 'ours' or 'theirs', or change one of them first"
    return ConflictError(key=keys[0] if keys else branch, layer=branch, expected=None, found=None, reason=reason)
