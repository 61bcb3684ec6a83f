"""The queries that are asked, and nothing but the columns that are needed.

Each is one root field with one ``where`` variable: a flat answer, which the portal gives fastest. Documents are fixed, so they
need no schema at run time (the client parses 7000 lines of it for each ``Client()``); a test validates every document against
the schema that the client ships.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from copick_core.tree.keys import SegmentationType

Row = dict[str, Any]
Where = Mapping[str, Any]

POINT_SHAPES = ("Point", "OrientedPoint", "InstanceSegmentation")
MASK_SHAPES: dict[str, SegmentationType] = {"SegmentationMask": "binary", "InstanceSegmentationMask": "instance"}
MESH_SHAPE = "Mesh"
CAPTION_SHAPES = ["GlobalCaption", "AnnotationCaption"]
SHAPES = [*POINT_SHAPES, *MASK_SHAPES, MESH_SHAPE]


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        name: Its name, for messages and caches.
        field: Root field of the schema.
        type_name: Type of its rows.
        columns: What is asked of each row; None for every scalar that the client knows.
        where: Makes the filter from ids and identifiers of objects.
    """

    name: str
    field: str
    type_name: str
    columns: tuple[str, ...] | None
    where: Callable[[Sequence[int], Sequence[str]], Where]

    @property
    def document(self) -> str:
        """The query as GraphQL."""
        columns = " ".join(self.columns or scalar_columns(self.type_name).values())
        return f"query {self.name}($where: {self.type_name}WhereClause) {{ {self.field}(where: $where) {{ {columns} }} }}"


@cache
def scalar_columns(type_name: str) -> dict[str, str]:
    """Scalar fields of a portal type, as the client names them (``is_portal_standard``) and as the schema does."""
    import cryoet_data_portal  # type: ignore[import-untyped,unused-ignore]

    model = getattr(cryoet_data_portal, "TiltSeries" if type_name == "Tiltseries" else type_name)
    return dict(zip(model._get_scalar_fields(), model._get_gql_fields(), strict=True))


def _of_annotations(ids: Sequence[int], identifiers: Sequence[str]) -> Where:
    return {"runId": {"_in": ids}, "objectId": {"_in": identifiers}}


def _of_shapes(ids: Sequence[int], identifiers: Sequence[str]) -> Where:
    return {"annotation": _of_annotations(ids, identifiers), "shapeType": {"_in": SHAPES}}


def _of_captions(ids: Sequence[int], _: Sequence[str]) -> Where:
    return {"annotation": {"runId": {"_in": ids}}, "shapeType": {"_in": CAPTION_SHAPES}}


RUNS = Query("runs", "runs", "Run", ("id", "name", "datasetId"), lambda ids, _: {"datasetId": {"_in": ids}})

#: What is asked together, by part: each part is asked once for each batch of runs.
PARTS: dict[str, tuple[Query, ...]] = {
    "volumes": (
        Query(
            "spacings",
            "tomogramVoxelSpacings",
            "TomogramVoxelSpacing",
            ("id", "runId", "voxelSpacing"),
            lambda ids, _: {"runId": {"_in": ids}},
        ),
        Query(
            "tomograms",
            "tomograms",
            "Tomogram",
            (
                "id",
                "runId",
                "tomogramVoxelSpacingId",
                "alignmentId",
                "reconstructionMethod",
                "processing",
                "processingSoftware",
                "ctfCorrected",
                "isVisualizationDefault",
                "isPortalStandard",
                "s3OmezarrDir",
            ),
            lambda ids, _: {"runId": {"_in": ids}},
        ),
    ),
    "annotations": (
        Query(
            "annotations",
            "annotations",
            "Annotation",
            ("id", "runId", "objectId", "objectName", "tomogramVoxelSpacingId"),
            _of_annotations,
        ),
        Query("shapes", "annotationShapes", "AnnotationShape", ("id", "annotationId", "shapeType"), _of_shapes),
        Query(
            "files",
            "annotationFiles",
            "AnnotationFile",
            (
                "id",
                "annotationShapeId",
                "tomogramVoxelSpacingId",
                "alignmentId",
                "format",
                "s3Path",
                "source",
                "isVisualizationDefault",
            ),
            lambda ids, identifiers: {"annotationShape": _of_shapes(ids, identifiers)},
        ),
    ),
    "volume_details": (
        Query("tomogram_details", "tomograms", "Tomogram", None, lambda ids, _: {"runId": {"_in": ids}}),
        Query(
            "tomogram_authors",
            "tomogramAuthors",
            "TomogramAuthor",
            ("tomogramId", "name", "authorListOrder"),
            lambda ids, _: {"tomogram": {"runId": {"_in": ids}}},
        ),
    ),
    "annotation_details": (
        Query("annotation_details", "annotations", "Annotation", None, _of_annotations),
        Query(
            "annotation_authors",
            "annotationAuthors",
            "AnnotationAuthor",
            ("annotationId", "name", "authorListOrder"),
            lambda ids, identifiers: {"annotation": _of_annotations(ids, identifiers)},
        ),
    ),
}

PARTS["run_details"] = (
    Query("tilt_series", "tiltseries", "Tiltseries", None, lambda ids, _: {"runId": {"_in": ids}}),
    Query("alignments", "alignments", "Alignment", None, lambda ids, _: {"runId": {"_in": ids}}),
    Query(
        "captioned",
        "annotations",
        "Annotation",
        ("id", "runId", "objectName"),
        lambda ids, _: {"runId": {"_in": ids}, "annotationShapes": {"shapeType": {"_in": CAPTION_SHAPES}}},
    ),
    Query("caption_shapes", "annotationShapes", "AnnotationShape", ("id", "annotationId", "shapeType"), _of_captions),
    Query(
        "caption_files",
        "annotationFiles",
        "AnnotationFile",
        ("id", "annotationShapeId", "format", "s3Path"),
        lambda ids, _: {"annotationShape": _of_captions(ids, ())},
    ),
)

#: What tells that a run has changed: annotations and tomograms that come and go, or that the portal says were modified.
PARTS["dates"] = (
    Query("annotation_dates", "annotations", "Annotation", ("id", "runId", "lastModifiedDate"), _of_annotations),
    Query(
        "tomogram_dates", "tomograms", "Tomogram", ("id", "runId", "lastModifiedDate"), lambda ids, _: {"runId": {"_in": ids}}
    ),
)

#: Where something of some depositions is: their own datasets, and runs of others that they have annotated or reconstructed.
DEPOSITION_QUERIES = (
    Query("deposited_datasets", "datasets", "Dataset", ("id",), lambda ids, _: {"depositionId": {"_in": ids}}),
    Query("annotated_runs", "runs", "Run", ("datasetId",), lambda ids, _: {"annotations": {"depositionId": {"_in": ids}}}),
    Query("reconstructed_runs", "runs", "Run", ("datasetId",), lambda ids, _: {"tomograms": {"depositionId": {"_in": ids}}}),
)

#: What a generated configuration is made of.
OBJECT_QUERIES = (
    Query(
        "object_annotations",
        "annotations",
        "Annotation",
        ("id", "objectId", "objectName", "annotationPublication", "isCuratorRecommended", "groundTruthStatus"),
        lambda ids, _: {"runId": {"_in": ids}},
    ),
    Query(
        "object_shapes",
        "annotationShapes",
        "AnnotationShape",
        ("annotationId", "shapeType"),
        lambda ids, _: {"annotation": {"runId": {"_in": ids}}},
    ),
)
