"""Entities that live in one layer: picks, meshes, filaments, segmentations, feature maps and object maps."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Self

from copick_core.layers.recording import ATTRIBUTE, KEY, for_output, note_read
from copick_core.layers.revisions import ANY, note_change
from copick_core.models import (
    CopickFeatures,
    CopickFilaments,
    CopickMesh,
    CopickObject,
    CopickPicks,
    CopickSegmentation,
)
from copick_core.models.volume import NOTHING_OPEN
from copick_core.overlay.stored import Leaf, LeafVolume, of_kind, reopened
from copick_core.tree.keys import (
    FeaturesKey,
    FilamentsKey,
    Kind,
    MeshKey,
    PicksKey,
    SegmentationKey,
)

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.filaments.values import CopickFilamentsFile
    from copick_core.layers import Layer, Revision
    from copick_core.overlay.containers import CopickRunOverlay, CopickTomogramOverlay
    from copick_core.overlay.root import CopickRootOverlay
    from copick_core.picks import PicksArrays
    from copick_core.tree.schema import (
        CopickConfig,
        CopickFeaturesMeta,
        CopickMeshMeta,
        CopickPicksFile,
        CopickSegmentationMeta,
    )


@of_kind(Kind.PICKS)
class CopickPicksOverlay(Leaf[PicksKey], CopickPicks):
    """Picks in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, file: CopickPicksFile) -> None:
        super().__init__(run, file)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: PicksKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self._key = key
        self._layer = layer
        self._meta = None
        self._arrays = None
        self._loaded = False
        self._revision = ANY
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
        note_read(self._layer, self._key)
        return self._layer.load_picks(self._key)

    def _store(self, arrays: PicksArrays) -> Revision | None:
        from copick_core.picks import encode

        if (provenance := for_output(self._layer, self._key)) is not None:
            arrays.header[KEY] = provenance
        return self._layer.write(self._key, encode(arrays, str(self._key)), if_revision=self._revision)

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._meta, self._arrays, self._loaded, self._revision) if self._loaded else None
        return reopened, (self.run, self._key, self.layer), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._meta, self._arrays, self._loaded, self._revision = state


@of_kind(Kind.MESH)
class CopickMeshOverlay(Leaf[MeshKey], CopickMesh):
    """A mesh in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, meta: CopickMeshMeta, mesh: Geometry | None = None) -> None:
        super().__init__(run, meta, mesh)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: MeshKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self._key = key
        self._layer = layer
        self._meta = None
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
        note_read(self._layer, self._key)
        return self._layer.load_mesh(self._key)

    def _note_revision(self) -> None:
        self._revision = self._layer.revision(self._key)

    def _store(self, mesh: Geometry) -> Revision | None:
        from copick_core.meshes import encode_mesh, with_extras

        data = encode_mesh(mesh, str(self._key))
        if (provenance := for_output(self._layer, self._key)) is not None:
            data = with_extras(data, **{ATTRIBUTE: provenance})
        return self._layer.write(self._key, data, if_revision=self._revision)

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._mesh, self._revision) if self._mesh is not None else None
        return reopened, (self.run, self._key, self.layer), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._mesh, self._revision = state


@of_kind(Kind.FILAMENTS)
class CopickFilamentsOverlay(Leaf[FilamentsKey], CopickFilaments):
    """Filaments in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, file: CopickFilamentsFile) -> None:
        super().__init__(run, file)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: FilamentsKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self._key = key
        self._layer = layer
        self.refresh()
        return self

    def _make_meta(self) -> CopickFilamentsFile:
        return super()._make_meta().model_copy(update=dict(self._layer.details(self._key)))

    def _load(self) -> tuple[CopickFilamentsFile, Revision | None]:
        from copick_core.filaments.codec import decode

        note_read(self._layer, self._key)
        data, revision = self._layer.read_revised(self._key)
        return decode(data, str(self._key)), revision

    def _store(self, file: CopickFilamentsFile) -> Revision | None:
        from copick_core.filaments.codec import encode

        if (provenance := for_output(self._layer, self._key)) is not None:
            file = file.model_copy(update={KEY: provenance})
        return self._layer.write(self._key, encode(file, str(self._key)), if_revision=self._revision)

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.run, self._key, self.layer), (self._meta, self._revision) if self._loaded else None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._meta, self._revision = state
        self._loaded = True


@of_kind(Kind.SEGMENTATION)
class CopickSegmentationOverlay(LeafVolume[SegmentationKey], CopickSegmentation):
    """A segmentation in one layer."""

    __slots__ = ("_layer",)

    run: CopickRunOverlay

    def __init__(self, run: CopickRunOverlay, meta: CopickSegmentationMeta, config: CopickConfig | None = None) -> None:
        super().__init__(run, meta, config)
        self._layer = run._root._writable(self._key)

    @classmethod
    def _at(cls, run: CopickRunOverlay, key: SegmentationKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.run = run
        self.config = run.config
        self._key = key
        self._layer = layer
        self._meta = None
        self._arrays = NOTHING_OPEN
        self._unsaved = False
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
        return reopened, (self.run, self._key, self.layer)


@of_kind(Kind.FEATURES)
class CopickFeaturesOverlay(LeafVolume[FeaturesKey], CopickFeatures):
    """A feature map in one layer."""

    __slots__ = ("_layer",)

    tomogram: CopickTomogramOverlay

    def __init__(self, tomogram: CopickTomogramOverlay, meta: CopickFeaturesMeta, config: CopickConfig | None = None) -> None:
        super().__init__(tomogram, meta, config)
        self._layer = tomogram._root._writable(self._key)

    @classmethod
    def _at(cls, tomogram: CopickTomogramOverlay, key: FeaturesKey, layer: Layer) -> Self:
        self = cls.__new__(cls)
        self.tomogram = tomogram
        self.config = tomogram.config
        self._key = key
        self._layer = layer
        self._meta = None
        self._arrays = NOTHING_OPEN
        self._unsaved = False
        return self

    def _make_meta(self) -> CopickFeaturesMeta:
        _, meta_cls = self.tomogram._feature_factory()
        details = self._layer.details(self._key)
        return meta_cls.model_validate({"tomo_type": self.tomo_type, "feature_type": self.feature_type, **details})

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.tomogram, self._key, self.layer)


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

    @property
    def _versions_take_requests(self) -> bool:
        holder = self._find()
        return holder is not None and holder.versions_take_requests

    def _stored_version(self) -> Hashable | None:
        holder = self._find()
        return None if holder is None else holder.volume_version(self._key)

    @property
    def _fixed_format(self) -> Mapping[str, Any]:
        overlay = self.root.layers.overlay
        return super()._fixed_format if overlay is None else overlay.volume_format

    def _changing(self) -> AbstractContextManager[None]:
        holder = self._find()
        return super()._changing() if holder is None else holder.changing(self._key)

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
            if (provenance := for_output(overlay, self._key)) is not None:
                from copick_core.layers.provenance import stamp_volume

                stamp_volume(store, provenance)
        self._holder = overlay

    def _check_writable(self, way_out: str | None = None) -> None:
        if self._find() is None:
            self.root._writable(self._key)
        super()._check_writable(way_out)

    def _delete_data(self) -> None:
        holder = self._find()
        try:
            if holder is not None:
                holder.delete(self._key)
        finally:
            note_change(self._key)
        self.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened_object, (self.root, self.name)


def _reopened_object(root: CopickRootOverlay, name: str) -> CopickObject | None:
    return root.get_object(name)
