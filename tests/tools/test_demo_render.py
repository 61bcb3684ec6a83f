"""The demonstration's picture."""

import numpy as np
import pytest

from copick_tools.demo import render
from copick_tools.demo.render import PickMarks, Tint

ORANGE, BLUE = (240, 170, 0, 255), (86, 180, 233, 255)
SHAPE = (20, 48, 64)


@pytest.fixture
def density():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def _marks(*positions, radius=40.0):
    array = np.array(positions, dtype=float).reshape(-1, 3)
    return PickMarks("ribosome", ORANGE, array, np.tile(np.eye(4), (len(array), 1, 1)), radius)


def test_a_pick_has_its_objects_colour_at_its_place(density):
    marks = _marks([200.0, 300.0, 100.0])

    image = render.draw(density, 10.0, "title", picks=[marks])

    column, row = render.pixel_of(marks.positions, 10.0, SHAPE)[0]
    assert image.getpixel((int(column), int(row))) == ORANGE[:3]


def test_a_pick_far_from_the_slice_is_not_drawn(density):
    far = _marks([200.0, 300.0, 180.0])

    image = render.draw(density, 10.0, "title", picks=[far])

    column, row = render.pixel_of(far.positions, 10.0, SHAPE)[0]
    red, green, blue = image.getpixel((int(column), int(row)))
    assert red == green == blue


def test_a_segmentation_tints_what_it_covers_only(density):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, :, :32] = True

    image = np.asarray(render.draw(density, 10.0, "title", tints=[Tint("membrane", BLUE, mask)])).astype(int)

    slice_ = image[:576, :768]
    assert (slice_[:, :370, 2] - slice_[:, :370, 0]).mean() > 20
    assert (slice_[:, 400:, 2] == slice_[:, 400:, 0]).mean() > 0.99


def test_a_segmentation_may_have_a_voxel_size_of_its_own(density):
    mask = np.ones((10, 24, 32), dtype=bool)

    image = np.asarray(render.draw(density, 10.0, "title", tints=[Tint("membrane", BLUE, mask)])).astype(int)

    assert (image[:576, :768, 2] >= image[:576, :768, 0]).all()


@pytest.mark.parametrize(("width", "length"), [(192.0, 20.0), (98.9, 20.0), (10.3, 2.0), (2000.0, 500.0), (40.0, 10.0)])
def test_the_scale_bar_has_a_round_length_of_at_most_a_quarter(width, length):
    assert render.scale_bar_length(width) == pytest.approx(length)


@pytest.mark.parametrize("shape", [(1, 40, 30), (5, 300, 20), (9, 20, 300), (3, 1200, 1000)])
def test_volumes_of_any_shape_can_be_drawn(shape):
    density = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    image = render.draw(density, 10.0, "title", ["a line"])

    assert image.height >= render.LONG_SIDE * shape[1] / max(shape[1:]) - 1


def test_a_volume_without_contrast_can_be_drawn():
    assert render.draw(np.zeros(SHAPE), 10.0, "title").size[0] > 0
