"""What the portal's rows become: pure functions, without a portal."""

from __future__ import annotations

import datetime
import enum
import math

import pytest

from copick_backend_portal.index import _by_run, _question
from copick_backend_portal.metadata import PortalCaption, PortalFilter, PortalRow, _comparable
from copick_backend_portal.objects import color, objects
from copick_backend_portal.rows import Objects, annotated, spacings, tomograms
from copick_core.errors import InvalidDataError
from copick_core.tree.keys import MeshKey, PicksKey, SegmentationKey, TomogramKey, VoxelSpacingKey
from copick_core.tree.schema import PickableObject


@pytest.fixture
def complaints():
    return []


@pytest.fixture
def complain(complaints):
    return lambda what, why: complaints.append((what, why))


# ----------------------------------------------------------------------------------------------- spacings and tomograms


@pytest.mark.parametrize("size", [None, "10", 0, 0.0004, -1, math.nan, math.inf], ids=str)
def test_a_voxel_spacing_without_a_size_is_left_out(complain, complaints, size):
    rows = {"spacings": [{"id": 1, "voxelSpacing": size}, {"id": 2, "voxelSpacing": 10}]}

    assert spacings("501", rows, complain) == {VoxelSpacingKey("501", 10.0): rows["spacings"][1]}
    assert complaints == [("voxel spacing 1 of run 501", f"its size is {size!r}")]


def test_of_sizes_that_are_equal_to_three_decimals_the_first_is_meant(complain):
    rows = [{"id": 1, "voxelSpacing": 4.9896}, {"id": 2, "voxelSpacing": 4.98961}, {"id": 3, "voxelSpacing": 0.0006}]

    found = spacings("501", {"spacings": rows}, complain)

    assert found == {VoxelSpacingKey("501", 4.99): rows[0], VoxelSpacingKey("501", 0.001): rows[2]}


def tomogram(number, spacing=1, path="s3://x", default=False, standard=False):
    return {
        "id": number,
        "tomogramVoxelSpacingId": spacing,
        "s3OmezarrDir": path,
        "reconstructionMethod": "WBP",
        "processing": "raw",
        "isVisualizationDefault": default,
        "isPortalStandard": standard,
    }


def test_tomograms_of_one_type_are_the_default_one_then_the_standard_one_then_the_others_by_id(complain):
    rows = [tomogram(5), tomogram(4, standard=True), tomogram(3), tomogram(6, default=True)]

    found = tomograms("501", {"spacings": [{"id": 1, "voxelSpacing": 10.0}], "tomograms": rows}, complain)

    assert [(key.variant, item.row["id"], item.rank) for key, item in found.items()] == [
        ("", 6, 0),
        ("4", 4, 1),
        ("3", 3, 2),
        ("5", 5, 3),
    ]
    assert next(iter(found)) == TomogramKey("501", 10.0, "wbp-raw")


def test_tomograms_that_cannot_be_used_are_told_of(complain, complaints):
    rows = [tomogram(1, path=""), tomogram(2, spacing=9), tomogram(3, spacing=2)]
    sizes = [{"id": 1, "voxelSpacing": 10.0}, {"id": 2, "voxelSpacing": 0}]

    assert tomograms("501", {"spacings": sizes, "tomograms": rows}, complain) == {}
    assert complaints == [
        ("tomogram 1 of run 501", "the portal has no OME-Zarr of it"),
        ("tomogram 2 of run 501", "it has no voxel spacing"),
        ("tomogram 3 of run 501", "it has no voxel spacing"),
    ]


# ---------------------------------------------------------------------------------------------------------- annotations


def annotation_rows(shape="Point", form="ndjson", path="s3://x", spacing=1, identifier="GO:1"):
    return {
        "files": [{"id": 9, "annotationShapeId": 8, "tomogramVoxelSpacingId": spacing, "format": form, "s3Path": path}],
        "shapes": [{"id": 8, "annotationId": 7, "shapeType": shape}],
        "annotations": [{"id": 7, "objectId": identifier, "objectName": "ribosome"}],
    }


OBJECTS = Objects([PickableObject(name="ribosome", is_particle=True, label=1, identifier="GO:1")])
SIZES = [{"id": 1, "voxelSpacing": 10.0}, {"id": 2, "voxelSpacing": 0}]


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        (annotation_rows("Point"), PicksKey("501", "ribosome", "data-portal", "9")),
        (annotation_rows("OrientedPoint"), PicksKey("501", "ribosome", "data-portal", "9")),
        (annotation_rows("InstanceSegmentation"), PicksKey("501", "ribosome", "data-portal", "9")),
        (annotation_rows("Mesh", "stl"), MeshKey("501", "ribosome", "data-portal", "9")),
        (annotation_rows("Mesh", "glb", spacing=None), MeshKey("501", "ribosome", "data-portal", "9")),
        (annotation_rows("SegmentationMask", "zarr"), SegmentationKey("501", 10.0, "ribosome", "data-portal", "9", "binary")),
        (
            annotation_rows("InstanceSegmentationMask", "zarr"),
            SegmentationKey("501", 10.0, "ribosome", "data-portal", "9", "instance"),
        ),
    ],
)
def test_a_file_of_an_annotation_is_an_entity_by_its_shape(complain, complaints, rows, key):
    assert [*annotated("501", rows, SIZES, OBJECTS, complain)] == [key]
    assert complaints == []


@pytest.mark.parametrize(
    ("rows", "shape", "why"),
    [
        (annotation_rows(path=""), "Point", "the portal does not say where it is"),
        (annotation_rows(form="csv"), "Point", "points in format 'csv' cannot be read"),
        (annotation_rows("SegmentationMask", "tif"), "SegmentationMask", "masks in format 'tif' cannot be read"),
        (annotation_rows(spacing=None), "Point", "it has no voxel spacing, so that its voxels have no size"),
        (annotation_rows(spacing=2), "Point", "it has no voxel spacing, so that its voxels have no size"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_of(complain, complaints, rows, shape, why):
    assert annotated("501", rows, SIZES, OBJECTS, complain) == {}
    assert complaints == [(f"annotation file 9 ({shape} of 'ribosome') of run 501", why)]


@pytest.mark.parametrize("rows", [annotation_rows("SegmentationMask", "mrc"), annotation_rows(identifier="GO:2")])
def test_twins_and_other_objects_are_left_out_in_silence(complain, complaints, rows):
    assert annotated("501", rows, SIZES, OBJECTS, complain) == {}
    assert complaints == []


def test_an_object_is_found_by_its_identifier_and_then_by_the_portals_name():
    known = Objects(
        [
            PickableObject(name="first", is_particle=True, label=1, identifier="GO:1"),
            PickableObject(name="my-ribosome", is_particle=True, label=2, identifier="GO:1"),
            PickableObject(name="alone", is_particle=True, label=3, identifier="GO:2"),
            PickableObject(name="nameless", is_particle=True, label=4),
        ]
    )

    def name(identifier, portal_name):
        return known.name_of({"objectId": identifier, "objectName": portal_name})

    assert name("GO:1", "My ribosome") == "my-ribosome"
    assert name("GO:1", "other") == name("GO:1", None) == "first"
    assert name("GO:2", "other") == "alone"
    assert name("GO:3", "alone") is None


# -------------------------------------------------------------------------------------------------------------- batches


def test_rows_of_a_batch_go_to_their_runs_in_the_order_of_their_ids():
    tables = {
        "annotations": [{"id": 3, "runId": 1}, {"id": 2, "runId": 1}, {"id": 4, "runId": 2}, {"id": 5, "runId": 9}],
        "shapes": [{"id": 30, "annotationId": 3}, {"id": 40, "annotationId": 4}, {"id": 50, "annotationId": 8}],
        "files": [
            {"id": 400, "annotationShapeId": 40},
            {"id": 300, "annotationShapeId": 30},
            {"id": 1, "annotationShapeId": 7},
        ],
    }

    found = _by_run("annotations", [1, 2, 3], tables)

    assert {run: {name: [row["id"] for row in rows] for name, rows in part.items()} for run, part in found.items()} == {
        "1": {"annotations": [2, 3], "shapes": [30], "files": [300]},
        "2": {"annotations": [4], "shapes": [40], "files": [400]},
        "3": {"annotations": [], "shapes": [], "files": []},
    }


@pytest.mark.parametrize(("part", "what"), [("volume_details", "tomogram"), ("annotation_details", "annotation")])
def test_authors_go_to_the_run_of_what_they_made_in_their_order(part, what):
    authors = [{f"{what}Id": 3, "name": name, "authorListOrder": order} for name, order in (("b", 2), ("a", 1))]
    tables = {f"{what}_details": [{"id": 3, "runId": 1}], f"{what}_authors": [*authors, {f"{what}Id": 9, "name": "c"}]}

    found = _by_run(part, [1, 2], tables)

    assert [row["name"] for row in found["1"][f"{what}_authors"]] == ["a", "b"]
    assert found["2"] == {f"{what}_details": [], f"{what}_authors": []}


def test_captions_go_to_the_run_of_their_annotation():
    tables = {
        "tilt_series": [{"id": 1, "runId": 2}],
        "alignments": [{"id": 2, "runId": 1}],
        "captioned": [{"id": 3, "runId": 1}],
        "caption_shapes": [{"id": 4, "annotationId": 3}, {"id": 5, "annotationId": 99}],
        "caption_files": [{"id": 6, "annotationShapeId": 4}, {"id": 7, "annotationShapeId": 5}],
    }

    found = _by_run("run_details", [1, 2], tables)

    assert {name: [row["id"] for row in rows] for name, rows in found["1"].items()} == {
        "tilt_series": [],
        "alignments": [2],
        "captioned": [3],
        "caption_shapes": [4],
        "caption_files": [6],
    }
    assert [row["id"] for row in found["2"]["tilt_series"]] == [1]


def test_a_question_tells_its_runs_and_differs_with_any_of_them():
    question = _question("volumes", [501, 502, 503])

    assert question.startswith("volumes of runs 501..503 (3, ")
    assert len(question) == len("volumes of runs 501..503 (3, )") + 16
    assert question != _question("volumes", [501, 504, 503])


# ------------------------------------------------------------------------------------------------------------- metadata


def test_fields_of_a_row_are_named_as_in_the_client_and_dates_are_dates():
    row = PortalRow("Annotation", {"id": 7, "depositionDate": "2024-01-15T00:00:00+00:00", "methodType": None, "other": 1})

    assert row.to_dict() == {
        "id": 7,
        "deposition_date": datetime.datetime(2024, 1, 15, tzinfo=datetime.UTC),
        "method_type": None,
    }
    assert repr(PortalRow("Run", {"id": 7, "name": "a"})) == "Run(id=7, name='a')"


def test_a_caption_tells_what_it_is_about():
    captions = [
        PortalCaption(None, {"objectName": "cell"}, {"shapeType": shape}, {"format": "txt", "s3Path": "s3://x"})
        for shape in ("GlobalCaption", "AnnotationCaption")
    ]

    assert [caption.is_global for caption in captions] == [True, False]
    assert repr(captions[0]) == "PortalCaption('cell', is_global=True, path='s3://x')"
    assert captions[0].format == "txt"


class _Method(enum.Enum):
    MANUAL = "manual"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("method_type", _Method.MANUAL, "manual"),
        ("method_type", "2024-01-15", "2024-01-15"),
        ("release_date", None, None),
        ("release_date", "2024-01-15", datetime.datetime(2024, 1, 15, tzinfo=datetime.UTC)),
        ("releaseDate", datetime.date(2024, 1, 15), datetime.datetime(2024, 1, 15, tzinfo=datetime.UTC)),
        ("release_date", datetime.datetime(2024, 1, 15, 9), datetime.datetime(2024, 1, 15, 9, tzinfo=datetime.UTC)),
        ("release_date", "2024-01-15T02:00:00+02:00", datetime.datetime(2024, 1, 15, tzinfo=datetime.UTC)),
    ],
    ids=str,
)
def test_values_are_compared_by_what_they_mean(field, value, expected):
    assert _comparable(field, value) == expected


@pytest.mark.parametrize(("value", "why"), [("monday", "'monday' is not an ISO 8601 date"), (7, "7 is not a date")])
def test_a_value_that_is_no_date_is_named(value, why):
    with pytest.raises(InvalidDataError, match=f"release_date: {why}") as raised:
        _comparable("release_date", value)

    assert raised.value.source == "portal_meta_query"


def test_a_filter_of_nothing_is_none_and_one_of_unknown_fields_lists_the_known_ones():
    assert not PortalFilter("Annotation", None, None)
    assert not PortalFilter("Annotation", {}, ())
    assert PortalFilter("Annotation", {"method_type": "manual"}, None)
    assert PortalFilter("Annotation", None, "Alice Author")
    with pytest.raises(
        InvalidDataError, match=r"Annotation has no field 'method_typ'\. Did you mean 'method_type'\?"
    ) as raised:
        PortalFilter("Annotation", {"method_typ": 1}, None)
    assert raised.value.source == "portal_meta_query"
    assert ", method_type, " in raised.value.reason


def test_what_is_not_the_portals_passes_no_filter():
    assert not PortalFilter("Annotation", None, "Alice").passes(None, PicksKey("1", "a", "b", "c"))
    assert PortalFilter("Annotation", None, None).passes(None, PicksKey("1", "a", "b", "c"))


# -------------------------------------------------------------------------------------------------------------- objects


def of_object(number, identifier="GO:1", name="Ribosome", publication=None, curator=False, truth=False):
    return {
        "id": number,
        "objectId": identifier,
        "objectName": name,
        "annotationPublication": publication,
        "isCuratorRecommended": curator,
        "groundTruthStatus": truth,
    }


def test_objects_are_made_in_the_order_of_their_identifiers():
    found = objects([of_object(1, "GO:2", "B"), of_object(2, "GO:1", None)], [])

    assert [(obj.name, obj.label, obj.identifier, obj.color, obj.radius) for obj in found] == [
        ("go-1", 1, "GO:1", color(1), 50),
        ("b", 2, "GO:2", color(2), 50),
    ]


@pytest.mark.parametrize(
    ("shapes", "particle"),
    [(["SegmentationMask"], False), (["SegmentationMask", "Point"], True), (["OrientedPoint"], True), ([], False)],
)
def test_what_any_annotation_has_points_of_is_a_particle(shapes, particle):
    rows = [{"annotationId": 2, "shapeType": shape} for shape in shapes] + [{"annotationId": 9, "shapeType": "Point"}]

    (found,) = objects([of_object(1), of_object(2)], rows)

    assert found.is_particle is particle


def test_two_identifiers_of_one_name_are_told_apart_by_the_identifier():
    assert [obj.name for obj in objects([of_object(1, "GO:1"), of_object(2, "GO:2")], [])] == ["ribosome", "ribosome-go-2"]


@pytest.mark.parametrize(
    ("rows", "emdb", "pdb"),
    [
        ([of_object(1, publication="10.1/x, EMD-1,PDB-1, EMD-2")], "EMD-1", "PDB-1"),
        ([of_object(1, publication="EMD-1"), of_object(2, publication="EMD-2", truth=True)], "EMD-2", None),
        ([of_object(1, publication="EMD-1", truth=True), of_object(2, publication="EMD-2", curator=True)], "EMD-2", None),
        ([of_object(2, publication="EMD-2"), of_object(1, publication="EMD-1")], "EMD-1", None),
        ([of_object(1, "PDB:4V4R")], None, "4V4R"),
        ([of_object(1, "pdb-4V4R", publication="PDB-9")], None, "PDB-9"),
        ([of_object(1, "PDB:")], None, None),
        ([of_object(1, "GO:4V4R")], None, None),
    ],
)
def test_ids_of_maps_are_those_of_the_best_annotation_that_names_one(rows, emdb, pdb):
    (found,) = objects(rows, [])

    assert (found.emdb_id, found.pdb_id) == (emdb, pdb)
