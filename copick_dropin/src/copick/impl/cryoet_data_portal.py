"""Projects with datasets of the CryoET Data Portal.

What is written lies in the overlay, and so do the paths of entities; only what the portal has lies in its bucket.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Self

from copick import models
from copick_backend_fs.places import Placed, PlacedFile, PlacedRoot
from copick_backend_portal import entities as portal
from copick_backend_portal.config import CopickConfigCDP
from copick_backend_portal.layer import PortalLayer
from copick_backend_portal.opening import open_layers
from copick_core import overlay
from copick_core.tree.schema import (
    CopickFeaturesMeta,
    CopickMeshMeta,
    CopickRunMeta,
    CopickSegmentationMeta,
    CopickTomogramMeta,
    CopickVoxelSpacingMeta,
    PickableObject,
)

__all__ = [
    "CopickConfigCDP",
    "CopickFeaturesCDP",
    "CopickFilamentsCDP",
    "CopickMeshCDP",
    "CopickObjectCDP",
    "CopickPicksCDP",
    "CopickRootCDP",
    "CopickRunCDP",
    "CopickSegmentationCDP",
    "CopickTomogramCDP",
    "CopickVoxelSpacingCDP",
]


def _portal_of(layer: Any) -> PortalLayer | None:
    """The portal behind a layer; None for another layer, or none."""
    return None if layer is None else layer.unwrap(PortalLayer)


def _place(layer: PortalLayer, key: Any) -> str | None:
    """Where the portal has an entity in its bucket, as a path of s3fs."""
    found = layer.location(key)
    return None if found is None else found.removeprefix("s3://").rstrip("/")


def _portal_filters(meta: Any, authors: Any) -> dict[str, Any]:
    return {"portal_meta_query": meta, "portal_author_query": authors}


class _OnPortal(Placed):
    """An entity that lies in the portal's bucket if the portal has it, and else in the overlay."""

    @property
    def path(self) -> str | None:
        """Path of the entity in :attr:`fs`."""
        layer = _portal_of(getattr(self, "_layer", None))
        return super().path if layer is None else _place(layer, self.key)

    @property
    def fs(self) -> Any:
        """The file system that the entity lies in."""
        layer = _portal_of(getattr(self, "_layer", None))
        return super().fs if layer is None else layer.files.for_callers()


class CopickPicksCDP(models.CopickPicks, _OnPortal, PlacedFile, portal.CopickPicksCDP):
    """Picks from the portal or the overlay."""


class CopickMeshCDP(models.CopickMesh, _OnPortal, PlacedFile, portal.CopickMeshCDP):
    """A mesh from the overlay."""


class CopickFilamentsCDP(models.CopickFilaments, PlacedFile, overlay.CopickFilamentsOverlay):
    """Filaments from the overlay."""


class CopickSegmentationCDP(models.CopickSegmentation, _OnPortal, portal.CopickSegmentationCDP):
    """A segmentation from the portal or the overlay."""


class CopickFeaturesCDP(models.CopickFeatures, Placed, overlay.CopickFeaturesOverlay):
    """A feature map from the overlay."""


class CopickObjectCDP(models.CopickObject, Placed, overlay.CopickObjectOverlay):
    """An object, with its density map in the overlay; its paths are those of the map."""


class CopickTomogramCDP(models.CopickTomogram, _OnPortal, portal.CopickTomogramCDP):
    """A tomogram from the portal or the overlay."""

    @property
    def static_path(self) -> str | None:
        """Path of the tomogram in the portal's bucket."""
        layer = _portal_of(self._project.layers.static[0])
        return None if layer is None else _place(layer, self.key)

    @property
    def fs_static(self) -> Any:
        """The portal's bucket."""
        layer = _portal_of(self._project.layers.static[0])
        return None if layer is None else layer.files.for_callers()

    def _feature_factory(self) -> tuple[type[CopickFeaturesCDP], type[CopickFeaturesMeta]]:
        return CopickFeaturesCDP, CopickFeaturesMeta


class CopickVoxelSpacingCDP(models.CopickVoxelSpacing, Placed, portal.CopickVoxelSpacingCDP):
    """A voxel spacing over the portal and the overlay."""

    def get_tomograms(
        self, tomo_type: Any = None, portal_meta_query: Any = None, portal_author_query: Any = None, **filters: Any
    ) -> Any:
        """Tomograms of a type; see :meth:`CopickRunCDP.get_picks` for the filters."""
        of_portal = _portal_filters(portal_meta_query, portal_author_query)
        return super().get_tomograms(tomo_type, **of_portal, **filters)

    @property
    def portal_vs_id(self) -> int | None:
        """Id on the portal, None for voxel spacings of the overlay."""
        return getattr(self.meta, "portal_vs_id", None)

    def _tomogram_factory(self) -> tuple[type[CopickTomogramCDP], type[CopickTomogramMeta]]:
        return CopickTomogramCDP, CopickTomogramMeta


class CopickRunCDP(models.CopickRun, Placed, portal.CopickRunCDP):
    """A run of the portal or the overlay."""

    def get_picks(
        self,
        object_name: Any = None,
        user_id: Any = None,
        session_id: Any = None,
        portal_meta_query: Any = None,
        portal_author_query: Any = None,
        **filters: Any,
    ) -> Any:
        """Picks that pass all filters.

        Args:
            object_name: Object or objects; all by default, as for the next two.
            user_id: User or users; ``"data-portal"`` for the portal's.
            session_id: Session or sessions; the portal's are ids of annotation files.
            portal_meta_query: Value that each field of the portal's annotation must have.
            portal_author_query: Name or names that must all be among the authors.
            **filters: Others that :meth:`copick_backend_portal.CopickRunCDP.get_picks` has.

        Raises:
            ValueError: The portal's annotations have no such field.
            TypeError: There is no such filter.
        """
        of_portal = _portal_filters(portal_meta_query, portal_author_query)
        return super().get_picks(object_name, user_id, session_id, **of_portal, **filters)

    def get_segmentations(
        self,
        user_id: Any = None,
        session_id: Any = None,
        is_multilabel: bool | None = None,
        name: Any = None,
        voxel_size: Any = None,
        portal_meta_query: Any = None,
        portal_author_query: Any = None,
        *,
        is_instance: bool | None = False,
        is_panoptic: bool | None = False,
        **filters: Any,
    ) -> Any:
        """Segmentations that pass all filters; see :meth:`get_picks` for those of the portal."""
        types: Any = {"is_instance": is_instance, "is_panoptic": is_panoptic}
        of_portal = _portal_filters(portal_meta_query, portal_author_query)
        found = super().get_segmentations
        return found(user_id, session_id, is_multilabel, name, voxel_size, **types, **of_portal, **filters)

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingCDP], type[CopickVoxelSpacingMeta]]:
        return CopickVoxelSpacingCDP, CopickVoxelSpacingMeta

    def _picks_factory(self) -> type[CopickPicksCDP]:
        return CopickPicksCDP

    def _mesh_factory(self) -> tuple[type[CopickMeshCDP], type[CopickMeshMeta]]:
        return CopickMeshCDP, CopickMeshMeta

    def _filaments_factory(self) -> type[CopickFilamentsCDP]:
        return CopickFilamentsCDP

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationCDP], type[CopickSegmentationMeta]]:
        return CopickSegmentationCDP, CopickSegmentationMeta


class CopickRootCDP(models.CopickRoot, PlacedRoot, portal.CopickRootCDP):
    """A project with datasets of the portal.

    Args:
        config: The project's configuration.
        open_layers: Opens its layers; there is no reason to give another one.
    """

    def __init__(self, config: CopickConfigCDP, open_layers: Callable[[Any], Any] = open_layers) -> None:
        super().__init__(config, open_layers)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from its JSON configuration."""
        with open(path, encoding="utf-8") as file:
            return cls(CopickConfigCDP.model_validate(json.load(file)))

    def _run_factory(self) -> tuple[type[CopickRunCDP], type[CopickRunMeta]]:
        return CopickRunCDP, CopickRunMeta

    def _object_factory(self) -> tuple[type[CopickObjectCDP], type[PickableObject]]:
        return CopickObjectCDP, PickableObject
