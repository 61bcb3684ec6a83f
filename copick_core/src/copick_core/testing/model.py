"""The dumb model: what a place must hold, written without the product.

It knows nothing of layers, paths or caches: entities are entries of a dict, and every question is answered by looking at
all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core.tree.keys import Key, Kind, ParentKey, RootKey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Model:
    """What is stored: files by bytes, volumes by arrays, containers by name.

    Attributes:
        files: Bytes of picks and meshes.
        volumes: Arrays of volumes; None for one that is there but holds nothing readable.
        made: Containers that were made on purpose.
        emptied: Containers that held something once: object stores forget them, folders stay; both are right.
    """

    def __init__(self) -> None:
        self.files: dict[Key, bytes] = {}
        self.volumes: dict[Key, NDArray[np.float32]] = {}
        self.made: set[Key] = set()
        self.emptied: set[Key] = set()

    @staticmethod
    def above(key: Key) -> list[Key]:
        """Containers and tomograms that hold a key, nearest first."""
        found: list[Key] = []
        parent: Any = key.parent
        while not isinstance(parent, RootKey):
            found.append(parent)
            parent = parent.parent
        return found

    def must(self) -> set[Key]:
        """Everything that must be listed."""
        stored = {*self.files, *self.volumes, *self.made}
        return stored | {c for key in stored for c in self.above(key) if c.kind is not Kind.TOMOGRAM}

    def may(self) -> set[Key]:
        """Everything that may be listed."""
        return self.must() | self.emptied

    def children(self, keys: set[Key], kind: Kind, parent: ParentKey) -> set[Key]:
        """Those of some keys that have a kind and a parent."""
        return {key for key in keys if key.kind is kind and key.parent == parent}

    def _touch(self, key: Key) -> None:
        self.emptied |= {c for c in self.above(key) if c.kind is not Kind.TOMOGRAM}

    def write(self, key: Key, data: bytes) -> None:
        """Store a file."""
        self.files[key] = data
        self._touch(key)

    def replace(self, key: Key, data: NDArray[np.float32]) -> None:
        """Store a volume."""
        self.volumes[key] = data
        self._touch(key)

    def ensure(self, key: Key) -> None:
        """Make a container."""
        self.made.add(key)
        self._touch(key)

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self.files = {k: v for k, v in self.files.items() if k != key and key not in self.above(k)}
        self.volumes = {k: v for k, v in self.volumes.items() if k != key and key not in self.above(k)}
        self.made = {k for k in self.made if k != key and key not in self.above(k)}
        self.emptied = {k for k in self.emptied if k != key and key not in self.above(k)}
