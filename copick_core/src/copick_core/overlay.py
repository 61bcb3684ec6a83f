"""The hierarchy over a stack of layers.

A project's layers are any number of read-only static ones and at most one writable overlay. Picks, meshes, segmentations,
tomograms and feature maps of all layers are listed side by side, static ones first, and each says which layer it is in.
Runs and voxel spacings are the union over the layers: one handle spans them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from copick_core import keys
from copick_core.errors import ConflictError, NotFoundError, NotPicklableError, ReadOnlyError
from copick_core.keys import (
    ROOT,
    SORTED_BY,
    FeaturesKey,
    Key,
    Kind,
    MeshKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    voxel_size_key,
)
from copick_core.models import (
    CopickFeatures,
    CopickMesh,
    CopickObject,
    CopickPicks,
    CopickRoot,
    CopickRun,
    CopickSegmentation,
    CopickTomogram,
    CopickVoxelSpacing,
)
from copick_core.models.children import Children
from copick_core.models.entity import Entity, K
from copick_core.revisions import ANY

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.keys import ParentKey
    from copick_core.layers import Layer, Layers, Revision
    from copick_core.picks_codec import PicksArrays
    from copick_core.schema import (
        CopickConfig,
        CopickFeaturesMeta,
        CopickMeshMeta,
        CopickPicksFile,
        CopickRunMeta,
        CopickSegmentationMeta,
        CopickTomogramMeta,
        CopickVoxelSpacingMeta,
        PickableObject,
    )


def _reopened(parent: Any, key: Key, layer: str | None) -> Entity[Any]:
    """Find the handle of a key again in another process."""
    return cast("Entity[Any]", parent._handle(key, parent._root._layer(layer)))


class _Leaf(Entity[K]):
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
        self._layer.delete(self._key)


class _LeafVolume(_Leaf[K]):
    """A volume that lives in one layer."""

    __slots__ = ()

    _unsaved: bool

    def zarr(self) -> Store:
        """The zarr store that holds the volume; read-only where the entity is."""
        return self._layer.zarr(self._key)

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        if self._unsaved and self._layer.exists(self._key):
            raise ConflictError(key=self._key, layer=self.layer, expected=None, found="a volume")
        with self._layer.replace_zarr(self._key) as store:
            yield store

    def _delete_data(self) -> None:
        try:
            super()._delete_data()
        except NotFoundError:
            if not self._unsaved:
                raise


class _Container(Entity[K]):
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
            self._root._writable(self._key).ensure(self._key)
        return create

    def _delete_data(self) -> None:
        overlay = self._root._writable(self._key)
        for layer in self._root.layers.static:
            if layer.exists(self._key):
                raise ReadOnlyError(
                    subject=self._key,
                    reason=f"layer {layer.name!r} holds it, and never changes. Delete what you added to it instead.",
                )
        overlay.delete(self._key)

    def _forget(self) -> None:
        for layer in self._root.layers.all:
            layer.forget(cast("ParentKey", self._key))

    def _leaves(self, kind: Kind, layers: Sequence[Layer], entity_cls: Callable[[], Any]) -> list[Any]:
        """Handles of the children of a kind in some layers, of a class that is asked for once."""
        if not layers:
            return []
        parent, order, at = cast("ParentKey", self._key), SORTED_BY[kind], entity_cls()._at
        return [at(self, key, layer) for layer in layers for key in sorted(self._root._listed(layer, kind, parent), key=order)]

    def _probe(self, key: Key, make: Callable[[Any, Layer], Any]) -> list[Any]:
        """Handles of a key in the layers that hold it, asked of storage."""
        return [make(key, layer) for layer in self._root.layers.all if layer.exists(key)]


def _static_only(entities: list[Any]) -> list[Any]:
    """Check that nothing that a static layer gave could be written."""
    for entity in entities:
        if not entity.read_only:
            raise RuntimeError(f"{entity.key} came from static layer {entity.layer!r}, but is not read-only")
    return entities


# ---------------------------------------------------------------------------------------------------------------- leaves


class CopickPicksOverlay(_Leaf[PicksKey], CopickPicks):
    """Picks in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, file: CopickPicksFile) -> None:
        super().__init__(run, file)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: PicksKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run, self._key, self._layer = run, key, layer
        self._meta, self._arrays, self._loaded, self._revision = None, None, False, ANY
        return self

    def _make_meta(self) -> CopickPicksFile:
        meta = super()._make_meta()
        details = self._layer.details(self._key)
        return meta.model_copy(update=dict(details)) if details else meta

    @property
    def trust_orientation(self) -> bool:
        """Whether the points' rotations mean something."""
        known = {} if self._loaded else self._layer.details(self._key)
        return bool(known["trust_orientation"]) if "trust_orientation" in known else super().trust_orientation

    def _load(self) -> tuple[PicksArrays, Revision | None]:
        return self._layer.load_picks(self._key)

    def _store(self, arrays: PicksArrays) -> Revision | None:
        from copick_core.picks_codec import encode

        return self._layer.write(self._key, encode(arrays, str(self._key)), if_revision=self._revision)

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._meta, self._arrays, self._loaded, self._revision) if self._loaded else None
        return _reopened, (self.run, self._key, self.layer), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._meta, self._arrays, self._loaded, self._revision = state


class CopickMeshOverlay(_Leaf[MeshKey], CopickMesh):
    """A mesh in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, meta: CopickMeshMeta, mesh: Geometry | None = None) -> None:
        super().__init__(run, meta, mesh)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: MeshKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run, self._key, self._layer, self._meta = run, key, layer, None
        self.refresh()
        return self

    def _make_meta(self) -> CopickMeshMeta:
        _, meta_cls = self.run._mesh_factory()
        key = self.key
        return meta_cls.model_validate(
            {
                "pickable_object_name": key.object_name,
                "user_id": key.user_id,
                "session_id": key.session_id,
                **self._layer.details(key),
            }
        )

    def _load(self) -> tuple[Geometry, Revision | None]:
        return self._layer.load_mesh(self._key)

    def _note_revision(self) -> None:
        self._revision = self._layer.revision(self._key)

    def _store(self, mesh: Geometry) -> Revision | None:
        from copick_core.meshes import encode_mesh

        return self._layer.write(self._key, encode_mesh(mesh, str(self._key)), if_revision=self._revision)

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._mesh, self._revision) if self._mesh is not None else None
        return _reopened, (self.run, self._key, self.layer), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._mesh, self._revision = state


class CopickSegmentationOverlay(_LeafVolume[SegmentationKey], CopickSegmentation):
    """A segmentation in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, meta: CopickSegmentationMeta, config: CopickConfig | None = None) -> None:
        super().__init__(run, meta, config)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: SegmentationKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run, self.config, self._key, self._layer = run, run.config, key, layer
        self._meta, self._arrays, self._unsaved = None, {}, False
        return self

    def _make_meta(self) -> CopickSegmentationMeta:
        _, meta_cls = self.run._segmentation_factory()
        return meta_cls.model_validate(
            {
                "user_id": self.user_id,
                "session_id": self.session_id,
                "name": self.name,
                "is_multilabel": self.is_multilabel,
                "is_instance": self.is_instance,
                "is_panoptic": self.is_panoptic,
                "voxel_size": self.voxel_size,
                **self._layer.details(self._key),
            }
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.run, self._key, self.layer)


class CopickFeaturesOverlay(_LeafVolume[FeaturesKey], CopickFeatures):
    """A feature map in one layer."""

    __slots__ = ("_layer",)

    tomogram: CopickTomogramOverlay

    def __init__(self, tomogram: CopickTomogramOverlay, meta: CopickFeaturesMeta, config: CopickConfig | None = None) -> None:
        super().__init__(tomogram, meta, config)
        self._layer = tomogram._root._writable(self._key)

    @classmethod
    def _at(cls, tomogram: CopickTomogramOverlay, key: FeaturesKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.tomogram, self.config, self._key, self._layer = tomogram, tomogram.config, key, layer
        self._meta, self._arrays, self._unsaved = None, {}, False
        return self

    def _make_meta(self) -> CopickFeaturesMeta:
        _, meta_cls = self.tomogram._feature_factory()
        details = self._layer.details(self._key)
        return meta_cls.model_validate({"tomo_type": self.tomo_type, "feature_type": self.feature_type, **details})

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.tomogram, self._key, self.layer)


class CopickObjectOverlay(CopickObject):
    """An object whose density map, if it has one, lives in the overlay or in a static layer."""

    __slots__ = ("_holder",)

    root: CopickRootOverlay
    #: Layer that holds the map, None if there is no map; unset until it was asked for.
    _holder: Layer | None

    def _find(self) -> Layer | None:
        """The layer that holds the map: the overlay before static layers, later ones before earlier ones."""
        try:
            return self._holder
        except AttributeError:
            holders = [layer for layer in reversed(self.root.layers.all) if layer.exists(self._key)]
            self._holder = holders[0] if holders else None
            return self._holder

    @property
    def read_only(self) -> bool:
        """Whether the map cannot be written: only a static layer has it, or the project has no overlay."""
        holder = self._find()
        return self.root.read_only if holder is None else holder.read_only

    @property
    def layer(self) -> str | None:
        """Name of the layer that holds the map, None if there is no map."""
        holder = self._find()
        return None if holder is None else holder.name

    def zarr(self) -> Store | None:
        """The zarr store that holds the density map; None where there is none."""
        holder = self._find() if self.is_particle else None
        return None if holder is None else holder.zarr(self._key)

    def refresh(self) -> None:
        """Forget what is known about the stored map."""
        super().refresh()
        if hasattr(self, "_holder"):
            del self._holder

    @contextmanager
    def _staged_store(self) -> Iterator[Store]:
        overlay = self.root._writable(self._key)
        with overlay.replace_zarr(self._key) as store:
            yield store
        self._holder = overlay

    def _check_writable(self) -> None:
        if self._find() is None:
            self.root._writable(self._key)
        super()._check_writable()

    def _delete_data(self) -> None:
        holder = self._find()
        if holder is not None:
            holder.delete(self._key)
        self.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened_object, (self.root, self.name)


def _reopened_object(root: CopickRootOverlay, name: str) -> CopickObject | None:
    return root.get_object(name)


# ------------------------------------------------------------------------------------------------------------ containers


class CopickTomogramOverlay(_LeafVolume[TomogramKey], CopickTomogram):
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
        self.voxel_spacing, self.config, self._key, self._layer = (
            voxel_spacing,
            voxel_spacing.config,
            key,
            layer,
        )
        self._meta, self._arrays, self._unsaved = None, {}, False
        self._features = Children()
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.voxel_spacing.run.root

    def _make_meta(self) -> CopickTomogramMeta:
        _, meta_cls = self.voxel_spacing._tomogram_factory()
        return meta_cls.model_validate({"tomo_type": self.tomo_type, **self._layer.details(self._key)})

    def _handle(self, key: FeaturesKey, layer: Layer) -> CopickFeaturesOverlay:
        feature_cls, _ = self._feature_factory()
        return feature_cls._at(self, key, layer)

    def query_features(self) -> list[CopickFeatures]:
        """List the feature maps of all layers, static ones first."""
        return [*_static_only(self._query_static_features()), *self._query_overlay_features()]

    def _query_static_features(self) -> list[CopickFeatures]:
        return self._list_features(self._root.layers.static)

    def _query_overlay_features(self) -> list[CopickFeatures]:
        return self._list_features(self._root._overlays)

    def _list_features(self, layers: Sequence[Layer]) -> list[CopickFeatures]:
        if not layers:
            return []
        order, at = SORTED_BY[Kind.FEATURES], self._feature_factory()[0]._at
        return [
            at(self, cast("FeaturesKey", key), layer)
            for layer in layers
            for key in sorted(self._root._listed(layer, Kind.FEATURES, self._key), key=order)
        ]

    def _probe_features(self, key: FeaturesKey) -> list[CopickFeatures]:
        return [self._handle(key, layer) for layer in self._root.layers.all if layer.exists(key)]

    def refresh_features(self) -> None:
        """Forget the feature maps; the next access lists them again."""
        super().refresh_features()
        for layer in self._root.layers.all:
            layer.forget(self.key)

    def _feature_factory(self) -> tuple[type[CopickFeaturesOverlay], type[CopickFeaturesMeta]]:
        """Classes of feature maps and of their metadata."""
        return CopickFeaturesOverlay, super()._feature_factory()[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.voxel_spacing, self._key, self.layer)


class CopickVoxelSpacingOverlay(_Container[VoxelSpacingKey], CopickVoxelSpacing):
    """A voxel spacing over all layers."""

    __slots__ = ()

    run: CopickRunOverlay

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: VoxelSpacingKey) -> Self:
        self = cls.__new__(cls)
        self.run, self.config, self._key, self._meta = run, run.config, key, None
        self._tomograms = Children()
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.run.root

    def _make_meta(self) -> CopickVoxelSpacingMeta:
        _, meta_cls = self.run._voxel_spacing_factory()
        return meta_cls.model_validate({"voxel_size": self._key.voxel_size, **self._root._details(self._key)})

    def _handle(self, key: TomogramKey, layer: Layer) -> CopickTomogramOverlay:
        tomogram_cls, _ = self._tomogram_factory()
        return tomogram_cls._at(self, key, layer)

    def query_tomograms(self) -> list[CopickTomogram]:
        """List the tomograms of all layers, static ones first."""
        return [*_static_only(self._query_static_tomograms()), *self._query_overlay_tomograms()]

    def _query_static_tomograms(self) -> list[CopickTomogram]:
        keys_ = self._root._index.tomogram_keys(self._key)
        if keys_ is None:
            return self._leaves(Kind.TOMOGRAM, self._root.layers.static, lambda: self._tomogram_factory()[0])
        layers = self._root.layers.static
        if len(layers) == 1:
            return [self._handle(key, layers[0]) for key in keys_]
        return [self._handle(key, layer) for layer in layers for key in keys_ if layer.exists(key)]

    def _query_overlay_tomograms(self) -> list[CopickTomogram]:
        return self._leaves(Kind.TOMOGRAM, self._root._overlays, lambda: self._tomogram_factory()[0])

    def _probe_tomograms(self, key: TomogramKey) -> list[CopickTomogram]:
        return self._probe(key, self._handle)

    def ensure(self, create: bool = False) -> bool:
        """Whether any layer holds the spacing; with ``create``, make it in the overlay if none does."""
        return self._ensure(create)

    def refresh_tomograms(self) -> None:
        """Forget the tomograms; the next access lists them again."""
        super().refresh_tomograms()
        self._forget()

    def _tomogram_factory(self) -> tuple[type[CopickTomogramOverlay], type[CopickTomogramMeta]]:
        """Classes of tomograms and of their metadata."""
        return CopickTomogramOverlay, super()._tomogram_factory()[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.run, self._key, None)


class CopickRunOverlay(_Container[RunKey], CopickRun):
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

    def _handle(self, key: Key, layer: Layer | None) -> Entity[Any]:
        """The handle of a key of any kind below this run."""
        if isinstance(key, VoxelSpacingKey):
            return self._voxel_spacings.add(self._spacing(key))
        if layer is None:
            raise LookupError(f"{key} needs a layer")
        if isinstance(key, PicksKey):
            return self._picks.add(self._picks_at(key, layer))
        if isinstance(key, MeshKey):
            return self._meshes.add(self._mesh_at(key, layer))
        return self._segmentations.add(self._segmentation_at(cast("SegmentationKey", key), layer))

    def _spacing(self, key: VoxelSpacingKey) -> CopickVoxelSpacingOverlay:
        spacing_cls, _ = self._voxel_spacing_factory()
        return spacing_cls._at(self, key)

    def _picks_at(self, key: PicksKey, layer: Layer) -> CopickPicksOverlay:
        return self._picks_factory()._at(self, key, layer)

    def _mesh_at(self, key: MeshKey, layer: Layer) -> CopickMeshOverlay:
        mesh_cls, _ = self._mesh_factory()
        return mesh_cls._at(self, key, layer)

    def _segmentation_at(self, key: SegmentationKey, layer: Layer) -> CopickSegmentationOverlay:
        segmentation_cls, _ = self._segmentation_factory()
        return segmentation_cls._at(self, key, layer)

    # ------------------------------------------------------------------ listing

    def query_voxelspacings(self) -> list[CopickVoxelSpacing]:
        """List the voxel spacings of all layers; each size is there once."""
        spacings = {v.key: v for v in [*self._query_static_voxel_spacings(), *self._query_overlay_voxel_spacings()]}
        return [spacings[key] for key in sorted(spacings)]

    def _query_static_voxel_spacings(self) -> list[CopickVoxelSpacing]:
        index = self.root._index.voxel_spacings
        if index is not None:
            return [self._spacing(VoxelSpacingKey(self.name, size)) for size in index]
        return self._list_voxel_spacings(self.root.layers.static)

    def _query_overlay_voxel_spacings(self) -> list[CopickVoxelSpacing]:
        return self._list_voxel_spacings(self.root._overlays)

    def _list_voxel_spacings(self, layers: Sequence[Layer]) -> list[CopickVoxelSpacing]:
        found = {k for layer in layers for k in self.root._listed(layer, Kind.VOXEL_SPACING, self._key)}
        return [self._spacing(cast("VoxelSpacingKey", key)) for key in found]

    def query_picks(self) -> list[CopickPicks]:
        """List the picks of all layers, static ones first."""
        return [*_static_only(self._query_static_picks()), *self._query_overlay_picks()]

    def _query_static_picks(self) -> list[CopickPicks]:
        return self._leaves(Kind.PICKS, self.root.layers.static, self._picks_factory)

    def _query_overlay_picks(self) -> list[CopickPicks]:
        return self._leaves(Kind.PICKS, self.root._overlays, self._picks_factory)

    def query_meshes(self) -> list[CopickMesh]:
        """List the meshes of all layers, static ones first."""
        return [*_static_only(self._query_static_meshes()), *self._query_overlay_meshes()]

    def _query_static_meshes(self) -> list[CopickMesh]:
        return self._leaves(Kind.MESH, self.root.layers.static, lambda: self._mesh_factory()[0])

    def _query_overlay_meshes(self) -> list[CopickMesh]:
        return self._leaves(Kind.MESH, self.root._overlays, lambda: self._mesh_factory()[0])

    def query_segmentations(self) -> list[CopickSegmentation]:
        """List the segmentations of all layers, static ones first."""
        return [*_static_only(self._query_static_segmentations()), *self._query_overlay_segmentations()]

    def _query_static_segmentations(self) -> list[CopickSegmentation]:
        return self._leaves(Kind.SEGMENTATION, self.root.layers.static, lambda: self._segmentation_factory()[0])

    def _query_overlay_segmentations(self) -> list[CopickSegmentation]:
        return self._leaves(Kind.SEGMENTATION, self.root._overlays, lambda: self._segmentation_factory()[0])

    def _probe_voxel_spacings(self, key: VoxelSpacingKey) -> list[CopickVoxelSpacing]:
        indexed = self.root._index.voxel_spacings is not None and key.voxel_size in self.root._index.voxel_spacings
        return [self._spacing(key)] if indexed or any(layer.exists(key) for layer in self.root.layers.all) else []

    def _probe_picks(self, key: PicksKey) -> list[CopickPicks]:
        return self._probe(key, self._picks_at)

    def _probe_meshes(self, key: MeshKey) -> list[CopickMesh]:
        return self._probe(key, self._mesh_at)

    def _probe_segmentations(self, key: SegmentationKey) -> list[CopickSegmentation]:
        return self._probe(key, self._segmentation_at)

    # ------------------------------------------------------------------ writing

    def ensure(self, create: bool = False) -> bool:
        """Whether any layer holds the run; with ``create``, make it in the overlay if none does."""
        return self._ensure(create)

    def _writable_copy(self, entity: Any) -> Any:
        """Copy a read-only entity into the overlay."""
        if isinstance(entity, _Container):
            return entity
        key = entity.key
        target = key if not getattr(key, "variant", "") else type(key)(*key_values(key)[:-1])
        overlay = self.root._writable(target)
        from copick_core.copying import copy_content

        copy_content(entity._layer, key, overlay, target)
        parent = entity.voxel_spacing if isinstance(entity, CopickTomogram) else getattr(entity, "tomogram", self)
        return type(entity)._at(parent, target, overlay)

    # ------------------------------------------------------------------ forgetting

    def refresh_voxel_spacings(self) -> None:
        """Forget the voxel spacings; the next access lists them again."""
        super().refresh_voxel_spacings()
        self._forget()

    def refresh_picks(self) -> None:
        """Forget the picks; the next access lists them again."""
        super().refresh_picks()
        self._forget()

    def refresh_meshes(self) -> None:
        """Forget the meshes; the next access lists them again."""
        super().refresh_meshes()
        self._forget()

    def refresh_segmentations(self) -> None:
        """Forget the segmentations; the next access lists them again."""
        super().refresh_segmentations()
        self._forget()

    # ------------------------------------------------------------------ classes

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingOverlay], type[CopickVoxelSpacingMeta]]:
        """Classes of voxel spacings and of their metadata."""
        return CopickVoxelSpacingOverlay, super()._voxel_spacing_factory()[1]

    def _picks_factory(self) -> type[CopickPicksOverlay]:
        """Class of picks."""
        return CopickPicksOverlay

    def _mesh_factory(self) -> tuple[type[CopickMeshOverlay], type[CopickMeshMeta]]:
        """Classes of meshes and of their metadata."""
        return CopickMeshOverlay, super()._mesh_factory()[1]

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationOverlay], type[CopickSegmentationMeta]]:
        """Classes of segmentations and of their metadata."""
        return CopickSegmentationOverlay, super()._segmentation_factory()[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.root, self._key, None)


def key_values(key: Key) -> list[Any]:
    """Values of the fields of a key, in order."""
    return [*keys.key_fields(key).values()]


# ------------------------------------------------------------------------------------------------------------------ root


class _Index:
    """What a configuration says of its static layers, so that they need not be listed for it."""

    def __init__(self, config: CopickConfig, has_static: bool) -> None:
        used = config if has_static else None
        self.runs = None if used is None or used.runs is None else [RunKey(name) for name in used.runs]
        sizes = None if used is None else used.voxel_spacings
        self.voxel_spacings = None if sizes is None else [voxel_size_key(v) for v in sizes]
        tomograms = (used.tomograms if used is not None else None) or {}
        self.tomograms = {voxel_size_key(size): types for size, types in tomograms.items()}

    def tomogram_keys(self, spacing: VoxelSpacingKey) -> list[TomogramKey] | None:
        """Tomograms that every static run has at a spacing; None where nothing is said of it."""
        types = self.tomograms.get(spacing.voxel_size)
        return None if types is None else [TomogramKey(spacing.run, spacing.voxel_size, tomo_type) for tomo_type in types]


def _reopened_root(
    cls: type[CopickRootOverlay], config: CopickConfig, open_layers: Callable[[Any], Layers]
) -> CopickRootOverlay:
    return cls(config, open_layers)


class CopickRootOverlay(CopickRoot):
    """A project over a stack of layers.

    Args:
        config: The project's configuration.
        open_layers: Opens the layers of a configuration; a module-level function, so that the project can be pickled.

    Attributes:
        config: The project's configuration.
        layers: The opened layers.
    """

    #: Whether this class works over layers of other backends too, so that stacks with such a layer may use it.
    spans_any_layers: ClassVar[bool] = False

    def __init__(self, config: CopickConfig, open_layers: Callable[[Any], Layers]) -> None:
        super().__init__(config)
        self._open_layers = open_layers
        self.layers: Layers = open_layers(config)
        self._index = _Index(config, bool(self.layers.static))
        #: Answers that :meth:`prefetch` has for handles that are about to ask.
        self._prefetched: dict[tuple[str, Kind, ParentKey], Sequence[Key]] = {}

    @property
    def read_only(self) -> bool:
        """Whether the project has no writable layer."""
        return self.layers.overlay is None or self.layers.overlay.read_only

    @property
    def _root(self) -> CopickRootOverlay:
        return self

    @property
    def _overlays(self) -> list[Layer]:
        return [] if self.layers.overlay is None else [self.layers.overlay]

    def _writable(self, key: Key) -> Layer:
        """The layer that new things go to."""
        overlay = self.layers.overlay
        if overlay is None or overlay.read_only:
            raise ReadOnlyError(
                subject=key,
                reason=f"the project has no writable layer. Set {self.layers.overlay_field!r} in its configuration.",
            )
        return overlay

    def _layer(self, name: str | None) -> Layer | None:
        if name is None:
            return None
        return next(layer for layer in self.layers.all if layer.name == name)

    def _listed(self, layer: Layer, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List children in a layer, unless they have just been prefetched."""
        found = self._prefetched.pop((layer.name, kind, parent), None) if self._prefetched else None
        return layer.list(kind, parent) if found is None else found

    def prefetch(self, kinds: Iterable[Kind | str] | None = None) -> None:
        """List all entities of some kinds at once, so that walking the project asks storage for nothing more.

        Each folder is asked once, and many at the same time: on object stores that is as many times faster as requests
        fit into flight. What was listed before stays; call :meth:`refresh` first to list it anew.

        Args:
            kinds: Kinds as :class:`~copick_core.keys.Kind` or by name, such as ``["picks", "segmentation"]``; None for all.

        Raises:
            InvalidDataError: There is no such kind.

        Example:
            >>> root.prefetch(["picks"])  # doctest: +SKIP
            >>> sum(len(run.picks) for run in root.runs)  # doctest: +SKIP
            5000
        """
        from copick_core.listing import prefetch

        prefetch(self, kinds)

    def table(self, kind: Kind | str) -> dict[str, list[Any]]:
        """All entities of a kind in all layers, as columns of equal length.

        Storage is asked, all folders at once; no handle is made, and none is needed. Runs and voxel spacings have one row
        for each layer that lists them.

        Args:
            kind: Kind as :class:`~copick_core.keys.Kind` or by name, such as ``"picks"``.

        Returns:
            The fields of the kind's keys (``run``, ``voxel_size`` in angstrom, ``object_name``, ...), then ``layer`` and
            ``read_only``. ``pandas.DataFrame`` and ``pyarrow.table`` take it as it is.

        Raises:
            InvalidDataError: There is no such kind.

        Example:
            >>> pandas.DataFrame(root.table("picks"))  # doctest: +SKIP
        """
        from copick_core.listing import table

        return table(self, kind)

    def _details(self, key: Key) -> dict[str, Any]:
        """What the layers know of a container beyond its key; the first one that says something is believed."""
        for layer in self.layers.all:
            details = layer.details(key)
            if details:
                return dict(details)
        return {}

    def _handle(self, key: RunKey, layer: Layer | None = None) -> CopickRun:
        """The handle of a run."""
        return self._run_children.add(self._run_at(key))

    def _run_at(self, key: RunKey) -> CopickRun:
        run_cls, _ = self._run_factory()
        return run_cls._at(self, key)

    def query(self) -> list[CopickRun]:
        """List the runs of all layers; each name is there once."""
        found = {*self._query_static_runs(), *self._query_overlay_runs()}
        run_cls, _ = self._run_factory()
        return [run_cls._at(self, key) for key in sorted(found, key=SORTED_BY[Kind.RUN])]

    def _query_static_runs(self) -> list[RunKey]:
        return self._list_runs(self.layers.static) if self._index.runs is None else self._index.runs

    def _query_overlay_runs(self) -> list[RunKey]:
        return self._list_runs(self._overlays)

    def _list_runs(self, layers: Sequence[Layer]) -> list[RunKey]:
        return [cast("RunKey", key) for layer in layers for key in self._listed(layer, Kind.RUN, ROOT)]

    def _probe_runs(self, key: RunKey) -> list[CopickRun]:
        indexed = self._index.runs is not None and key in self._index.runs
        return [self._run_at(key)] if indexed or any(layer.exists(key) for layer in self.layers.all) else []

    def _replace_object(self, obj: CopickObject, meta: PickableObject) -> None:
        """Update an object's entry; a map that only a static layer has is copied into the overlay, as for all entities."""
        super()._replace_object(obj, meta)
        holder = obj._find() if isinstance(obj, CopickObjectOverlay) else None
        if holder is not None and holder.read_only and not self.read_only:
            from copick_core.copying import copy_content

            copy_content(holder, obj.key, self._writable(obj.key), obj.key)
            obj.refresh()

    def refresh(self) -> None:
        """Forget runs, objects and whatever layers remember; the next access asks again."""
        super().refresh()
        for layer in self.layers.all:
            layer.forget(ROOT)

    def reconnect(self) -> None:
        """Renew the connections of all layers and forget everything."""
        for layer in self.layers.all:
            layer.reconnect()
        self.refresh()

    def _run_factory(self) -> tuple[type[CopickRunOverlay], type[CopickRunMeta]]:
        """Classes of runs and of their metadata."""
        return CopickRunOverlay, super()._run_factory()[1]

    def _object_factory(self) -> tuple[type[CopickObjectOverlay], type[PickableObject]]:
        """Classes of objects and of their entries in the configuration."""
        return CopickObjectOverlay, super()._object_factory()[1]

    def __reduce__(self) -> tuple[Any, ...]:
        for layer in self.layers.all:
            if layer.process_bound:
                raise NotPicklableError(subject=f"Project {self.config.name!r}", reason=layer.process_bound)
        return _reopened_root, (type(self), self.config, self._open_layers)


__all__ = [
    "CopickFeaturesOverlay",
    "CopickMeshOverlay",
    "CopickObjectOverlay",
    "CopickPicksOverlay",
    "CopickRootOverlay",
    "CopickRunOverlay",
    "CopickSegmentationOverlay",
    "CopickTomogramOverlay",
    "CopickVoxelSpacingOverlay",
]
