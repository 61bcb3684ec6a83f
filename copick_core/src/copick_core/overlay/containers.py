"""Entities that hold others: tomograms (in one layer, features in all), voxel spacings and runs (over all layers)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from copick_core.errors import ConflictError
from copick_core.models import (
    CopickFeatures,
    CopickMesh,
    CopickPicks,
    CopickRun,
    CopickSegmentation,
    CopickTomogram,
    CopickVoxelSpacing,
)
from copick_core.models.children import Children
from copick_core.models.entity import Entity
from copick_core.models.volume import NOTHING_OPEN
from copick_core.overlay.leaves import (
    CopickFeaturesOverlay,
    CopickMeshOverlay,
    CopickPicksOverlay,
    CopickSegmentationOverlay,
)
from copick_core.overlay.stored import Container, LeafVolume, leaves, reopened
from copick_core.tree.keys import (
    FeaturesKey,
    Key,
    Kind,
    MeshKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)
from copick_core.tree.schema import (
    CopickFeaturesMeta,
    CopickMeshMeta,
    CopickRunMeta,
    CopickSegmentationMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
)

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay.root import CopickRootOverlay
    from copick_core.tree.schema import CopickConfig

# Looked up once: these are used for every query, and Python 3.11 takes as long for a member of an Enum as for a call.
_FEATURES, _TOMOGRAM, _VOXEL_SPACING = Kind.FEATURES, Kind.TOMOGRAM, Kind.VOXEL_SPACING
_PICKS, _MESH, _SEGMENTATION = Kind.PICKS, Kind.MESH, Kind.SEGMENTATION


class CopickTomogramOverlay(LeafVolume[TomogramKey], CopickTomogram):
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
        self._features = Children(voxel_spacing._tomograms.lock)
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.voxel_spacing.run.root

    def _make_meta(self) -> CopickTomogramMeta:
        _, meta_cls = self.voxel_spacing._tomogram_factory()
        return meta_cls.model_validate({"tomo_type": self.tomo_type, **self._layer.details(self._key)})

    def _handle(self, key: FeaturesKey, layer: Layer) -> CopickFeatures:
        """The handle of a feature map."""
        return self._features.add(self._features_at(key, layer))

    def _features_at(self, key: FeaturesKey, layer: Layer) -> CopickFeaturesOverlay:
        feature_cls, _ = self._feature_factory()
        return feature_cls._at(self, key, layer)

    def query_features(self) -> list[CopickFeatures]:
        """List the feature maps of all layers, static ones first."""
        return self._query_static_features() + self._query_overlay_features()

    def _query_static_features(self) -> list[CopickFeatures]:
        return leaves(self, root := self._root, _FEATURES, root.layers.static, lambda: self._feature_factory()[0])

    def _query_overlay_features(self) -> list[CopickFeatures]:
        return leaves(self, root := self._root, _FEATURES, root._overlays, lambda: self._feature_factory()[0])

    def _probe_features(self, key: FeaturesKey) -> list[CopickFeatures]:
        return [self._features_at(key, layer) for layer in self._root.layers.all if layer.exists(key)]

    def refresh_features(self) -> None:
        """Forget the feature maps; the next access lists them again."""
        for layer in self._root.layers.all:
            layer.forget(self.key)
        super().refresh_features()

    def _feature_factory(self) -> tuple[type[CopickFeaturesOverlay], type[CopickFeaturesMeta]]:
        """Classes of feature maps and of their metadata."""
        return CopickFeaturesOverlay, CopickFeaturesMeta

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.voxel_spacing, self._key, self.layer)


class CopickVoxelSpacingOverlay(Container[VoxelSpacingKey], CopickVoxelSpacing):
    """A voxel spacing over all layers."""

    __slots__ = ()

    run: CopickRunOverlay

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: VoxelSpacingKey) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self.config = run.config
        self._key = key
        self._meta = None
        self._tomograms = Children(run._voxel_spacings.lock)
        return self

    @property
    def _root(self) -> CopickRootOverlay:
        return self.run.root

    def _make_meta(self) -> CopickVoxelSpacingMeta:
        _, meta_cls = self.run._voxel_spacing_factory()
        return meta_cls.model_validate({"voxel_size": self._key.voxel_size, **self._root._details(self._key)})

    def _handle(self, key: TomogramKey, layer: Layer) -> CopickTomogram:
        """The handle of a tomogram."""
        return self._tomograms.add(self._tomogram_at(key, layer))

    def _tomogram_at(self, key: TomogramKey, layer: Layer) -> CopickTomogramOverlay:
        tomogram_cls, _ = self._tomogram_factory()
        return tomogram_cls._at(self, key, layer)

    def query_tomograms(self) -> list[CopickTomogram]:
        """List the tomograms of all layers, static ones first."""
        return self._query_static_tomograms() + self._query_overlay_tomograms()

    def _query_static_tomograms(self) -> list[CopickTomogram]:
        keys_ = self._root._index.tomogram_keys(self._key)
        if keys_ is None:
            return leaves(self, root := self._root, _TOMOGRAM, root.layers.static, lambda: self._tomogram_factory()[0])
        layers = self._root.layers.static
        if len(layers) == 1:
            return [self._tomogram_at(key, layers[0]) for key in keys_]
        return [self._tomogram_at(key, layer) for layer in layers for key in keys_ if layer.exists(key)]

    def _query_overlay_tomograms(self) -> list[CopickTomogram]:
        return leaves(self, root := self._root, _TOMOGRAM, root._overlays, lambda: self._tomogram_factory()[0])

    def _probe_tomograms(self, key: TomogramKey) -> list[CopickTomogram]:
        return self._probe(key, self._tomogram_at)

    def ensure(self, create: bool = False) -> bool:
        """Whether any layer holds the spacing; with ``create``, make it in the overlay if none does."""
        return self._ensure(create)

    def refresh_tomograms(self) -> None:
        """Forget the tomograms; the next access lists them again."""
        self._forget()
        super().refresh_tomograms()

    def _tomogram_factory(self) -> tuple[type[CopickTomogramOverlay], type[CopickTomogramMeta]]:
        """Classes of tomograms and of their metadata."""
        return CopickTomogramOverlay, CopickTomogramMeta

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
        found = {*self._query_static_voxel_spacings(), *self._query_overlay_voxel_spacings()}
        spacing_cls, _ = self._voxel_spacing_factory()
        return [spacing_cls._at(self, key) for key in sorted(found)]

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

    def query_picks(self) -> list[CopickPicks]:
        """List the picks of all layers, static ones first."""
        return self._query_static_picks() + self._query_overlay_picks()

    def _query_static_picks(self) -> list[CopickPicks]:
        return leaves(self, self.root, _PICKS, self.root.layers.static, self._picks_factory)

    def _query_overlay_picks(self) -> list[CopickPicks]:
        return leaves(self, self.root, _PICKS, self.root._overlays, self._picks_factory)

    def query_meshes(self) -> list[CopickMesh]:
        """List the meshes of all layers, static ones first."""
        return self._query_static_meshes() + self._query_overlay_meshes()

    def _query_static_meshes(self) -> list[CopickMesh]:
        return leaves(self, self.root, _MESH, self.root.layers.static, lambda: self._mesh_factory()[0])

    def _query_overlay_meshes(self) -> list[CopickMesh]:
        return leaves(self, self.root, _MESH, self.root._overlays, lambda: self._mesh_factory()[0])

    def query_segmentations(self) -> list[CopickSegmentation]:
        """List the segmentations of all layers, static ones first."""
        return self._query_static_segmentations() + self._query_overlay_segmentations()

    def _query_static_segmentations(self) -> list[CopickSegmentation]:
        return leaves(self, self.root, _SEGMENTATION, self.root.layers.static, lambda: self._segmentation_factory()[0])

    def _query_overlay_segmentations(self) -> list[CopickSegmentation]:
        return leaves(self, self.root, _SEGMENTATION, self.root._overlays, lambda: self._segmentation_factory()[0])

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
        if isinstance(entity, Container):
            return entity
        key = entity.key
        target = key._replace(variant="") if isinstance(key, TomogramKey) else key
        overlay = self.root._writable(target)
        from copick_core.projects.copying import copy_content

        with suppress(ConflictError):  # somebody else was faster: theirs is the copy
            copy_content(entity._layer, key, overlay, target)
        parent = entity.voxel_spacing if isinstance(entity, CopickTomogram) else getattr(entity, "tomogram", self)
        return type(entity)._at(parent, target, overlay)

    # ------------------------------------------------------------------ forgetting

    def refresh_voxel_spacings(self) -> None:
        """Forget the voxel spacings; the next access lists them again."""
        self._forget()
        super().refresh_voxel_spacings()

    def refresh_picks(self) -> None:
        """Forget the picks; the next access lists them again."""
        self._forget()
        super().refresh_picks()

    def refresh_meshes(self) -> None:
        """Forget the meshes; the next access lists them again."""
        self._forget()
        super().refresh_meshes()

    def refresh_segmentations(self) -> None:
        """Forget the segmentations; the next access lists them again."""
        self._forget()
        super().refresh_segmentations()

    def refresh(self) -> None:
        """Forget everything below this run."""
        self._forget()
        super().refresh()

    # ------------------------------------------------------------------ classes

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingOverlay], type[CopickVoxelSpacingMeta]]:
        """Classes of voxel spacings and of their metadata."""
        return CopickVoxelSpacingOverlay, CopickVoxelSpacingMeta

    def _picks_factory(self) -> type[CopickPicksOverlay]:
        """Class of picks."""
        return CopickPicksOverlay

    def _mesh_factory(self) -> tuple[type[CopickMeshOverlay], type[CopickMeshMeta]]:
        """Classes of meshes and of their metadata."""
        return CopickMeshOverlay, CopickMeshMeta

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationOverlay], type[CopickSegmentationMeta]]:
        """Classes of segmentations and of their metadata."""
        return CopickSegmentationOverlay, CopickSegmentationMeta

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.root, self._key, None)
