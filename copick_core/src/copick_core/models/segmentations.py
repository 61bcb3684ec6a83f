"""The segmentations of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, SupportsFloat

from copick_core.models.annotations import AnnotationsOfRun
from copick_core.models.entity import SizeFilter, StringFilter, check_metadata, wanted, wanted_sizes
from copick_core.models.segmentation import CopickSegmentation, segmentation_type, segmentation_types
from copick_core.tree.keys import Kind, SegmentationKey, SegmentationType, voxel_size_key
from copick_core.tree.names import checked_name
from copick_core.tree.schema import CopickSegmentationMeta

if TYPE_CHECKING:
    from copick_core.models.children import Children

_SEGMENTATION = Kind.SEGMENTATION


class SegmentationsOfRun(AnnotationsOfRun):
    """A run, as the holder of segmentations."""

    __slots__ = ()

    _segmentations_children: Children[CopickSegmentation]

    @property
    def segmentations(self) -> list[CopickSegmentation]:
        """Segmentations of all types; listed when first asked for."""
        return self._segmentations_children.all(self.query_segmentations)

    def query_segmentations(self) -> list[CopickSegmentation]:
        """List the segmentations from storage."""
        return self._query(_SEGMENTATION)

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
        types = segmentation_types(is_multilabel, is_instance, is_panoptic)
        filters = wanted_sizes(voxel_size), wanted(name), wanted(user_id), wanted(session_id), types
        return self._filtered(self._segmentations_children, self.query_segmentations, SegmentationKey, filters, layer)

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
            UnknownObjectError: A binary or instance segmentation of something that is not an object of the project.
            AlreadyExistsError: It exists, and not ``exist_ok``.
            InvalidNameError: A name cannot be stored, or there is no user id.
            InvalidDataError: More than one type is set, or an argument is in the place of another.
            ReadOnlyError: The project has no writable overlay.
        """
        check_metadata(self.new_segmentation, kwargs)
        kind = segmentation_type(is_multilabel, is_instance, is_panoptic)
        key = self._segmentation_key(kind, voxel_size, name, user_id, session_id)
        return self._new(self._segmentations_children, key, exist_ok, lambda: self._unsaved_segmentation(key, kwargs))

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
        self._segmentations_children.delete(
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

    def refresh_segmentations(self) -> None:
        """Forget the segmentations; the next access lists them again."""
        self._refresh(self._segmentations_children)

    def _segmentation_factory(self) -> tuple[type[CopickSegmentation], type[CopickSegmentationMeta]]:
        """Classes of segmentations and of their metadata."""
        return self._class(Kind.SEGMENTATION, CopickSegmentation), CopickSegmentationMeta

    def _segmentation_key(
        self, kind: SegmentationType, voxel_size: SupportsFloat, name: str, user_id: str | None, session_id: str
    ) -> SegmentationKey:
        """Key of a new segmentation, from values that have been checked."""
        if kind in ("binary", "instance"):
            name = self._object(name).name
        size = voxel_size_key(voxel_size)
        return SegmentationKey(
            self.name, size, checked_name("segmentation name", name), *self._made_by(user_id, session_id), kind
        )

    def _unsaved_segmentation(self, key: SegmentationKey, metadata: Mapping[str, Any]) -> CopickSegmentation:
        segmentation_cls, meta_cls = self._segmentation_factory()
        types = ("multilabel", "instance", "panoptic")
        flags: dict[str, Any] = {f"is_{name}": key.segmentation_type == name for name in types}
        names: dict[str, Any] = {"name": key.name, "user_id": key.user_id, "session_id": key.session_id}
        return segmentation_cls(self._run, meta_cls(voxel_size=key.voxel_size, **names, **flags, **metadata))
