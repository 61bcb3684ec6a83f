"""``{"name": "index"}``: a layer whose lists are answered by one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from copick_core.errors import ConflictError, NotFoundError, ReadOnlyError
from copick_core.layers import ANY, Layer, Revision, WrapperLayer
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    ROOT,
    Key,
    Kind,
    ParentKey,
    RootKey,
    RunKey,
)
from copick_layers.index.comparing import AT_ONCE, BATCH, Comparison, Differences, file_facts
from copick_layers.index.database import IndexFile
from copick_layers.index.options import IndexOptions
from copick_layers.index.rows import run_of

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers.contents import Content

#: Errors after which storage is as it was.
_UNCHANGED = (ConflictError, NotFoundError, ReadOnlyError)


class IndexLayer(WrapperLayer):
    """A layer whose lists are answered by an index.

    Lists that the index does not know are asked of the storage: before it was built, and while somebody changes the run.

    Args:
        inner: The layer.
        options: Where the index is, and how far it is believed.

    Attributes:
        index: The file.
    """

    def __init__(self, inner: Layer, options: IndexOptions) -> None:
        super().__init__(inner)
        self.index = IndexFile(options.path, inner.place_id() or "")
        self._freshness = options.freshness
        self._forget()

    def _forget(self) -> None:
        #: Runs that were compared with the storage since the layer was opened; "" is the project.
        self._fresh: set[str] = set()
        #: Volumes that the index has.
        self._volumes: set[Key] = set()
        self._is_updated = False

    # ------------------------------------------------------------------ lists

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """List entities, from the index if it knows them."""
        self._compare([parent])
        known = self.index.children(kind, parent)
        if known is None and self._mend([parent]):
            known = self.index.children(kind, parent)
        return super().list(kind, parent) if known is None else known

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List entities of many parents, from the index as far as it knows them."""
        self._compare(parents)
        found: dict[ParentKey, list[Key]] = self.index.many(kind, parents)
        if len(found) < len(parents) and self._mend([parent for parent in parents if parent not in found]):
            found = self.index.many(kind, parents)
        rest = [parent for parent in parents if parent not in found]
        if not rest:
            return found
        asked = super().list_many(kind, rest)
        if not isinstance(asked, PartialListing):
            return {**found, **asked}
        asked.update(found)
        return asked

    def find(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Key] | None:
        """Find entities by the values of their keys, if the index knows every run and may be trusted with it."""
        if self._freshness == "update":
            self._compare([ROOT])
        return None if self._freshness == "check" else self.index.find(kind, fields)

    def find_columns(self, kind: Kind, fields: Mapping[str, str | float]) -> Sequence[Sequence[Any]] | None:
        """Find entities as :meth:`find` does; no key is made."""
        if self._freshness == "update":
            self._compare([ROOT])
        return None if self._freshness == "check" else self.index.find_columns(kind, fields)

    def find_content(
        self, kind: Kind, fields: Mapping[str, str | float], content: Content
    ) -> tuple[Sequence[Key], Sequence[Key]] | None:
        """Find entities by what they contain, as far as the index knows it."""
        if self._freshness == "update":
            self._compare([ROOT])
        return None if self._freshness == "check" else self.index.find_content(kind, fields, content)

    def _compare(self, parents: Sequence[ParentKey]) -> None:
        """Compare the index with the storage, as far as the options say so."""
        if self._freshness == "trust":
            return
        if self._freshness == "update":
            if not self._is_updated:
                self.update()
                self._is_updated = True
            return
        runs = [run for run in dict.fromkeys(map(run_of, parents)) if run not in self._fresh]
        if runs:
            known = self.index.versions()
            self._storage.relist([run for run in runs if not self._is_same(run, known.get(run))])
            self._fresh.update(runs)

    def _is_same(self, run: str, version: str | None) -> bool:
        """Whether a run is as it was when it had a version."""
        return version is not None and version == self._storage.version(run)

    def _mend(self, parents: Sequence[ParentKey]) -> bool:
        """List runs anew whose writers died; gives whether there were any."""
        left = self.index.left_behind() & {*map(run_of, parents)}
        self._storage.relist(sorted(left))
        return bool(left)

    # ------------------------------------------------------------------ keeping it up to date

    @property
    def _storage(self) -> Comparison:
        return Comparison(self.inner, self.index)

    def update(self, *, everything: bool = False, progress: Callable[[int, int], None] | None = None) -> int:
        """Bring the index up to date, or build it; one that was cut off goes on where it stopped.

        Args:
            everything: List all runs anew, whether or not the storage tells that they are as they were, and forget what
                entities contain.
            progress: Called with how many runs are done, and how many there are to do.

        Returns:
            How many runs were listed.
        """
        self.inner.forget(ROOT)
        self._forget()
        done = {} if everything else self.index.begin_build()
        before = self.inner.requests
        runs = [run_of(key) for key in self._storage.relist([""])[""] if key.kind is Kind.RUN]
        known = {} if everything else self.index.versions()
        old = [run for run in runs if run not in done and not self._is_same(run, known.get(run))]
        for first in range(0, len(old), BATCH):
            self._storage.relist(old[first : first + BATCH], forget=everything)
            if progress is not None:
                progress(min(first + BATCH, len(old)), len(old))
        now = self.inner.requests
        self.index.finish_build(runs, listed=len(old), requests=None if now is None or before is None else now - before)
        self._fresh.update(["", *runs])
        return len(old)

    def differences(self) -> Differences:
        """List the whole storage, and compare; changes nothing."""
        return self._storage.differences()

    def describe(self, *, workers: int = AT_ONCE) -> int:
        """Read what the index does not know: size, revision and points of files, shape and levels of volumes, labels.

        Returns:
            How many entities were read.
        """
        return self._storage.describe(workers=workers)

    def forget(self, parent: ParentKey) -> None:
        """Compare with the storage again, as far as the options say so."""
        self._forget()
        super().forget(parent)

    def reconnect(self) -> None:
        """Drop connections, and compare again."""
        self._forget()
        super().reconnect()

    # ------------------------------------------------------------------ writing

    @contextmanager
    def indexing(self, key: Key) -> Iterator[Change]:
        """Note that an entity is about to change; what the block says of it goes into the index when it ends."""
        run = run_of(key)
        token = self.index.begin(run, with_project=isinstance(key, RunKey))
        change = Change()
        try:
            yield change
        except _UNCHANGED:
            self.index.finish(run, token)
            raise
        except BaseException:
            self.index.give_up(token)
            raise
        self.index.finish(run, token, change.stored, change.deleted, change.facts)

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Store a file, and put it into the index."""
        self.check_writable(key)
        with self.indexing(key) as change:
            revision = super().write(key, data, if_revision=if_revision)
            change.stored, change.facts = [key], file_facts(key, data, revision)
        return revision

    def write_record(self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Store a record; its run exists afterwards."""
        self.check_writable(run)
        with self.indexing(run) as change:
            revision = super().write_record(run, name, data, if_revision=if_revision)
            change.stored = [run]
        return revision

    def ensure(self, key: Key) -> None:
        """Make a container, and put it into the index."""
        self.check_writable(key)
        with self.indexing(key) as change:
            super().ensure(key)
            change.stored = [key]

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Replace a volume, and put it into the index."""
        self.check_writable(key)
        try:
            with ExitStack() as stack:
                # What is being filled is not stored yet: the note is made when the volume is about to be put in its place.
                store = stack.enter_context(super().replace_zarr(key))
                yield store
                with self.indexing(key) as change:
                    stack.close()
                    change.stored = [key]
        except BaseException:
            self._doubt(run_of(key))  # folders that were made for it may stay, and are a run then
            raise

    @contextmanager
    def changing(self, key: Key) -> Iterator[None]:
        """Forget the labels of a segmentation whose voxels change."""
        if key.kind is not Kind.SEGMENTATION or self.read_only:
            with super().changing(key):
                yield
            return
        with self.indexing(key) as change, super().changing(key):
            yield
            change.stored = [key]

    def delete(self, key: Key) -> None:
        """Delete an entity, here and in the index."""
        self.check_writable(key)
        with self.indexing(key) as change:
            super().delete(key)
            change.deleted = [key]
        self._volumes.clear()
        self._doubt_bare(key)

    def _doubt_bare(self, deleted: Key) -> None:
        """Doubt containers whose last content was deleted: object stores forget them, folders stay."""
        bare = [container for container in _containers_of(deleted) if self.index.is_bare(container)]
        if bare:
            self._doubt(run_of(deleted), with_project=bare[-1].kind is Kind.RUN)

    def _doubt(self, run: str, *, with_project: bool = False) -> None:
        """Let the next list of a run, and of the project, be asked of the storage."""
        self.index.give_up(self.index.begin(run, with_project=with_project))

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Notice a volume that is made or deleted by its store."""
        from copick_layers.index.store import IndexStore

        return store if staged or store.read_only else IndexStore(store, self, key)

    def has_volume(self, key: Key) -> bool:
        """Whether this layer has put a volume into the index."""
        return key in self._volumes and not self.index.has_labels(key)

    def note_values(self, key: Key, values: Callable[[], None], *, deletes: bool) -> None:
        """Change values of a volume, which may make it or delete it.

        Args:
            key: The volume.
            values: Makes the change.
            deletes: Whether the volume may be gone afterwards.
        """
        if self.has_volume(key) and not deletes:
            values()
            return
        with self.indexing(key) as change:
            values()
            if not deletes or self.inner.exists(key):
                change.stored = [key]
                self._volumes.add(key)
            else:
                change.deleted = [key]
                self._volumes.discard(key)
        if change.deleted:
            self._doubt_bare(key)


@dataclass
class Change:
    """What a write has done.

    Attributes:
        stored: Entities that are stored now.
        deleted: Entities that are not any more.
        facts: What is known of the first one stored, by column.
    """

    stored: Sequence[Key] = ()
    deleted: Sequence[Key] = ()
    facts: Mapping[str, Any] | None = None


def _containers_of(key: Key) -> list[Key]:
    """Containers that hold an entity, nearest first."""
    found: list[Key] = []
    above: ParentKey = key.parent
    while not isinstance(above, RootKey):
        if above.kind in CONTAINER_KINDS:
            found.append(above)
        above = above.parent
    return found
