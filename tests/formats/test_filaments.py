"""Filaments in files of other programs; starfile, dynamotable and imodmodel are the oracles."""

from __future__ import annotations

import csv
import warnings
from dataclasses import replace

import dynamotable
import imodmodel
import numpy as np
import pandas as pd
import pytest
import starfile
from scipy.spatial.transform import Rotation

from copick_core.errors import InvalidDataError
from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.plugins.format_functions import FilamentsTable, PicksTable
from support.points import apart, known, lacking, read, unknown, write
from support.shared_data import shared

FORMATS = {"relion": ".star", "dynamo": ".tbl", "csv": ".csv", "parquet": ".parquet", "imod": ".mod"}
#: How far vertices may move: what the format stores, in angstrom.
EXACT = {"relion": 1e-6, "dynamo": 1e-8, "csv": 0, "parquet": 0, "imod": 3e-4}


def helix(n: int, seed: int = 0):
    t = np.linspace(0, 3, n)
    return np.stack([300 + 100 * np.cos(t), 400 + 100 * np.sin(t), 100 + 80 * t], 1) + seed * 7


def filaments(run="1", **fields) -> FilamentsTable:
    ids = fields.pop("instance_ids", [2, 5, 9])
    return FilamentsTable([helix(10 + i, i) for i in range(len(ids))], ids, run=run, **fields)


def stored(tmp_path, name, table, **options):
    return write(tmp_path / f"a{FORMATS[name]}", [table], name, kind="filaments", **options)


@pytest.mark.parametrize("name", FORMATS)
def test_vertices_and_ids_survive(tmp_path, name):
    table = filaments()

    (again,) = read(stored(tmp_path, name, table), kind="filaments")

    assert again.instance_ids == [2, 5, 9]
    for one, two in zip(again.polylines, table.polylines, strict=True):
        np.testing.assert_allclose(one, two, atol=EXACT[name], rtol=0)


@pytest.mark.parametrize("name", ["relion", "csv", "parquet"])
def test_polarity_and_scores_survive(tmp_path, name):
    table = filaments(polarity_known=[True, False, True], scores=[0.25, 0.5, 0.75])

    (again,) = read(stored(tmp_path, name, table), kind="filaments")

    assert (again.polarity_known, again.scores) == ([True, False, True], [0.25, 0.5, 0.75])


@pytest.mark.parametrize("name", ["csv", "parquet", "imod"])
def test_radii_survive(tmp_path, name):
    (again,) = read(stored(tmp_path, name, filaments(radii=[125.0, None, 80.0])), kind="filaments")

    assert again.radii == [pytest.approx(125.0), None, pytest.approx(80.0)]


def test_metadata_of_filaments_are_columns_of_their_points(tmp_path):
    path = stored(tmp_path, "csv", filaments(metadata=[{"by": "hand", "n": 13}, {"by": "net"}, {}]))

    (again,) = read(path, kind="filaments")

    rows = [*csv.DictReader(path.read_text().splitlines())]
    assert [row["by"] for row in rows][:11] == ["hand"] * 10 + ["net"]
    assert again.metadata[0] == {"by": "hand", "n": "13"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relion", ["notes", "radius"]),
        ("dynamo", ["by", "notes", "polarity_known", "radius"]),
        ("csv", ["notes"]),
        ("parquet", ["notes"]),
        ("imod", ["by", "notes", "polarity_known", "scores"]),
    ],
)
def test_what_a_format_cannot_hold_of_filaments_is_named(tmp_path, name, expected):
    table = filaments(
        radii=[125.0, None, 80.0],
        scores=[0.5, 1, 1],
        polarity_known=[True] * 3,
        metadata=[{"by": "hand", "notes": ["a"]}, {}, {}],
    )

    assert sorted(lacking(tmp_path / "a", [table], name, kind="filaments")) == expected


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_pandas_reads_a_row_for_each_vertex(tmp_path, suffix):
    table = filaments(radii=[125.0, None, 80.0], polarity_known=[True, False, True])

    path = write(tmp_path / f"a.{suffix}", [table], "parquet" if suffix == "parquet" else "csv", kind="filaments")

    rows = pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path, sep="\t" if suffix == "tsv" else ",")
    groups = [rows for _, rows in rows.groupby("instance_id", sort=False)]
    assert [group["instance_id"].iloc[0] for group in groups] == [*table.instance_ids]
    assert [bool(group["polarity_known"].iloc[0]) for group in groups] == [True, False, True]
    for group, polyline in zip(groups, table.polylines, strict=True):
        np.testing.assert_allclose(group[["x", "y", "z"]], polyline, rtol=1e-15)


# ---------------------------------------------------------------- RELION


def particles(path):
    return starfile.read(path)["particles"]


def matrices(frame, labels):
    return Rotation.from_euler("ZYZ", frame[labels].to_numpy(), degrees=True).inv().as_matrix()


ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
SUBTOMOGRAM = ["rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi"]


def test_relion_has_the_columns_of_helical_processing(tmp_path):
    table = filaments(polarity_known=[True, False, True])

    frame = particles(stored(tmp_path, "relion", table))

    assert frame["rlnHelicalTubeID"].tolist() == [2] * 10 + [5] * 11 + [9] * 12
    lengths = [np.r_[0, np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))] for p in table.polylines]
    np.testing.assert_allclose(frame["rlnHelicalTrackLengthAngst"], np.concatenate(lengths), atol=1e-6)
    assert frame["rlnAnglePsiFlipRatio"].tolist() == [0.0] * 10 + [0.5] * 11 + [0.0] * 12
    assert {*frame["rlnAngleTiltPrior"]} == {90}
    assert {*frame["rlnAnglePsiPrior"]} == {0}
    assert {tuple(row) for row in frame[ANGLES].to_numpy()} == {(0.0, 90.0, 0.0)}


@pytest.mark.parametrize("helical", ["frame", "pose"])
def test_the_z_axis_of_a_pose_is_the_direction_of_the_filament(tmp_path, helical):
    table = filaments()

    frame = particles(stored(tmp_path, "relion", table, helical=helical))

    poses = matrices(frame, ANGLES)
    if helical == "frame":
        poses = matrices(frame, SUBTOMOGRAM) @ poses
    else:
        np.testing.assert_allclose(frame[["rlnAngleTiltPrior", "rlnAnglePsiPrior"]], frame[["rlnAngleTilt", "rlnAnglePsi"]])
    first = table.polylines[0]
    expected = (first[2:] - first[:-2]) / np.linalg.norm(first[2:] - first[:-2], axis=1, keepdims=True)
    np.testing.assert_allclose(poses[1:9, :, 2], expected, atol=1e-7)


def test_the_pose_in_a_frame_is_that_of_the_points(tmp_path):
    transforms = np.tile(np.eye(4), (6, 1, 1))
    transforms[:, :3, :3] = Rotation.random(6, random_state=0).as_matrix()
    points = PicksTable(helix(6), transforms, np.array([1, 1, 1, 2, 2, 2]), run="TS_1")

    path = write(tmp_path / "a.star", [points], "relion", helical="frame")

    (again,) = read(path)
    assert apart(again.transforms, transforms) < 1e-7


def test_half_sets_keep_filaments_whole_and_are_of_about_the_same_size(tmp_path):
    tables = [filaments(run, instance_ids=[1, 2, 3, 4]) for run in ("TS_1", "TS_2")]

    path = write(tmp_path / "a.star", tables, "relion", kind="filaments", half_sets="filament")

    frame = particles(path)
    of_filaments = frame.groupby(["rlnTomoName", "rlnHelicalTubeID"])["rlnRandomSubset"].nunique()
    assert {*of_filaments} == {1}
    counts = frame["rlnRandomSubset"].value_counts()
    assert {*counts.index} == {1, 2}
    assert abs(counts[1] - counts[2]) <= 2


def test_points_at_equal_distances_are_written_where_a_spacing_is_given(tmp_path):
    line = FilamentsTable([np.array([[0.0, 0, 0], [0, 0, 30], [0, 0, 100]])], [1], run="TS_1")

    frame = particles(stored(tmp_path, "relion", line, spacing=25.0, centre="size/2"))

    assert frame["rlnHelicalTrackLengthAngst"].tolist() == [0, 25, 50, 75, 100]
    z = frame["rlnCenteredCoordinateZAngst"].to_numpy() + 100 / 2 * 7.84
    np.testing.assert_allclose(z, [0, 25, 50, 75, 100], atol=1e-6)


def test_particles_of_a_tube_are_sorted_by_their_track_length(tmp_path):
    table = filaments()
    path = stored(tmp_path, "relion", table)
    blocks = starfile.read(path)
    blocks["particles"] = blocks["particles"].sample(frac=1, random_state=0)
    starfile.write(blocks, path, overwrite=True)

    (again,) = read(path, kind="filaments")

    for one, two in zip(again.polylines, table.polylines, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_columns_that_differ_within_a_filament_are_named_in_a_warning(tmp_path):
    path = stored(tmp_path, "relion", filaments())
    blocks = starfile.read(path)
    blocks["particles"]["rlnMaxValueProbDistribution"] = np.arange(33.0)
    blocks["particles"]["rlnClassNumber"] = [1] * 10 + [2] * 11 + [3] * 12
    starfile.write(blocks, path, overwrite=True)

    with pytest.warns(UserWarning, match="rlnMaxValueProbDistribution differ"):
        (again,) = read(path, kind="filaments")
    assert [row["rlnClassNumber"] for row in again.metadata] == ["1", "2", "3"]


def test_particles_of_no_tube_are_no_filaments():
    with pytest.raises(InvalidDataError, match="rlnHelicalTubeID"):
        read(shared("formats/relion50_microtubule.star"), kind="filaments")


def test_helical_columns_of_points_without_a_filament_are_refused(tmp_path):
    with pytest.raises(InvalidDataError, match="point 0 of run 'TS_1' belongs to no filament"):
        write(tmp_path / "a.star", [PicksTable(helix(4), run="TS_1")], "relion", helical="frame")


def test_a_filament_of_one_point_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y,z,instance_id\n1,2,3,4\n1,2,3,4\n5,5,5,7\n")

    with pytest.raises(InvalidDataError, match=r"filament 7 \(instance_id\) has one point"):
        read(path, kind="filaments")


# ---------------------------------------------------------------- Dynamo


def test_dynamo_numbers_filaments_in_a_column(tmp_path):
    frame = dynamotable.read(stored(tmp_path, "dynamo", filaments()))

    assert frame["reg"].tolist() == [2] * 10 + [5] * 11 + [9] * 12


@pytest.mark.parametrize("column", ["reg", "annotation"])
def test_the_column_of_dynamo_is_an_option(tmp_path, column):
    path = stored(tmp_path, "dynamo", filaments(), filament_column=column)

    assert read(path, kind="filaments", filament_column=column)[0].instance_ids == [2, 5, 9]
    assert dynamotable.read(path)[column].tolist()[0] == 2


def test_instance_ids_of_picks_are_in_a_column_of_dynamo_where_that_is_asked_for(tmp_path):
    points = PicksTable(helix(3), instance_ids=np.array([4, 4, 6]), run="1")

    path = write(tmp_path / "a.tbl", [points], "dynamo", filament_column="reg")

    assert read(path, filament_column="reg")[0].instance_ids.tolist() == [4, 4, 6]
    assert lacking(tmp_path / "b.tbl", [points], "dynamo") == ["instance_ids"]


# ---------------------------------------------------------------- tables


def test_a_table_of_picks_with_ids_is_one_of_filaments(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"run_name": "TS_1", "x": [1, 2, 3, 4], "y": 0, "z": 0, "instance_id": [7, 3, 7, 3]}).to_csv(
        path, index=False
    )

    (again,) = read(path, kind="filaments")

    assert again.instance_ids == [3, 7]
    assert [p[:, 0].tolist() for p in again.polylines] == [[2, 4], [1, 3]]


@pytest.mark.parametrize(("column", "cell"), [("radius", "wide"), ("radius", "-3"), ("polarity_known", "perhaps")])
def test_a_cell_that_cannot_be_read_is_an_error(tmp_path, column, cell):
    path = tmp_path / "a.csv"
    path.write_text(f"x,y,z,instance_id,{column}\n1,2,3,4,{cell}\n1,2,4,4,{cell}\n")

    with pytest.raises(InvalidDataError, match=column):
        read(path, kind="filaments")


# ---------------------------------------------------------------- IMOD


def test_filaments_are_open_contours_for_imodmodel(tmp_path):
    table = filaments(object_name="microtubule", radii=[125.0, 80.0, 80.0])

    expected = imodmodel.ImodModel.from_file(stored(tmp_path, "imod", table))

    (item,) = expected.objects
    assert item.header.flags.open
    for contour, polyline in zip(item.contours, table.polylines, strict=True):
        np.testing.assert_allclose((contour.points - [0.5, 0.5, 0]) * 7.84, polyline, atol=1e-3)
    assert {c.header.surf for c in item.contours} == {2, 5, 9}


def test_open_contours_of_a_real_model_are_filaments():
    path = shared("formats/imod_objects.mod")
    expected = imodmodel.ImodModel.from_file(path)

    found = read(path, unknown, kind="filaments")

    contours = [c.points for o in expected.objects for c in o.contours]
    polylines = [p for table in found for p in table.polylines]
    for one, two in zip(polylines, contours, strict=True):
        np.testing.assert_allclose(one, (two - [0.5, 0.5, 0]) * 19.73333, rtol=1e-6)


def test_scattered_points_beside_open_contours_are_named():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(shared("formats/imod_origin_sizes.mod"), unknown, kind="filaments")

    assert [len(table.polylines) for table in found] == [3, 1]
    assert "SCATTERED_POINT_SIZE" in str(caught[0].message)


def test_a_model_of_scattered_points_has_no_filaments(tmp_path):
    path = write(tmp_path / "a.mod", [PicksTable(helix(3), object_name="ribosome")], "imod")

    with pytest.raises(InvalidDataError, match="'ribosome' are closed or scattered"):
        read(path, kind="filaments")


def test_meshes_of_a_model_are_triangles_of_its_points():
    path = shared("formats/imod_objects.mod")
    expected = imodmodel.ImodModel.from_file(path)
    chosen = format_that_reads(str(path), "mesh")

    scene = function_of(chosen, chosen.reads, "mesh", {})(str(path))

    of_model = [m for o in expected.objects for m in o.meshes]
    assert len(scene.geometry) == len(of_model) == 2
    for mesh, one in zip(scene.geometry.values(), of_model, strict=True):
        vertices = np.asarray(one.vertices)
        indices = [i for i in np.asarray(one.indices).ravel().tolist() if i >= 0]
        triangles = (vertices[indices] - [0.5, 0.5, 0]) * 19.73333
        np.testing.assert_allclose(mesh.triangles.reshape(-1, 3), triangles, rtol=1e-6)


def test_a_model_without_meshes_has_none(tmp_path):
    path = str(stored(tmp_path, "imod", filaments()))
    chosen = format_that_reads(path, "mesh")

    with pytest.raises(InvalidDataError, match="imodmesh"):
        function_of(chosen, chosen.reads, "mesh", {})(path)


def test_several_runs_are_no_model(tmp_path):
    tables = [replace(filaments(), run=run) for run in ("TS_1", "TS_2")]

    with pytest.raises(InvalidDataError, match="one file for each"):
        write(tmp_path / "a.mod", tables, "imod", known, kind="filaments")
