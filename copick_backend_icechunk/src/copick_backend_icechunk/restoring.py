"""Making entities what they were."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from copick_backend_icechunk.history import Change, changed_between, covers
from copick_backend_icechunk.tree import entity_of
from copick_backend_icechunk.views import Changes, Sign, View

if TYPE_CHECKING:
    from copick_backend_icechunk.commits import Committer
    from copick_core.tree.addresses import Address

#: What undoes a change.
_BACK: dict[Sign, Sign] = {"+": "-", "-": "+", "~": "~"}


def restore(commits: Committer, address: Address | None, when: str | datetime) -> tuple[Change, ...]:
    """Restore what an address matches, in the transaction that is open."""
    transaction = commits.open_transaction()
    before = commits.view_at(when)
    since = changed_between(commits.existing(), before, commits.base_of(transaction))
    chosen = {
        path: _BACK[sign]
        for path, sign in since.items()
        if (key := entity_of(path)) is not None and (address is None or covers(address, key))
    }
    transaction.change(lambda view: take(before, view, chosen))
    return described(chosen)


def take(source: View, target: View, chosen: Changes) -> Changes:
    """Make files and volumes of a session what they are in a snapshot."""
    from zarr.core.sync import sync

    from copick_backend_icechunk.volumes import copy_values

    for path, sign in chosen.items():
        sync(target.store.delete_dir(path))
        if sign != "-":
            sync(copy_values(source.store, target.store, path))
    return chosen


def described(changes: Changes) -> tuple[Change, ...]:
    """Changes by entity."""
    words = {"+": "added", "~": "changed", "-": "removed"}
    keyed = [(entity_of(path), words[sign]) for path, sign in sorted(changes.items())]
    return tuple(Change(key, what) for key, what in keyed if key is not None)  # type: ignore[arg-type]
