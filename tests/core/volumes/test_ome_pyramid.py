"""The arithmetic of pyramids: sizes, means at odd edges, nearest labels, parts of a larger level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.volumes.pyramid import coarse_length, coarse_range, coarse_shape, halve, level_shapes, nearest_start

SIZES = st.integers(1, 19)
SHAPES = st.tuples(SIZES, SIZES, SIZES)


def reference_nearest(volume: np.ndarray) -> np.ndarray:
    """What copick 1.x does: skimage's rescale by 1/2 with order 0 takes the voxel under (i + 0.5) * n / m."""
    picks = []
    for n in volume.shape:
        m = int(np.round(n / 2))
        picks.append(np.floor((np.arange(m) + 0.5) * n / m).astype(int))
    return volume[np.ix_(*picks)]


@given(SHAPES)
def test_mean_of_ones_is_one_everywhere(shape: tuple[int, int, int]) -> None:
    assert np.array_equal(halve(np.ones(shape, np.float32), "mean"), np.ones(coarse_shape(shape, "mean")))


@given(SHAPES, st.sampled_from(["f2", "f4", "f8"]))
def test_mean_is_over_the_voxels_that_exist(shape: tuple[int, int, int], dtype: str) -> None:
    volume = np.random.default_rng(0).standard_normal(shape).astype(dtype)

    coarse = halve(volume, "mean")

    expected = np.empty(coarse.shape)
    for z, y, x in np.ndindex(*coarse.shape):
        block = volume[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        expected[z, y, x] = block.mean(dtype="f8")
    np.testing.assert_allclose(coarse, expected, rtol=2e-3 if dtype == "f2" else 2e-6, atol=2e-3 if dtype == "f2" else 1e-6)
    assert coarse.dtype == volume.dtype


def test_mean_of_even_sizes_is_the_block_mean_over_many_cache_pieces() -> None:
    volume = np.random.default_rng(1).standard_normal((64, 128, 128)).astype(np.float32)

    coarse = halve(volume, "mean")

    expected = volume.reshape(32, 2, 64, 2, 64, 2).mean(axis=(1, 3, 5), dtype="f8")
    np.testing.assert_allclose(coarse, expected, atol=1e-6)


def test_mean_of_integers_is_rounded() -> None:
    volume = np.full((2, 2, 2), 2**31 - 1, np.int32)

    assert halve(volume, "mean").item() == 2**31 - 1
    assert halve(np.array([0, 1, 1, 1, 1, 1, 1, 1], np.uint8).reshape(2, 2, 2), "mean").item() == 1


def test_mean_keeps_channels_apart() -> None:
    volume = np.stack([np.zeros((3, 4, 5)), np.ones((3, 4, 5))])

    coarse = halve(volume, "mean")

    assert coarse.shape == (2, 2, 2, 3)
    assert coarse[0].max() == 0
    assert coarse[1].min() == 1


@pytest.mark.parametrize("n", range(2, 60))
def test_nearest_is_exactly_the_reference(n: int) -> None:
    volume = np.arange(n * 4 * 3, dtype=np.uint32).reshape(n, 4, 3)

    coarse = halve(volume, "nearest")

    assert np.array_equal(coarse, reference_nearest(volume))


@given(SHAPES)
def test_nearest_has_the_size_that_is_announced(shape: tuple[int, int, int]) -> None:
    assert halve(np.zeros(shape, np.uint8), "nearest").shape == coarse_shape(shape, "nearest")


@pytest.mark.parametrize("kind", ["mean", "nearest"])
def test_levels_never_get_empty(kind: str) -> None:
    assert level_shapes((1, 2, 3), 6, kind)[-1] == (1, 1, 1)


@given(SIZES, st.data(), st.sampled_from(["mean", "nearest"]))
def test_coarse_range_holds_exactly_the_voxels_that_depend_on_a_range(n: int, data: st.DataObject, kind: str) -> None:
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))

    low, high = coarse_range(start, stop, n, kind)

    fine = np.arange(start, stop)
    first = nearest_start(n)
    depends = {
        k
        for k in range(coarse_length(n, kind))
        if (kind == "mean" and {2 * k, 2 * k + 1} & set(fine)) or (kind == "nearest" and first + 2 * k in fine)
    }
    assert set(range(low, high)) == depends


@given(SHAPES, st.sampled_from(["mean", "nearest"]), st.sampled_from([2, 4, 6]))
def test_parts_of_a_level_halve_to_the_parts_of_the_coarser_one(shape: tuple[int, int, int], kind: str, tile: int) -> None:
    volume = np.random.default_rng(2).integers(0, 100, shape).astype(np.float32)
    starts = [nearest_start(n) for n in shape]
    whole = halve(volume, kind)

    joined = np.full_like(whole, -1)
    for corner in itertools.product(*(range(0, n, tile) for n in shape)):
        part = halve(volume[tuple(slice(c, c + tile) for c in corner)], kind, starts)
        joined[tuple(slice(c // 2, c // 2 + n) for c, n in zip(corner, part.shape, strict=True))] = part

    assert np.array_equal(joined, whole)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="'mean'"):
        level_shapes((4, 4, 4), 2, "median")  # type: ignore[arg-type]
