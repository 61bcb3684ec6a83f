"""Pictures of a run: what was found in its tomogram, in the colours of the objects, where it lies."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_core.__main__ import main
from copick_tools.demo import render
from copick_tools.pictures import picture
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
