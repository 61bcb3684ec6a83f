"""Entities that hold others: tomograms (in one layer, features in all), voxel spacings and runs (over all layers)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

import copick_core.overlay.leaves  # noqa: F401 - makes its classes those of their kinds
from copick_core.errors import ConflictError
from copick_core.models import CopickRun, CopickTomogram, CopickVoxelSpacing
from copick_core.models.children import Children
from copick_core.models.volume import NOTHING_OPEN
from copick_core.overlay.stored import Container, LeafVolume, StoredParent, of_kind, reopened
from copick_core.tree.keys import (
    Key,
    Kind,
    RunKey,
    TomogramKey,
    VoxelSpacingKey,
)
from copick_core.tree.schema import (
    CopickRunMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
)

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay.root import CopickRootOverlay
    from copick_core.tree.schema import CopickConfig

_TOMOGRAM, _VOXEL_SPACING = Kind.TOMOGRAM, Kind.VOXEL_SPACING


@of_kind(Kind.TOMOGRAM)
class CopickTomogramOverlay(StoredParent, LeafVolume[TomogramKey], CopickTomogram):
    """A tomogram in one layer; its feature maps may be in all of them."""

    __slots__ = ("_layer",)

    voxel_spacing: CopickVoxelSpacingOverlay

    def __init__(
        self,
        voxel_spacing: CopickVoxelSpacingOverlay,
        meta: CopickTomogramMeta,
        config: CopickConfig | None = None,
    ) -> None:
        super().__init__(voxel_spacing, meta, config)
        self._layer = self._root._writable(self._key)

    @classmethod
    def _at(cls, voxel_spacing: CopickVoxelSpacingOverlay, key: TomogramKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.voxel_spacing = voxel_spacing
        self.config = voxel_spacing.config
        self._key = key
        self._layer = layer
        self._meta = None
        self._arrays = NOTHING_OPEN
        self._unsaved = False
        self._features_children = Children(voxel_spacing._tomograms_children.lock)
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.voxel_spacing.run.root

    def _make_meta(self) -> CopickTomogramMeta:
        _, meta_cls = self.voxel_spacing._tomogram_factory()
        return meta_cls.model_validate({"tomo_type": self.tomo_type, **self._layer.details(self._key)})

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.voxel_spacing, self._key, self.layer)


@of_kind(Kind.VOXEL_SPACING)
class CopickVoxelSpacingOverlay(Container[VoxelSpacingKey], CopickVoxelSpacing):
    """A voxel spacing over all layers."""

    __slots__ = ()

    run: CopickRunOverlay

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: VoxelSpacingKey, layer: Layer | None = None) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self.config = run.config
        self._key = key
        self._meta = None
        self._tomograms_children = Children(run._voxel_spacings_children.lock)
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.run.root

    def _make_meta(self) -> CopickVoxelSpacingMeta:
        _, meta_cls = self.run._voxel_spacing_factory()
        return meta_cls.model_validate({"voxel_size": self._key.voxel_size, **self._root._details(self._key)})

    def _query_static_tomograms(self) -> list[CopickTomogram]:
        keys = self._root._index.tomogram_keys(self._key)
        if keys is None:
            return self._leaves(_TOMOGRAM, self._root.layers.static)
        layers = self._root.layers.static
        if len(layers) == 1:
            return [self._child(key, layers[0]) for key in keys]
        return [self._child(key, layer) for layer in layers for key in keys if layer.exists(key)]

    def _probe(self, key: Key) -> list[Any]:
        """Handles of a key in the layers that hold it; what the configuration lists of a static layer is not asked of it."""
        static, indexed = self._root.layers.static, self._root._index.tomogram_keys(self._key) or ()
        if len(static) != 1 or key not in indexed:
            return super()._probe(key)
        return [self._child(key, static[0]), *(self._child(key, layer) for layer in self._root._overlays if layer.exists(key))]

    def ensure(self, create: bool = False) -> bool:
        """Whether any layer holds the spacing; with ``create``, make it in the overlay if none does."""
        return self._ensure(create)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.run, self._key, None)


class CopickRunOverlay(Container[RunKey], CopickRun):
    """A run over all layers."""

    __slots__ = ()

    root: CopickRootOverlay

    @classmethod
    def _at(cls, root: CopickRootOverlay, key: RunKey) -> Self:
        self = cls.__new__(cls)
        self._init_run(root, key, None)
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.root

    def _make_meta(self) -> CopickRunMeta:
        _, meta_cls = self.root._run_factory()
        return meta_cls.model_validate({"name": self.name, **self.root._details(self._key)})

    def _handle(self, key: Key, layer: Layer | None) -> Any:
        """The handle of a key of any kind below this run."""
        if isinstance(key, VoxelSpacingKey):
            return self._voxel_spacings_children.add(self._child(key, None))
        return super()._handle(key, layer)

    # ------------------------------------------------------------------ voxel spacings, which span the layers

    def query_voxelspacings(self) -> list[CopickVoxelSpacing]:
        """List the voxel spacings of all layers; each size is there once."""
        found = {*self._query_static_voxel_spacings(), *self._query_overlay_voxel_spacings()}
        return [self._child(key, None) for key in sorted(found)]

    def _query_static_voxel_spacings(self) -> list[VoxelSpacingKey]:
        index = self.root._index.voxel_spacings
        if index is not None:
            return [VoxelSpacingKey(self.name, size) for size in index]
        return self._list_voxel_spacings(self.root.layers.static)

    def _query_overlay_voxel_spacings(self) -> list[VoxelSpacingKey]:
        return self._list_voxel_spacings(self.root._overlays)

    def _list_voxel_spacings(self, layers: Sequence[Layer]) -> list[VoxelSpacingKey]:
        keys = [key for layer in layers for key in self.root._listed(layer, _VOXEL_SPACING, self._key)]
        return cast("list[VoxelSpacingKey]", keys)

    def _probe(self, key: Key) -> list[Any]:
        """Handles of a key in the layers that hold it; a spacing has one for all of them."""
        if not isinstance(key, VoxelSpacingKey):
            return super()._probe(key)
        indexed = self.root._index.voxel_spacings is not None and key.voxel_size in self.root._index.voxel_spacings
        return [self._child(key, None)] if indexed or any(layer.exists(key) for layer in self.root.layers.all) else []

    # ------------------------------------------------------------------ writing

    def ensure(self, create: bool = False) -> bool:
        """Whether any layer holds the run; with ``create``, make it in the overlay if none does."""
        return self._ensure(create)

    def _writable_copy(self, entity: Any) -> Any:
        """Copy a read-only entity into the overlay."""
        if isinstance(entity, Container):
            return entity
        key = entity.key
        target = key._replace(variant="") if isinstance(key, TomogramKey) else key
        overlay = self.root._writable(target)
        from copick_core.projects.copying import configured_format, copy_content

        with suppress(ConflictError):  # somebody else was faster: theirs is the copy
            copy_content(entity._layer, key, overlay, target, format=configured_format(self.root))
        parent = entity.voxel_spacing if isinstance(entity, CopickTomogram) else getattr(entity, "tomogram", self)
        return type(entity)._at(parent, target, overlay)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.root, self._key, None)
