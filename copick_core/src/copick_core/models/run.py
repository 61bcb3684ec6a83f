"""Runs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat

from copick_core.errors import AlreadyExistsError, by_caller
from copick_core.models.children import Children
from copick_core.models.entity import SizeFilter, check_flags, check_metadata, count, wanted_sizes
from copick_core.models.filaments_of_run import FilamentsOfRun
from copick_core.models.mesh import CopickMesh, MeshesOfRun
from copick_core.models.parent import E
from copick_core.models.picks import CopickPicks, PicksOfRun
from copick_core.models.segmentations import SegmentationsOfRun
from copick_core.models.volume import Volume
from copick_core.models.voxel_spacing import CopickVoxelSpacing
from copick_core.tree.keys import KINDS, Kind, RunKey, VoxelSpacingKey, child_kinds, voxel_size_key
from copick_core.tree.names import check_run_name
from copick_core.tree.schema import CopickConfig, CopickRunMeta, CopickVoxelSpacingMeta

if TYPE_CHECKING:
    from copick_core.models.root import CopickRoot


_VOXEL_SPACING = Kind.VOXEL_SPACING
#: Where a run keeps its children, by the table of kinds: ``_picks_children`` for picks.
_SLOTS = tuple(f"_{KINDS[kind].plural}_children" for kind in child_kinds(Kind.RUN))


class CopickRun(PicksOfRun, MeshesOfRun, FilamentsOfRun, SegmentationsOfRun):
    """A run: everything that belongs to one tilt series.

    Args:
        root: The project.
        meta: Its metadata.
        config: Configuration; that of the project by default.

    Attributes:
        root: The project.
        config: The project's configuration.
    """

    __slots__ = (*_SLOTS, "config", "root")

    _voxel_spacings_children: Children[CopickVoxelSpacing]

    def __init__(self, root: CopickRoot, meta: CopickRunMeta, config: CopickConfig | None = None) -> None:
        self._init_run(root, RunKey(check_run_name(meta.name)), meta, config)

    def _init_run(self, root: CopickRoot, key: RunKey, meta: CopickRunMeta | None, config: CopickConfig | None = None) -> None:
        self.root = root
        self.config = config or root.config
        self._key = key
        self._meta = meta
        # Not one for all: threads may list several kinds at once.
        for slot in _SLOTS:
            setattr(self, slot, Children(threading.RLock()))

    # ------------------------------------------------------------------ voxel spacings

    @property
    def voxel_spacings(self) -> list[CopickVoxelSpacing]:
        """Voxel spacings; listed when first asked for."""
        return self._voxel_spacings_children.all(self.query_voxelspacings)

    def query_voxelspacings(self) -> list[CopickVoxelSpacing]:
        """List the voxel spacings from storage."""
        return self._query(_VOXEL_SPACING)

    def get_voxel_spacing(self, voxel_size: SupportsFloat, **kwargs: Any) -> CopickVoxelSpacing | None:
        """The voxel spacing of a size, or None.

        Args:
            voxel_size: Voxel size in angstrom; compared by its first three decimals.
            **kwargs: Metadata of the handle, which nothing stores; if given, a spacing that does not exist is made.
        """
        key = VoxelSpacingKey(self.name, voxel_size_key(voxel_size))
        found = next(iter(self._voxel_spacings_children.get(key, lambda: self._probe(key))), None)
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
        check_flags(exist_ok=exist_ok)
        key = VoxelSpacingKey(self.name, voxel_size_key(voxel_size))
        existing = self._voxel_spacings_children.current(key, lambda: self._probe(key))
        if existing:
            return self._existing(existing, exist_ok)
        spacing_cls, meta_cls = self._voxel_spacing_factory()
        spacing = spacing_cls(self, meta_cls(voxel_size=key.voxel_size, **kwargs))
        spacing._create()
        return self._voxel_spacings_children.add(spacing)

    def delete_voxel_spacings(self, voxel_size: SizeFilter = None) -> None:
        """Delete the voxel spacings of a size in angstrom, or all of them, with everything below them.

        Raises:
            ReadOnlyError: A read-only layer holds one of them; then none is deleted.
        """
        sizes = wanted_sizes(voxel_size)
        self._voxel_spacings_children.delete([s for s in self.voxel_spacings if sizes is None or s.key.voxel_size in sizes])

    def _voxel_spacing_factory(self) -> tuple[type[CopickVoxelSpacing], type[CopickVoxelSpacingMeta]]:
        """Classes of voxel spacings and of their metadata."""
        return self._class(Kind.VOXEL_SPACING, CopickVoxelSpacing), CopickVoxelSpacingMeta

    # ------------------------------------------------------------------ the run itself

    def refresh_voxel_spacings(self) -> None:
        """Forget the voxel spacings; the next access lists them again."""
        self._refresh(self._voxel_spacings_children)
        self.root._sizes.pop(self.name, None)

    def refresh(self) -> None:
        """Forget everything below this run."""
        self._refresh(*map(self.__getattribute__, _SLOTS))
        self.root._sizes.pop(self.name, None)

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

    def _existing(self, found: Sequence[E], exist_ok: bool) -> E:
        """What ``new_…`` gives for a key that is taken: the writable one, else a writable copy, else the one there is."""
        if not exist_ok:
            way_out = None
            if _is_empty(found[0]):
                way_out = by_caller(
                    "It is empty: pass exist_ok=True to continue it.", "It is empty: pass --if-exists replace to replace it."
                )
            raise AlreadyExistsError(key=found[0].key, layer=found[0].layer, way_out=way_out)
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
        lists = ((f"len({slot[1:].removesuffix('_children')})", count(getattr(self, slot).listed)) for slot in _SLOTS)
        return (("name", self.name), *lists)


def _is_empty(entity: Any) -> bool:
    """Whether an annotation has no content, as one whose maker stopped before filling it."""
    try:
        if isinstance(entity, CopickPicks):
            return not len(entity.numpy()[0])
        return isinstance(entity, CopickMesh) and bool(entity.mesh.is_empty)
    except Exception:  # what cannot be read is not empty
        return False
