"""Regions: NumPy's indices, only the covered chunks, the memory guard, coarser levels kept in step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices
from zarr.storage import MemoryStore

from copick_core.errors import InvalidDataError, RegionTooLargeError
from copick_core.volumes import free_memory
from copick_core.volumes.ome import (
    VolumeFormat,
    open_level,
    read_region,
    region_shape,
    update_levels,
    write_region,
    write_volume,
)
from support.counting_store import CountingStore

SHAPE = (17, 14, 11)
VOLUME = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
INDICES = basic_indices(SHAPE, allow_newaxis=False)


def stored(volume: np.ndarray = VOLUME, levels: int = 1, kind: str = "mean", **format: Any) -> CountingStore:
    store = CountingStore()
    axes = "zyx" if volume.ndim == 3 else "czyx"
    write_volume(
        store,
        volume,
        1.0,
        levels=levels,
        kind=kind,
        axes=axes,
        format=VolumeFormat(**{"chunks": 4, **format}),
    )
    store.requests.clear()
    return store


@settings(deadline=None)
@given(INDICES)
def test_regions_are_what_numpy_gives(index: Any) -> None:
    array = open_level(stored())

    found = read_region(array, index)

    np.testing.assert_array_equal(found, VOLUME[index])
    assert region_shape(SHAPE, index) == found.shape == VOLUME[index].shape


@settings(deadline=None)
@given(INDICES)
def test_regions_are_written_where_numpy_would(index: Any) -> None:
    array = open_level(stored())
    expected = VOLUME.copy()
    values = -np.arange(1, 1 + expected[index].size, dtype=np.float32).reshape(expected[index].shape)
    expected[index] = values

    write_region(array, index, values)

    np.testing.assert_array_equal(array[:], expected)


@pytest.mark.parametrize(
    ("index", "error"),
    [((17,), IndexError), ((0, 0, -12), IndexError), ((0, 0, 0, 0), IndexError), ((1.5,), TypeError),
     ((True,), TypeError), (([1, 2],), TypeError), ((..., ...), IndexError)],
)  # fmt: skip
def test_other_indices_are_refused(index: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_region(open_level(stored()), index)


def test_a_read_touches_only_its_chunks() -> None:
    store = stored()
    array = open_level(store)
    store.requests.clear()

    read_region(array, (slice(3, 5), 8, slice(0, 4)))

    assert sorted(store.keys_of("get")) == ["0/0/2/0", "0/1/2/0"]


def test_a_write_touches_only_its_chunks_and_reads_only_partial_ones() -> None:
    store = stored()
    array = open_level(store)
    store.requests.clear()

    write_region(array, (slice(4, 8), slice(4, 8), slice(4, 9)), 5)

    assert sorted(store.chunks_of("set")) == ["0/1/1/1", "0/1/1/2"]
    assert store.chunks_of("get") == ["0/1/1/2"]


def test_regions_larger_than_free_memory_are_refused_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored()
    array = open_level(store)
    store.requests.clear()
    monkeypatch.setattr(free_memory, "SMALL", 0)
    monkeypatch.setattr(free_memory, "available_memory", lambda: 1000)

    with pytest.raises(RegionTooLargeError, match=r"10,472 bytes.*1,000 bytes") as caught:
        read_region(array)

    assert (caught.value.requested, caught.value.available) == (17 * 14 * 11 * 4, 1000)
    assert store.requests == []
    assert read_region(array, 3).shape == (14, 11)


def test_integer_levels_take_only_what_they_hold() -> None:
    array = open_level(stored(np.zeros(SHAPE, np.uint8), kind="nearest"))

    with pytest.raises(InvalidDataError, match="300"):
        write_region(array, (slice(0, 1), 0, 0), [300])

    write_region(array, (0, 0, 0), 7.0)
    assert array[0, 0, 0] == 7


@pytest.mark.parametrize("value", [1j, "1.5", None])
def test_densities_take_real_numbers_only(value: Any) -> None:
    array = open_level(stored())

    with pytest.raises(InvalidDataError, match="real number"):
        write_region(array, (0, 0, 0), value)

    assert array[0, 0, 0] == VOLUME[0, 0, 0]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        write_region(open_level(stored()), (slice(0, 3),), np.zeros((2, 14, 11)))


@settings(max_examples=80, deadline=None)
@given(INDICES, st.sampled_from(["mean", "nearest"]), st.sampled_from([{}, {"zarr_format": 3, "shards": 8}]))
def test_updated_levels_equal_those_of_a_whole_write(index: Any, kind: str, format: Any) -> None:
    changed = VOLUME.copy()
    changed[index] = 1000 + np.arange(changed[index].size).reshape(changed[index].shape)
    store = stored(VOLUME, 3, kind, **format)

    write_region(open_level(store), index, changed[index])
    update_levels([open_level(store, level) for level in range(3)], index, kind)

    whole = stored(changed, 3, kind)
    for level in range(3):
        np.testing.assert_array_equal(open_level(store, level)[:], open_level(whole, level)[:])


def test_channels_are_updated_apart() -> None:
    volume = np.stack([VOLUME, VOLUME]).astype(np.uint16)
    store = stored(volume, 2, "nearest")
    volume[1, 5:9] = 9999

    write_region(open_level(store), (1, slice(5, 9)), 9999)
    update_levels([open_level(store, 0), open_level(store, 1)], (1, slice(5, 9)), "nearest")

    np.testing.assert_array_equal(open_level(store, 1)[:], open_level(stored(volume, 2, "nearest"), 1)[:])


def test_an_update_touches_only_the_chunks_that_depend_on_the_region() -> None:
    store = stored(np.ones((32, 32, 32), np.float32), 3)
    index = (slice(8, 16), slice(8, 16), slice(8, 16))
    write_region(open_level(store), index, 3)
    arrays = [open_level(store, level) for level in range(3)]
    store.requests.clear()

    update_levels(arrays, index, "mean")

    assert set(store.chunks_of("set")) == {"1/1/1/1", "2/0/0/0"}
    assert set(store.chunks_of("get")) == {f"0/{z}/{y}/{x}" for z in (2, 3) for y in (2, 3) for x in (2, 3)} | {
        "1/1/1/1",
        "2/0/0/0",
    }


def test_levels_of_other_sizes_are_not_updated() -> None:
    store = stored(np.ones((5, 5, 5), np.float32), 2, "nearest")

    with pytest.raises(InvalidDataError, match=r"\(2, 2, 2\)"):
        update_levels([open_level(store, 0), open_level(store, 1)], ..., "mean")


def test_zeroing_a_region_of_labels_reads_back_as_zero() -> None:
    store = MemoryStore()
    write_volume(store, np.ones((8, 8, 8), np.uint8), 1.0, levels=1, kind="nearest", format=VolumeFormat(chunks=4))

    write_region(open_level(store), (slice(0, 4),), 0)

    assert open_level(store)[:].sum() == 4 * 64


@pytest.mark.parametrize("kind", ["mean", "nearest"])
@pytest.mark.parametrize("form", [VolumeFormat(chunks=4), VolumeFormat(3, chunks=4, shards=8)], ids=["chunks", "shards"])
def test_several_channels_are_updated_at_once(form: VolumeFormat, kind: Any) -> None:
    before = np.arange(3 * 9 * 8 * 10, dtype="i4").reshape(3, 9, 8, 10)
    after = before.copy()
    after[:, 2:7, 1:] += 10_000
    store, expected = MemoryStore(), MemoryStore()
    for target, data in ((store, before), (expected, after)):
        write_volume(target, data, 1.0, levels=3, kind=kind, axes="czyx", format=form)
    levels = [open_level(store, str(level)) for level in range(3)]

    write_region(levels[0], np.s_[:, 2:7, 1:], after[:, 2:7, 1:])
    update_levels(levels, np.s_[:, 2:7, 1:], kind)

    for level in range(3):
        np.testing.assert_array_equal(levels[level][...], open_level(expected, str(level))[...])
