"""Pictures of a run: what was found in its tomogram, in the colours of the objects, where it lies."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError
from copick_tools.demo import render
from copick_tools.pictures import contact_sheet, picture
from copick_tools.planes import plane_across, plane_of
from support import volume_generator

BLUE = (40, 80, 250, 255)
SHAPE = (12, 40, 30)


@pytest.fixture
def root():
    """A project in memory whose run has a tomogram, two segmentations and a mesh of one box."""
    config = {"config_type": "memory", "pickable_objects": [{"name": "box", "is_particle": False, "label": 7, "color": BLUE}]}
    made = copick_core.open(config)
    run = made.new_run("R")
    run.new_voxel_spacing(10.0).new_tomogram("raw").from_numpy(np.zeros(SHAPE, np.float32), levels=1)
    return made


def box():
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 10:30, 5:20] = 1
    return mask


def mesh_of_box():
    import trimesh

    return trimesh.creation.box(bounds=[[45, 95, 25], [195, 295, 85]])


def pixel(image, x, y):
    """Colour at a voxel of the slice."""
    scale = render.LONG_SIDE / 40
    return image.getpixel((round((x + 0.5) * scale), round((y + 0.5) * scale)))


def is_blue(color):
    return color[2] > color[0] + 20


def test_a_segmentation_is_a_tint_where_it_is(root):
    root.get_run("R").new_segmentation(10.0, "box", "1", False, user_id="ana").from_numpy(box())

    image = picture(root, "R")

    assert is_blue(pixel(image, 12, 20))
    assert not is_blue(pixel(image, 25, 20))
    assert not is_blue(pixel(image, 12, 5))


def test_an_object_in_a_segmentation_of_several_is_a_tint(root):
    run = root.get_run("R")
    run.new_segmentation(10.0, "classes", "1", True, user_id="ana").from_numpy(box() * 7)

    assert is_blue(pixel(picture(root, "R"), 12, 20))


def test_a_mesh_is_an_outline_where_it_meets_the_slice(root):
    mesh = root.get_run("R").new_mesh("box", "1", user_id="ana")
    mesh.mesh = mesh_of_box()
    mesh.store()

    image = picture(root, "R")

    scale = render.LONG_SIDE / 40
    row = [x for x in range(round(30 * scale)) if is_blue(image.getpixel((x, round(20 * scale))))]
    assert len(row) < 10
    assert np.isclose(min(row), 5.0 * scale, atol=3)
    assert np.isclose(max(row), 20.0 * scale, atol=3)


def test_of_several_segmentations_the_last_session_is_drawn(root):
    run = root.get_run("R")
    run.new_segmentation(10.0, "box", "1", False, user_id="zoe").from_numpy(box())
    run.new_segmentation(10.0, "box", "2", False, user_id="ana").from_numpy(np.zeros(SHAPE, np.uint8))

    assert not is_blue(pixel(picture(root, "R"), 12, 20))
    assert is_blue(pixel(picture(root, "R", ["zoe"]), 12, 20))


def test_long_words_of_the_legend_stay_in_the_picture(root):
    user = "RandomForest3DSegmenterOfAVeryLongNameIndeed"
    root.get_run("R").new_segmentation(10.0, "box", "1", False, user_id=user).from_numpy(box())

    image = np.asarray(picture(root, "R").convert("L"))

    assert (image[:, -8:] < 60).all()


def corner(image, column, row, shape):
    """Colour at a voxel of a slice of a shape (rows, columns)."""
    scale = render.LONG_SIDE / max(shape)
    return image.getpixel((round((column + 0.5) * scale), round((row + 0.5) * scale)))


@pytest.mark.parametrize(
    ("plane", "inside", "outside", "shape"),
    [
        ("z", (12, 20), (25, 20), (40, 30)),
        ("y", (12, 5), (12, 10), (12, 30)),
        ("x", (20, 5), (35, 5), (12, 40)),
    ],
)
def test_a_segmentation_is_a_tint_where_it_is_across_every_axis(root, plane, inside, outside, shape):
    root.get_run("R").new_segmentation(10.0, "box", "1", False, user_id="ana").from_numpy(box())

    image = picture(root, "R", plane=plane)

    assert is_blue(corner(image, *inside, shape))
    assert not is_blue(corner(image, *outside, shape))


@pytest.mark.parametrize("plane", ["y", "x"])
def test_a_mesh_is_an_outline_where_it_meets_a_slice_across_another_axis(root, plane):
    mesh = root.get_run("R").new_mesh("box", "1", user_id="ana")
    mesh.mesh = mesh_of_box()
    mesh.store()
    columns, edges = (30, (4.5, 19.5)) if plane == "y" else (40, (9.5, 29.5))

    image = picture(root, "R", plane=plane)

    scale = render.LONG_SIDE / columns
    row = [x for x in range(round(columns * scale)) if is_blue(image.getpixel((x, round(5.5 * scale))))]
    assert np.isclose(min(row), (edges[0] + 0.5) * scale, atol=3)
    assert np.isclose(max(row), (edges[1] + 0.5) * scale, atol=3)


@pytest.fixture
def tilted():
    """A project whose run has a bright sheet, and picks and a segmentation on it: z rises with y."""
    config = {
        "config_type": "memory",
        "pickable_objects": [{"name": "dot", "is_particle": True, "color": BLUE, "radius": 15.0}],
    }
    made = copick_core.open(config)
    z, y, x = np.indices((40, 40, 60))
    sheet = (np.abs(z - y) < 2).astype(np.float32)
    run = made.new_run("R")
    run.new_voxel_spacing(10.0).new_tomogram("raw").from_numpy(sheet * (1 + (x > 30)), levels=1)
    for user, at in (("ana", [[100, 100, 100], [500, 100, 100]]), ("ben", [[300, 300, 300]])):
        run.new_picks("dot", "1", user).from_numpy(np.array(at, float))
    run.new_segmentation(10.0, "dot", "1", False, user_id="ana").from_numpy((np.abs(z - y) < 2) & (x < 10) & (y < 10))
    return made


def test_the_plane_of_the_picks_shows_the_sheet_that_they_lie_on(tilted):
    positions = np.concatenate([picks.numpy()[0] for picks in tilted.get_run("R").picks])
    view = tilted.entity("R/raw@10.0", "tomogram").view()

    plane = plane_of(positions, view.shape, 10.0)

    sheet = plane.slices(view)[plane.shape[0] // 2 : plane.shape[0] // 2 + 1][0]
    assert plane.shape[1:] == (56, 60)  # 40 voxels along y and z are 56 along their diagonal
    np.testing.assert_allclose(sheet[1:-1, :30], 1, atol=1e-5)
    np.testing.assert_allclose(sheet[1:-1, 32:], 2, atol=1e-5)
    np.testing.assert_allclose(plane.turned(positions)[:, 2], plane.shape[0] // 2 * 10.0, atol=1e-6)
    np.testing.assert_allclose(plane.turned(positions)[:, 0], positions[:, 0], atol=1e-6)


def test_picks_and_segmentations_are_drawn_in_the_plane_of_the_picks(tilted):
    image = picture(tilted, "R", plane="picks")

    shape = (56, 60)
    assert all(is_blue(corner(image, x, y * 2**0.5, shape)) for x, y in [(10, 10), (50, 10), (30, 30)])
    assert is_blue(corner(image, 4, 4, shape))
    assert not is_blue(corner(image, 30, 10, shape))


@pytest.mark.parametrize("at", [[[0, 0, 0], [50, 50, 50]], [[0, 0, 0], [50, 50, 50], [100, 100, 100]]])
def test_picks_that_have_no_plane_are_refused(root, at):
    root.new_object("dot", True)
    root.get_run("R").new_picks("dot", "1", "ana").from_numpy(np.array(at, float))

    with pytest.raises(InvalidDataError, match="no plane"):
        picture(root, "R", plane="picks")


def test_a_page_names_the_runs_whose_picks_have_no_plane(root, tmp_path):
    assert contact_sheet(root, str(tmp_path / "all.html"), ["R"], plane="picks") == 0
    assert "have no plane" in (tmp_path / "all.html").read_text()


def test_side_by_side_shows_each_user_what_they_made_in_the_same_slice(tilted):
    image = picture(tilted, "R", plane="picks", side_by_side=True)

    one = image.width // 2
    ana, ben = image.crop((0, 0, one, image.height)), image.crop((one, 0, image.width, image.height))
    shape, at = (56, 60), [(10, 10 * 2**0.5), (30, 30 * 2**0.5)]
    assert [is_blue(corner(ana, *place, shape)) for place in at] == [True, False]
    assert [is_blue(corner(ben, *place, shape)) for place in at] == [False, True]
    assert picture(tilted, "R", ["ben"], side_by_side=True).width == one


def test_a_transform_is_drawn_in_the_directions_of_the_plane():
    plane = plane_across("x", (10, 10, 10), 1.0)
    along_y = np.eye(4)
    along_y[:3, 2] = (0, 1, 0)

    assert plane.turned_transforms(along_y[None])[0, :3, 2].tolist() == [1, 0, 0]


def test_a_long_legend_makes_the_picture_higher(root):
    for number in range(12):
        root.new_object(f"object-{number}", True)
        root.get_run("R").new_picks(f"object-{number}", "1", "ana").from_numpy(np.full((1, 3), 50.0))

    assert picture(root, "R", plane="y").height > 360


def test_render_prints_what_it_wrote_as_json(project_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(project_config()))
    root = copick_core.open("config.json")
    root.new_run("R").new_voxel_spacing(10.0).new_tomogram("raw").from_numpy(np.zeros(SHAPE, np.float32), levels=1)

    assert main(["render", "-c", "config.json", "--run", "R", "--plane", "x", "-o", "one.png", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert main(["render", "-c", "config.json", "--side-by-side", "-o", "all.html", "--json"]) == 0

    with Image.open("one.png") as written:
        assert one == {"file": "one.png", "pictures": 1, "width": written.width, "height": written.height}
    assert json.loads(capsys.readouterr().out) == {"file": "all.html", "pictures": 1}


@pytest.mark.parametrize("volume", ["tour", "sample"])
def test_a_job_of_a_compose_volume_is_drawn_with_segmentation_and_mesh(volume, request, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sample = request.getfixturevalue("sample") if volume == "sample" else None
    folder = sample or volume_generator.tour(tmp_path / "volume").root
    config = {"config_type": "compose_volume", "volume_root": str(folder), "labels": {"255": {"name": "bone", "color": BLUE}}}
    root = copick_core.open(config)
    job = root.get_run("CC7651")
    mask = job.latest_segmentation.numpy()

    image = picture(root, "CC7651")

    scale = render.LONG_SIDE / max(mask.shape[1:])
    places = ((np.argwhere(mask[mask.shape[0] // 2])[:, ::-1] + 0.5) * scale).astype(int)
    inside = [image.getpixel((int(x), int(y))) for x, y in places]
    assert np.mean([is_blue(color) for color in inside]) > 0.9
    (tmp_path / "project.json").write_text(json.dumps(config))
    assert main(["render", "-c", "project.json", "--run", "CC7651", "-o", "job.png"]) == 0
    with Image.open("job.png") as written:
        assert written.size == image.size
    assert "job.png" in capsys.readouterr().out
