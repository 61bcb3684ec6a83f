"""Lazily listed children of an entity: one list for each kind, with one handle for each key and layer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import NotFoundError

if TYPE_CHECKING:
    from copick_core.models.entity import Entity
    from copick_core.tree.keys import Key

E = TypeVar("E", bound="Entity[Any]")


def _is_unsaved(handle: Entity[Any]) -> bool:
    """Whether the entity was created here and nothing of it has been stored yet."""
    return getattr(handle, "_unsaved", False)


class Children(list[E]):
    """The children of one kind of one parent.

    The same key in the same layer keeps one handle until :meth:`forget`, whether it was found by listing, by asking for it,
    or by creating it. What others get are snapshots.

    It is a list itself, and may share its lock: a project has very many of these.

    Args:
        lock: Held while the children are listed; the voxel spacings of a run and everything below them share one.
    """

    __slots__ = ("_index", "is_listed", "lock")

    def __init__(self, lock: threading.RLock) -> None:
        #: Whether the children have been listed.
        self.is_listed = False
        self._index: dict[Key, list[E]] | None = None
        self.lock = lock

    @property
    def listed(self) -> list[E] | None:
        """Snapshot of the children if they have been listed, else None."""
        return self[:] if self.is_listed else None

    def all(self, query: Callable[[], list[E]]) -> list[E]:
        """Snapshot of the children, listed by ``query`` when first asked for."""
        if self.is_listed:
            return self[:]
        with self.lock:
            if not self.is_listed:
                self._install(query())
            return self[:]  # not later: another thread may forget them

    def install(self, listed: list[E]) -> None:
        """Take a listing that was made elsewhere, unless the children are listed already."""
        with self.lock:
            if not self.is_listed:
                self._install(listed)

    def _install(self, listed: list[E]) -> None:
        if self:  # handles that were given out before the listing stay the handles of their keys
            known = {(h.key, h.layer): h for h in self}
            listed = [known.pop((h.key, h.layer), h) for h in listed]
            listed += [h for h in known.values() if _is_unsaved(h)]
        self[:] = listed
        self._index = None
        self.is_listed = True

    def get(self, key: Key, probe: Callable[[], Sequence[E]]) -> list[E]:
        """Children with a key, without listing: known ones, else those that ``probe`` finds in storage."""
        with self.lock:
            return self._known(key) or self._adopt(key, probe())

    def current(self, key: Key, probe: Callable[[], Sequence[E]]) -> list[E]:
        """Children with a key as storage has them now; ones that are gone from it are forgotten."""
        with self.lock:
            return self._adopt(key, probe())

    def known(self, key: Key, layer: str | None) -> E | None:
        """The handle of a key in a layer, if there is one; storage is not asked."""
        with self.lock:
            return next((handle for handle in self._known(key) if handle.layer == layer), None)

    def _known(self, key: Key) -> list[E]:
        if self._index is None:
            self._index = {}
            for handle in self:
                self._index.setdefault(handle.key, []).append(handle)
        return [*self._index.get(key, ())]

    def _adopt(self, key: Key, stored: Sequence[E]) -> list[E]:
        before = {h.layer: h for h in self._known(key)}
        now = [before.pop(h.layer, h) for h in stored]
        for handle in before.values():
            if _is_unsaved(handle):
                now.append(handle)
            else:
                self.remove(handle)
        for handle in now:
            self.add(handle)
        return now

    def add(self, handle: E) -> E:
        """Take in a handle that was created or found; returns the one that is kept for its key and layer."""
        with self.lock:
            for known in self._known(handle.key):
                if known.layer == handle.layer:
                    return known
            self.append(handle)
            if self._index is not None:
                self._index.setdefault(handle.key, []).append(handle)
            return handle

    def remove(self, handle: E) -> None:
        """Drop a handle whose entity is gone, or the one that has taken its place since then."""
        key, layer = handle.key, handle.layer
        with self.lock:
            self[:] = [h for h in self if h is not handle and (h._key != key or h.layer != layer)]
            self._index = None

    def delete(self, handles: Sequence[E]) -> None:
        """Delete the entities of some handles or, if one is read-only, of none; those that somebody else deleted are done."""
        for handle in handles:
            handle._check_deletable()
        for handle in handles:
            try:
                handle.delete()
            except NotFoundError:
                self.remove(handle)

    def forget(self) -> None:
        """Forget the listing and all handles; the next access asks again."""
        with self.lock:
            self.is_listed = False  # first: others, who ask without the lock, must not take the emptied list for the listing
            self._index = None
            self.clear()
