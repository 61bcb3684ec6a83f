"""``{"name": "cache"}``: a layer that keeps on local disk what is read from the layer inside it."""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from copick_core.errors import NotFoundError, UnreachableError
from copick_core.layers import ANY, Layer, Revision, WrapperLayer
from copick_core.layers.layer import PartialListing
from copick_core.layers.path_layer import PathLayer
from copick_core.tree.keys import CONTAINER_KINDS, VOLUME_KINDS, Key, Kind, ObjectKey, ParentKey, RunKey, TomogramKey
from copick_layers.cache.entries import Entry
from copick_layers.cache.folder import OF_PROCESS, CacheFolder, hashed
from copick_layers.cache.listings import FILE, Listings
from copick_layers.cache.options import CacheOptions
from copick_layers.cache.volume import CachedVolume
from copick_layers.key_text import key_text

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.picks import PicksArrays

T = TypeVar("T")

#: Names of the entries of a file: its bytes, and what it is decoded to where a place keeps another format.
_FILE, _PICKS, _MESH = "file", "picks", "mesh"


class CacheLayer(WrapperLayer):
    """A layer whose files and chunks are kept on local disk.

    Args:
        inner: The layer.
        options: Where to keep what, and when to ask again.

    Attributes:
        cache_folder: The folder.
        revalidate: ``"never"``, ``"open"`` or ``"each"``.
        offline: Whether the cache alone answers.
        place_name: Name of the layer's folder in the cache.
        place_text: What the place is, for people.
    """

    changes_lists = False  # they are kept, as they are

    def __init__(self, inner: Layer, options: CacheOptions | None = None) -> None:
        super().__init__(inner)
        options = options or CacheOptions()
        self.cache_folder = CacheFolder(options.folder, options.size)
        self.revalidate = options.revalidate
        self.offline = options.offline
        place = inner.place_id()
        if place is None:
            # Nobody else can know that it is the same place, so nothing is left of it when this process ends.
            self.place_name = f"{OF_PROCESS}{os.getpid()}-{uuid.uuid4().hex}"
            weakref.finalize(self, _drop_own, self.cache_folder, self.place_name, os.getpid())
        else:
            self.place_name = hashed(place)
        #: Whether all layers on the place have one folder, so that what one writes is dropped for all.
        self._is_shared = place is not None
        self.place_text = place or "a place that only this process knows"
        self._lock = threading.Lock()
        #: Revisions that were found to be stored since the layer was opened.
        self._checked: dict[Key, Revision | None] = {}
        self._volumes: dict[Key, CachedVolume] = {}
        self._listings = Listings(self.cache_folder.full(self.place_name, FILE))

    # ------------------------------------------------------------------ where things are

    def folder_of(self, key: Key) -> str:
        """The folder of an entity in the cache."""
        return f"{self._run_folder(key)}/{hashed(key_text(key))}"

    def _run_folder(self, key: Key) -> str:
        run = key.name if isinstance(key, RunKey) else None if isinstance(key, ObjectKey) else key.run
        return f"{self.place_name}/{'objects' if run is None else hashed(run)}"

    def lacking(self, what: str) -> UnreachableError:
        """The error for what the cache does not have offline."""
        return UnreachableError(
            location=f"layer {self.name!r}",
            reason=f"its cache is offline, and does not have {what}",
            way_out="Run `copick-core cache prefetch ADDRESS` while the storage can be reached, or set offline to false.",
        )

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
        """Ask the storage, unless that is ruled out."""
        if self.offline:
            raise self.lacking(f"what {method}() asks for" if key is None else f"{method}() of {key}")
        return call()

    # ------------------------------------------------------------------ files

    def read(self, key: Key) -> bytes:
        """Read a file from the cache or from storage."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read a file from the cache or from storage, with its revision."""
        return self._file(key, _FILE, lambda: WrapperLayer.read_revised(self, key))

    def load_picks(self, key: Key) -> tuple[PicksArrays, Revision | None]:
        """Read picks from the cache or from storage."""
        from copick_core.picks import decode, encode

        def ask() -> tuple[bytes, Revision | None]:
            arrays, revision = WrapperLayer.load_picks(self, key)
            return encode(arrays, str(key)), revision

        # Places with another format give arrays only; these are kept as copick writes them.
        data, revision = self._file(key, _PICKS, ask) if self._decodes("load_picks") else self.read_revised(key)
        return decode(data, str(key)), revision

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Read a mesh from the cache or from storage."""
        from copick_core.meshes import decode_mesh, encode_mesh

        def ask() -> tuple[bytes, Revision | None]:
            mesh, revision = WrapperLayer.load_mesh(self, key)
            return encode_mesh(mesh, str(key)), revision

        data, revision = self._file(key, _MESH, ask) if self._decodes("load_mesh") else self.read_revised(key)
        return decode_mesh(data, str(key)), revision

    def _decodes(self, method: str) -> bool:
        """Whether a layer inside decodes files in its own way."""
        layer = self.inner
        while isinstance(layer, WrapperLayer):
            if getattr(type(layer), method) not in (getattr(WrapperLayer, method), getattr(CacheLayer, method)):
                return True
            layer = layer.inner
        return not isinstance(layer, PathLayer) and getattr(type(layer), method) is not getattr(Layer, method)

    def _file(self, key: Key, name: str, ask: Callable[[], tuple[bytes, Revision | None]]) -> tuple[bytes, Revision | None]:
        folder = self.folder_of(key)
        entry = self.cache_folder.load(folder, name)
        if entry is not None and entry.data is not None and self._is_stored(key, entry.token):
            return entry.data, entry.token
        if self.offline:
            raise self.lacking(str(key))
        held = self.cache_folder.hold(folder, self.place_text)
        try:
            data, revision = ask()
            self._note(key, revision)
            self.cache_folder.put(held, name, Entry(revision, data))
        except NotFoundError:
            self._drop(key)
            raise
        finally:
            if held is not None:
                held.close()
        return data, revision

    def _is_stored(self, key: Key, kept: Revision | None) -> bool:
        """Whether what is kept of a file is what is stored, as far as that is to be asked."""
        if self.offline:
            return True
        with self._lock:
            checked = key in self._checked
            known = self._checked.get(key)
        if checked and self.revalidate != "each":
            return known == kept
        if self.revalidate == "never":
            return True
        if kept is None:
            return False
        found = WrapperLayer.revision(self, key)
        self._note(key, found)
        return found == kept

    def _note(self, key: Key, revision: Revision | None) -> None:
        with self._lock:
            self._checked[key] = revision

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored, or of what is kept if storage is not to be asked again."""
        if self.offline or self.revalidate == "never":
            names = (_FILE, _PICKS, _MESH)
            kept = next((entry for name in names if (entry := self.cache_folder.load(self.folder_of(key), name))), None)
            if kept is not None and self._is_stored(key, kept.token):
                return kept.token
            if self.offline:
                return None
        found = WrapperLayer.revision(self, key)
        self._note(key, found)
        return found

    # ------------------------------------------------------------------ volumes

    def zarr(self, key: Key) -> Store:
        """Open a volume; opening asks no storage, offline neither."""
        store = self.inner.zarr(key) if self.offline else self.around("zarr", key, lambda: self.inner.zarr(key))
        return self.wrap_store(key, store, staged=False)

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Keep the values of a volume."""
        from copick_layers.cache.store import CacheStore

        return store if staged else CacheStore(store, self, self._volume(key))

    @property
    def keeps_volumes(self) -> bool:
        """Whether values of volumes are kept.

        The version of a volume stays while others write regions of it. To be right each time, each value would have to be
        asked for, which costs as many requests as reading them. Those who write through a cache drop what is kept; where the
        place has no name, another layer on it keeps its own, and would go on answering from it.
        """
        return self.offline or self.revalidate == "never" or (self.revalidate == "open" and self._is_shared)

    def _volume(self, key: Key) -> CachedVolume:
        with self._lock:
            if key not in self._volumes:
                self._volumes[key] = CachedVolume(self, key)
            return self._volumes[key]

    def volume_version(self, key: Key) -> Hashable | None:
        """Identity of the volume; not asked again where all that was read since came from the cache."""
        if self.offline:
            return self._volume(key).known
        if not self.keeps_volumes or not self.inner.versions_take_requests:
            return WrapperLayer.volume_version(self, key)
        volume = self._volume(key)
        if volume.known is not None and not volume.is_waiting:
            return volume.known
        found = self.ask_version(key)
        volume.settle(found)
        return found

    def ask_version(self, key: Key) -> Hashable | None:
        """Identity of the volume that is stored now, asked of the layer inside."""
        return WrapperLayer.volume_version(self, key)

    # ------------------------------------------------------------------ listings

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """List entities; the list is kept for use offline."""
        if self.offline:
            kept = self._listings.get(kind, parent)
            if kept is None:
                raise self.lacking(f"the list of {kind.value} entities of {parent}")
            return kept
        found = super().list(kind, parent)
        self._keep_lists(kind, {parent: found})
        return found

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List entities of many parents; the lists are kept for use offline."""
        if not self.offline:
            found = super().list_many(kind, parents)
            self._keep_lists(kind, found)
            return found
        kept = {parent: self._listings.get(kind, parent) for parent in parents}
        answer = PartialListing({parent: keys for parent, keys in kept.items() if keys is not None})
        answer.failures = {
            parent: self.lacking(f"the list of {kind.value} entities of {parent}")
            for parent, keys in kept.items()
            if keys is None
        }
        return answer if answer.failures else dict(answer)

    def _keep_lists(self, kind: Kind, found: Mapping[ParentKey, Sequence[Key]]) -> None:
        held = self.cache_folder.hold(self.place_name, self.place_text)
        if held is not None:
            held.close()
            self._listings.put(kind, found)

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored; offline, whether the cache has it or a list names it."""
        if not self.offline:
            return super().exists(key)
        if os.path.isdir(self.cache_folder.full(self.folder_of(key))):
            return True
        return key in (self._listings.get(key.kind, key.parent) or ())

    # ------------------------------------------------------------------ forgetting

    def forget(self, parent: ParentKey) -> None:
        """Ask storage again before anything that is kept is used, if the options say so."""
        self._forget()
        super().forget(parent)

    def reconnect(self) -> None:
        """Drop connections, and ask storage again."""
        self._forget()
        super().reconnect()

    def _forget(self) -> None:
        with self._lock:
            if self.revalidate != "never":
                self._checked.clear()
            volumes = [*self._volumes.values()]
        for volume in volumes:
            volume.forget()

    def _drop(self, key: Key) -> None:
        """Delete what is kept of an entity that was changed, and of what lies below it."""
        wide = key.kind in CONTAINER_KINDS or isinstance(key, TomogramKey)
        folder = self._run_folder(key) if wide else self.folder_of(key)
        with self._lock:
            self._checked.pop(key, None)
            below = [other for other in self._checked if wide and self._run_folder(other) == folder]
            for other in below:
                del self._checked[other]
            volumes = [v for k, v in self._volumes.items() if k == key or (wide and self._run_folder(k) == folder)]
        for volume in volumes:
            volume.drop()
        self.cache_folder.drop(folder)

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Store a file; what was kept of it is dropped."""
        try:
            revision = super().write(key, data, if_revision=if_revision)
        finally:
            self._drop(key)
        self._note(key, revision)
        return revision

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Replace a volume; what was kept of the old one is dropped."""
        try:
            with super().replace_zarr(key) as store:
                yield store
        finally:
            self._volume(key).drop()

    @contextmanager
    def changing(self, key: Key) -> Iterator[None]:
        """Enclose writes of a region; what was read before they were stored is dropped."""
        try:
            with super().changing(key):
                yield
        finally:
            self._volume(key).drop()

    def delete(self, key: Key) -> None:
        """Delete an entity; what was kept of it is dropped."""
        try:
            super().delete(key)
        finally:
            self._drop(key)
            if key.kind in VOLUME_KINDS:
                self._volume(key).drop()


def _drop_own(cache: CacheFolder, place: str, process: int) -> None:
    if os.getpid() == process:  # a forked child leaves its parent's entries alone
        cache.drop(place)
