"""Value models of filaments: a curve, a filament, and the content of a file.

Coordinates are x, y, z in angstrom. Keys that no model knows are kept, so that what other programs wrote survives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from copick_core.errors import InvalidDataError
from copick_core.filaments.kinds import CURVE_KINDS, DEFAULT_ALPHA, INTERPOLATING_KINDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

#: Fields of a curve that a file leaves out where they are not set.
_OPTIONAL = ("alpha", "degree", "knots", "smoothing")
_MAX_INT64 = 2**63 - 1


def plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's; anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def _plain_rows(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return value
    return [_plain_numbers(row) for row in value]


def _plain_numbers(value: Any) -> Any:
    value = plain(value)
    return [plain(number) for number in value] if isinstance(value, list | tuple) else value


Points = Annotated[list[tuple[float, float, float]], BeforeValidator(_plain_rows)]


class CopickFilamentCurve(BaseModel):
    """The curve that a filament's points were made from, for editors.

    Curves of unknown kinds are kept as they are and never evaluated.

    Attributes:
        kind: ``"catmull-rom"``, ``"linear"``, ``"bspline"``, or what a newer program knows.
        control_points: (x, y, z) of each in angstrom.
        step: Largest distance of neighbouring points in angstrom.
        alpha: Parametrisation of Catmull-Rom curves, 0 to 1; 0.5 by default.
        degree: Degree of a B-spline, 1 to 5.
        knots: Knots of a B-spline, clamped at both ends.
        smoothing: Smoothing that a fit was made with.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, defer_build=True)

    kind: str = Field(min_length=1)
    control_points: Points
    step: float = Field(gt=0)
    alpha: float | None = None
    degree: int | None = None
    knots: Annotated[list[float], BeforeValidator(_plain_numbers)] | None = None
    smoothing: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _can_be_evaluated(self) -> Self:
        if self.is_known:
            from copick_core.filaments.curves import check_curve

            check_curve(self.kind, self.control_points, self.step, self.alpha, self.degree, self.knots)
            if self.kind == "catmull-rom" and self.alpha is None:
                self.alpha = DEFAULT_ALPHA
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in dump(self).items() if v is not None or k not in _OPTIONAL}

    @property
    def is_known(self) -> bool:
        """Whether the kind can be evaluated."""
        return self.kind in CURVE_KINDS

    @property
    def passes_through_control_points(self) -> bool:
        """Whether curves of this kind pass through their control points."""
        return self.kind in INTERPOLATING_KINDS

    def evaluate(self) -> FloatArray:
        """Points of the curve, (n, 3) in angstrom, neighbours at most :attr:`step` apart.

        Raises:
            InvalidDataError: The kind is unknown, or the curve cannot be evaluated.
        """
        from copick_core.filaments.curves import evaluate_curve

        if not self.is_known:
            raise InvalidDataError(source="curve", reason=f"kind {self.kind!r} is none of {', '.join(CURVE_KINDS)}")
        return evaluate_curve(self.control_points, self.step, self.kind, self.alpha, self.degree, self.knots)

    def anchors(self) -> FloatArray:
        """Points that the curve passes through, (n, 3) in angstrom; the control points where the kind is unknown."""
        from copick_core.filaments.curves import checked_points, curve_anchors

        if not self.is_known:
            return checked_points(self.control_points)
        return curve_anchors(self.control_points, self.kind, self.degree, self.knots)

    def is_current_for(self, points: ArrayLike) -> bool:
        """Whether the curve describes points (n, 3): all its anchors lie on them, within a hundredth of the step."""
        from copick_core.filaments.fitting import curve_is_current

        return curve_is_current(points, self.control_points, self.step, self.kind, self.degree, self.knots)

    def reversed(self) -> Self:
        """The curve that runs the other way."""
        update: dict[str, Any] = {"control_points": self.control_points[::-1]}
        if self.knots is not None:
            from copick_core.filaments.fitting import reverse_knots

            update["knots"] = reverse_knots(self.knots).tolist()
        return self.model_copy(update=update)

    @classmethod
    def from_tck(
        cls, tck: tuple[ArrayLike, Sequence[ArrayLike], int], step: float, smoothing: float | None = None, scale: float = 1.0
    ) -> Self:
        """Make a B-spline of what ``scipy.interpolate.splprep`` returns.

        Args:
            tck: Knots, the coefficients of x, y and z, and the degree.
            step: Largest distance of neighbouring points in angstrom.
            smoothing: Smoothing of the fit.
            scale: Angstroms in one unit of the coefficients, such as the voxel size.

        Raises:
            InvalidDataError: There are not three arrays of coefficients.
        """
        import numpy as np

        knots, coefficients, degree = tck
        if len(coefficients) != 3:
            raise InvalidDataError(source="tck", reason=f"it has {len(coefficients)} arrays of coefficients, not x, y and z")
        knots = np.asarray(knots, dtype=np.float64)
        used = len(knots) - int(degree) - 1  # scipy pads them to the number of knots
        points = np.stack([np.asarray(axis, dtype=np.float64)[:used] for axis in coefficients], axis=1) * scale
        return cls(
            kind="bspline",
            control_points=points.tolist(),
            step=step,
            degree=int(degree),
            knots=knots.tolist(),
            smoothing=smoothing,
        )


class CopickFilament(BaseModel):
    """A filament: a polyline, and the curve that it was made from where there is one.

    Attributes:
        instance_id: Number of the filament, from 1; unique in its file.
        points: Vertices (x, y, z) in angstrom, 2 or more, in order along the filament.
        polarity_known: Whether the order of the points is the filament's polarity.
        score: Score.
        radius: Radius in angstrom.
        metadata: Anything else.
        curve: The curve that the points were made from.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, validate_assignment=True, defer_build=True)

    instance_id: Annotated[int, BeforeValidator(plain), Field(ge=1, le=_MAX_INT64)]
    points: Annotated[Points, Field(min_length=2)]
    polarity_known: Annotated[bool, BeforeValidator(plain)] = False
    score: Annotated[float, BeforeValidator(plain)] = 1.0
    radius: Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(plain)] = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    curve: CopickFilamentCurve | None = None

    @field_validator("metadata", mode="before")
    @classmethod
    def _no_metadata_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value

    def numpy(self) -> FloatArray:
        """The vertices, (n, 3) in angstrom."""
        import numpy as np

        return np.array(self.points, dtype=np.float64)

    @classmethod
    def from_curve(cls, instance_id: int, curve: CopickFilamentCurve | dict[str, Any], **fields: Any) -> Self:
        """Make a filament of a curve: its points are those of the curve.

        Args:
            instance_id: Number of the filament, from 1.
            curve: The curve, or its fields.
            **fields: Other fields of the filament.

        Raises:
            InvalidDataError: The curve's kind is unknown.
        """
        model = CopickFilamentCurve.model_validate(curve)
        return cls(instance_id=instance_id, points=model.evaluate().tolist(), curve=model, **fields)

    @classmethod
    def from_control_points(
        cls,
        instance_id: int,
        control_points: ArrayLike,
        step: float,
        kind: str = "catmull-rom",
        alpha: float | None = DEFAULT_ALPHA,
        **fields: Any,
    ) -> Self:
        """Make a filament of a curve through control points.

        Args:
            instance_id: Number of the filament, from 1.
            control_points: (n, 3) in angstrom.
            step: Largest distance of neighbouring points in angstrom.
            kind: ``"catmull-rom"`` or ``"linear"``.
            alpha: Parametrisation of Catmull-Rom curves, 0 to 1.
            **fields: Other fields of the filament.

        Raises:
            InvalidDataError: The kind is another one.
        """
        if kind not in INTERPOLATING_KINDS:
            kinds = " or ".join(INTERPOLATING_KINDS)
            reason = f"control points make curves of kind {kinds}, not {kind!r}; use from_curve"
            raise InvalidDataError(source="curve", reason=reason)
        curve: dict[str, Any] = {"kind": kind, "control_points": control_points, "step": step}
        if kind == "catmull-rom":
            curve["alpha"] = alpha
        return cls.from_curve(instance_id, curve, **fields)

    def curve_is_current(self) -> bool:
        """Whether the filament has a curve that describes its points."""
        return self.curve is not None and self.curve.is_current_for(self.points)

    def editable_curve(
        self, tolerance: float | None = None, step: float | None = None, kinds: Sequence[str] = CURVE_KINDS
    ) -> CopickFilamentCurve:
        """A curve to edit: its own where that is current, else a Catmull-Rom curve that is fitted to the points.

        Args:
            tolerance: Largest distance in angstrom of a point from a fitted curve; half a step by default.
            step: Step in angstrom of a fitted curve; the median distance of the points by default.
            kinds: Kinds that the caller can edit.

        Raises:
            InvalidDataError: A curve must be fitted, and the points have no median distance.
        """
        if self.curve is not None and self.curve.kind in kinds and self.curve_is_current():
            return self.curve
        from copick_core.filaments.fitting import control_points_from_polyline

        step = step or self._median_step()
        points = control_points_from_polyline(self.points, tolerance or step / 2).tolist()
        return CopickFilamentCurve(kind="catmull-rom", control_points=points, step=step, alpha=DEFAULT_ALPHA)

    def editable_control_points(
        self, tolerance: float | None = None, step: float | None = None, kinds: Sequence[str] = CURVE_KINDS
    ) -> FloatArray:
        """Control points (n, 3) of :meth:`editable_curve`, in angstrom."""
        import numpy as np

        return np.array(self.editable_curve(tolerance, step, kinds).control_points, dtype=np.float64)

    def with_control_points(self, control_points: ArrayLike, step: float | None = None) -> Self:
        """The filament with other control points, evaluated again.

        A curve that is current keeps its kind and all its other fields; a B-spline keeps its knots. Otherwise the new curve is
        a centripetal Catmull-Rom curve.

        Args:
            control_points: (n, 3) in angstrom.
            step: Largest distance of neighbouring points in angstrom; by default that of the curve, or the median distance of
                the points.

        Raises:
            InvalidDataError: A B-spline would get another number of control points.
        """
        curve: dict[str, Any] = {"kind": "catmull-rom", "alpha": DEFAULT_ALPHA}
        if self.curve is not None and self.curve_is_current():
            curve = self.curve.model_dump()
            before, now = len(self.curve.control_points), len(_plain_rows(control_points))
            if self.curve.kind == "bspline" and before != now:
                reason = (
                    f"a bspline keeps its knots, so it needs {before} control points, not {now}; "
                    "editable_curve(kinds=('catmull-rom',)) gives a curve that can have more or fewer"
                )
                raise InvalidDataError(source=f"filament {self.instance_id}", reason=reason)
        curve["control_points"] = control_points
        curve["step"] = step or curve.get("step") or self._median_step()
        model = CopickFilamentCurve.model_validate(curve)
        return type(self)(**{**self._fields(), "points": model.evaluate(), "curve": model})

    def reversed(self) -> Self:
        """The filament that runs the other way."""
        curve = None if self.curve is None else self.curve.reversed()
        return type(self)(**{**self._fields(), "points": self.points[::-1], "curve": curve})

    def _fields(self) -> dict[str, Any]:
        return self.model_dump(exclude={"points", "curve"})

    def _median_step(self) -> float:
        from copick_core.filaments.fitting import median_spacing

        step = median_spacing(self.points)
        if step == 0:
            reason = "the median distance of its points is 0; pass a step"
            raise InvalidDataError(source=f"filament {self.instance_id}", reason=reason)
        return step


class CopickFilamentsFile(BaseModel):
    """Content of a filaments file.

    Attributes:
        pickable_object_name: Object.
        user_id: User or tool.
        session_id: Session; "0" for tools.
        run_name: Run.
        voxel_spacing: Voxel size in angstrom of the tomogram that was annotated.
        unit: Unit of all lengths.
        version: Version of the format.
        filaments: The filaments; empty while they have not been read.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, defer_build=True)

    pickable_object_name: str
    user_id: str
    session_id: str
    run_name: str | None = None
    voxel_spacing: float | None = None
    unit: str = "angstrom"
    version: int = 1
    filaments: list[CopickFilament] = Field(default_factory=list)

    @field_validator("filaments")
    @classmethod
    def _ids_are_unique(cls, filaments: list[CopickFilament]) -> list[CopickFilament]:
        seen: dict[int, int] = {}
        for index, filament in enumerate(filaments):
            other = seen.setdefault(filament.instance_id, index)
            if other != index:
                reason = f"instance_id {filament.instance_id} is not unique: filament {other} has it too"
                raise InvalidDataError(source="filaments", reason=reason, index=index)
        return filaments


__all__ = ["CopickFilament", "CopickFilamentCurve", "CopickFilamentsFile"]
