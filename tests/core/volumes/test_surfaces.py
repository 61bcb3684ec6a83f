"""Surfaces of labels: watertight over blocks, outward, where the voxels are."""

import sys

import numpy as np
import pytest

from copick_core.errors import InvalidDataError, MissingDependencyError
from copick_core.volumes.surfaces import block_surfaces, welded

pytest.importorskip("zmesh", reason="the extra mesh is not installed")


def surfaces_of(labels, **options):
    """The welded surface of each label."""

    def read(low, high):
        return labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]

    found = {}
    for _, by_label in block_surfaces(read, labels.shape, **options):
        for label, triangles in by_label.items():
            found.setdefault(label, []).append(triangles)
    return {label: welded(np.concatenate(parts)) for label, parts in found.items()}


def blobs(dtype=np.uint8, value=1):
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(32, 48, 56)), 3)
    return ((smooth > 0) * value).astype(dtype)


@pytest.mark.parametrize("block", [256, 20, 7])
@pytest.mark.parametrize("reduction", [1, 10, 100])
def test_a_surface_is_watertight_and_outward_however_many_blocks_and_however_simple(block, reduction):
    labels = blobs()

    (surface,) = surfaces_of(labels, block=block, reduction=reduction, max_error=10).values()

    assert surface.is_watertight
    assert surface.volume == pytest.approx(np.count_nonzero(labels), rel=0.06)


def test_a_box_has_the_faces_of_its_voxels_in_x_y_z():
    labels = np.zeros((9, 10, 11), np.uint8)
    labels[2:5, 3:7, 4:9] = 1

    (surface,) = surfaces_of(labels, block=4).values()

    np.testing.assert_allclose(surface.bounds, [[3.5, 2.5, 1.5], [8.5, 6.5, 4.5]])


@pytest.mark.parametrize(("dtype", "values"), [("u1", (3, 200)), ("u8", (1, 1 << 40)), ("i4", (7, 70_000)), ("?", (True,))])
def test_every_label_has_its_surface_whatever_its_type(dtype, values):
    labels = np.zeros((8, 8, 8), dtype)
    for place, value in enumerate(values):
        labels[2:5, 2:5, 4 * place : 4 * place + 3] = value

    surfaces = surfaces_of(labels, block=5)

    assert sorted(surfaces) == [*map(int, values)]
    assert all(surface.is_watertight for surface in surfaces.values())


def test_a_volume_that_is_one_label_is_closed_around_it():
    (surface,) = surfaces_of(np.full((4, 5, 6), 9, np.uint16)).values()

    assert surface.is_watertight
    np.testing.assert_allclose(surface.bounds, [[-0.5, -0.5, -0.5], [5.5, 4.5, 3.5]])


@pytest.mark.parametrize("factor", [2, 3])
def test_pooled_labels_make_a_surface_that_encloses_the_voxels(factor):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[6:9, 6:9, 6:9] = 1

    (surface,) = surfaces_of(labels, downsample=factor, block=5).values()

    assert surface.is_watertight
    assert (surface.bounds[0] <= 5.5).all()
    assert (surface.bounds[1] >= 8.5).all()
    assert (surface.bounds[1] - surface.bounds[0] <= 3 + 2 * (factor - 1)).all()


def test_simplification_stops_where_the_error_would_be_too_large():
    coarse, fine = (len(surfaces_of(blobs(), reduction=100, max_error=error)[1].faces) for error in (10, 0.5))

    assert coarse < fine


def test_labels_below_zero_are_refused():
    with pytest.raises(InvalidDataError, match="-1"):
        surfaces_of(np.array([[[0, -1]]]))


def test_without_zmesh_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "zmesh", None)

    with pytest.raises(MissingDependencyError, match=r"copick-core\[mesh\]"):
        surfaces_of(blobs())


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("block", 0, 1),
        ("downsample", 0, 1),
        ("reduction", 0.5, 1),
        ("reduction", float("nan"), 1),
        ("max_error", -0.1, 0),
    ],
)
def test_an_option_out_of_its_range_is_named_with_its_least_value(option, value, least):
    with pytest.raises(InvalidDataError) as caught:
        surfaces_of(np.ones((2, 2, 2), np.uint8), **{option: value})

    assert (caught.value.source, caught.value.reason) == (option, f"{value} is less than {least}")


@pytest.mark.parametrize("options", [{"block": 1}, {"reduction": 1}, {"max_error": 0, "reduction": 2}, {"downsample": 1}])
def test_the_least_value_of_an_option_is_taken(options):
    (surface,) = surfaces_of(np.ones((2, 3, 2), np.uint8), **options).values()

    assert surface.is_watertight


def test_blocks_are_told_by_their_first_voxel_and_counted():
    labels = np.zeros((8, 8, 12), np.uint8)
    labels[1, 1, 1], labels[6, 6, 10] = 1, 2
    told = []

    def read(low, high):
        return labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]

    found = [
        (start, sorted(by_label))
        for start, by_label in block_surfaces(read, labels.shape, block=4, progress=lambda *args: told.append(args))
    ]

    assert found == [((0, 0, 0), [1]), ((4, 4, 8), [2])]
    assert told == [(n, 12) for n in range(1, 13)]


def test_blocks_are_whole_multiples_of_the_pooling():
    labels = np.ones((12, 12, 12), np.uint8)
    starts = []

    def read(low, high):
        return labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]

    starts += [start for start, _ in block_surfaces(read, labels.shape, block=5, downsample=3)]

    assert {z for z, _, _ in starts} == {0, 6}
