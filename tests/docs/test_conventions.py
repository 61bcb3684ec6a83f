"""The pages on conventions: their particle is the same for us, for the format's own library, and for what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dynamotable
import emfile
import eulerangles
import imodmodel
import mrcfile
import nrrd
import numpy as np
import pandas as pd
import pytest
import starfile
import tifffile
import trimesh

import copick_core
from copick_core.plugins.format_functions import Frame, PicksTable
from copick_core.volumes.reading import read_volume
from support.points import apart, read, write

DOCS = Path(__file__).parents[2] / "docs"
FRAME = Frame((200, 300, 400), 10.0)
CENTRE = np.array([2000, 1500, 1000])
VOXEL = (50, 150, 100)


def frame(run):
    return FRAME


def blocks(page, language="text"):
    return re.findall(rf"```{language}\b.*\n([^`]*)```", (DOCS / "conventions" / f"{page}.md").read_text())


def rows_of_the_overview():
    cells = re.findall(
        r"^\| [a-z'].*?\| (-?[\d.]+) \| (-?[\d.]+) \| (-?[\d.]+) \|$", (DOCS / "file-conventions.md").read_text(), re.M
    )
    return np.array(cells, float)


POSITION, SHIFT, *AXES = rows_of_the_overview()
PLACE = POSITION + SHIFT
TURNED = np.stack(AXES, 1)[None]


def check(found, *, turned=True, exact=1e-9):
    """One particle is at the place of the overview, and turned as it says there."""
    shift = 0 if found.transforms is None else found.transforms[:, :3, 3]
    np.testing.assert_allclose(found.positions + shift, PLACE[None], atol=exact, rtol=0)
    if turned:
        assert apart(found.transforms, TURNED) < 2e-6


def of_relion(rot, tilt, psi):
    """What turns the object into the tomogram, by eulerangles: RELION's matrix is the reverse of its angles'."""
    meta = {"axes": "zyz", "intrinsic": True, "right_handed_rotation": True}
    return np.swapaxes(eulerangles.euler2matrix(np.array([[rot, tilt, psi]] * 2, float), **meta), 1, 2)[:1]


def of_dynamo(tdrot, tilt, narot):
    angles = np.array([[tdrot, tilt, narot]] * 2, float)  # of a single row eulerangles drops an axis
    return of_relion(*eulerangles.convert_eulers(angles, "dynamo", "relion")[0])


def stored(tmp_path, text, name):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_the_overview_and_the_site_have_every_page():
    overview, contents = (DOCS / "file-conventions.md").read_text(), (DOCS / "conf.py").read_text()

    pages = sorted(path.stem for path in (DOCS / "conventions").glob("*.md"))

    assert len(pages) == 8
    for page in pages:
        assert f"(conventions/{page}.md)" in overview
        assert f'"{page}"' in contents


def test_the_axes_of_the_overview_are_those_of_a_rotation():
    assert apart(TURNED, np.swapaxes(np.linalg.inv(TURNED), 1, 2)) < 2e-6


@pytest.mark.parametrize(("number", "version"), [(0, 5), (1, 4)])
def test_the_particle_of_relion(tmp_path, number, version):
    path = stored(tmp_path, blocks("relion")[number], "a.star")

    row = starfile.read(path)["particles"].squeeze()
    origin = np.array([row[f"rlnOrigin{axis}Angst"] for axis in "XYZ"], float)
    if version == 5:
        place = CENTRE + np.array([row[f"rlnCenteredCoordinate{axis}Angst"] for axis in "XYZ"], float) - origin
    else:
        place = np.array([row[f"rlnCoordinate{axis}"] for axis in "XYZ"], float) * 10 - origin

    np.testing.assert_allclose(place, PLACE)
    assert apart(of_relion(row["rlnAngleRot"], row["rlnAngleTilt"], row["rlnAnglePsi"]), TURNED) < 2e-6
    (found,) = read(path, frame)
    check(found)


def test_the_particle_of_dynamo(tmp_path):
    path = stored(tmp_path, blocks("dynamo")[0], "a.tbl")

    row = dynamotable.read(path).iloc[0]

    np.testing.assert_allclose(row[["x", "y", "z"]].astype(float) * 10, POSITION)
    np.testing.assert_allclose(row[["dx", "dy", "dz"]].astype(float) * 10, SHIFT)
    assert apart(of_dynamo(row["tdrot"], row["tilt"], row["narot"]), TURNED) < 2e-6
    (found,) = read(path, frame)
    np.testing.assert_allclose(found.positions, [POSITION])
    check(found)


def test_the_particle_of_tom(tmp_path):
    emfile.write(tmp_path / "a.em", np.array(blocks("tom")[0].split(), np.float32)[None, None])

    rows = emfile.read(tmp_path / "a.em")[1][0, 0].astype(float)

    np.testing.assert_allclose((rows[7:10] - 1) * 10, POSITION)
    np.testing.assert_allclose(rows[10:13] * 10, SHIFT)
    phi, psi, theta = rows[16:19]
    assert apart(of_dynamo(-psi, -theta, -phi), TURNED) < 2e-6
    (found,) = read(tmp_path / "a.em", frame)
    check(found)


def test_the_particle_of_imod(tmp_path):
    path = write(tmp_path / "a.mod", [PicksTable(PLACE[None], run="TS_1")], "imod", frame)

    model = imodmodel.ImodModel.from_file(path)

    (contour,) = model.objects[0].contours
    np.testing.assert_array_equal(contour.points[0], np.array(blocks("imod")[0].split(), np.float32))
    np.testing.assert_allclose((contour.points[0] - [0.5, 0.5, 0]) * model.header.pixelsize, PLACE)
    (found,) = read(path, frame)
    check(found, turned=False, exact=1e-3)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_the_particle_of_tables(tmp_path, suffix):
    table = pd.read_csv(stored(tmp_path, blocks("tables")[0], "page.csv"))
    path = tmp_path / f"a.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, sep="\t" if suffix == "tsv" else ",", index=False)

    cells = table.iloc[0]

    np.testing.assert_array_equal(cells[["x", "y", "z"]].astype(float), POSITION)
    np.testing.assert_array_equal([cells[f"transform_{n}3"] for n in range(3)], SHIFT)
    matrix = np.array([[[cells[f"transform_{n}{m}"] for m in range(3)] for n in range(3)]], float)
    assert apart(matrix, TURNED) < 2e-6
    (found,) = read(path, frame)
    np.testing.assert_array_equal(found.positions, [POSITION])
    check(found)


STOPGAP, WARP, CRYOLO, EMAN2 = range(4)


def test_the_particle_of_stopgap(tmp_path):
    path = stored(tmp_path, blocks("others")[STOPGAP], "a.star")

    row = starfile.read(path).squeeze()

    np.testing.assert_allclose(([row[f"orig_{axis}"] for axis in "xyz"] - np.ones(3)) * 10, POSITION)
    np.testing.assert_allclose(np.array([row[f"{axis}_shift"] for axis in "xyz"]) * 10, SHIFT)
    assert apart(of_dynamo(-row["psi"], -row["the"], -row["phi"]), TURNED) < 2e-6
    (found,) = read(path, frame)
    check(found)


def test_the_particle_of_warp(tmp_path):
    path = stored(tmp_path, blocks("others")[WARP], "a.star")

    row = starfile.read(path).squeeze()

    place = [row[f"rlnCoordinate{axis}"] * row["rlnPixelSize"] - row[f"rlnOrigin{axis}Angst"] for axis in "XYZ"]
    np.testing.assert_allclose(place, PLACE)
    (found,) = read(path, frame)
    assert found.run == "TS_1.tomostar"
    check(found)


def test_the_particle_of_cryolo(tmp_path):
    path = stored(tmp_path, blocks("others")[CRYOLO], "a.cbox")

    row = starfile.read(path)["cryolo"].squeeze()

    corner = np.array([row["CoordinateX"], row["CoordinateY"], row["CoordinateZ"]])
    half = np.array([row["Width"] / 2, row["Height"] / 2, 0])
    np.testing.assert_allclose((corner + half) * 10, PLACE)
    (found,) = read(path, frame)
    check(found, turned=False)


def test_the_particle_of_eman2(tmp_path):
    path = stored(tmp_path, blocks("others")[EMAN2], "a.json")

    content = json.loads(path.read_text())

    np.testing.assert_allclose(np.array([200, 150, 100]) * 10 + np.array(content["boxes_3d"][0][:3]) * 2.5, PLACE)
    (found,) = read(path, frame)
    assert found.object_name == "ribosome"
    check(found, turned=False)


def test_the_particle_of_cets(tmp_path):
    path = stored(tmp_path, blocks("cets", "json")[0], "a.cets.json")

    region = json.loads(path.read_text())["regions"][0]
    shift, scale = region["tomograms"][0]["coordinate_transformations"][0]["sequence"]

    voxel = np.array(region["annotations"][0]["origin3D"][0]) / scale["scale"] - shift["translation"]
    np.testing.assert_allclose(voxel * 10, PLACE)
    (found,) = read(path, lambda run: None)
    assert (found.run, found.object_name) == ("TS_1", "ribosome")
    check(found, turned=False)


@pytest.mark.parametrize("suffix", ["mrc", "tif", "nrrd", "em", "zarr"])
def test_a_bright_voxel_has_its_index_and_size_in_every_format(tmp_path, suffix):
    volume = np.zeros((60, 160, 110), np.float32)
    volume[VOXEL] = 1
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "user_id": "ana", "pickable_objects": []}
    (tmp_path / "config.json").write_text(json.dumps(config))
    root = copick_core.open(tmp_path / "config.json")
    root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(volume, levels=1)
    path = tmp_path / f"a.{suffix}"

    copick_core.export_volumes(root, "wbp@10.0", path)

    found, size = READERS[suffix](path)
    assert np.argwhere(found).tolist() == [[*VOXEL]]
    np.testing.assert_allclose(np.array(VOXEL[::-1]) * 10.0, POSITION)
    assert size == (None if suffix == "em" else pytest.approx(10.0))


@pytest.mark.parametrize("suffix", ["mrc", "tif", "em", "nrrd"])
def test_the_first_voxel_of_a_file_is_voxel_0_whatever_its_origin(tmp_path, suffix):
    volume = np.zeros((6, 16, 11), np.float32)
    volume[1, 2, 3] = 1
    path = tmp_path / f"a.{suffix}"
    if suffix == "mrc":
        with mrcfile.new(path, volume) as file:
            file.voxel_size = 10.0
            file.header.origin = (700, 800, 900)
    elif suffix == "tif":
        tifffile.imwrite(path, volume)
    elif suffix == "nrrd":
        header = {"space dimension": 3, "space directions": np.eye(3), "space origin": [700, 800, 900]}
        nrrd.write(str(path), volume, header, index_order="C")
    else:
        emfile.write(path, volume)

    with read_volume(str(path)) as again:
        assert np.argwhere(again.slabs(0, 6)).tolist() == [[1, 2, 3]]


def _mrc(path):
    with mrcfile.open(path) as file:
        assert file.header.origin.tolist() == (0, 0, 0)
        return file.data.copy(), float(file.voxel_size.x)


def _tiff(path):
    with tifffile.TiffFile(path) as file:
        pixels = re.search(r'PhysicalSizeX="([\d.]+)" PhysicalSizeXUnit="([^"]+)"', file.ome_metadata)
        assert pixels[2] in ("Å", "nm")
        return file.asarray(), float(pixels[1]) * (10 if pixels[2] == "nm" else 1)


def _nrrd(path):
    data, header = nrrd.read(str(path), index_order="C")
    assert header["space origin"].tolist() == [0, 0, 0]
    return data, float(header["space directions"][0][0])


def _em(path):
    return emfile.read(path)[1], None


def _zarr(path):
    import zarr

    group = zarr.open_group(path, mode="r")
    scale = group.attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert [step["type"] for step in scale] == ["scale"]
    return group["0"][:], scale[0]["scale"][0]


READERS = {"mrc": _mrc, "tif": _tiff, "nrrd": _nrrd, "em": _em, "zarr": _zarr}


@pytest.mark.parametrize("suffix", ["stl", "obj", "ply", "glb"])
def test_vertices_of_meshes_are_angstrom_from_the_first_voxel(tmp_path, suffix):
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "user_id": "ana"}
    config["pickable_objects"] = [{"name": "membrane", "is_particle": False, "label": 1}]
    (tmp_path / "config.json").write_text(json.dumps(config))
    root = copick_core.open(tmp_path / "config.json")
    box = trimesh.creation.box((10, 10, 10)).apply_translation(POSITION)
    root.new_run("TS_1").new_mesh("membrane", "1", mesh=box)

    copick_core.export_meshes(root, "membrane", tmp_path / f"a.{suffix}")

    np.testing.assert_allclose(trimesh.load(tmp_path / f"a.{suffix}").bounds.mean(0), POSITION, rtol=1e-6)
