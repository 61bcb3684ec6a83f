"""The hierarchy on file systems: what :mod:`copick_core.overlay` has, and where each entity lies.

These classes add nothing but paths. A path is one of the fsspec filesystem beside it: ``picks.fs.open(picks.path)``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.opening import open_layers
from copick_core.overlay import (
    CopickFeaturesOverlay,
    CopickFilamentsOverlay,
    CopickMeshOverlay,
    CopickObjectOverlay,
    CopickPicksOverlay,
    CopickRootOverlay,
    CopickRunOverlay,
    CopickSegmentationOverlay,
    CopickTomogramOverlay,
    CopickVoxelSpacingOverlay,
)
from copick_core.tree import layout
from copick_core.tree.keys import PARENT_KIND, Key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from copick_backend_fs.local import LocalLayer
    from copick_backend_fs.remote import FsspecLayer
    from copick_core.layers import Layer, Layers
    from copick_core.tree.schema import (
        CopickFeaturesMeta,
        CopickMeshMeta,
        CopickRunMeta,
        CopickSegmentationMeta,
        CopickTomogramMeta,
        CopickVoxelSpacingMeta,
        PickableObject,
    )

    FilesLayer = LocalLayer | FsspecLayer

#: Attribute of an entity that leads to its parent.
_PARENT = {kind: "root" if above is None else above.value.replace(" ", "_") for kind, above in PARENT_KIND.items()}


class _Placed:
    """An entity that knows where it lies, or would lie, in either location."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def key(self) -> Any:
            """Address of the entity."""

    @property
    def _project(self) -> CopickRootFSSpec:
        entity: Any = self
        while not isinstance(entity, CopickRootFSSpec):
            entity = getattr(entity, _PARENT[entity.key.kind])
        return entity

    def _home(self) -> FilesLayer | None:
        """The layer that the entity lives in, or would be written to."""
        return _files(getattr(self, "_layer", None)) or self._project._overlay_files or self._project._static_files

    @property
    def path(self) -> str | None:
        """Path of the entity in :attr:`fs`."""
        return _path(self._home(), self.key)

    @property
    def fs(self) -> AbstractFileSystem | None:
        """The file system that the entity lies in."""
        return _fs(self._home())

    @property
    def filename(self) -> str:
        """Name of the entity's file or folder."""
        home = self._home()
        return layout.file_name(self.key) if home is None else home.path_of(self.key).rpartition("/")[2]

    @property
    def static_path(self) -> str | None:
        """Path of the entity in the static location."""
        return _path(self._project._static_files, self.key)

    @property
    def overlay_path(self) -> str | None:
        """Path of the entity in the overlay."""
        return _path(self._project._overlay_files, self.key)

    @property
    def static_stem(self) -> str | None:
        """:attr:`static_path` without its suffix."""
        return _stem(self.static_path)

    @property
    def overlay_stem(self) -> str | None:
        """:attr:`overlay_path` without its suffix."""
        return _stem(self.overlay_path)

    @property
    def fs_static(self) -> AbstractFileSystem | None:
        """File system of the static location."""
        return self._project.fs_static

    @property
    def fs_overlay(self) -> AbstractFileSystem | None:
        """File system of the overlay."""
        return self._project.fs_overlay

    @property
    def static_is_overlay(self) -> bool:
        """Whether both locations are one."""
        return self._project.static_is_overlay


class _PlacedFile(_Placed):
    """An entity that is one file."""

    __slots__ = ()

    @property
    def directory(self) -> str | None:
        """Path of the folder that holds the file, with a slash at its end."""
        path = self.path
        return path and path.removesuffix(self.filename)


class CopickPicksFSSpec(_PlacedFile, CopickPicksOverlay):
    """Picks on a file system."""

    __slots__ = ()


class CopickMeshFSSpec(_PlacedFile, CopickMeshOverlay):
    """A mesh on a file system."""

    __slots__ = ()


class CopickFilamentsFSSpec(_PlacedFile, CopickFilamentsOverlay):
    """Filaments on a file system."""

    __slots__ = ()


class CopickSegmentationFSSpec(_Placed, CopickSegmentationOverlay):
    """A segmentation on a file system."""

    __slots__ = ()


class CopickFeaturesFSSpec(_Placed, CopickFeaturesOverlay):
    """A feature map on a file system."""

    __slots__ = ()


class CopickObjectFSSpec(_Placed, CopickObjectOverlay):
    """An object on a file system; its paths are those of its density map."""

    __slots__ = ()

    def _home(self) -> FilesLayer | None:
        return _files(self._find()) or super()._home()


class CopickTomogramFSSpec(_Placed, CopickTomogramOverlay):
    """A tomogram on a file system."""

    __slots__ = ()

    def _feature_factory(self) -> tuple[type[CopickFeaturesFSSpec], type[CopickFeaturesMeta]]:
        return CopickFeaturesFSSpec, super()._feature_factory()[1]


class CopickVoxelSpacingFSSpec(_Placed, CopickVoxelSpacingOverlay):
    """A voxel spacing on a file system."""

    __slots__ = ()

    def _tomogram_factory(self) -> tuple[type[CopickTomogramFSSpec], type[CopickTomogramMeta]]:
        return CopickTomogramFSSpec, super()._tomogram_factory()[1]


class CopickRunFSSpec(_Placed, CopickRunOverlay):
    """A run on a file system."""

    __slots__ = ()

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacingFSSpec], type[CopickVoxelSpacingMeta]]:
        return CopickVoxelSpacingFSSpec, super()._voxel_spacing_factory()[1]

    def _picks_factory(self) -> type[CopickPicksFSSpec]:
        return CopickPicksFSSpec

    def _mesh_factory(self) -> tuple[type[CopickMeshFSSpec], type[CopickMeshMeta]]:
        return CopickMeshFSSpec, super()._mesh_factory()[1]

    def _filaments_factory(self) -> type[CopickFilamentsFSSpec]:
        return CopickFilamentsFSSpec

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationFSSpec], type[CopickSegmentationMeta]]:
        return CopickSegmentationFSSpec, super()._segmentation_factory()[1]


class CopickRootFSSpec(CopickRootOverlay):
    """A project on file systems.

    Args:
        config: The project's configuration.
        open_layers: Opens its layers; there is no reason to give another one.

    Example:
        >>> root = CopickRootFSSpec.from_file("project.json")  # doctest: +SKIP
    """

    def __init__(self, config: CopickConfigFSSpec, open_layers: Callable[[CopickConfigFSSpec], Layers] = open_layers) -> None:
        super().__init__(config, open_layers)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Open a project from its JSON configuration.

        Raises:
            ConfigError: It cannot be read, or is not valid.
        """
        return cls(CopickConfigFSSpec.from_file(path))

    @property
    def _overlay_files(self) -> FilesLayer | None:
        return _files(self.layers.overlay)

    @property
    def _static_files(self) -> FilesLayer | None:
        """The static layer; the overlay where both locations are one."""
        return _files(self.layers.static[0]) if self.layers.static else self._overlay_files

    @property
    def static_is_overlay(self) -> bool:
        """Whether both locations are one, or there is no static one."""
        return not self.layers.static

    @property
    def fs_static(self) -> AbstractFileSystem | None:
        """File system of the static location."""
        return _fs(self._static_files)

    @property
    def fs_overlay(self) -> AbstractFileSystem | None:
        """File system of the overlay; None for a project that is only read."""
        return _fs(self._overlay_files)

    @property
    def root_static(self) -> str | None:
        """Path of the static location in :attr:`fs_static`."""
        return self._static_files.root if self._static_files else None

    @property
    def root_overlay(self) -> str | None:
        """Path of the overlay in :attr:`fs_overlay`; None for a project that is only read."""
        return self._overlay_files.root if self._overlay_files else None

    def _run_factory(self) -> tuple[type[CopickRunFSSpec], type[CopickRunMeta]]:
        return CopickRunFSSpec, super()._run_factory()[1]

    def _object_factory(self) -> tuple[type[CopickObjectFSSpec], type[PickableObject]]:
        return CopickObjectFSSpec, super()._object_factory()[1]


def _files(layer: Layer | None) -> FilesLayer | None:
    """The layer of files itself, behind the wrappers that the configuration asks for."""
    return layer and layer.unwrap()  # type: ignore[return-value] # open_layers makes no others


def _path(layer: FilesLayer | None, key: Key) -> str | None:
    return layer.full_path(layer.path_of(key)) if layer else None


def _fs(layer: FilesLayer | None) -> AbstractFileSystem | None:
    return layer.fs if layer else None


def _stem(path: str | None) -> str | None:
    if path is None:
        return None
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.removesuffix(".zarr").removesuffix(".json").removesuffix(".glb")
