"""Filaments of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from copick_core.errors import InvalidDataError
from copick_core.models.annotations import AnnotationsOfRun
from copick_core.models.entity import StringFilter, wanted
from copick_core.models.filaments import CopickFilaments
from copick_core.tree.keys import FilamentsKey, Kind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from copick_core.filaments.values import CopickFilamentCurve
    from copick_core.models.children import Children

_FILAMENTS = Kind.FILAMENTS


class FilamentValues(TypedDict, total=False):
    """What :meth:`CopickFilaments.from_numpy` takes beside polylines."""

    instance_ids: Iterable[int] | None
    polarity_known: Iterable[bool] | None
    scores: Iterable[float] | None
    radii: Iterable[float | None] | None
    voxel_spacing: float | None
    metadata: Iterable[Mapping[str, Any] | None] | None


class FilamentsOfRun(AnnotationsOfRun):
    """A run, as the holder of filaments."""

    __slots__ = ()

    _filaments_children: Children[CopickFilaments]

    @property
    def filaments(self) -> list[CopickFilaments]:
        """Filaments; listed when first asked for."""
        return self._filaments_children.all(self.query_filaments)

    def query_filaments(self) -> list[CopickFilaments]:
        """List the filaments from storage."""
        return self._query(_FILAMENTS)

    def user_filaments(self) -> list[CopickFilaments]:
        """Filaments that users made."""
        return [f for f in self.filaments if f.from_user]

    def tool_filaments(self) -> list[CopickFilaments]:
        """Filaments that tools made."""
        return [f for f in self.filaments if f.from_tool]

    def get_filaments(
        self,
        object_name: StringFilter = None,
        user_id: StringFilter = None,
        session_id: StringFilter = None,
        *,
        layer: str | None = None,
    ) -> list[CopickFilaments]:
        """Filaments that pass all filters; see :meth:`get_picks`."""
        filters = wanted(object_name), wanted(user_id), wanted(session_id)
        return self._filtered(self._filaments_children, self.query_filaments, FilamentsKey, filters, layer)

    def new_filaments(
        self,
        object_name: str,
        session_id: str,
        user_id: str | None = None,
        exist_ok: bool = False,
        *,
        polylines: Sequence[ArrayLike] | None = None,
        curves: Sequence[CopickFilamentCurve | Mapping[str, Any]] | None = None,
        **values: Unpack[FilamentValues],
    ) -> CopickFilaments:
        """Make filaments and store them, in one step with their content if it is given: both are stored, or nothing is.

        The log has a warning if the object is not declared a filament (``new_object(…, filament={})``).

        Args:
            object_name: As :meth:`new_picks` takes it, as the three that follow; so are the errors.
            session_id: Session.
            user_id: User or tool.
            exist_ok: Give the existing ones instead of failing; filaments that are given replace theirs.
            polylines: As :meth:`CopickFilaments.from_numpy` takes them; without them and ``curves`` there are no filaments.
            curves: As :meth:`CopickFilaments.from_curves` takes them, instead of ``polylines``.
            **values: ``instance_ids``, ``polarity_known``, ``scores``, ``radii``, ``voxel_spacing`` and ``metadata``, as
                :meth:`CopickFilaments.from_numpy` takes them.

        Raises:
            InvalidDataError: The filaments cannot be stored, or there are neither polylines nor curves for what is given of
                them, or both.
        """
        declared = self._object(object_name)
        key = FilamentsKey(self.name, declared.name, *self._made_by(user_id, session_id))
        if not declared.is_filament:
            import logging

            logging.getLogger(__name__).warning("%s: object %r is not declared a filament", key, declared.name)
        if polylines is not None and curves is not None:
            raise InvalidDataError(source=key, reason="there are polylines and curves; pass one of them")
        if polylines is None and curves is None and values:
            raise InvalidDataError(source=key, reason=f"there are no filaments for {', '.join(values)}; pass polylines= too")

        def fill(made: CopickFilaments) -> None:
            if curves is not None:
                made.from_curves(curves, **values)
            elif polylines is not None:
                made.from_numpy(polylines, **values)

        given = polylines is not None or curves is not None
        return self._new_stored(
            self._filaments_children, key, exist_ok, lambda: self._empty_filaments(key), fill if given else None
        )

    def delete_filaments(
        self, object_name: StringFilter = None, user_id: StringFilter = None, session_id: StringFilter = None
    ) -> None:
        """Delete the filaments that pass all filters.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._filaments_children.delete(self.get_filaments(object_name, user_id, session_id))

    def refresh_filaments(self) -> None:
        """Forget the filaments; the next access lists them again."""
        self._refresh(self._filaments_children)

    def _filaments_factory(self) -> type[CopickFilaments]:
        """Class of filaments."""
        return self._class(Kind.FILAMENTS, CopickFilaments)

    def _empty_filaments(self, key: FilamentsKey) -> CopickFilaments:
        names: dict[str, Any] = {"pickable_object_name": key.object_name, "user_id": key.user_id, "session_id": key.session_id}
        from copick_core.filaments.values import CopickFilamentsFile

        return self._filaments_factory()(self._run, CopickFilamentsFile(**names, run_name=self.name))
