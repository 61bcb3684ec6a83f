"""Meshes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from copick_core.layers.revisions import ANY
from copick_core.models.annotation_file import AnnotationFile
from copick_core.models.annotations import AnnotationsOfRun
from copick_core.models.entity import StringFilter, check_metadata, wanted
from copick_core.tree.keys import Kind, MeshKey
from copick_core.tree.schema import CopickMeshMeta

if TYPE_CHECKING:
    from trimesh.parent import Geometry

    from copick_core.layers.revisions import Revision
    from copick_core.models.children import Children
    from copick_core.models.run import CopickRun

_MESH = Kind.MESH


class CopickMesh(AnnotationFile[MeshKey]):
    """A triangle mesh of an object, in angstrom (x, y, z).

    Args:
        run: The run.
        meta: Its metadata.
        mesh: Its geometry, if it is known already.

    Attributes:
        run: The run.
    """

    __slots__ = ("_mesh", "_revision", "run")

    _mesh: Geometry | None

    def __init__(self, run: CopickRun, meta: CopickMeshMeta, mesh: Geometry | None = None) -> None:
        self.run = run
        self._key = MeshKey(run.name, meta.pickable_object_name, meta.user_id, meta.session_id)
        self._meta = meta
        self._mesh = mesh
        self._revision = ANY

    @property
    def mesh(self) -> Geometry:
        """The geometry, a ``trimesh.Scene`` when read; assigning replaces it in memory, :meth:`store` writes it."""
        mesh = self._mesh  # once: another thread may refresh() at any moment
        return self.load() if mesh is None else mesh

    @mesh.setter
    def mesh(self, value: Geometry) -> None:
        if self._mesh is None and self._revision is ANY:
            self._note_revision()
        self._mesh = value

    def load(self) -> Geometry:
        """Read the mesh from storage, dropping what is in memory."""
        mesh, self._revision = self._load()
        self._mesh = mesh
        return mesh

    def store(self) -> None:
        """Write the mesh as GLB, all or nothing.

        Raises:
            ReadOnlyError: It is read-only.
            ConflictError: Someone else has stored since this mesh was read; nothing was written.
            InvalidDataError: It cannot be exported.
        """
        self._check_writable()
        mesh = self._mesh
        if mesh is not None:
            self._revision = self._store(mesh)

    def refresh(self) -> None:
        """Forget what is in memory; the next access reads it again."""
        self._mesh = None
        self._revision = ANY

    def _load(self) -> tuple[Geometry, Revision | None]:
        raise NotImplementedError(f"{type(self).__name__} must implement _load()")

    def _note_revision(self) -> None:
        """Remember what is stored before it is replaced unseen, where the place can tell, so that a conflict is noticed."""

    def _store(self, mesh: Geometry) -> Revision | None:
        raise NotImplementedError(f"{type(self).__name__} must implement _store()")


class MeshesOfRun(AnnotationsOfRun):
    """A run, as the holder of meshes."""

    __slots__ = ()

    _meshes_children: Children[CopickMesh]

    @property
    def meshes(self) -> list[CopickMesh]:
        """Meshes; listed when first asked for."""
        return self._meshes_children.all(self.query_meshes)

    def query_meshes(self) -> list[CopickMesh]:
        """List the meshes from storage."""
        return self._query(_MESH)

    def user_meshes(self) -> list[CopickMesh]:
        """Meshes that users made."""
        return [m for m in self.meshes if m.from_user]

    def tool_meshes(self) -> list[CopickMesh]:
        """Meshes that tools made."""
        return [m for m in self.meshes if m.from_tool]

    def get_meshes(
        self,
        object_name: StringFilter = None,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        *,
        layer: str | None = None,
    ) -> list[CopickMesh]:
        """Meshes that pass all filters; see :meth:`get_picks`."""
        filters = wanted(object_name), wanted(user_id), wanted(session_id)
        return self._filtered(self._meshes_children, self.query_meshes, MeshKey, filters, layer)

    def new_mesh(
        self,
        object_name: str,
        session_id: str,
        user_id: str | None = None,
        exist_ok: bool = False,
        mesh: Geometry | None = None,
        **kwargs: Any,
    ) -> CopickMesh:
        """Make a mesh and store it, in one step with its geometry if that is given: both are stored, or nothing is.

        Args:
            object_name: As :meth:`new_picks` takes it, as the three that follow; so are the errors.
            session_id: Session.
            user_id: User or tool.
            exist_ok: Give the existing one instead of failing; a geometry that is given replaces its own.
            mesh: The geometry, vertices in angstrom; an empty one by default.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            InvalidDataError: The geometry cannot be exported; nothing was stored.
        """
        check_metadata(self.new_mesh, kwargs)

        def fill(made: CopickMesh) -> None:
            made.mesh = mesh  # type: ignore[assignment]
            made.store()

        key = MeshKey(self.name, self._object(object_name).name, *self._made_by(user_id, session_id))
        return self._new_stored(
            self._meshes_children, key, exist_ok, lambda: self._empty_mesh(key, kwargs), None if mesh is None else fill
        )

    def delete_meshes(
        self, object_name: StringFilter = None, user_id: StringFilter = None, session_id: StringFilter = None
    ) -> None:
        """Delete the meshes that pass all filters.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._meshes_children.delete(self.get_meshes(object_name, user_id, session_id))

    def refresh_meshes(self) -> None:
        """Forget the meshes; the next access lists them again."""
        self._refresh(self._meshes_children)

    def _mesh_factory(self) -> tuple[type[CopickMesh], type[CopickMeshMeta]]:
        """Classes of meshes and of their metadata."""
        return self._class(Kind.MESH, CopickMesh), CopickMeshMeta

    def _empty_mesh(self, key: MeshKey, metadata: Mapping[str, Any]) -> CopickMesh:
        from trimesh import Trimesh

        mesh_cls, meta_cls = self._mesh_factory()
        names: dict[str, Any] = {"pickable_object_name": key.object_name, "user_id": key.user_id, "session_id": key.session_id}
        return mesh_cls(self._run, meta_cls(**names, **metadata), Trimesh())
