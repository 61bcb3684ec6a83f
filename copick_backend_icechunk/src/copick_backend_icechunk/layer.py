"""A layer in an Icechunk repository: every write is a commit."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from copick_backend_icechunk.commits import Committer
from copick_backend_icechunk.tree import described, key_of
from copick_backend_icechunk.views import Changes, Sign, View
from copick_core.errors import NotFoundError
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.layers.revisions import ANY, AnyRevision, FileChangedError, Revision
from copick_core.tree import layout
from copick_core.tree.keys import FileKey, Key, Kind, ObjectKey, ParentKey, TomogramKey

if TYPE_CHECKING:
    from icechunk import IcechunkStore
    from zarr.abc.store import Store

    from copick_backend_icechunk.places import Place
    from copick_core.layers.problems import Problem


class IcechunkLayer(PathLayer):
    """A layer in a repository, with the paths of the on-disk layout.

    Files are arrays of bytes (:mod:`copick_backend_icechunk.files`), volumes are groups. Listings show one snapshot until
    :meth:`forget`; whatever else is asked is answered from the newest one.

    Args:
        place: Where the repository lies. The first write makes it.
        name: Name of the layer.
        branch: The branch that is read, and committed to.
        as_of: A snapshot's id, a tag or a time to read instead; the layer is read-only then.
        author: Who commits; by default the user of the operating system.
        read_only: Refuse writes.
    """

    volume_format = MappingProxyType({"zarr_format": 3, "key_encoding": "default"})

    def __init__(
        self,
        place: Place,
        name: str = "overlay",
        *,
        branch: str = "main",
        as_of: str | None = None,
        author: str | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__(name, read_only=read_only or as_of is not None)
        self.place = place
        self.commits = Committer(place, branch, as_of, author, changed=lambda: self.drop_listings(""))
        self.versions_take_requests = place.is_bucket
        self._volume_locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ reading

    def list_folder(self, path: str) -> Listing:
        """List a folder in the snapshot that this layer shows."""
        view = self.commits.view()
        with self.place.failing():
            return {} if view is None else dict(view.tree.listing(path))

    def path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder, in the newest snapshot."""
        view = self.commits.view(fresh=True)
        if view is None:
            return False
        with self.place.failing():
            if view.known_tree is None and not folder:
                return _exists(view, path)
            return view.tree.holds(path, folder=folder)

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file of the newest snapshot."""
        from zarr.core.sync import sync

        from copick_backend_icechunk.files import read_file

        view = self.commits.view(fresh=True)
        if view is None:
            raise FileNotFoundError(path)
        try:
            with self.place.failing():
                return sync(read_file(view.store, path)), None
        except (FileNotFoundError, IsADirectoryError):
            raise
        except OSError:
            newer = self.commits.view() if self.commits.examine() else None
            if newer is None:
                raise
            return sync(read_file(newer.store, path)), None

    def zarr(self, key: Key) -> Store:
        """Open a volume."""
        from copick_backend_icechunk.sources import Committed
        from copick_backend_icechunk.volumes import Volume

        path = layout.path(key)
        return Volume(Committed(self.commits, key, path), path, read_only=self.read_only)

    def volume_version(self, key: Key) -> Hashable | None:
        """Identity of the volume in the newest snapshot."""
        from zarr.core.sync import sync

        from copick_backend_icechunk.volumes import IDENTITY, root_document

        view = self.commits.view(fresh=True)
        path = layout.path(key)
        if view is None:
            return None
        with self.place.failing():
            document = sync(root_document(view.store, path))
            if document is None:
                return "" if view.tree.holds(path, folder=True) else None
        return str(document.get("attributes", {}).get(IDENTITY, ""))

    def location(self, key: Key | None) -> str | None:
        """The repository, and the path in it."""
        return str(self.place) if key is None else f"{self.place}: {layout.path(key)}"

    def forget(self, parent: ParentKey) -> None:
        """Show the newest snapshot from now on."""
        self.commits.stale = True
        super().forget(parent)

    def reconnect(self) -> None:
        """Open the repository anew when it is next asked."""
        self.commits.disconnect()
        super().reconnect()

    def problems(self) -> Sequence[Problem]:
        """Find commits whose files are missing."""
        import warnings

        from copick_core.layers.problems import Problem, Repair

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the problem says the same
            self.commits.view(fresh=True)
            self.commits.examine()
            found = [*super().problems()]
        good = self.commits.good
        if good is not None:
            message = f"{self.commits.damage} The last good one is {good}."
            repair = Repair(f"Make {good} the newest commit of branch {self.commits.branch!r}.", self.commits.repair)
            found.append(Problem("damaged-commits", None, str(self.place), "error", message, repair))
        return found

    def is_project(self) -> bool:
        """Whether the repository holds a project."""
        view = self.commits.view()
        return view is not None and bool(self.list_folder(""))

    def object_names(self) -> Iterator[str]:
        """Names of the objects that annotations are named after, and of those with a map."""
        view = self.commits.view()
        for path in view.tree.below("") if view is not None else ():
            key = key_of(path)
            if isinstance(key, FileKey | ObjectKey):
                yield key.name if isinstance(key, ObjectKey) else key.object_name

    # ------------------------------------------------------------------ writing

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Store a file: one commit."""
        import hashlib

        from zarr.core.sync import sync

        from copick_backend_icechunk.files import read_file, write_file

        content = bytes(data)

        async def put(store: IcechunkStore) -> bool:
            known: bool = await store.exists(f"{path}/zarr.json")
            if if_revision is not ANY:
                found = hashlib.sha256(await read_file(store, path)).hexdigest() if known else None
                if found != if_revision:
                    raise FileChangedError(found)
            if known:
                await store.delete_dir(path)
            await write_file(store, path, content)
            return known

        def change(view: View) -> Changes:
            return {path: "~" if sync(put(view.store)) else "+"}

        self.commits.commit(change, lambda changes: f"{'change' if '~' in changes.values() else 'add'} {described(path)}")
        return hashlib.sha256(content).hexdigest()

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it: one commit."""
        from zarr.core.sync import sync

        self.check_writable(key)
        path = layout.path(key)

        def change(view: View) -> Changes:
            if not view.tree.holds(path, folder=layout.is_folder(key.kind)):
                raise NotFoundError(key=key, layer=self.name, location=self.location(key))
            gone = [*view.tree.below(path)]
            if isinstance(key, TomogramKey):
                folder = path.rpartition("/")[0]
                beside = layout.parse_all(Kind.FEATURES, key, view.tree.listing(folder), folder)
                gone += [layout.path(features) for features in beside]
            for each in gone:
                sync(view.store.delete_dir(each))
            removed: dict[str, Sign] = dict.fromkeys(gone, "-")
            return removed

        try:
            self.commits.commit(change, lambda _: f"remove {key}")
        finally:
            self._forget_around(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Fill a fresh volume in a session of its own; one commit puts it in its place."""
        from zarr.core.sync import sync

        from copick_backend_icechunk.sources import Staged
        from copick_backend_icechunk.volumes import Volume, finish

        self.check_writable(key)
        path = layout.path(key)
        with self.commits.staging() as staged:
            with self.place.failing():
                sync(staged.store.delete_dir(path))
            store = Volume(Staged(self.place, staged.store), path)
            try:
                yield store
            finally:
                store.close()
            with self.place.failing():
                sync(finish(staged.store, path))
            try:
                self.commits.publish(staged, path, f"replace {key}", f"add {key}")
            finally:
                self._forget_around(key)

    @contextmanager
    def changing(self, key: Key) -> Iterator[None]:
        """Commit all that is set in a volume within the block at once; an error leaves nothing of it."""
        path = layout.path(key)
        with self._lock:
            lock = self._volume_locks.setdefault(path, threading.RLock())
        with lock, self.commits.batch(path, f"change a region of {key}"):
            yield


def _exists(view: View, path: str) -> bool:
    """Whether there is a node in a session."""
    from zarr.core.sync import sync

    return bool(sync(view.store.exists(f"{path}/zarr.json")))
