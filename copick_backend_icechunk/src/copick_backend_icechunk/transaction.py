"""Many writes as one commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from copick_backend_icechunk.views import Changes, View, apply, merged

if TYPE_CHECKING:
    import icechunk


class Transaction:
    """What has been written and is not committed yet.

    Args:
        view: A session that nobody else uses, with its tree.
        spare: Another session of the same snapshot, which stays clean: volumes are staged in forks of it.
        message: Message of the commit.

    Attributes:
        base: The snapshot that it began with.
        changes: What has been changed so far.
    """

    def __init__(self, view: View, spare: icechunk.Session, message: str) -> None:
        self.view = view
        self.message = message
        self.base = view.id
        self.changes: Changes = {}
        self._spare = spare
        self._lock = threading.RLock()

    def change(self, make: Callable[[View], Changes]) -> None:
        """Make a change in the session; one at a time."""
        with self._lock:
            changes = make(self.view)
            apply(changes, self.view.tree)
            self.changes = merged(self.changes, changes)

    @contextmanager
    def staging(self) -> Iterator[icechunk.Session]:
        """A session of its own for a volume, to be taken over by :meth:`take`."""
        with self._lock:
            fork = self._spare.fork()
        yield fork

    def take(self, fork: icechunk.Session, path: str) -> None:
        """Put a staged volume in its place."""
        from zarr.core.sync import sync

        def make(view: View) -> Changes:
            known = view.tree.holds(path, folder=True)
            sync(view.store.delete_dir(path))
            view.session.merge(fork)  # type: ignore[arg-type]
            return {path: "~" if known else "+"}

        self.change(make)
