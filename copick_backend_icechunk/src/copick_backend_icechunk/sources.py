"""Where the stores of volumes read and write: what is committed, or a session that somebody fills."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icechunk import IcechunkStore

    from copick_backend_icechunk.commits import Committer
    from copick_backend_icechunk.places import Place
    from copick_backend_icechunk.views import Changes, View
    from copick_core.tree.keys import Key


class Committed:
    """A volume as it is stored; each change is a commit, unless it is made within a batch or a transaction.

    Args:
        commits: What commits.
        key: The volume.
        path: Its path.
    """

    def __init__(self, commits: Committer, key: Key, path: str) -> None:
        self.place = commits.place
        self._commits = commits
        self._key = key
        self._path = path
        self._asked = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Committed) and (self._commits, self._path) == (other._commits, other._path)

    __hash__ = None  # type: ignore[assignment]

    def reading(self) -> IcechunkStore | None:
        """The newest snapshot when it is first asked; afterwards the one that the layer shows."""
        batch = self._commits.batch_of(self._path)
        if batch is not None:
            return batch.store
        view = self._commits.view(fresh=not self._asked)
        self._asked = True
        return None if view is None else view.store

    async def change(self, make: Callable[[IcechunkStore], Awaitable[None]]) -> None:
        """Make a change, and commit it."""
        batch = self._commits.batch_of(self._path)
        if batch is not None:
            await make(batch.store)
            return
        await asyncio.to_thread(self._commit, make)

    def _commit(self, make: Callable[[IcechunkStore], Awaitable[None]]) -> None:
        from zarr.core.sync import sync

        def change(view: View) -> Changes:
            known = view.tree.holds(self._path, folder=True)
            sync(_awaited(make(view.store)))
            if not view.session.has_uncommitted_changes:
                return {}
            left = sync(view.store.exists(f"{self._path}/zarr.json"))
            if known and not left:
                return {self._path: "-"}
            return {self._path: "~" if known else "+"} if left else {}

        self._commits.commit(change, lambda _: f"change a part of {self._key}")


class Staged:
    """A volume that is being written in a session of its own."""

    def __init__(self, place: Place, store: IcechunkStore) -> None:
        self.place = place
        self._store = store

    def reading(self) -> IcechunkStore | None:
        """The session."""
        return self._store

    async def change(self, make: Callable[[IcechunkStore], Awaitable[None]]) -> None:
        """Make a change in the session."""
        await make(self._store)


async def _awaited(call: Awaitable[None]) -> None:
    await call
