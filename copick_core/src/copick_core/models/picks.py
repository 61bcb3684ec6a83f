"""Picks: points of an object, by one user or tool, in one session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from copick_core.errors import InvalidDataError
from copick_core.layers.revisions import ANY
from copick_core.models.annotation_file import HeadedFile
from copick_core.models.annotations import AnnotationsOfRun
from copick_core.models.entity import StringFilter, wanted
from copick_core.tree.keys import Kind, PicksKey
from copick_core.tree.schema import CopickPicksFile, CopickPoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

    from copick_core.layers.revisions import Revision
    from copick_core.models.children import Children
    from copick_core.models.run import CopickRun
    from copick_core.picks import PicksArrays

_PICKS = Kind.PICKS


class CopickPicks(HeadedFile[PicksKey, CopickPicksFile]):
    """Points of an object, in angstrom.

    Points are kept as arrays (:meth:`numpy`, :meth:`from_numpy`), which is fast; :attr:`points` builds objects from them when
    it is first used, and from then on the list is what :meth:`store` writes, however it was changed.

    Args:
        run: The run.
        file: Content: names, and points if they are known.

    Attributes:
        run: The run.
    """

    __slots__ = ("_arrays", "run")

    _content_field = "points"
    #: The points while no list of them is in use; the list, ``meta.points``, wins where there is one.
    _arrays: PicksArrays | None

    def __init__(self, run: CopickRun, file: CopickPicksFile) -> None:
        self.run = run
        self._key = PicksKey(run.name, file.pickable_object_name, file.user_id, file.session_id)
        self._meta = file
        self._arrays = None
        self._loaded = file.points is not None
        self._revision = ANY

    # ------------------------------------------------------------------ content

    @property
    def meta(self) -> CopickPicksFile:
        """Content of the file; ``points`` is None until they are used. Assigning it replaces the content in memory."""
        return super().meta  # type: ignore[return-value]

    @meta.setter
    def meta(self, file: CopickPicksFile) -> None:
        if file.points is not None and not self._loaded:
            self._load_header()
        self._meta = file
        self._arrays = None
        self._loaded = file.points is not None

    @property
    def points(self) -> list[CopickPoint]:
        """The points; read when first asked for. Assigning replaces them in memory; :meth:`store` writes them."""
        return self._points_in(*self._content())

    @points.setter
    def points(self, value: Iterable[CopickPoint]) -> None:
        meta = self._meta_to_keep()
        meta.points = list(value)
        self._hold(meta)

    def numpy(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Locations and transforms as arrays.

        Returns:
            Locations (n, 3) in angstrom, columns x, y, z; and transforms (n, 4, 4). Both are copies.
        """
        arrays = self._as_arrays()
        return arrays.positions.copy(), arrays.transforms.copy()

    def from_numpy(
        self,
        positions: ArrayLike,
        transforms: ArrayLike | None = None,
        instance_ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
        *,
        strict: bool | None = None,
    ) -> None:
        """Replace all points and store them.

        Args:
            positions: Locations (n, 3) in angstrom, columns x, y, z.
            transforms: Transforms (n, 4, 4), last row 0, 0, 0, 1; identity by default.
            instance_ids: Instance ids (n,), integers from 0; 0 by default.
            scores: Scores (n,); 1 by default.
            columns: Further columns by name, each (n,): numbers or text; none by default. NaN and None are not values.
            strict: Refuse points outside of every tomogram of the run instead of warning of them; storage is asked for the
                tomograms then. By default as the configuration says.

        Raises:
            InvalidDataError: Shapes differ, values are not finite, or ``strict`` refuses them; names the first such point.
                Nothing was stored.
            ReadOnlyError: The picks are read-only.
            ConflictError: Someone else has stored since these picks were read.

        Warns:
            UserWarning: Once for these picks, if points lie outside of every tomogram of the run that is known.
        """
        from copick_core.picks import from_arrays

        self._check_writable()
        source = str(self._key)
        header = self._header(self.meta)
        arrays = from_arrays(positions, transforms, instance_ids, scores, columns=columns, header=header, source=source)
        meta = self._meta_to_keep()
        self._check_positions([arrays.positions], strict)
        meta.points = None
        self._hold(meta, arrays)
        self._write(meta, arrays)

    def instance_ids(self) -> NDArray[np.int64]:
        """Instance ids of the points, (n,)."""
        return self._as_arrays().instance_ids.copy()

    def scores(self) -> NDArray[np.float64]:
        """Scores of the points, (n,)."""
        return self._as_arrays().scores.copy()

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Further columns of the points by name, such as half set or class: copies of arrays (n,).

        Integers, floats (NaN: no value), booleans or text; objects (None: no value) where values differ in kind.
        """
        return {name: array.copy() for name, array in self._as_arrays().columns.items()}

    def df(self) -> DataFrame:
        """The points as a pandas DataFrame.

        Returns:
            A row for each point: ``x``, ``y``, ``z`` in angstrom, ``transform_00`` to ``transform_33``, ``score``,
            ``instance_id``, and the further :attr:`columns`.

        Raises:
            InvalidDataError: A further column has one of these names.
            MissingDependencyError: pandas is not installed.
        """
        from copick_core.picks.frames import frame_of

        return frame_of(self._as_arrays(), str(self._key))

    def from_df(self, frame: DataFrame) -> None:
        """Replace all points by those of a table and store them.

        Args:
            frame: As :meth:`df` makes it; only ``x``, ``y`` and ``z`` are required. Further columns become :attr:`columns`.

        Raises:
            InvalidDataError: A column is missing, or as for :meth:`from_numpy`. Nothing was stored.
            ReadOnlyError: The picks are read-only.
            ConflictError: Someone else has stored since these picks were read.
        """
        from copick_core.picks.frames import arrays_in

        self.from_numpy(**arrays_in(frame, str(self._key)))

    def full_positions(self) -> NDArray[np.float64]:
        """Centres of the particles: locations plus the translations of their transforms; (n, 3) in angstrom."""
        arrays = self._as_arrays()
        return arrays.positions + arrays.transforms[:, :3, 3]

    @property
    def trust_orientation(self) -> bool:
        """Whether the points' rotations mean something; read with the points."""
        value = self._content()[0].trust_orientation
        return True if value is None else value

    def _content(self) -> tuple[CopickPicksFile, PicksArrays | None]:
        """What is in memory, read if there is nothing; taken together, since another thread may refresh() at any moment."""
        loaded, meta, arrays = self._loaded, self._meta, self._arrays
        if loaded and meta is not None and (meta.points is not None or arrays is not None):
            return meta, arrays
        return self._read()

    def _hold(self, meta: CopickPicksFile, arrays: PicksArrays | None = None) -> None:
        self._meta, self._arrays, self._loaded = meta, arrays, True

    def _points_in(self, meta: CopickPicksFile, arrays: PicksArrays | None) -> list[CopickPoint]:
        """The points as objects, which the arrays give way to."""
        if meta.points is None:
            from copick_core.picks import points_of

            meta.points = points_of(arrays) if arrays is not None else []
            if self._meta is meta:
                self._arrays = None
        return meta.points

    def _as_arrays(self) -> PicksArrays:
        return self._arrays_in(*self._content())

    def _arrays_in(self, meta: CopickPicksFile, arrays: PicksArrays | None) -> PicksArrays:
        from copick_core.picks import arrays_of

        if meta.points is None and arrays is not None:
            return arrays
        return arrays_of(meta.points or [], self._header(meta), source=str(self._key))

    # ------------------------------------------------------------------ storage

    def load(self) -> CopickPicksFile:
        """Read the picks from storage, dropping what is in memory.

        Which entity they are is told by their file's name; a file that says otherwise (it was copied or renamed) is
        believed in everything else, with a warning.
        """
        meta, arrays = self._read()
        self._points_in(meta, arrays)  # whoever loads wants the objects; numpy() and the like read without making them
        return meta

    def _read_file(self) -> CopickPicksFile:
        return self._read()[0]

    def _read(self) -> tuple[CopickPicksFile, PicksArrays]:
        """Read the picks from storage, points as arrays."""
        arrays, self._revision = self._load()
        header = self._named(arrays.header)
        meta = CopickPicksFile.model_validate({**header, "points": None})
        self._hold(meta, arrays)
        return meta, arrays

    def store(self) -> None:
        """Write the picks, all or nothing.

        Raises:
            ReadOnlyError: They are read-only.
            ConflictError: Someone else has stored since these picks were read; nothing was written.
            InvalidDataError: A value cannot be stored; names the point. Nothing was written.
        """
        self._check_writable()
        if not self._loaded:
            if not self._edits():
                return  # nothing was read and nothing was set: what is stored is what there is
            self._load_header()
        meta, arrays = self._content()
        arrays = self._arrays_in(meta, arrays)
        self._check_positions([arrays.positions])
        self._write(meta, arrays)

    def _write(self, meta: CopickPicksFile, arrays: PicksArrays) -> None:
        from dataclasses import replace

        self._revision = self._store(replace(arrays, header=self._header(meta)))

    def refresh(self) -> None:
        """Forget what is in memory; the next access reads it again."""
        self._loaded = False
        self._meta = None
        self._arrays = None
        self._revision = ANY

    def _header(self, meta: CopickPicksFile) -> dict[str, Any]:
        """Everything but the points, as it is to be stored."""
        from pydantic_core import PydanticSerializationError

        try:
            header = meta.model_dump(mode="json", exclude={"points"})
        except PydanticSerializationError:  # of NumPy's numbers, which the codec takes, or of what it names
            header = meta.model_dump(exclude={"points"}, warnings=False)
        header.update(self._identity())
        if header.get("run_name") is None:
            header["run_name"] = self.run.name
        return header

    def _make_meta(self) -> CopickPicksFile:
        return CopickPicksFile.model_validate({**self._identity(), "run_name": self.run.name, "points": None})

    def _load(self) -> tuple[PicksArrays, Revision | None]:
        raise NotImplementedError(f"{type(self).__name__} must implement _load()")

    def _store(self, arrays: PicksArrays) -> Revision | None:
        raise NotImplementedError(f"{type(self).__name__} must implement _store()")

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        points = None
        if self._loaded:
            points = len(self.meta.points or ()) if self._arrays is None else len(self._arrays)
        return (*super()._repr_fields(), ("len(points)", points))


class PicksOfRun(AnnotationsOfRun):
    """A run, as the holder of picks."""

    __slots__ = ()

    _picks_children: Children[CopickPicks]

    @property
    def picks(self) -> list[CopickPicks]:
        """Picks; listed when first asked for."""
        return self._picks_children.all(self.query_picks)

    def query_picks(self) -> list[CopickPicks]:
        """List the picks from storage."""
        return self._query(_PICKS)

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
        filters = wanted(object_name), wanted(user_id), wanted(session_id)
        return self._filtered(self._picks_children, self.query_picks, PicksKey, filters, layer)

    def new_picks(
        self,
        object_name: str,
        session_id: str,
        user_id: str | None = None,
        exist_ok: bool = False,
        *,
        positions: ArrayLike | None = None,
        transforms: ArrayLike | None = None,
        instance_ids: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
        strict: bool | None = None,
    ) -> CopickPicks:
        """Make picks and store them, in one step with their points if these are given: both are stored, or nothing is.

        Args:
            object_name: Object; the project must list it.
            session_id: Session; "0" for tools.
            user_id: User or tool; that of the configuration by default.
            exist_ok: Give the existing ones instead of failing; read-only ones are copied into the overlay. Points that are
                given replace theirs.
            positions: Locations (n, 3) in angstrom, columns x, y, z; without them the picks have no points.
            transforms: As :meth:`CopickPicks.from_numpy` takes them, as all that follow.
            instance_ids: Instance ids (n,).
            scores: Scores (n,).
            columns: Further columns by name.
            strict: Whether points outside of every tomogram are refused.

        Raises:
            UnknownObjectError: The project does not list the object.
            AlreadyExistsError: They exist, and not ``exist_ok``.
            InvalidDataError: The points cannot be stored, or there are no positions for what is given of them.
            InvalidNameError: A name cannot be stored, or there is no user id.
            ReadOnlyError: The project has no writable overlay.
        """
        key = PicksKey(self.name, self._object(object_name).name, *self._made_by(user_id, session_id))

        def fill(picks: CopickPicks) -> None:
            picks.from_numpy(positions, transforms, instance_ids, scores, columns, strict=strict)  # type: ignore[arg-type]

        given = any(values is not None for values in (transforms, instance_ids, scores, columns))
        if positions is None and given:
            raise InvalidDataError(source=key, reason="there are no positions; pass positions= too")
        return self._new_stored(
            self._picks_children, key, exist_ok, lambda: self._empty_picks(key), None if positions is None else fill
        )

    def delete_picks(
        self, object_name: StringFilter = None, user_id: StringFilter = None, session_id: StringFilter = None
    ) -> None:
        """Delete the picks that pass all filters.

        Raises:
            ReadOnlyError: One of them is read-only; then none is deleted.
        """
        self._picks_children.delete(self.get_picks(object_name, user_id, session_id))

    def refresh_picks(self) -> None:
        """Forget the picks; the next access lists them again."""
        self._refresh(self._picks_children)

    def _picks_factory(self) -> type[CopickPicks]:
        """Class of picks."""
        return self._class(Kind.PICKS, CopickPicks)

    def _empty_picks(self, key: PicksKey) -> CopickPicks:
        names: dict[str, Any] = {"pickable_object_name": key.object_name, "user_id": key.user_id, "session_id": key.session_id}
        return self._picks_factory()(self._run, CopickPicksFile(**names, run_name=self.name))
