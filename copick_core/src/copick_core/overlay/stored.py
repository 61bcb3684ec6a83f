"""What entities that are stored in layers share: living in one layer, or spanning all of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from copick_core.errors import ConflictError, LevelNotFoundError, NotFoundError, ReadOnlyError, VolumeNotFoundError
from copick_core.layers.recording import for_output, note_read
from copick_core.layers.revisions import note_change
from copick_core.models.entity import Entity, K
from copick_core.models.parent import E, Parent
from copick_core.tree.keys import KINDS, Key, Kind

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers import Layer
    from copick_core.models.children import Children
    from copick_core.models.volume import Opened
    from copick_core.overlay.root import CopickRootOverlay


#: Class of the handles of each kind below the project, over layers.
CLASSES: dict[Kind, type[Any]] = {}
#: Methods of a parent that return the class of the children of a kind, with that of their metadata where they have one.
_FACTORIES = {kind: f"_{kind.value.replace(' ', '_')}_factory" for kind in Kind} | {Kind.FEATURES: "_feature_factory"}

C = TypeVar("C", bound=type[Any])


def of_kind(kind: Kind) -> Callable[[C], C]:
    """Make a class that of the handles of a kind, unless a backend's factory says otherwise."""

    def register(cls: C) -> C:
        CLASSES[kind] = cls
        return cls

    return register


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
        note_read(self._layer, self._key)
        return self._layer.zarr(self._key)

    def _is_stored(self) -> bool:
        return self._layer.exists(self._key)

    @property
    def _versions_take_requests(self) -> bool:
        return self._layer.versions_take_requests

    def _stored_version(self) -> Hashable | None:
        return self._layer.volume_version(self._key)

    @property
    def _fixed_format(self) -> Mapping[str, Any]:
        return self._layer.volume_format

    def _changing(self) -> AbstractContextManager[None]:
        return self._layer.changing(self._key)

    def _opened(self, level: str | int, *, attributes: bool = False) -> Opened:
        try:
            return super()._opened(level, attributes=attributes)  # type: ignore[misc,no-any-return]
        except LevelNotFoundError as error:
            if error.levels or self._unsaved or self._is_stored():
                raise
            location = self._layer.location(self._key)
            raise VolumeNotFoundError(key=self._key, layer=self.layer, level=error.level, location=location) from error

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        with self._layer.replace_zarr(self._key) as store:
            yield store
            if (provenance := for_output(self._layer, self._key)) is not None:
                from copick_core.layers.provenance import stamp_volume

                stamp_volume(store, provenance)
            # Not before: staging may take hours, in which somebody else can make a volume of this address.
            if self._unsaved and self._is_stored():
                raise ConflictError(key=self._key, layer=self.layer, expected=None, found="a volume")

    def _delete_data(self) -> None:
        try:
            super()._delete_data()
        except NotFoundError:
            if not self._unsaved:
                raise


#: Names of the methods that list a kind in static layers and in the overlay; backends may override one of them.
_QUERIES = {kind: (f"_query_static_{facts.plural}", f"_query_overlay_{facts.plural}") for kind, facts in KINDS.items()}


class StoredParent(Parent):
    """An entity whose children are in layers."""

    __slots__ = ()

    _key: Any

    @property
    def _root(self) -> CopickRootOverlay:
        raise NotImplementedError

    def _class(self, kind: Kind, default: type[E]) -> type[E]:
        return CLASSES.get(kind, default)

    def _child(self, key: Key, layer: Layer | None) -> Any:
        """A new handle of a child in a layer, or the one that was assumed before anybody asked storage."""
        root = self._root
        known = root._assumed.pop((key, None if layer is None else layer.name), None) if root._assumes else None
        return self._child_class(key.kind)._at(self, key, layer) if known is None else known

    def _known_child(self, key: Key, layer: str | None) -> Any:
        """The handle of a child, if it is known already."""
        return getattr(self, f"_{KINDS[key.kind].plural}_children").known(key, layer)

    def _child_class(self, kind: Kind) -> Any:
        made = getattr(self, _FACTORIES[kind])()
        return made[0] if made.__class__ is tuple else made

    def _handle(self, key: Key, layer: Layer | None) -> Any:
        """The handle of a child."""
        if layer is None:
            raise LookupError(f"{key} needs a layer")
        return getattr(self, f"_{KINDS[key.kind].plural}_children").add(self._child(key, layer))

    def _query(self, kind: Kind) -> list[Any]:
        """List the children of a kind in all layers, those of static ones first."""
        static, overlay = _QUERIES[kind]
        return getattr(self, static)() + getattr(self, overlay)()  # type: ignore[no-any-return]

    def _leaves(self, kind: Kind, layers: Sequence[Layer]) -> list[Any]:
        """Handles of the children of a kind in some layers; their class is asked for only where there are some.

        Raises:
            RuntimeError: A static layer would let itself be written: a mistake of its backend.
        """
        handles: list[Any] = []
        root, parent_key = self._root, self._key
        for layer in layers:
            if found := root._listed(layer, kind, parent_key) if root._prefetched else layer.list(kind, parent_key):
                if not layer.read_only and layer is not root.layers.overlay:
                    raise RuntimeError(f"static layer {layer.name!r} is not read-only")
                if root._assumes:
                    handles += [self._child(key, layer) for key in sorted(found)]
                    continue
                at = self._child_class(kind)._at
                handles += [at(self, key, layer) for key in sorted(found)]
        return handles

    def _probe(self, key: Key) -> list[Any]:
        """Handles of a key in the layers that hold it, asked of storage."""
        return [self._child(key, layer) for layer in self._root.layers.all if layer.exists(key)]

    def _refresh(self, *lists: Children[Any]) -> None:
        """Let layers forget; before handles do, or another thread could list from what layers remember in between."""
        for layer in self._root.layers.all:
            layer.forget(self._key)
        self._root._forget_assumed(self._key)
        super()._refresh(*lists)


def _add_queries(kind: Kind) -> None:
    """Give parents the two methods that list a kind: ``_query_static_picks`` and ``_query_overlay_picks`` for picks."""

    def static(self: StoredParent) -> list[Any]:
        layers = self._root.layers.static
        return self._leaves(kind, layers) if layers else []

    def overlay(self: StoredParent) -> list[Any]:
        layers = self._root._overlays
        return self._leaves(kind, layers) if layers else []

    for name, method in zip(_QUERIES[kind], (static, overlay), strict=True):
        method.__name__, method.__qualname__ = name, f"StoredParent.{name}"
        setattr(StoredParent, name, method)


for _kind, _facts in KINDS.items():
    if _facts.parent is not None:
        _add_queries(_kind)


class Container(StoredParent, Entity[K]):
    """An entity that spans all layers."""

    __slots__ = ()

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
