"""What the portal knows of an entity beyond its key, asked for only when somebody looks, and the filters over it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, PrivateAttr

from copick_backend_portal.queries import scalar_columns
from copick_core.errors import InvalidDataError, closest
from copick_core.tree.keys import Key

if TYPE_CHECKING:
    from copick_backend_portal.layer import PortalLayer


class PortalRow:
    """A row of the portal; its fields are attributes named as in the official client, dates are ``datetime``."""

    def __init__(self, type_name: str, row: Mapping[str, Any]) -> None:
        self._type_name = type_name
        for field, column in scalar_columns(type_name).items():
            if column in row:
                value = row[column]
                setattr(self, field, _as_date(value) if field.endswith("_date") else value)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        return f"{self._type_name}({', '.join(f'{k}={v!r}' for k, v in self.to_dict().items())})"


class PortalMetadata(BaseModel):
    """Metadata of a portal entity: fields of copick 1.x, asked of the portal when they are first used.

    For picks, segmentations and meshes: ``portal_annotation``, ``portal_annotation_shape``, ``portal_annotation_file``,
    ``voxel_spacing``, ``portal_author_names``. For tomograms: ``portal_metadata``, ``portal_authors``.
    """

    portal_id: int
    _layer: Any = PrivateAttr()
    _key: Any = PrivateAttr()

    def __init__(self, layer: PortalLayer, key: Key, portal_id: int) -> None:
        super().__init__(portal_id=portal_id)
        self._layer, self._key = layer, key

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._layer, self._key, self.portal_id)

    @cached_property
    def portal_alignment(self) -> PortalRow | None:
        """The alignment that a tomogram was reconstructed with, or that an annotation's coordinates are of."""
        wanted = self._layer.alignment_of(self._key)
        rows = self._layer.run_rows(self._key, "alignments") if wanted is not None else []
        return next((PortalRow("Alignment", row) for row in rows if row["id"] == wanted), None)

    @cached_property
    def portal_metadata(self) -> PortalRow:
        """The tomogram."""
        return PortalRow("Tomogram", self._layer.all_fields(self._key))

    @cached_property
    def portal_annotation(self) -> PortalRow:
        """The annotation."""
        return PortalRow("Annotation", self._layer.all_fields(self._key))

    @cached_property
    def portal_annotation_shape(self) -> PortalRow:
        """The annotation's shape."""
        return PortalRow("AnnotationShape", self._layer.annotation(self._key).shape)

    @cached_property
    def portal_annotation_file(self) -> PortalRow:
        """The annotation's file."""
        return PortalRow("AnnotationFile", self._layer.annotation(self._key).file)

    @property
    def voxel_spacing(self) -> float | None:
        """Voxel size in angstrom, as the portal has it."""
        spacing = self._layer.annotation(self._key).spacing
        return None if spacing is None else float(spacing["voxelSpacing"])

    @cached_property
    def portal_author_names(self) -> list[str]:
        """Names of the authors, in their order."""
        names: list[str] = self._layer.authors(self._key)
        return names

    @property
    def portal_authors(self) -> list[str]:
        """The same, as copick 1.x names it for tomograms."""
        return self.portal_author_names


class PortalCaption:
    """A text that the portal has about a run, or about what is annotated in it.

    Attributes:
        is_global: Whether it is about the whole run.
        object_name: What its annotation is of, as the portal names it.
        format: Format of its file.
        path: Address of its file.
    """

    def __init__(
        self, layer: PortalLayer, annotation: Mapping[str, Any], shape: Mapping[str, Any], file: Mapping[str, Any]
    ) -> None:
        self._layer = layer
        self.is_global: bool = shape["shapeType"] == "GlobalCaption"
        self.object_name: str = annotation["objectName"]
        self.format: str = file["format"]
        self.path: str = file["s3Path"]

    @cached_property
    def text(self) -> str:
        """The text, or JSON, in its file; one GET."""
        return self._layer.text(self.path)

    def __repr__(self) -> str:
        return f"PortalCaption({self.object_name!r}, is_global={self.is_global}, path={self.path!r})"


class PortalRunMetadata(PortalMetadata):
    """What the portal knows of a run beyond what is listed, asked of the portal when it is first used."""

    def __init__(self, layer: PortalLayer, key: Key, portal_id: int) -> None:
        super().__init__(layer, key, portal_id)

    @cached_property
    def tilt_series(self) -> list[PortalRow]:
        """Its tilt series, as ``cryoet_data_portal.TiltSeries``: microscope, dose, angles, files."""
        return [PortalRow("Tiltseries", row) for row in self._layer.run_rows(self._key, "tilt_series")]

    @cached_property
    def alignments(self) -> list[PortalRow]:
        """Its alignments; tomograms and annotations tell theirs by ``portal_alignment_id``."""
        return [PortalRow("Alignment", row) for row in self._layer.run_rows(self._key, "alignments")]

    @cached_property
    def captions(self) -> list[PortalCaption]:
        """Texts about it and about what is annotated in it."""
        annotations = {row["id"]: row for row in self._layer.run_rows(self._key, "captioned")}
        shapes = {row["id"]: row for row in self._layer.run_rows(self._key, "caption_shapes")}
        files = self._layer.run_rows(self._key, "caption_files")
        found = [(shapes[file["annotationShapeId"]], file) for file in files]
        return [PortalCaption(self._layer, annotations[shape["annotationId"]], shape, file) for shape, file in found]


class PortalFilter:
    """The filters ``portal_meta_query`` and ``portal_author_query``; checked before anything is asked.

    Args:
        type_name: Portal type that the fields are of: ``"Annotation"`` or ``"Tomogram"``.
        meta: Value that each field must have.
        authors: Names that must all be among the authors.

    Raises:
        InvalidDataError: A field does not exist, or its value cannot be compared; lists the closest.
    """

    def __init__(self, type_name: str, meta: Mapping[str, Any] | None, authors: str | Iterable[str] | None) -> None:
        self._wanted: dict[str, Any] = {}
        self._authors = {authors} if isinstance(authors, str) else {*(authors or ())}
        fields = scalar_columns(type_name) if meta else {}
        for field, value in (meta or {}).items():
            if field not in fields:
                raise InvalidDataError(
                    source="portal_meta_query",
                    reason=f"{type_name} has no field {field!r}.{closest(field, fields)} Fields: {', '.join(fields)}",
                )
            self._wanted[fields[field]] = _comparable(field, value)

    def __bool__(self) -> bool:
        return bool(self._wanted or self._authors)

    def passes(self, layer: PortalLayer | None, key: Key) -> bool:
        """Whether an entity passes; entities that are not the portal's have no metadata, and pass no filter."""
        if layer is None:
            return not self
        if self._wanted:
            row = layer.fields(key, self._wanted)
            if any(_comparable(column, row.get(column)) != value for column, value in self._wanted.items()):
                return False
        return not self._authors or self._authors <= {*layer.authors(key)}


def _as_date(value: Any) -> Any:
    return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value


def _comparable(field: str, value: Any) -> Any:
    """A value in a form in which equal ones are equal: enums by value, dates as aware points in time."""
    if isinstance(value, enum.Enum):
        return value.value
    if not field.endswith(("_date", "Date")) or value is None:
        return value
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidDataError(source="portal_meta_query", reason=f"{field}: {value!r} is not an ISO 8601 date") from error
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
    raise InvalidDataError(source="portal_meta_query", reason=f"{field}: {value!r} is not a date")
