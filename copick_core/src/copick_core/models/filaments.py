"""Filaments of an object, by one user or tool, in one session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.errors import FilamentNotFoundError, InvalidDataError
from copick_core.filaments.kinds import CURVE_KINDS, DEFAULT_ALPHA, INTERPOLATING_KINDS
from copick_core.layers.revisions import ANY
from copick_core.models.annotation_file import HeadedFile
from copick_core.tree.keys import FilamentsKey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from copick_core.filaments.values import CopickFilament, CopickFilamentCurve, CopickFilamentsFile
    from copick_core.layers.revisions import Revision
    from copick_core.models.run import CopickRun


class CopickFilaments(HeadedFile[FilamentsKey, "CopickFilamentsFile"]):
    """Filaments of an object: polylines in angstrom, with the curves that they were made from.

    :attr:`filaments` is a list of :class:`CopickFilament`; :meth:`store` writes it as it is, however it was changed.

    Args:
        run: The run.
        file: Content: names, and the filaments.

    Attributes:
        run: The run.
    """

    __slots__ = ("run",)

    _content_field = "filaments"

    def __init__(self, run: CopickRun, file: CopickFilamentsFile) -> None:
        self.run = run
        self._key = FilamentsKey(run.name, file.pickable_object_name, file.user_id, file.session_id)
        self._meta = file
        self._loaded = True
        self._revision = ANY

    # ------------------------------------------------------------------ content

    @property
    def meta(self) -> CopickFilamentsFile:
        """Content of the file; without filaments until they are used. Assigning it replaces the content in memory."""
        return super().meta  # type: ignore[return-value]

    @meta.setter
    def meta(self, file: CopickFilamentsFile) -> None:
        if not self._loaded:
            self._load_header()
        self._hold(file)

    @property
    def filaments(self) -> list[CopickFilament]:
        """The filaments; read when first asked for. Assigning replaces them in memory; :meth:`store` writes them.

        Raises:
            InvalidDataError: What is assigned is not a filament, or two have the same id.
        """
        return self._content().filaments

    @filaments.setter
    def filaments(self, value: Iterable[CopickFilament]) -> None:
        from copick_core.filaments.codec import checked_filaments

        self._replace(checked_filaments(value, str(self._key)))

    @property
    def voxel_spacing(self) -> float | None:
        """Voxel size in angstrom of the tomogram that was annotated; read with the filaments."""
        return self._content().voxel_spacing

    def get(self, instance_id: int) -> CopickFilament | None:
        """The filament of an id, or None."""
        return next((f for f in self.filaments if f.instance_id == instance_id), None)

    def instance_ids(self) -> NDArray[np.int64]:
        """Ids of the filaments, (n,)."""
        import numpy as np

        return np.array([f.instance_id for f in self.filaments], dtype=np.int64)

    def numpy(self) -> list[NDArray[np.float64]]:
        """Vertices of each filament, (m, 3) in angstrom, columns x, y, z."""
        return [f.numpy() for f in self.filaments]

    def control_points(self) -> list[NDArray[np.float64] | None]:
        """Control points (n, 3) in angstrom of each filament; None where its curve does not describe its points."""
        import numpy as np

        return [
            np.array(f.curve.control_points, dtype=np.float64) if f.curve is not None and f.curve_is_current() else None
            for f in self.filaments
        ]

    def editable_curve(
        self, instance_id: int, tolerance: float | None = None, kinds: Sequence[str] = CURVE_KINDS
    ) -> CopickFilamentCurve:
        """A curve to edit of one filament: its own where that is current, else one that is fitted to its points.

        Args:
            instance_id: Id of the filament.
            tolerance: Largest distance in angstrom of a point from a fitted curve; half a step by default. The step is the
                voxel spacing, or where there is none the median distance of the points.
            kinds: Kinds that the caller can edit.

        Raises:
            FilamentNotFoundError: There is none of that id.
        """
        filament = self.get(instance_id)
        if filament is None:
            raise FilamentNotFoundError(key=self._key, instance_id=instance_id, instance_ids=self.instance_ids().tolist())
        return filament.editable_curve(tolerance, self.voxel_spacing, kinds)

    def from_numpy(
        self,
        polylines: Sequence[ArrayLike],
        instance_ids: Iterable[int] | None = None,
        polarity_known: Iterable[bool] | None = None,
        scores: Iterable[float] | None = None,
        radii: Iterable[float | None] | None = None,
        voxel_spacing: float | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Replace all filaments by polylines and store them. Arguments but the voxel spacing have an entry for each filament.

        Args:
            polylines: Vertices (m, 3) in angstrom, columns x, y, z; at least two.
            instance_ids: Ids from 1, all different; 1, 2, … by default.
            polarity_known: Whether the order of the vertices is the polarity; False by default.
            scores: Scores; 1 by default.
            radii: Radii in angstrom; None by default.
            voxel_spacing: Voxel size in angstrom of the tomogram; what is stored is kept by default.
            metadata: Anything else.

        Raises:
            InvalidDataError: A list has another length, or a value cannot be stored; ``index`` is the first filament at fault.
                Nothing was stored.
            ReadOnlyError: The filaments are read-only.
            ConflictError: Someone else has stored since these filaments were read.
        """
        shapes = [{"points": points} for points in polylines]
        self._from(shapes, instance_ids, polarity_known, scores, radii, voxel_spacing, metadata)

    def from_curves(
        self,
        curves: Sequence[CopickFilamentCurve | Mapping[str, Any]],
        instance_ids: Iterable[int] | None = None,
        polarity_known: Iterable[bool] | None = None,
        scores: Iterable[float] | None = None,
        radii: Iterable[float | None] | None = None,
        voxel_spacing: float | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Replace all filaments by curves, whose points are evaluated, and store them.

        Args:
            curves: Curves, or their fields.
            instance_ids: As for :meth:`from_numpy`, which the other arguments and errors are those of too.
            polarity_known: See there.
            scores: See there.
            radii: See there.
            voxel_spacing: See there.
            metadata: See there.
        """
        from copick_core.filaments.codec import evaluated

        shapes = [evaluated(curve, str(self._key), index) for index, curve in enumerate(curves)]
        self._from(shapes, instance_ids, polarity_known, scores, radii, voxel_spacing, metadata)

    def from_control_points(
        self,
        control_points: Sequence[ArrayLike],
        instance_ids: Iterable[int] | None = None,
        step: float | None = None,
        kind: str = "catmull-rom",
        alpha: float | None = DEFAULT_ALPHA,
        polarity_known: Iterable[bool] | None = None,
        scores: Iterable[float] | None = None,
        radii: Iterable[float | None] | None = None,
        voxel_spacing: float | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Replace all filaments by curves through control points, and store them.

        Args:
            control_points: Control points (n, 3) of each filament in angstrom.
            instance_ids: As for :meth:`from_numpy`, which the other arguments and errors are those of too.
            step: Largest distance in angstrom of neighbouring points; the voxel spacing by default.
            kind: ``"catmull-rom"`` or ``"linear"``.
            alpha: Parametrisation of Catmull-Rom curves, 0 to 1.
            polarity_known: See there.
            scores: See there.
            radii: See there.
            voxel_spacing: See there.
            metadata: See there.

        Raises:
            InvalidDataError: There is neither a step nor a voxel spacing, or the kind is another one.
        """
        self._check_writable()
        step = step or voxel_spacing or self._meta_to_keep().voxel_spacing
        if step is None:
            reason = "pass step or voxel_spacing: the distance of the points on the curves"
            raise InvalidDataError(source=self._key, reason=reason)
        if kind not in INTERPOLATING_KINDS:
            reason = f"control points make curves of kind {' or '.join(INTERPOLATING_KINDS)}, not {kind!r}; use from_curves"
            raise InvalidDataError(source=self._key, reason=reason)
        fixed = {"kind": kind, "step": step, **({"alpha": alpha} if kind == "catmull-rom" else {})}
        curves = [{**fixed, "control_points": points} for points in control_points]
        self.from_curves(curves, instance_ids, polarity_known, scores, radii, voxel_spacing, metadata)

    def _from(
        self,
        shapes: Sequence[Mapping[str, Any]],
        instance_ids: Iterable[int] | None,
        polarity_known: Iterable[bool] | None,
        scores: Iterable[float] | None,
        radii: Iterable[float | None] | None,
        voxel_spacing: float | None,
        metadata: Iterable[Mapping[str, Any] | None] | None,
    ) -> None:
        """Replace all filaments by some with points, or points and a curve, and store them."""
        from copick_core.filaments.codec import filaments_of

        self._check_writable()
        columns = {"polarity_known": polarity_known, "score": scores, "radius": radii, "metadata": metadata}
        self._replace(filaments_of(shapes, str(self._key), instance_ids=instance_ids, **columns))
        if voxel_spacing is not None:
            self.meta.voxel_spacing = voxel_spacing
        self.store()

    def _replace(self, filaments: list[CopickFilament]) -> None:
        meta = self._meta_to_keep()
        meta.filaments = filaments
        self._hold(meta)

    def _content(self) -> CopickFilamentsFile:
        """What is in memory, read if there is nothing."""
        loaded, meta = self._loaded, self._meta  # together: another thread may refresh() at any moment
        return meta if loaded and meta is not None else self.load()

    # ------------------------------------------------------------------ storage

    def load(self) -> CopickFilamentsFile:
        """Read the filaments from storage, dropping what is in memory.

        Their file's name tells which entity they are; a file that says otherwise (it was copied or renamed) is believed in
        everything else, with a warning.

        Raises:
            InvalidDataError: The file is damaged; ``index`` is the first filament at fault.
        """
        return self._read_file()

    def _read_file(self) -> CopickFilamentsFile:
        file, self._revision = self._load()
        meta = file.model_copy(update=self._named({field: getattr(file, field) for field in self._identity()}))
        self._hold(meta)
        return meta

    def store(self) -> None:
        """Write the filaments, all or nothing.

        Curves that no longer describe their filament's points are left out, here and in the file, with a message in the log.
        Those of unknown kinds are kept.

        Raises:
            ReadOnlyError: They are read-only.
            ConflictError: Someone else has stored since these filaments were read; nothing was written.
            InvalidDataError: A value cannot be stored; ``index`` is the first filament at fault. Nothing was written.
        """
        from copick_core.filaments.codec import checked_filaments

        self._check_writable()
        if not self._loaded:
            if not self._edits():
                return  # nothing was read and nothing was set: what is stored is what there is
            self._load_header()
        meta = self._content()
        meta.filaments[:] = checked_filaments(meta.filaments, str(self._key))  # the list may have been edited in place
        outdated = [f for f in meta.filaments if f.curve is not None and f.curve.is_known and not f.curve_is_current()]
        header = {**self._identity(), "run_name": meta.run_name or self.run.name}
        drop = {id(f) for f in outdated}
        kept = [f.model_copy(update={"curve": None}) if id(f) in drop else f for f in meta.filaments]
        self._check_positions(f.numpy() for f in kept)
        self._revision = self._store(meta.model_copy(update={**header, "filaments": kept}))
        for filament in outdated:
            filament.curve = None
            import logging

            logging.getLogger(__name__).warning(
                "%s: the curve of filament %d does not describe its points any more; it was left out.",
                self._key,
                filament.instance_id,
            )

    def refresh(self) -> None:
        """Forget what is in memory; the next access reads it again."""
        self._loaded = False
        self._meta = None
        self._revision = ANY

    def _make_meta(self) -> CopickFilamentsFile:
        from copick_core.filaments.values import CopickFilamentsFile

        return CopickFilamentsFile.model_validate({**self._identity(), "run_name": self.run.name})

    def _load(self) -> tuple[CopickFilamentsFile, Revision | None]:
        raise NotImplementedError(f"{type(self).__name__} must implement _load()")

    def _store(self, file: CopickFilamentsFile) -> Revision | None:
        raise NotImplementedError(f"{type(self).__name__} must implement _store()")

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        return (*super()._repr_fields(), ("len(filaments)", len(self.meta.filaments) if self._loaded else None))
