"""A snapshot of a repository, opened to be read, and changes that are not committed yet."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from copick_backend_icechunk.tree import Tree

if TYPE_CHECKING:
    import icechunk

#: What happened to an entity: ``"+"`` added, ``"~"`` changed, ``"-"`` removed.
Sign = Literal["+", "~", "-"]

#: What a write changed: the path of each entity (its marker, for containers).
Changes = Mapping[str, Sign]


class View:
    """What a session shows.

    Args:
        repository: The repository.
        session: A session that was opened in it.
        tree: What is there, if that is known.

    Attributes:
        id: The snapshot; for uncommitted changes, the one that they are made to.
        session: The session.
    """

    def __init__(self, repository: icechunk.Repository, session: icechunk.Session, tree: Tree | None = None) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._tree = tree
        self.session = session
        self.id: str = session.snapshot_id

    @property
    def store(self) -> icechunk.IcechunkStore:
        """The store of the session."""
        return self.session.store

    @property
    def known_tree(self) -> Tree | None:
        """The tree, if somebody has asked for it."""
        return self._tree

    @property
    def tree(self) -> Tree:
        """What is there; read from the snapshot when it is first asked for."""
        from zarr.core.sync import sync

        with self._lock:
            if self._tree is None:
                # Its blocking twin holds Python's lock while it waits for the server: all other threads would stand still.
                inspected = sync(self._repository.inspect_snapshot_async(self.id, pretty=False))
                self._tree = Tree.of_snapshot(inspected)
            return self._tree


def apply(changes: Changes, tree: Tree) -> None:
    """Bring a tree up to date with changes."""
    for path, sign in changes.items():
        if sign == "-":
            tree.remove(path)
        else:
            tree.add(path, not path.endswith(".zarr"))


def merged(first: Changes, second: Changes) -> dict[str, Sign]:
    """The changes that two writes, one after the other, make together."""
    both: dict[str, Sign] = dict(first)
    for path, sign in second.items():
        before = both.get(path)
        if before == "+" and sign == "-":
            del both[path]
        elif before == "+":
            continue
        elif before == "-" and sign == "+":
            both[path] = "~"
        else:
            both[path] = sign
    return both
