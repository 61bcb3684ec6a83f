"""A layer in the memory of this process."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import Layer
from copick_core.layers.revisions import ANY, AnyRevision, Revision
from copick_core.tree.keys import CONTAINER_KINDS, FILE_KINDS, Key, Kind, ParentKey, RootKey, RunKey

if TYPE_CHECKING:
    from copick_backend_memory.volumes import MemoryVolume

#: The values of one volume, by their zarr keys.
Volume = dict[str, bytes]


class Place:
    """Somewhere to keep entities; several layers may share one.

    What is stored is never changed, only replaced, so readers get it without copying. All of it is guarded by one lock,
    which is held for dictionary operations only.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: dict[Key, tuple[bytes, int]] = {}
        self.volumes: dict[Key, Volume] = {}
        #: When each file and volume was last written, in seconds since 1970.
        self.times: dict[Key, float] = {}
        #: Records of each run, by their names.
        self.records: dict[Key, dict[str, tuple[bytes, int]]] = {}
        #: Number of the replacement that each volume is from.
        self.versions: dict[Key, int] = {}
        #: Below each parent: whether a key is stored, or only what lies below it is.
        self.children: dict[ParentKey, dict[Key, bool]] = {}
        self.revisions = itertools.count(1)

    def add(self, key: Key) -> None:
        """List an entity that was written, below its parent, and the containers above it below theirs. Hold the lock."""
        self.times[key] = time.time()
        self.children.setdefault(key.parent, {})[key] = True
        above = key.parent
        while not isinstance(above, RootKey):
            self.children.setdefault(above.parent, {}).setdefault(above, above.kind in CONTAINER_KINDS)
            above = above.parent

    def listed(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """The stored entities of a kind below a parent. Hold the lock."""
        return [key for key, stored in self.children.get(parent, {}).items() if stored and key.kind is kind]

    def holds(self, key: Key) -> bool:
        """Whether an entity is stored. Hold the lock."""
        return self.children.get(key.parent, {}).get(key, False)

    def remove(self, key: Key) -> None:
        """Remove an entity and everything below it. Hold the lock."""
        self.children.get(key.parent, {}).pop(key, None)
        self.files.pop(key, None)
        self.volumes.pop(key, None)
        self.records.pop(key, None)
        self.versions.pop(key, None)
        self.times.pop(key, None)
        for child in self.children.pop(cast("ParentKey", key), {}):
            self.remove(child)


_shared_places: dict[str, Place] = {}
_shared_places_lock = threading.Lock()


def shared_place(name: str) -> Place:
    """The place of that name in this process; made when it is first asked for."""
    with _shared_places_lock:
        return _shared_places.setdefault(name, Place())


class MemoryLayer(Layer):
    """A layer in the memory of this process.

    Args:
        name: Name of the layer.
        place: Where to keep entities; None for a new place.
        read_only: Refuse writes through this layer; others may share its place.
    """

    process_bound = (
        "it keeps entities in the memory of this process. Copy it to a folder with copick_core.copy_project(root, target), "
        "and open that in the other process."
    )

    def __init__(self, name: str = "overlay", place: Place | None = None, *, read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self.place = Place() if place is None else place

    # ------------------------------------------------------------------ reading

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent."""
        with self.place.lock:
            return self.place.listed(kind, parent)

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """List the entities of a kind below many parents, all at one moment."""
        with self.place.lock:
            return {parent: self.place.listed(kind, parent) for parent in parents}

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        with self.place.lock:
            return self.place.holds(key)

    def read(self, key: Key) -> bytes:
        """Read picks or a mesh; the bytes themselves, not a copy."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read picks or a mesh with their revision."""
        try:
            return self.place.files[key]
        except KeyError:
            raise NotFoundError(key=key, layer=self.name) from None

    def revision(self, key: Key) -> Revision | None:
        """Number of the write that stored what is there now."""
        stored = self.place.files.get(key)
        return stored[1] if stored else None

    keeps_records = True

    def read_record(self, run: RunKey, name: str) -> tuple[bytes, Revision | None]:
        """Read a record of a run."""
        try:
            return self.place.records[run][name]
        except KeyError:
            raise self.no_record(run, name) from None

    def modified(self, key: Key) -> float | None:
        """When a file or volume was last written."""
        return self.place.times.get(key)

    def volume_version(self, key: Key) -> int | None:
        """Number of the replacement that the volume is from; 0 for one that was made by setting values."""
        return self.place.versions.get(key, 0 if key in self.place.volumes else None)

    def zarr(self, key: Key) -> MemoryVolume:
        """Open a volume."""
        from copick_backend_memory.volumes import MemoryVolume

        return MemoryVolume(self.place, key, read_only=self.read_only)

    # ------------------------------------------------------------------ writing

    def write(self, key: Key, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Store picks or a mesh."""
        self.check_writable(key)
        if key.kind not in FILE_KINDS:
            raise ValueError(f"{key} is not one file; write its volume with replace_zarr()")
        with self.place.lock:
            stored = self.place.files.get(key)
            found = stored[1] if stored else None
            if if_revision is not ANY and if_revision != found:
                raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
            revision = next(self.place.revisions)
            self.place.files[key] = (bytes(data), revision)
            self.place.add(key)
        return revision

    def write_record(
        self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY
    ) -> Revision | None:
        """Store a record of a run."""
        self.check_writable(run)
        with self.place.lock:
            stored = self.place.records.get(run, {}).get(name)
            found = stored[1] if stored else None
            if if_revision is not ANY and if_revision != found:
                raise ConflictError(key=f"The {name} of {run}", layer=self.name, expected=if_revision, found=found)
            revision = next(self.place.revisions)
            self.place.records.setdefault(run, {})[name] = (bytes(data), revision)
            self.place.add(run)
        return revision

    def ensure(self, key: Key) -> None:
        """Make a container."""
        self.check_writable(key)
        if key.kind not in CONTAINER_KINDS:
            raise ValueError(f"{key} is not a container; only runs and voxel spacings are made without content")
        with self.place.lock:
            self.place.add(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[MemoryVolume]:
        """Fill a fresh store and put it in the place of the entity's volume."""
        from copick_backend_memory.volumes import MemoryVolume

        self.check_writable(key)
        aside = Place()
        store = MemoryVolume(aside, key)
        try:
            yield store
        finally:
            store.close()
        with self.place.lock:
            self.place.volumes[key] = aside.volumes.get(key, {})
            self.place.versions[key] = next(self.place.revisions)
            self.place.add(key)

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self.check_writable(key)
        with self.place.lock:
            if not self.place.holds(key):
                raise NotFoundError(key=key, layer=self.name)
            self.place.remove(key)
