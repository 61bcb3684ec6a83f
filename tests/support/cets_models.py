"""What the standard's models of 2026 accept of a CETS file, as far as we write it: names, types, and nothing further."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Vector = Annotated[list[float], Field(min_length=3, max_length=3)]
Matrix = Annotated[list[Vector], Field(min_length=3, max_length=3)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Axis(Strict):
    name: str | None = None
    axis_unit: Literal["pixel", "voxel", "angstrom", "nanometer"] | None = "angstrom"
    axis_type: Literal["space", "array"] | None = None


class CoordinateSystem(Strict):
    name: str
    axes: list[Axis]


class Step(Strict):
    name: str | None = None
    input: str | None = None
    output: str | None = None


class Identity(Step):
    transformation_type: Literal["identity"]


class Translation(Step):
    transformation_type: Literal["translation"]
    translation: list[float] | None = []


class Scale(Step):
    transformation_type: Literal["scale"]
    scale: list[float] | None = []


class Sequence(Step):
    transformation_type: Literal["sequence"]
    sequence: list[Annotated[Identity | Translation | Scale, Field(discriminator="transformation_type")]] | None = []


Steps = list[Annotated[Identity | Translation | Scale | Sequence, Field(discriminator="transformation_type")]]


class Placed(Strict):
    id: str
    coordinate_systems: list[CoordinateSystem] | None = []
    coordinate_transformations: Steps | None = []


class Tomogram(Placed):
    path: str | None = None
    width: int | None = None
    height: int | None = None
    depth: int | None = None


class Annotation(Placed):
    name: str | None = None
    source_tomogram_id: str | None = None
    path: str | None = None
    origin3D: Annotated[list[Vector], Field(min_length=1)] | None = None  # noqa: N815 - the standard's name


class PointSet(Annotation):
    annotation_type: Literal["point_set_3D"]


class PointMatrixSet(Annotation):
    annotation_type: Literal["point_matrix_set_3D"]
    matrix3D: Annotated[list[Matrix], Field(min_length=1)] | None = None  # noqa: N815 - the standard's name


class Spline(Annotation):
    annotation_type: Literal["spline_3D"]


class TriMesh(Annotation):
    annotation_type: Literal["tri_mesh"]


class Mask(Annotation):
    annotation_type: Literal["segmentation_mask_3D", "probability_map_3D"]
    width: int | None = None
    height: int | None = None
    depth: int | None = None


class Region(Strict):
    id: str
    tomograms: list[Tomogram] | None = []
    annotations: (
        list[Annotated[PointSet | PointMatrixSet | Spline | TriMesh | Mask, Field(discriminator="annotation_type")]] | None
    ) = []


class Dataset(Strict):
    name: str | None = None
    regions: list[Region] | None = []
