"""The smallest honest layer: a dict. It passes the kit and is the base of the mutants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import ANY, Layer
from copick_core.tree.keys import Key, Kind, ParentKey, RootKey


class Place:
    """What several layers may be opened on."""

    def __init__(self) -> None:
        self.files = {}  # key -> (bytes, revision)
        self.volumes = {}  # key -> {store key: buffer}; an empty one is not there
        self.containers = set()
        self.lock = threading.RLock()
        self.writes = 0

    def entities(self) -> set[Key]:
        stored = {*self.containers, *self.files, *(k for k, v in [*self.volumes.items()] if v)}
        for key in [*stored]:
            parent = key.parent
            while not isinstance(parent, RootKey):
                if parent.kind is not Kind.TOMOGRAM:
                    stored.add(parent)
                parent = parent.parent
        return stored


class DictStore(MemoryStore):
    async def clear(self) -> None:
        self._check_writable()  # zarr's own clear() forgets to
        await super().clear()


class DictLayer(Layer):
    process_bound = "it lives in a dict of this process"

    def __init__(self, place: Place | None = None, *, name: str = "dict", read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self.place = place or Place()

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        with self.place.lock:
            return [k for k in self.place.entities() if k.kind is kind and k.parent == parent]

    def exists(self, key: Key) -> bool:
        with self.place.lock:
            return key in self.place.entities()

    def read(self, key: Key) -> bytes:
        return self.read_revised(key)[0]

    def read_revised(self, key: Key):
        try:
            return self.place.files[key]
        except KeyError:
            raise NotFoundError(key=key, layer=self.name) from None

    def revision(self, key: Key):
        return self.place.files.get(key, (b"", None))[1]

    def zarr(self, key: Key) -> Store:
        return DictStore(self.place.volumes.setdefault(key, {}), read_only=self.read_only)

    def write(self, key: Key, data: bytes, *, if_revision=ANY):
        self.check_writable(key)
        with self.place.lock:
            found = self.revision(key)
            if if_revision is not ANY and if_revision != found:
                raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
            self.place.writes += 1
            self.place.files[key] = (bytes(data), self.place.writes)
            return self.place.writes

    def ensure(self, key: Key) -> None:
        self.check_writable(key)
        with self.place.lock:
            self.place.containers.add(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        self.check_writable(key)
        staged = {}
        yield DictStore(staged)
        with self.place.lock:
            self.place.volumes[key] = staged

    def delete(self, key: Key) -> None:
        self.check_writable(key)
        with self.place.lock:
            if not self.exists(key):
                raise NotFoundError(key=key, layer=self.name)
            for stored in [self.place.files, self.place.volumes]:
                for other in [k for k in stored if key in _lineage(k)]:
                    del stored[other]
            self.place.containers -= {k for k in self.place.containers if key in _lineage(k)}


def _lineage(key: Key) -> list[Key | RootKey]:
    lineage = [key]
    while not isinstance(lineage[-1], RootKey):
        lineage.append(lineage[-1].parent)
    return lineage
