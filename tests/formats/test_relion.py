"""Particles of RELION and Warp; starfile and eulerangles are the oracles."""

from __future__ import annotations

from dataclasses import replace

import eulerangles
import numpy as np
import pytest
import starfile
from scipy.spatial.transform import Rotation

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame
from support.points import FRAME, apart, centres, known, read, table, unknown, write
from support.shared_data import shared

ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
SUBTOMOGRAM = ["rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi"]


def data(name):
    return shared(f"formats/{name}")


def matrices(frame, labels):
    return Rotation.from_euler("ZYZ", frame[labels].to_numpy(), degrees=True).inv().as_matrix()


def star(tmp_path, text, name="particles.star"):
    path = tmp_path / name
    path.write_text(text)
    return path


def particles(
    tmp_path, rows, labels="rlnTomoName rlnCoordinateX rlnCoordinateY rlnCoordinateZ", optics="_rlnTomoTiltSeriesPixelSize 2.0"
):
    head = f"data_optics\nloop_\n_rlnOpticsGroup\n{optics.split()[0]}\n1 {optics.split()[1]}\n" if optics else ""
    names = "".join(f"_{label}\n" for label in labels.split())
    return star(tmp_path, f"{head}\ndata_particles\nloop_\n{names}{rows}\n")


GROUPED = "rlnTomoName rlnCoordinateX rlnCoordinateY rlnCoordinateZ rlnOpticsGroup"


def test_relion_5_counts_from_the_centre_of_the_tomogram():
    path, tomograms = data("relion50_particles.star"), data("relion50_tomograms.star")
    expected = starfile.read(path)["particles"]

    found = read(path, unknown, tomograms=str(tomograms))

    assert [t.run for t in found] == [*dict.fromkeys(expected["rlnTomoName"])]
    one = expected[expected["rlnTomoName"] == "TS_01"]
    shift = one[[f"rlnOrigin{a}Angst" for a in "XYZ"]].to_numpy()
    centred = one[[f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"]].to_numpy()
    turned = np.einsum("nij,nj->ni", matrices(one, SUBTOMOGRAM), shift)
    np.testing.assert_allclose(found[0].positions, centred + np.array([2700, 2700, 1350]) - turned, atol=1e-9)


def test_poses_of_subtomograms_are_put_before_those_of_particles():
    path, tomograms = data("relion50_particles.star"), data("relion50_tomograms.star")
    expected = starfile.read(path)["particles"]

    found = read(path, unknown, tomograms=str(tomograms))

    every = np.concatenate([t.transforms for t in found])
    assert apart(every, matrices(expected, SUBTOMOGRAM) @ matrices(expected, ANGLES)) < 1e-12


def test_all_other_columns_are_kept_as_they_are_written():
    path = data("relion50_particles.star")
    expected = starfile.read(path, parse_as_string=["rlnLogLikeliContribution", "rlnTomoVisibleFrames", "rlnRandomSubset"])

    found = read(path)[0].columns

    own = {*ANGLES, "rlnTomoName"} | {f"rlnOrigin{a}Angst" for a in "XYZ"} | {f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"}
    assert {*found} == {*expected["particles"]} - own
    for name in ("rlnLogLikeliContribution", "rlnTomoVisibleFrames", "rlnRandomSubset"):
        assert found[name].tolist() == expected["particles"][name].tolist()[: len(found[name])]


def test_relion_4_counts_in_pixels_of_the_tilt_series():
    path = data("relion40_particles.star")
    expected = starfile.read(path)["particles"]

    found = np.concatenate([t.positions for t in read(path, unknown)])

    places = expected[[f"rlnCoordinate{a}" for a in "XYZ"]].to_numpy() * 1.971
    np.testing.assert_allclose(found, places - expected[[f"rlnOrigin{a}Angst" for a in "XYZ"]].to_numpy(), atol=1e-9)


@pytest.mark.parametrize(("name", "pixel"), [("relion31_two_optics.star", None), ("relion51_warp_particles.star", 4.828)])
def test_warp_counts_in_pixels_that_each_particle_names(name, pixel):
    path = data(name)
    expected = starfile.read(path)["particles"]

    found = np.concatenate([t.positions for t in read(path, unknown)])

    sizes = expected[["rlnPixelSize"]].to_numpy() if pixel is None else pixel
    places = expected[[f"rlnCoordinate{a}" for a in "XYZ"]].to_numpy() * sizes
    shifts = expected[[f"rlnOrigin{a}Angst" for a in "XYZ"]].to_numpy()
    order = np.argsort(
        expected["rlnMicrographName"].map({n: i for i, n in enumerate(dict.fromkeys(expected["rlnMicrographName"]))}),
        kind="stable",
    )
    np.testing.assert_allclose(found, (places - shifts)[order], atol=1e-9)


def test_relion_30_counts_in_pixels_of_the_detector():
    found = read(data("relion30_warp.star"), unknown)

    assert found[0].run == "tomo_ts01.mrc_15.00Apx.mrc"
    np.testing.assert_allclose(found[0].positions[0], np.array([1572.444, 1084.5, 964.5]) * 5)


def test_numbers_that_are_names_stay_text():
    assert read(data("relion51_warp_particles.star"), unknown)[0].run == "021.tomostar"


def test_an_export_of_warp_with_two_pixel_sizes_is_refused():
    with pytest.raises(InvalidDataError, match="pixel_size"):
        read(data("warp2_particles.star"), unknown)


def test_the_pixel_size_can_be_given():
    found = read(data("warp2_particles.star"), unknown, pixel_size=4.0)

    np.testing.assert_allclose(found[0].positions[0], np.array([354.242, 397.132, 75.828]) * 4)


def test_tabs_and_empty_lines_do_not_matter():
    found = read(data("relion50_microtubule.star"))

    assert [len(t.positions) for t in found] == [
        len(g) for _, g in starfile.read(data("relion50_microtubule.star"))["particles"].groupby("rlnTomoName")
    ]


def test_pixel_sizes_of_a_list_of_tomograms_go_before_those_of_optics_groups():
    path, tomograms = data("relion50_microtubule.star"), data("relion50_microtubule_tomograms.star")
    rows, frames = starfile.read(path)["particles"], starfile.read(tomograms).set_index("rlnTomoName")

    found = read(path, unknown, tomograms=str(tomograms))

    for one in found:
        size = frames.loc[one.run, ["rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ"]].to_numpy(float)
        own = rows[rows["rlnTomoName"] == one.run]
        shift = own[[f"rlnOrigin{a}Angst" for a in "XYZ"]].to_numpy()
        if SUBTOMOGRAM[0] in own:
            shift = np.einsum("nij,nj->ni", matrices(own, SUBTOMOGRAM), shift)
        centred = own[[f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"]].to_numpy()
        np.testing.assert_allclose(one.positions, centred + size / 2 * 10.52 - shift, atol=1e-9)


def test_particles_in_two_blocks_are_not_mixed_up_and_none_is_left_out():
    path = data("star_blocks.star")
    expected = starfile.read(path)["block_3"]

    with pytest.raises(InvalidDataError, match=r"data_block_2 and data_block_3; give block"):
        read(path, unknown, pixel_size=2.0)
    found = read(path, unknown, pixel_size=2.0, block="block_3")

    places = expected[["rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"]].to_numpy()
    np.testing.assert_allclose(np.concatenate([one.positions for one in found]), places * 2)
    assert [one.run for one in found] == expected["rlnMicrographName"].tolist()


def test_an_option_names_the_tomogram_of_particles_that_name_none(tmp_path):
    columns = "".join(f"_rlnCenteredCoordinate{axis}Angst\n" for axis in "XYZ")
    path = star(tmp_path, f"data_particles\nloop_\n{columns}1.0 2.0 3.0\n")

    (table,) = read(path, name="relion", tomogram="TS_001", frame=lambda run: Frame((10, 20, 30), 1.0))

    assert table.run == "TS_001"
    np.testing.assert_allclose(table.positions, [[16.0, 12.0, 8.0]])
    with pytest.raises(InvalidDataError, match=r"names no tomograms.*give tomogram"):
        read(path, name="relion")


def test_a_table_of_something_else_is_refused_with_its_columns():
    path = data("star_quotes.star")

    with pytest.raises(InvalidDataError, match="rlnCoordinateX") as caught:
        read(path, name="relion")

    assert all(name in str(caught.value) for name in starfile.read(path))


def test_a_file_without_particles_is_refused(tmp_path):
    path = star(tmp_path, "data_\nloop_\n_rlnVoltage\n300\n")

    with pytest.raises(InvalidDataError, match="holds no particles"):
        read(path)


def test_origins_in_pixels_count(tmp_path):
    path = particles(tmp_path, "TS_1 10 20 30 1 1 2 3", GROUPED + " rlnOriginX rlnOriginY rlnOriginZ")

    assert read(path, unknown)[0].positions.tolist() == [[18, 36, 54]]


@pytest.mark.parametrize(("centre", "expected"), [("size/2", 150 * 7.84), ("size/2-1", 149 * 7.84)])
def test_the_centre_is_the_readers_or_the_picking_scripts(tmp_path, centre, expected):
    labels = "rlnTomoName " + " ".join(f"rlnCenteredCoordinate{a}Angst" for a in "XYZ")

    found = read(particles(tmp_path, "TS_1 0 0 0", labels, ""), centre=centre)

    assert found[0].positions[0, 0] == pytest.approx(expected, abs=1e-9)


def test_an_unknown_centre_is_an_error(tmp_path):
    labels = "rlnTomoName " + " ".join(f"rlnCenteredCoordinate{a}Angst" for a in "XYZ")

    with pytest.raises(InvalidDataError, match=r"centre.*tomograms\.star"):
        read(particles(tmp_path, "TS_1 0 0 0", labels, ""), unknown)


def test_an_unknown_pixel_size_is_an_error(tmp_path):
    with pytest.raises(InvalidDataError, match="give pixel_size"):
        read(particles(tmp_path, "TS_1 1 2 3", optics=""))


@pytest.mark.parametrize("cell", ["nan", "inf", "1,5", "?", "''"])
def test_a_cell_that_is_no_number_is_named_by_row_and_column(tmp_path, cell):
    path = particles(tmp_path, f"TS_1 1 2 3 1\nTS_1 1 {cell} 3 1", GROUPED)

    with pytest.raises(InvalidDataError, match="row 2, column rlnCoordinateY") as caught:
        read(path)
    assert (caught.value.source, caught.value.index) == (str(path), 1)


@pytest.mark.parametrize("text", ["TS_1 1 2 3 1\nTS_1 1 2", "TS_1 1 2 3 1\n\ndata_particles\nloop_\n_a\n1"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, text):
    with pytest.raises(InvalidDataError, match="STAR"):
        read(particles(tmp_path, text, GROUPED))


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    path = particles(tmp_path, "TS_1 1 2 3 1", GROUPED)
    path.write_bytes(path.read_bytes().replace(b"TS_1", b"TS_\xfb"))

    with pytest.raises(InvalidDataError, match="not a readable STAR file"):
        read(path)


def test_an_optics_group_that_does_not_exist_is_named_by_row(tmp_path):
    with pytest.raises(InvalidDataError, match="row 2: the optics group 7"):
        read(particles(tmp_path, "TS_1 1 2 3 1\nTS_1 1 2 3 7", GROUPED))


def test_runs_that_alternate_are_gathered_in_order(tmp_path):
    path = particles(tmp_path, "b 1 0 0 1\na 2 0 0 1\nb 3 0 0 1", GROUPED)

    assert [(t.run, (t.positions[:, 0] / 2).tolist()) for t in read(path)] == [("b", [1, 3]), ("a", [2])]


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("coordinates", ["centered", "pixels"])
def test_what_is_written_reads_back(tmp_path, coordinates):
    tables = [table(50, run, seed) for seed, run in enumerate(["TS_1", "001", "with blank"])]

    found = read(write(tmp_path / "a.star", tables, "relion", coordinates=coordinates))

    assert [t.run for t in found] == ["TS_1", "001", "with blank"]
    for one, again in zip(tables, found, strict=True):
        np.testing.assert_allclose(again.positions, centres(one), atol=1e-6, rtol=0)
        assert apart(one.transforms, again.transforms) < 1e-7


def test_starfile_reads_the_same_values(tmp_path):
    one = table(
        30,
        scores=np.linspace(0, 0.9, 30),
        instance_ids=np.arange(30),
        columns={"rlnClassNumber": np.arange(30), "rlnMicrographName": np.array([f"a b{i}" for i in range(30)])},
    )

    found = starfile.read(write(tmp_path / "a.star", [one], "relion"))

    middle = np.array(FRAME.shape[::-1]) / 2 * FRAME.voxel_size
    frame = found["particles"]
    np.testing.assert_allclose(
        frame[[f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"]], centres(one) - middle, atol=1e-6, rtol=0
    )
    np.testing.assert_array_equal(frame["rlnAutopickFigureOfMerit"], one.scores)
    np.testing.assert_array_equal(frame["rlnHelicalTubeID"], one.instance_ids)
    np.testing.assert_array_equal(frame["rlnClassNumber"], np.arange(30))
    assert frame["rlnMicrographName"].tolist() == one.columns["rlnMicrographName"].tolist()
    assert found["optics"]["rlnTomoTiltSeriesPixelSize"].tolist() in (7.84, [7.84])


def test_the_angles_are_those_of_eulerangles(tmp_path):
    one = table(30)

    frame = starfile.read(write(tmp_path / "a.star", [one], "relion"))["particles"]

    meta = {"axes": "zyz", "intrinsic": True, "right_handed_rotation": True}
    matrix = eulerangles.euler2matrix(frame[ANGLES].to_numpy(), **meta)
    assert apart(np.swapaxes(matrix, 1, 2), one.transforms) < 1e-7


def test_a_real_file_survives_with_its_columns(tmp_path):
    path, tomograms = data("relion50_particles.star"), str(data("relion50_tomograms.star"))
    before = read(path, unknown, tomograms=tomograms)

    again = read(
        write(tmp_path / "a.star", before, "relion", unknown, tomograms=tomograms, optics=str(path)),
        unknown,
        tomograms=tomograms,
    )

    assert sum(len(one.positions) for one in before) == 62
    for one, two in zip(before, again, strict=True):
        np.testing.assert_allclose(two.positions, one.positions, atol=1e-6, rtol=0)
        assert apart(one.transforms, two.transforms) < 1e-7
        assert {name: values.tolist() for name, values in two.columns.items()} == {
            name: values.tolist() for name, values in one.columns.items()
        }


def test_optics_groups_are_copied_where_they_are_given(tmp_path):
    path, tomograms = data("relion50_particles.star"), str(data("relion50_tomograms.star"))
    before = read(path, unknown, tomograms=tomograms)

    found = starfile.read(
        write(tmp_path / "a.star", before, "relion", unknown, tomograms=tomograms, optics=str(path)), always_dict=True
    )

    assert found["optics"]["rlnVoltage"].tolist() == [300.0]
    assert found["particles"]["rlnOpticsGroup"].tolist() == [1] * 62


def test_each_run_has_an_optics_group_with_its_pixel_size(tmp_path):
    sizes = {"a": Frame((10, 10, 10), 5.0), "b": Frame((10, 10, 10), 2.5)}
    tables = [table(3, "a"), table(2, "b")]

    found = starfile.read(write(tmp_path / "a.star", tables, "relion", sizes.get, coordinates="pixels"))

    assert found["optics"]["rlnTomoTiltSeriesPixelSize"].tolist() == [5.0, 2.5]
    assert found["particles"]["rlnOpticsGroup"].tolist() == [1, 1, 1, 2, 2]


def test_what_is_no_rotation_is_not_written(tmp_path):
    one = table(3)
    one.transforms[1, :3, :3] *= 2

    with pytest.raises(InvalidDataError, match=r"point 1.*not a rotation"):
        write(tmp_path / "a.star", [one], "relion")


def test_a_cell_that_no_star_file_can_hold_is_refused(tmp_path):
    one = replace(table(1), columns={"note": np.array(["two\nlines"])})

    with pytest.raises(InvalidDataError, match="column note"):
        write(tmp_path / "a.star", [one], "relion")


def test_a_run_of_unknown_size_is_not_written(tmp_path):
    with pytest.raises(InvalidDataError, match="'TS_1'"):
        write(tmp_path / "a.star", [table(1)], "relion", unknown)


@pytest.mark.parametrize("frame", [known])
def test_no_points_make_a_file_without_rows(tmp_path, frame):
    path = write(tmp_path / "a.star", [], "relion", frame)

    assert "_rlnTomoName" in path.read_text()


# ---------------------------------------------------------------- files for RELION's import


def imported(tmp_path, **options):
    tables = [table(9, "TS_1", scores=np.linspace(0, 1, 9)), table(4, "TS_2", 1)]
    return tables, write(tmp_path / "ribosomes", tables, "relion-import", **options)


def test_a_folder_for_relions_import_has_a_list_and_a_file_for_each_run(tmp_path):
    tables, folder = imported(tmp_path)

    listed = starfile.read(folder / "particles.star")
    assert listed["rlnTomoName"].tolist() == ["TS_1", "TS_2"]
    assert listed["rlnTomoImportParticleFile"].tolist() == [f"ribosomes/coordinates/{run}.star" for run in ("TS_1", "TS_2")]
    frame = starfile.read(folder / "coordinates" / "TS_1.star")  # one block: RELION reads the first
    centred = frame[[f"rlnCenteredCoordinate{a}Angst" for a in "XYZ"]].to_numpy()
    middle = np.array(FRAME.shape[::-1]) / 2 * FRAME.voxel_size
    np.testing.assert_allclose(centred + middle, centres(tables[0]), atol=1e-6, rtol=0)
    assert "rlnOpticsGroup" not in frame


def test_a_list_for_relions_import_is_read_with_its_files(tmp_path):
    tables, folder = imported(tmp_path)

    again = read(folder / "particles.star")

    assert [t.run for t in again] == ["TS_1", "TS_2"]
    for one, two in zip(again, tables, strict=True):
        np.testing.assert_allclose(one.positions, centres(two), atol=1e-6, rtol=0)
        assert apart(one.transforms, two.transforms) < 1e-7


def test_a_list_that_names_a_missing_file_is_an_error_with_its_row(tmp_path):
    _, folder = imported(tmp_path)
    (folder / "coordinates" / "TS_2.star").unlink()

    with pytest.raises(InvalidDataError, match="row 2, column rlnTomoImportParticleFile"):
        read(folder / "particles.star")


def test_the_folder_may_lie_elsewhere_for_relion(tmp_path):
    _, folder = imported(tmp_path, prefix="Import/picks")

    listed = starfile.read(folder / "particles.star")

    assert listed["rlnTomoImportParticleFile"][0] == "Import/picks/coordinates/TS_1.star"


@pytest.mark.parametrize(("options", "match"), [({"optics": "a.star"}, "optics"), ({"helical": "round"}, "helical")])
def test_what_relions_import_cannot_have_is_refused(tmp_path, options, match):
    with pytest.raises(InvalidDataError, match=match):
        imported(tmp_path, **options)
