"""Models of what stands in a picks file.

Coordinates are x, y, z in angstrom; divided by the voxel size they are array indices, so the centre of the first voxel is the
origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def _identity() -> list[list[float]]:
    return [list(row) for row in IDENTITY]


class CopickLocation(BaseModel):
    """A location in angstrom."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    x: float
    y: float
    z: float


class CopickPoint(BaseModel):
    """A picked point.

    Attributes:
        location: Where it is, in angstrom.
        transformation_: 4 x 4 matrix from object space to tomogram space, last row 0, 0, 0, 1. Its translation is a shift in
            angstrom: the particle's centre is ``location`` plus it.
        instance_id: Id of the instance that it belongs to.
        score: Score.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    location: CopickLocation
    transformation_: list[list[float]] = Field(default_factory=_identity)
    instance_id: int | None = 0
    score: float | None = 1.0

    @field_validator("transformation_", mode="before")
    @classmethod
    def _is_affine(cls, value: Any) -> list[list[float]]:
        if value is None:
            return _identity()
        rows = [[float(v) for v in row] for row in value]
        if len(rows) != 4 or any(len(row) != 4 for row in rows):
            raise ValueError("transformation must be a 4 x 4 matrix")
        if any(abs(a - b) > 1e-8 + 1e-5 * abs(b) for a, b in zip(rows[3], IDENTITY[3], strict=True)):
            raise ValueError("last row of a transformation must be 0, 0, 0, 1")
        return rows

    @property
    def transformation(self) -> NDArray[np.float64]:
        """The matrix as an array of shape (4, 4); setting it checks shape and last row."""
        import numpy as np

        return np.array(self.transformation_, dtype=np.float64)

    @transformation.setter
    def transformation(self, value: ArrayLike) -> None:
        self.transformation_ = self._is_affine(value)


class CopickPicksFile(BaseModel):
    """Content of a picks file.

    Attributes:
        pickable_object_name: Object.
        user_id: User or tool.
        session_id: Session; "0" for tools.
        run_name: Run.
        voxel_spacing: Voxel size in angstrom of the tomogram that was picked in.
        unit: Unit of the locations.
        points: The points; None while they have not been read.
        trust_orientation: Whether the points' rotations mean something.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    pickable_object_name: str
    user_id: str
    session_id: str
    run_name: str | None = None
    voxel_spacing: float | None = None
    unit: str = "angstrom"
    points: list[CopickPoint] | None = Field(default_factory=list)
    trust_orientation: bool | None = True
