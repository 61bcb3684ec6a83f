"""Runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar

from copick_core.errors import AlreadyExistsError, ConflictError, InvalidDataError, InvalidNameError
from copick_core.models.children import Children
from copick_core.models.entity import Entity, SizeFilter, StringFilter, check_metadata, count, only, wanted, wanted_sizes
from copick_core.models.mesh import CopickMesh
from copick_core.models.picks import CopickPicks
from copick_core.models.segmentation import CopickSegmentation, segmentation_type
from copick_core.models.volume import Volume
from copick_core.models.voxel_spacing import CopickVoxelSpacing
from copick_core.tree.keys import MeshKey, PicksKey, RunKey, SegmentationKey, VoxelSpacingKey, voxel_size_key
from copick_core.tree.layout import file_name
from copick_core.tree.names import check_run_name, checked_name
from copick_core.tree.schema import (
    CopickConfig,
    CopickMeshMeta,
    CopickPicksFile,
    CopickRunMeta,
    CopickSegmentationMeta,
    CopickVoxelSpacingMeta,
    PickableObject,
)

if TYPE_CHECKING:
    from copick_core.models.root import CopickRoot

E = TypeVar("E", bound=Entity[Any])


class CopickRun(Entity[RunKey]):
    """A run: everything that belongs to one tilt series.

    Args:
        root: The project.
        meta: Its metadata.
        config: Configuration; that of the project by default.

    Attributes:
        root: The project.
        config: The project's configuration.
    """

    __slots__ = ("_meshes", "_picks", "_segmentations", "_voxel_spacings", "config", "root")

    _voxel_spacings: Children[CopickVoxelSpacing]
    _picks: Children[CopickPicks]
    _meshes: Children[CopickMesh]
    _segmentations: Children[CopickSegmentation]
    config: CopickConfig

    def __init__(self, root: CopickRoot, meta: CopickRunMeta, config: CopickConfig | None = None) -> None:
        self._init_run(root, RunKey(check_run_name(meta.name)), meta, config)

    def _init_run(self, root: CopickRoot, key: RunKey, meta: CopickRunMeta | None, config: CopickConfig | None = None) -> None:
        self.root = root
        self.config = config or root.config
        self._key = key
        self._meta = meta
        # Not one for all: threads may list several kinds at once.
        self._voxel_spacings = Children(threading.RLock())
        self._picks = Children(threading.RLock())
        self._meshes = Children(threading.RLock())
        self._segmentations = Children(threading.RLock())

    @property
    def name(self) -> str:
        """Name."""
        return self._key.name

    # ------------------------------------------------------------------ voxel spacings

    @property
    def voxel_spacings(self) -> list[CopickVoxelSpacing]:
        """Voxel spacings; listed when first asked for."""
        return self._voxel_spacings.all(self.query_voxelspacings)

    def query_voxelspacings(self) -> list[CopickVoxelSpacing]:
        """List the voxel spacings from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement query_voxelspacings()")

    def get_voxel_spacing(self, voxel_size: SupportsFloat, **kwargs: Any) -> CopickVoxelSpacing | None:
        """The voxel spacing of a size, or None.

        Args:
            voxel_size: Voxel size in angstrom; compared by its first three decimals.
            **kwargs: Metadata of the handle, which nothing stores; if given, a spacing that does not exist is made.
        """
        key = VoxelSpacingKey(self.name, voxel_size_key(voxel_size))
        found = next(iter(self._voxel_spacings.get(key, lambda: self._probe_voxel_spacings(key))), None)
        if found is None and kwargs:
            return self.new_voxel_spacing(voxel_size, **kwargs)
        return found

    def new_voxel_spacing(self, voxel_size: SupportsFloat, exist_ok: bool = False, **kwargs: Any) -> CopickVoxelSpacing:
        """Make a voxel spacing and store it.

        Args:
            voxel_size: Voxel size in angstrom; its first three decimals identify it.
            exist_ok: Give the existing one instead of failing.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            AlreadyExistsError: There is one of that size, and not ``exist_ok``.
            InvalidDataError: The size is not a finite number above 0.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_voxel_spacing, kwargs)
        key = VoxelSpacingKey(self.name, voxel_size_key(voxel_size))
        existing = self._voxel_spacings.current(key, lambda: self._probe_voxel_spacings(key))
        if existing:
            return self._existing(existing, exist_ok)
        spacing_cls, meta_cls = self._voxel_spacing_factory()
        spacing = spacing_cls(self, meta_cls(voxel_size=key.voxel_size, **kwargs))
        spacing._create()
        return self._voxel_spacings.add(spacing)

    def delete_voxel_spacings(self, voxel_size: SizeFilter = None) -> None:
        """Delete the voxel spacings of a size in angstrom, or all of them, with everything below them.

        Raises:
            ReadOnlyError: A read-only layer holds one of them; then none is deleted.
        """
        sizes = wanted_sizes(voxel_size)
        self._voxel_spacings.delete([s for s in self.voxel_spacings if sizes is None or s.key.voxel_size in sizes])

    def _probe_voxel_spacings(self, key: VoxelSpacingKey) -> Sequence[CopickVoxelSpacing]:
        return [v for v in self.voxel_spacings if v.key == key]

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacing], type[CopickVoxelSpacingMeta]]:
        """Classes of voxel spacings and of their metadata."""
        return CopickVoxelSpacing, CopickVoxelSpacingMeta

    # ------------------------------------------------------------------ picks

    @property
    def picks(self) -> list[CopickPicks]:
        """Picks; listed when first asked for."""
        return self._picks.all(self.query_picks)

    def query_picks(self) -> list[CopickPicks]:
        """List the picks from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement query_picks()")

    def user_picks(self) -> list[CopickPicks]:
        """Picks that users made."""
        return [p for p in self.picks if p.from_user]

    def tool_picks(self) -> list[CopickPicks]:
        """Picks that tools made."""
        return [p for p in self.picks if p.from_tool]

    def get_picks(
        self,
        object_name: StringFilter = None,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        *,
        layer: str | None = None,
    ) -> list[CopickPicks]:
        """Picks that pass all filters; each is one value, several, or None for all.

        Args:
            object_name: Object or objects.
            user_id: User or users.
            session_id: Session or sessions.
            layer: Only those in the layer of this name.
        """
        return self._annotations(self._picks, PicksKey, self.query_picks, (object_name, user_id, session_id), layer)

    def new_picks(self, object_name: str, session_id: str, user_id: str | None = None, exist_ok: bool = False) -> CopickPicks:
        """Make picks without points and store them.

        Args:
            object_name: Object; the project must list it.
            session_id: Session; "0" for tools.
            user_id: User or tool; that of the configuration by default.
            exist_ok: Give the existing ones instead of failing; read-only ones are copied into the overlay.

        Raises:
            UnknownObjectError: The project does not list the object.
            AlreadyExistsError: They exist, and not ``exist_ok``.
            InvalidNameError: A name cannot be stored, or there is no user id.
            ReadOnlyError: The project has no writable overlay.
        """
        key = self._annotation_key(PicksKey, object_name, session_id, user_id)

        def make() -> CopickPicks:
            file = CopickPicksFile(
                pickable_object_name=key.object_name,
                user_id=key.user_id,
                session_id=key.session_id,
                run_name=self.name,
            )
            picks = self._picks_factory()(self, file)
            picks._revision = None  # nothing is stored: if somebody else is faster, that is a conflict
            picks.store()
            return picks

        return self._new_stored(self._picks, key, self._probe_picks, make, exist_ok)

    def delete_picks(
        self, object_name: StringFilter = None, user_id: StringFilter = None, session_id: StringFilter = None
    ) -> None:
        """Delete the picks that pass all filters.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._picks.delete(self.get_picks(object_name, user_id, session_id))

    def _probe_picks(self, key: PicksKey) -> Sequence[CopickPicks]:
        return [p for p in self.picks if p.key == key]

    def _picks_factory(self) -> type[CopickPicks]:
        """Class of picks."""
        return CopickPicks

    # ------------------------------------------------------------------ meshes

    @property
    def meshes(self) -> list[CopickMesh]:
        """Meshes; listed when first asked for."""
        return self._meshes.all(self.query_meshes)

    def query_meshes(self) -> list[CopickMesh]:
        """List the meshes from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement query_meshes()")

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
        return self._annotations(self._meshes, MeshKey, self.query_meshes, (object_name, user_id, session_id), layer)

    def new_mesh(
        self,
        object_name: str,
        session_id: str,
        user_id: str | None = None,
        exist_ok: bool = False,
        **kwargs: Any,
    ) -> CopickMesh:
        """Make an empty mesh and store it; arguments and errors are those of :meth:`new_picks`."""
        check_metadata(self.new_mesh, kwargs)
        key = self._annotation_key(MeshKey, object_name, session_id, user_id)

        def make() -> CopickMesh:
            import trimesh

            mesh_cls, meta_cls = self._mesh_factory()
            meta = meta_cls(pickable_object_name=key.object_name, user_id=key.user_id, session_id=key.session_id, **kwargs)
            mesh = mesh_cls(self, meta, trimesh.Trimesh())
            mesh._revision = None  # nothing is stored: if somebody else is faster, that is a conflict
            mesh.store()
            return mesh

        return self._new_stored(self._meshes, key, self._probe_meshes, make, exist_ok)

    def delete_meshes(
        self, object_name: StringFilter = None, user_id: StringFilter = None, session_id: StringFilter = None
    ) -> None:
        """Delete the meshes that pass all filters.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._meshes.delete(self.get_meshes(object_name, user_id, session_id))

    def _probe_meshes(self, key: MeshKey) -> Sequence[CopickMesh]:
        return [m for m in self.meshes if m.key == key]

    def _mesh_factory(self) -> tuple[type[CopickMesh], type[CopickMeshMeta]]:
        """Classes of meshes and of their metadata."""
        return CopickMesh, CopickMeshMeta

    # ------------------------------------------------------------------ segmentations

    @property
    def segmentations(self) -> list[CopickSegmentation]:
        """Segmentations of all types; listed when first asked for."""
        return self._segmentations.all(self.query_segmentations)

    def query_segmentations(self) -> list[CopickSegmentation]:
        """List the segmentations from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement query_segmentations()")

    def user_segmentations(self) -> list[CopickSegmentation]:
        """Segmentations that users made."""
        return [s for s in self.segmentations if s.from_user]

    def tool_segmentations(self) -> list[CopickSegmentation]:
        """Segmentations that tools made."""
        return [s for s in self.segmentations if s.from_tool]

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
    ) -> list[CopickSegmentation]:
        """Segmentations that pass all filters; instance and panoptic ones only where they are asked for.

        Args:
            user_id: User or users; None for all.
            session_id: Session or sessions; None for all.
            is_multilabel: Whether multilabel; None for both.
            name: Name or names; None for all.
            voxel_size: Voxel size or sizes in angstrom, compared by their first three decimals; None for all.
            is_instance: Whether instance; None for both.
            is_panoptic: Whether panoptic; None for both.
            layer: Only those in the layer of this name.
        """
        users, sessions, names, sizes = (
            wanted(user_id),
            wanted(session_id),
            wanted(name),
            wanted_sizes(voxel_size),
        )
        found: Iterable[CopickSegmentation]
        if is_multilabel is None or is_instance is None or is_panoptic is None:
            found = self.segmentations
        elif (user := only(users)) and (session := only(sessions)) and (one_name := only(names)) and (size := only(sizes)):
            try:
                kind = segmentation_type(is_multilabel, is_instance, is_panoptic)
            except InvalidDataError:
                return []  # no segmentation is of two types
            key = SegmentationKey(self.name, size, one_name, user, session, kind)
            found = self._segmentations.get(key, lambda: self._probe_segmentations(key))
        else:
            found = self.segmentations
        return [
            s
            for s in found
            if (users is None or s.user_id in users)
            and (sessions is None or s.session_id in sessions)
            and (names is None or s.name in names)
            and (sizes is None or s.key.voxel_size in sizes)
            and (is_multilabel is None or s.is_multilabel == is_multilabel)
            and (is_instance is None or s.is_instance == is_instance)
            and (is_panoptic is None or s.is_panoptic == is_panoptic)
            and (layer is None or s.layer == layer)
        ]

    def new_segmentation(
        self,
        voxel_size: SupportsFloat,
        name: str,
        session_id: str,
        is_multilabel: bool = False,
        user_id: str | None = None,
        exist_ok: bool = False,
        *,
        is_instance: bool = False,
        is_panoptic: bool = False,
        **kwargs: Any,
    ) -> CopickSegmentation:
        """Make a segmentation; it becomes visible to others when data are written to it.

        Args:
            voxel_size: Voxel size in angstrom; its first three decimals identify it.
            name: Object for binary and instance segmentations; any name otherwise.
            session_id: Session; "0" for tools.
            is_multilabel: Voxels hold labels of several objects.
            user_id: User or tool; that of the configuration by default.
            exist_ok: Give the existing one instead of failing; a read-only one is copied into the overlay.
            is_instance: Voxels hold ids of instances of one object.
            is_panoptic: Voxels hold a label and an instance id.
            **kwargs: Further metadata, of this handle only: nothing stores them.

        Raises:
            UnknownObjectError: A binary or instance segmentation of something that is no object of the project.
            AlreadyExistsError: It exists, and not ``exist_ok``.
            InvalidNameError: A name cannot be stored, or there is no user id.
            InvalidDataError: More than one type is set.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_segmentation, kwargs)
        kind = segmentation_type(is_multilabel, is_instance, is_panoptic)
        if kind in ("binary", "instance"):
            self._object(name)
        key = SegmentationKey(
            self.name,
            voxel_size_key(voxel_size),
            checked_name("segmentation name", name),
            self._user_id(user_id),
            checked_name("session_id", session_id),
            kind,
        )
        file_name(key)  # refuses names that would be ambiguous or too long, before anything is made
        existing = self._segmentations.current(key, lambda: self._probe_segmentations(key))
        if existing:
            return self._segmentations.add(self._existing(existing, exist_ok))
        segmentation_cls, meta_cls = self._segmentation_factory()
        meta = meta_cls(
            user_id=key.user_id,
            session_id=key.session_id,
            name=key.name,
            is_multilabel=is_multilabel,
            is_instance=is_instance,
            is_panoptic=is_panoptic,
            voxel_size=key.voxel_size,
            **kwargs,
        )
        return self._segmentations.add(segmentation_cls(self, meta))

    def delete_segmentations(
        self,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        is_multilabel: bool | None = None,
        name: StringFilter = None,
        voxel_size: SizeFilter = None,
        *,
        is_instance: bool | None = False,
        is_panoptic: bool | None = False,
    ) -> None:
        """Delete the segmentations that pass all filters of :meth:`get_segmentations`.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._segmentations.delete(
            self.get_segmentations(
                user_id,
                session_id,
                is_multilabel,
                name,
                voxel_size,
                is_instance=is_instance,
                is_panoptic=is_panoptic,
            )
        )

    def _probe_segmentations(self, key: SegmentationKey) -> Sequence[CopickSegmentation]:
        return [s for s in self.segmentations if s.key == key]

    def _segmentation_factory(self) -> tuple[type[CopickSegmentation], type[CopickSegmentationMeta]]:
        """Classes of segmentations and of their metadata."""
        return CopickSegmentation, CopickSegmentationMeta

    # ------------------------------------------------------------------ the run itself

    def refresh_voxel_spacings(self) -> None:
        """Forget the voxel spacings; the next access lists them again."""
        self._voxel_spacings.forget()

    def refresh_picks(self) -> None:
        """Forget the picks; the next access lists them again."""
        self._picks.forget()

    def refresh_meshes(self) -> None:
        """Forget the meshes; the next access lists them again."""
        self._meshes.forget()

    def refresh_segmentations(self) -> None:
        """Forget the segmentations; the next access lists them again."""
        self._segmentations.forget()

    def refresh(self) -> None:
        """Forget everything below this run."""
        for children in (self._voxel_spacings, self._picks, self._meshes, self._segmentations):
            children.forget()

    def ensure(self, create: bool = False) -> bool:
        """Whether the run is stored; with ``create``, make it if it is not."""
        raise NotImplementedError(f"{type(self).__name__} must implement ensure()")

    def _create(self) -> None:
        """Make the run, of which one has just learned that it is not stored."""
        self.ensure(create=True)

    def delete(self) -> None:
        """Delete the run and everything below it from storage.

        Raises:
            ReadOnlyError: It, or something below it, lives in a read-only layer; nothing was deleted.
        """
        self._delete_data()
        self.refresh()
        self.root._run_children.remove(self)

    def _delete_data(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} must implement _delete_data()")

    # ------------------------------------------------------------------ shared by the kinds

    def _annotations(
        self,
        children: Children[E],
        key_cls: type[PicksKey] | type[MeshKey],
        query: Callable[[], list[E]],
        filters: tuple[StringFilter, StringFilter, StringFilter],
        layer: str | None,
    ) -> list[E]:
        """Picks or meshes by object, user and session; a single address is looked up without listing."""
        objects, users, sessions = (wanted(f) for f in filters)
        name, user, session = only(objects), only(users), only(sessions)
        found: Iterable[Any]
        if name and user and session:
            key = key_cls(self.name, name, user, session)
            probe: Any = self._probe_picks if key_cls is PicksKey else self._probe_meshes
            found = children.get(key, lambda: probe(key))
        else:
            found = children.all(query)
        return [
            a
            for a in found
            if (objects is None or a.key.object_name in objects)
            and (users is None or a.key.user_id in users)
            and (sessions is None or a.key.session_id in sessions)
            and (layer is None or a.layer == layer)
        ]

    def _annotation_key(self, key_cls: type[Any], object_name: str, session_id: str, user_id: str | None) -> Any:
        """Key of new picks or a new mesh, from names that have been checked."""
        self._object(object_name)
        key = key_cls(self.name, object_name, self._user_id(user_id), checked_name("session_id", session_id))
        file_name(key)
        return key

    def _user_id(self, user_id: str | None) -> str:
        user_id = user_id or self.config.user_id
        if not user_id:
            raise InvalidNameError(
                what="user_id", name="", reason="pass one, or set user_id in the configuration or on the root"
            )
        return checked_name("user_id", user_id)

    def _object(self, name: str) -> PickableObject:
        """An object of the project; UnknownObjectError if it lists none of that name."""
        return self.root._pickable_object(name)

    def _new_stored(
        self, children: Children[E], key: Any, probe: Callable[[Any], Sequence[E]], make: Callable[[], E], exist_ok: bool
    ) -> E:
        """What ``new_…`` gives for a key of picks or meshes, which are stored at once."""

        def try_once() -> E:
            existing = children.current(key, lambda: probe(key))
            return children.add(self._existing(existing, exist_ok) if existing else make())

        try:
            return try_once()
        except ConflictError:
            if not exist_ok:
                raise
            return try_once()  # somebody else was faster: theirs is the existing one

    def _existing(self, found: Sequence[E], exist_ok: bool) -> E:
        """What ``new_…`` gives for a key that is taken: the writable one, else a writable copy, else the one there is."""
        if not exist_ok:
            raise AlreadyExistsError(key=found[0].key, layer=found[0].layer)
        writable = [h for h in found if not h.read_only]
        if not writable:
            return self._writable_copy(found[-1])
        existing = writable[-1]
        if isinstance(existing, Volume) and existing._unsaved:
            existing.refresh()  # somebody else may have written it since: whoever takes what there is may replace it
        return existing

    def _writable_copy(self, entity: E) -> E:
        """A copy of a read-only entity that can be written; places that have an overlay make it there."""
        return entity

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return (
            ("name", self.name),
            ("len(voxel_spacings)", count(self._voxel_spacings.listed)),
            ("len(picks)", count(self._picks.listed)),
            ("len(meshes)", count(self._meshes.listed)),
            ("len(segmentations)", count(self._segmentations.listed)),
        )
