"""The smallest honest layer: a dict. The kit lays it over static backends, and mutants of it show that the checks bite."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zarr.abc.store import Store
from zarr.storage import MemoryStore

from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import ANY, Layer, Layers, Revision
from copick_core.layers.revisions import AnyRevision
from copick_core.plugins import Backend
from copick_core.tree.keys import Key, Kind, ParentKey, RootKey, RunKey
from copick_core.tree.schema import CopickConfig


class Place:
    """What several layers may be opened on."""

    def __init__(self) -> None:
        self.files: dict[Key, tuple[bytes, Revision | None]] = {}
        #: Values of each volume by name; a volume without values is not there.
        self.volumes: dict[Key, dict[str, Any]] = {}
        self.containers: set[Key] = set()
        self.records: dict[tuple[RunKey, str], tuple[bytes, Revision | None]] = {}
        self.lock = threading.RLock()
        self.writes = 0

    def entities(self) -> set[Key]:
        """Keys of everything that is stored, and of the runs and spacings that hold it."""
        stored: set[Key] = {*self.containers, *self.files, *(k for k, v in [*self.volumes.items()] if v)}
        stored |= {run for run, _ in [*self.records]}
        for key in [*stored]:
            parent = key.parent
            while not isinstance(parent, RootKey):
                if parent.kind is not Kind.TOMOGRAM:
                    stored.add(parent)
                parent = parent.parent
        return stored


class DictStore(MemoryStore):
    """A store over one volume's values."""

    async def clear(self) -> None:
        """Delete all values."""
        self._check_writable()  # zarr's own clear() forgets to
        await super().clear()


class DictLayer(Layer):
    """A layer in a dict of this process.

    Args:
        place: Where it is; a new empty place by default.
        name: Name of the layer.
        read_only: Refuse writes.
    """

    process_bound = "it lives in a dict of this process"

    def __init__(self, place: Place | None = None, *, name: str = "dict", read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self.place = place or Place()

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """List the entities of a kind below a parent."""
        with self.place.lock:
            return [k for k in self.place.entities() if k.kind is kind and k.parent == parent]

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        with self.place.lock:
            return key in self.place.entities()

    def read(self, key: Key) -> bytes:
        """Read the content of a file."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read the content of a file with its revision."""
        try:
            return self.place.files[key]
        except KeyError:
            raise NotFoundError(key=key, layer=self.name) from None

    def revision(self, key: Key) -> Revision | None:
        """The revision of what is stored now; None if there is nothing."""
        return self.place.files.get(key, (b"", None))[1]

    def zarr(self, key: Key) -> Store:
        """Open a volume."""
        return DictStore(self.place.volumes.setdefault(key, {}), read_only=self.read_only)

    def write(self, key: Key, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Store a file; ConflictError if something else than ``if_revision`` is stored."""
        self.check_writable(key)
        with self.place.lock:
            found = self.revision(key)
            if if_revision is not ANY and if_revision != found:
                raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
            self.place.writes += 1
            self.place.files[key] = (bytes(data), self.place.writes)
            return self.place.writes

    keeps_records = True

    def read_record(self, run: RunKey, name: str) -> tuple[bytes, Revision | None]:
        """Read a record of a run."""
        try:
            return self.place.records[run, name]
        except KeyError:
            raise self.no_record(run, name) from None

    def write_record(
        self, run: RunKey, name: str, data: bytes, *, if_revision: Revision | AnyRevision | None = ANY
    ) -> Revision | None:
        """Store a record of a run."""
        self.check_writable(run)
        with self.place.lock:
            found = self.place.records.get((run, name), (b"", None))[1]
            if if_revision is not ANY and if_revision != found:
                raise ConflictError(key=f"The {name} of {run}", layer=self.name, expected=if_revision, found=found)
            self.place.writes += 1
            self.place.records[run, name] = (bytes(data), self.place.writes)
            return self.place.writes

    def ensure(self, key: Key) -> None:
        """Make a run or a voxel spacing."""
        self.check_writable(key)
        with self.place.lock:
            self.place.containers.add(key)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Give a fresh store that takes the place of the volume when the block succeeds."""
        self.check_writable(key)
        staged: dict[str, Any] = {}
        yield DictStore(staged)
        with self.place.lock:
            self.place.volumes[key] = staged

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self.check_writable(key)
        with self.place.lock:
            if not self.exists(key):
                raise NotFoundError(key=key, layer=self.name)
            for stored in (self.place.files, self.place.volumes):
                for other in [k for k in stored if key in _lineage(k)]:
                    del stored[other]
            self.place.records = {entry: value for entry, value in self.place.records.items() if entry[0] != key}
            self.place.containers -= {k for k in self.place.containers if key in _lineage(k)}


def _lineage(key: Key) -> list[Key | RootKey]:
    lineage: list[Key | RootKey] = [key]
    while not isinstance(last := lineage[-1], RootKey):
        lineage.append(last.parent)
    return lineage


def _open_layers(config: CopickConfig) -> Layers:
    return Layers(overlay=DictLayer())


#: An overlay that every installation of the kit has.
DICT_BACKEND = Backend("kit-dict", api_version=1, config_cls=CopickConfig, open_layers=_open_layers)
