"""What entities that are stored in layers share: living in one layer, or spanning all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from copick_core.errors import ConflictError, NotFoundError, ReadOnlyError
from copick_core.layers.revisions import note_change
from copick_core.models.entity import Entity, K
from copick_core.tree.keys import (
    Key,
    Kind,
)

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers import Layer
    from copick_core.overlay.root import CopickRootOverlay
    from copick_core.tree.keys import ParentKey


def reopened(parent: Any, key: Key, layer: str | None) -> Entity[Any]:
    """Find the handle of a key again in another process."""
    return cast("Entity[Any]", parent._handle(key, parent._root._layer(layer)))


class Leaf(Entity[K]):
    """An entity that lives in one layer."""

    __slots__ = ()

    _layer: Layer

    @property
    def read_only(self) -> bool:
        """Whether writes to this entity are refused."""
        return self._layer.read_only

    @property
    def layer(self) -> str:
        """Name of the layer that the entity lives in."""
        return self._layer.name

    def _delete_data(self) -> None:
        try:
            self._layer.delete(self._key)
        finally:
            note_change(self._key)


class LeafVolume(Leaf[K]):
    """A volume that lives in one layer."""

    __slots__ = ()

    _unsaved: bool

    def zarr(self) -> Store:
        """The zarr store that holds the volume; read-only where the entity is."""
        return self._layer.zarr(self._key)

    def _is_stored(self) -> bool:
        return self._layer.exists(self._key)

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        with self._layer.replace_zarr(self._key) as store:
            yield store
            # Not before: staging may take hours, in which somebody else can make a volume of this address.
            if self._unsaved and self._is_stored():
                raise ConflictError(key=self._key, layer=self.layer, expected=None, found="a volume")

    def _delete_data(self) -> None:
        try:
            super()._delete_data()
        except NotFoundError:
            if not self._unsaved:
                raise


class Container(Entity[K]):
    """An entity that spans all layers."""

    __slots__ = ()

    @property
    def _root(self) -> CopickRootOverlay:
        raise NotImplementedError

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written below this entity: the project has no overlay."""
        return self._root.read_only

    @property
    def layers(self) -> list[str]:
        """Names of the layers that hold this entity, asked of storage."""
        return [layer.name for layer in self._root.layers.all if layer.exists(self._key)]

    def _ensure(self, create: bool) -> bool:
        if any(layer.exists(self._key) for layer in self._root.layers.all):
            return True
        if create:
            self._create()
        return create

    def _create(self) -> None:
        self._root._writable(self._key).ensure(self._key)

    def _check_deletable(self) -> None:
        """Refuse to delete the entity if there is no overlay, or a static layer holds it."""
        self._root._writable(self._key)
        for layer in self._root.layers.static:
            if layer.exists(self._key):
                raise ReadOnlyError(
                    subject=self._key,
                    reason=f"layer {layer.name!r} holds it, and never changes. Delete what you added to it instead.",
                )

    def _delete_data(self) -> None:
        self._check_deletable()
        try:
            self._root._writable(self._key).delete(self._key)
        finally:
            note_change(self._key)

    def _forget(self) -> None:
        """Let layers forget; before handles do, or another thread could list from what layers remember in between."""
        for layer in self._root.layers.all:
            layer.forget(cast("ParentKey", self._key))

    def _probe(self, key: Key, make: Callable[[Any, Layer], Any]) -> list[Any]:
        """Handles of a key in the layers that hold it, asked of storage."""
        return [make(key, layer) for layer in self._root.layers.all if layer.exists(key)]


def leaves(
    parent: Any, root: CopickRootOverlay, kind: Kind, layers: Sequence[Layer], entity_cls: Callable[[], Any]
) -> list[Any]:
    """Handles of the children of a kind in some layers; their class is asked for only where there are some.

    Raises:
        RuntimeError: A static layer would let itself be written: a mistake of its backend.
    """
    handles: list[Any] = []
    if not layers:
        return handles
    parent_key = parent._key
    for layer in layers:
        if found := root._listed(layer, kind, parent_key) if root._prefetched else layer.list(kind, parent_key):
            if not layer.read_only and layer is not root.layers.overlay:
                raise RuntimeError(f"static layer {layer.name!r} is not read-only")
            at = entity_cls()._at
            handles += [at(parent, key, layer) for key in sorted(found)]
    return handles
