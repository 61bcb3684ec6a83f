"""Where entities lie on file systems: paths beside the hierarchy, for all backends whose overlay is one.

A path is one of the fsspec filesystem beside it: ``picks.fs.open(picks.path)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from copick_core.tree import layout
from copick_core.tree.keys import PARENT_KIND, Key

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from copick_backend_fs.local import LocalLayer
    from copick_backend_fs.remote import FsspecLayer
    from copick_core.layers import Layer, Layers

    FilesLayer: TypeAlias = LocalLayer | FsspecLayer

#: Attribute of an entity that leads to its parent.
_PARENT = {kind: "root" if above is None else above.value.replace(" ", "_") for kind, above in PARENT_KIND.items()}


class Placed:
    """An entity that knows where it lies, or would lie, in either location."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def key(self) -> Any:
            """Address of the entity."""

    @property
    def _project(self) -> PlacedRoot:
        entity: Any = self
        while not isinstance(entity, PlacedRoot):
            entity = getattr(entity, _PARENT[entity.key.kind])
        return entity

    def _home(self) -> FilesLayer | None:
        """The layer that the entity lives in, or would be written to."""
        return files_of(getattr(self, "_layer", None)) or self._project._overlay_files or self._project._static_files

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


class PlacedFile(Placed):
    """An entity that is one file."""

    __slots__ = ()

    @property
    def directory(self) -> str | None:
        """Path of the folder that holds the file, with a slash at its end."""
        path = self.path
        return path and path.removesuffix(self.filename)


class PlacedRoot:
    """A project that knows where its locations are; goes before a root of :mod:`copick_core.overlay`."""

    if TYPE_CHECKING:
        layers: Layers

    @property
    def _overlay_files(self) -> FilesLayer | None:
        return files_of(self.layers.overlay)

    @property
    def _static_files(self) -> FilesLayer | None:
        """The static layer; the overlay where both locations are one."""
        return files_of(self.layers.static[0]) if self.layers.static else self._overlay_files

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


def files_of(layer: Layer | None) -> FilesLayer | None:
    """The layer of files itself, behind the wrappers that the configuration asks for; None for a layer of something else."""
    found: Any = None if layer is None else layer.unwrap()
    return found if hasattr(found, "full_path") else None


def _path(layer: FilesLayer | None, key: Key) -> str | None:
    return layer.full_path(layer.path_of(key)) if layer else None


def _fs(layer: FilesLayer | None) -> AbstractFileSystem | None:
    return layer.fs if layer else None


def _stem(path: str | None) -> str | None:
    if path is None:
        return None
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.removesuffix(".zarr").removesuffix(".json").removesuffix(".glb")
