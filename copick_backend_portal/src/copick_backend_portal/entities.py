"""The hierarchy over the portal: what it adds to the one over any stack of layers.

Filters by the portal's metadata, look-up by the portal's names, and tomograms that share a type.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsFloat, TypeVar, cast

from copick_backend_portal.layer import PortalLayer
from copick_backend_portal.metadata import PortalFilter
from copick_core.errors import InvalidDataError
from copick_core.models.entity import Entity, SizeFilter, StringFilter
from copick_core.overlay import (
    CopickMeshOverlay,
    CopickPicksOverlay,
    CopickRootOverlay,
    CopickRunOverlay,
    CopickSegmentationOverlay,
    CopickTomogramOverlay,
    CopickVoxelSpacingOverlay,
)

if TYPE_CHECKING:
    from copick_core.layers import Layer, Layers
    from copick_core.models import (
        CopickMesh,
        CopickPicks,
        CopickRun,
        CopickSegmentation,
        CopickTomogram,
    )
    from copick_core.tree.keys import TomogramKey
    from copick_core.tree.schema import (
        CopickConfig,
        CopickMeshMeta,
        CopickPicksFile,
        CopickRunMeta,
        CopickSegmentationMeta,
        CopickTomogramMeta,
        CopickVoxelSpacingMeta,
    )

MetaQuery = Mapping[str, Any] | None
AuthorQuery = str | Iterable[str] | None
E = TypeVar("E", bound=Entity[Any])


def _portal_of(entity: Any) -> PortalLayer | None:
    """The portal that an entity is from, None if it is from elsewhere."""
    layer: Layer | None = getattr(entity, "_layer", None)
    return None if layer is None else layer.unwrap(PortalLayer)


def _filtered(found: Sequence[E], type_name: str, meta: MetaQuery, authors: AuthorQuery) -> list[E]:
    wanted = PortalFilter(type_name, meta, authors)
    return [e for e in found if wanted.passes(_portal_of(e), e.key)] if wanted else [*found]


class CopickPicksCDP(CopickPicksOverlay):
    """Picks from the portal or the overlay; those of the portal count as made by a tool."""

    __slots__ = ()

    @property
    def from_tool(self) -> bool:
        """Whether a tool made them: session "0", or the portal has them."""
        return _portal_of(self) is not None or super().from_tool

    @property
    def meta(self) -> CopickPicksFile:
        """Content of the file; metadata of the portal stay beside it, also when the points are read."""
        file = super().meta
        if _portal_of(self) is not None and not hasattr(file, "portal_metadata"):
            for field, value in self._layer.details(self._key).items():
                setattr(file, field, value)
        return file

    @meta.setter
    def meta(self, file: CopickPicksFile) -> None:
        CopickPicksOverlay.meta.fset(self, file)  # type: ignore[attr-defined]

    def load(self) -> CopickPicksFile:
        """Read the picks from storage; metadata of the portal stay beside them."""
        super().load()
        return self.meta


class CopickMeshCDP(CopickMeshOverlay):
    """A mesh from the portal or the overlay; those of the portal count as made by a tool."""

    __slots__ = ()

    @property
    def from_tool(self) -> bool:
        """Whether a tool made it: session "0", or the portal has it."""
        return _portal_of(self) is not None or super().from_tool


class CopickSegmentationCDP(CopickSegmentationOverlay):
    """A segmentation from the portal or the overlay; those of the portal count as made by a tool."""

    __slots__ = ()

    @property
    def from_tool(self) -> bool:
        """Whether a tool made it: session "0", or the portal has it."""
        return _portal_of(self) is not None or super().from_tool


class CopickTomogramCDP(CopickTomogramOverlay):
    """A tomogram from the portal or the overlay."""

    __slots__ = ()


class CopickVoxelSpacingCDP(CopickVoxelSpacingOverlay):
    """A voxel spacing over the portal and the overlay."""

    __slots__ = ()

    def get_tomograms(
        self,
        tomo_type: StringFilter = None,
        *,
        layer: str | None = None,
        portal_meta_query: MetaQuery = None,
        portal_author_query: AuthorQuery = None,
        **kwargs: Any,
    ) -> list[CopickTomogram]:
        """Tomograms of a type.

        Several tomograms of the portal may share a type: the visualization default comes first, then the portal standard,
        then the others by id.

        Args:
            tomo_type: Type or types; None for all.
            layer: Only those in the layer of this name.
            portal_meta_query: Value that each field of the portal's tomogram must have, such as
                ``{"is_portal_standard": True}``; dates as ``datetime``, ``date`` or ISO 8601 text.
            portal_author_query: Name or names that must all be among the authors.
            **kwargs: Filters of the base class.

        Raises:
            InvalidDataError: ``portal_meta_query`` names a field that the portal's tomograms do not have.
        """
        found = super().get_tomograms(tomo_type, layer=layer, **kwargs)
        return _filtered(found, "Tomogram", portal_meta_query, portal_author_query)

    def _get_tomograms_of_type(self, key: TomogramKey) -> list[CopickTomogram]:
        super()._get_tomograms_of_type(key)
        return [t for t in self.tomograms if t.tomo_type == key.tomo_type]

    def _query_static_tomograms(self) -> list[CopickTomogram]:
        """List the portal's tomograms in the order of their ranks."""
        order = {layer.name: n for n, layer in enumerate(self._root.layers.static)}

        def rank(tomogram: Any) -> tuple[int, str, int]:
            portal = _portal_of(tomogram)
            return order[tomogram.layer], tomogram.tomo_type, 0 if portal is None else portal.tomogram(tomogram.key).rank

        return sorted(super()._query_static_tomograms(), key=rank)

    def _tomogram_factory(self) -> tuple[type[CopickTomogramOverlay], type[CopickTomogramMeta]]:
        """Classes of tomograms and of their metadata."""
        return CopickTomogramCDP, super()._tomogram_factory()[1]


class CopickRunCDP(CopickRunOverlay):
    """A run over the portal and the overlay; its name is its portal id as text."""

    __slots__ = ()

    @property
    def portal_run_id(self) -> int | None:
        """Id on the portal, None for runs of the overlay."""
        return cast("int | None", getattr(self.meta, "portal_run_id", None))

    @property
    def portal_run_name(self) -> str | None:
        """Name on the portal, None for runs of the overlay."""
        return cast("str | None", getattr(self.meta, "portal_run_name", None))

    @property
    def portal_dataset_id(self) -> int | None:
        """Id of the dataset that it belongs to, None for runs of the overlay."""
        return cast("int | None", getattr(self.meta, "portal_dataset_id", None))

    def get_voxel_spacing(self, voxel_size: SupportsFloat, **kwargs: Any) -> CopickVoxelSpacingCDP | None:
        """The voxel spacing of a size, or None; see the base class."""
        return cast("CopickVoxelSpacingCDP | None", super().get_voxel_spacing(voxel_size, **kwargs))

    def get_picks(
        self,
        object_name: StringFilter = None,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        *,
        layer: str | None = None,
        portal_meta_query: MetaQuery = None,
        portal_author_query: AuthorQuery = None,
        **kwargs: Any,
    ) -> list[CopickPicks]:
        """Picks that pass all filters.

        Args:
            object_name: Object or objects; None for all, as for the next two.
            user_id: User or users; ``"data-portal"`` for the portal's.
            session_id: Session or sessions; the portal's are ids of annotation files.
            layer: Only those in the layer of this name.
            portal_meta_query: Value that each field of the portal's annotation must have, such as
                ``{"method_type": "manual"}``; what the portal does not have passes no such filter.
            portal_author_query: Name or names that must all be among the authors.
            **kwargs: Filters of the base class.

        Raises:
            InvalidDataError: ``portal_meta_query`` names a field that the portal's annotations do not have.
        """
        found = super().get_picks(object_name, user_id, session_id, layer=layer, **kwargs)
        return _filtered(found, "Annotation", portal_meta_query, portal_author_query)

    def get_meshes(
        self,
        object_name: StringFilter = None,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        *,
        layer: str | None = None,
        portal_meta_query: MetaQuery = None,
        portal_author_query: AuthorQuery = None,
        **kwargs: Any,
    ) -> list[CopickMesh]:
        """Meshes that pass all filters; see :meth:`get_picks`."""
        found = super().get_meshes(object_name, user_id, session_id, layer=layer, **kwargs)
        return _filtered(found, "Annotation", portal_meta_query, portal_author_query)

    def get_segmentations(
        self,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        is_multilabel: bool | None = None,
        name: StringFilter = None,
        voxel_size: SizeFilter = None,
        *,
        is_instance: bool | None = False,
        is_panoptic: bool | None = False,
        layer: str | None = None,
        portal_meta_query: MetaQuery = None,
        portal_author_query: AuthorQuery = None,
        **kwargs: Any,
    ) -> list[CopickSegmentation]:
        """Segmentations that pass all filters; see :meth:`get_picks` for those of the portal."""
        found = super().get_segmentations(
            user_id,
            session_id,
            is_multilabel,
            name,
            voxel_size,
            is_instance=is_instance,
            is_panoptic=is_panoptic,
            layer=layer,
            **kwargs,
        )
        return _filtered(found, "Annotation", portal_meta_query, portal_author_query)

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingOverlay], type[CopickVoxelSpacingMeta]]:
        """Classes of voxel spacings and of their metadata."""
        return CopickVoxelSpacingCDP, super()._voxel_spacing_factory()[1]

    def _picks_factory(self) -> type[CopickPicksOverlay]:
        """Class of picks."""
        return CopickPicksCDP

    def _mesh_factory(self) -> tuple[type[CopickMeshOverlay], type[CopickMeshMeta]]:
        """Classes of meshes and of their metadata."""
        return CopickMeshCDP, super()._mesh_factory()[1]

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationOverlay], type[CopickSegmentationMeta]]:
        """Classes of segmentations and of their metadata."""
        return CopickSegmentationCDP, super()._segmentation_factory()[1]


class CopickRootCDP(CopickRootOverlay):
    """A project with datasets of the CryoET Data Portal, alone or in a stack."""

    spans_any_layers: ClassVar[bool] = True

    def __init__(self, config: CopickConfig, open_layers: Callable[[Any], Layers]) -> None:
        super().__init__(config, open_layers)
        for layer in self._portals:
            layer.offline_ok = self.layers.overlay is not None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from a config file.

        Raises:
            ConfigError: The file cannot be read, or is not such a configuration.
        """
        from copick_backend_portal.config import CopickConfigCDP
        from copick_backend_portal.opening import open_layers
        from copick_core.opening import load_config

        return cls(load_config(path, CopickConfigCDP), open_layers)

    @classmethod
    def from_czcdp_datasets(cls, dataset_ids: Sequence[int], overlay_root: str | None, **options: Any) -> Self:
        """Make a project with all objects that are annotated in some datasets.

        Arguments are those of :func:`copick_core.from_czcdp_datasets`.
        """
        from copick_backend_portal.objects import new_config
        from copick_backend_portal.opening import open_layers

        return cls(new_config(dataset_ids, overlay_root, **options), open_layers)

    @classmethod
    def from_czcdp_depositions(cls, deposition_ids: Sequence[int], overlay_root: str | None, **options: Any) -> Self:
        """Make a project on all datasets that have something of some depositions.

        Arguments are those of :func:`copick_core.from_czcdp_depositions`.
        """
        from copick_backend_portal.config import CopickConfigCDP
        from copick_backend_portal.objects import datasets_of

        known = {name: value for name, value in options.items() if name in CopickConfigCDP.model_fields}
        return cls.from_czcdp_datasets(datasets_of(deposition_ids, **known), overlay_root, **options)

    @property
    def dataset_ids(self) -> list[int]:
        """Ids of the datasets."""
        return [i for layer in self._portals for i in layer.dataset_ids]

    @property
    def _portals(self) -> list[PortalLayer]:
        """The layers that are portals, whatever wraps them."""
        return [portal for layer in self.layers.static if (portal := layer.unwrap(PortalLayer))]

    @property
    def go_map(self) -> dict[str, str]:
        """Name of the object of each identifier; the first one where several share it."""
        names: dict[str, str] = {}
        for obj in self.config.pickable_objects:
            if obj.identifier:
                names.setdefault(obj.identifier, obj.name)
        return names

    def get_run(
        self,
        name: str | None = None,
        *,
        portal_run_name: str | None = None,
        dataset_id: int | None = None,
        **kwargs: Any,
    ) -> CopickRun | None:
        """The run of a name, or None.

        Args:
            name: Name: the portal's run id as text, or the name of a run of the overlay.
            portal_run_name: Name on the portal, in place of ``name``.
            dataset_id: Dataset of that run; needed if several datasets have a run of that name.
            **kwargs: Metadata; if given, a run that does not exist is made.

        Raises:
            InvalidDataError: Several runs have the name on the portal; tells their datasets.
            TypeError: Neither name was given, or both.
        """
        if (name is None) == (portal_run_name is None):
            raise TypeError("get_run() needs a name or a portal_run_name, and not both")
        if name is not None:
            if dataset_id is not None:
                raise TypeError("dataset_id goes with portal_run_name: run ids are unique on the portal")
            return super().get_run(name, **kwargs)
        found = [
            (row["datasetId"], run)
            for layer in self._portals
            for run, row in layer.runs().items()
            if row["name"] == portal_run_name and dataset_id in (None, row["datasetId"])
        ]
        if len(found) > 1:
            datasets = ", ".join(str(dataset) for dataset, _ in found)
            raise InvalidDataError(
                source=f"portal run {portal_run_name!r}",
                reason=f"datasets {datasets} have runs of this name (ids {', '.join(r for _, r in found)}); give dataset_id=",
            )
        return super().get_run(found[0][1], **kwargs) if found else None

    def _run_factory(self) -> tuple[type[CopickRunOverlay], type[CopickRunMeta]]:
        """Classes of runs and of their metadata."""
        return CopickRunCDP, super()._run_factory()[1]


__all__ = [
    "CopickMeshCDP",
    "CopickPicksCDP",
    "CopickRootCDP",
    "CopickRunCDP",
    "CopickSegmentationCDP",
    "CopickTomogramCDP",
    "CopickVoxelSpacingCDP",
]
