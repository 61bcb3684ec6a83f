"""Opening levels, listing them, voxel sizes: what is asked of the store, what is said when it is absent."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from copick_core.errors import InvalidDataError, LevelNotFoundError
from copick_core.volumes.ome import VolumeFormat, levels, open_level, voxel_size_of, write_array, write_volume
from support.counting_store import CountingStore

VOLUME = np.arange(16 * 16 * 16, dtype=np.float32).reshape(16, 16, 16)


def volume_store(zarr_format: Any = 2) -> CountingStore:
    store = CountingStore()
    write_volume(store, VOLUME, 7.84, format=VolumeFormat(zarr_format=zarr_format, chunks=8))
    store.requests.clear()
    return store


def put(store: MemoryStore, key: str, document: Any) -> None:
    data = default_buffer_prototype().buffer.from_bytes(json.dumps(document).encode())
    sync(store.set(key, data))


def with_axes(sizes: list[float], unit: str | None, *, outer: list[float] | None = None) -> MemoryStore:
    axis = {"type": "space"} if unit is None else {"type": "space", "unit": unit}
    image: dict[str, Any] = {
        "axes": [{"name": name, **axis} for name in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": sizes}]}],
        "version": "0.4",
    }
    if outer:
        image["coordinateTransformations"] = [{"type": "scale", "scale": outer}]
    store = MemoryStore()
    put(store, ".zattrs", {"multiscales": [image]})
    return store


@pytest.mark.parametrize(
    ("stored", "first", "expected"),
    [
        (2, 2, [".zattrs", "0/.zarray", "0/.zattrs"]),
        (2, 3, ["zarr.json", "0/zarr.json", ".zattrs", "0/.zarray", "0/.zattrs"]),
        (3, 3, ["zarr.json", "0/zarr.json"]),
        (3, 2, [".zattrs", "0/.zarray", "0/.zattrs", "zarr.json", "0/zarr.json"]),
    ],
)
def test_opening_a_level_asks_for_its_own_documents_and_the_images_only(stored: Any, first: Any, expected: list[str]) -> None:
    store = volume_store(stored)

    array = open_level(store, "0", first)

    assert array.shape == (16, 16, 16)
    assert sorted(store.requests) == sorted(("get", key) for key in expected)


def test_levels_can_be_named_by_number() -> None:
    assert open_level(volume_store(), 2).shape == (4, 4, 4)


def test_an_array_is_writable_if_the_store_is() -> None:
    store = MemoryStore()
    write_volume(store, VOLUME, 1.0)

    assert not open_level(store).read_only
    assert open_level(store.with_read_only(True)).read_only


@pytest.mark.parametrize("level", ["3", "foo", "", "..", "0/../1"])
def test_a_missing_level_is_a_key_error_that_lists_the_levels(level: str) -> None:
    with pytest.raises(KeyError, match="'0', '1', '2'") as caught:
        open_level(volume_store(), level, source="run/wbp")

    error = caught.value
    assert isinstance(error, LevelNotFoundError)
    assert (error.level, error.levels, error.source) == (level, ["0", "1", "2"], "run/wbp")


def test_an_empty_store_has_no_levels() -> None:
    with pytest.raises(LevelNotFoundError, match="nothing has been written") as caught:
        open_level(MemoryStore())

    assert caught.value.levels == []


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_levels_are_told_by_the_metadata_in_at_most_two_requests(zarr_format: Any) -> None:
    store = volume_store(zarr_format)

    assert levels(store) == ["0", "1", "2"]
    assert len(store.requests) == zarr_format - 1
    assert not store.keys_of("list")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_without_metadata_the_arrays_of_the_store_are_the_levels(zarr_format: Any) -> None:
    store = MemoryStore()
    zarr.create_group(store, zarr_format=zarr_format)
    for name in ("10", "2", "features"):
        zarr.create_array(store, name=name, shape=(4,), dtype="f4", zarr_format=zarr_format)
    zarr.create_group(store, path="labels", zarr_format=zarr_format)

    assert levels(store) == ["2", "10", "features"]


def test_features_have_the_level_zero() -> None:
    store = MemoryStore()
    write_array(store, VOLUME)

    assert levels(store) == ["0"]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("size", [10.0, 10.52, 7.840000152587891, 1 / 3])
def test_voxel_sizes_round_trip(zarr_format: Any, size: float) -> None:
    store = MemoryStore()
    write_volume(store, VOLUME, size, format=VolumeFormat(zarr_format=zarr_format))

    assert voxel_size_of(store) == size


def test_a_channel_axis_is_not_mistaken_for_z() -> None:
    store = MemoryStore()
    write_volume(store, VOLUME[None], 10.52, axes="czyx")

    assert voxel_size_of(store) == 10.52


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (10.52, "angstrom", 10.52),
        (1.052, "nanometer", 10.52),
        (0.001052, "micrometer", 10.52),
        (1e-9, "meter", 10.0),
    ],
)
def test_units_are_converted(size: float, unit: str, expected: float) -> None:
    assert voxel_size_of(with_axes([size] * 3, unit)) == expected


def test_a_scale_of_the_whole_image_multiplies() -> None:
    assert voxel_size_of(with_axes([2.0] * 3, "angstrom", outer=[5.0] * 3)) == 10.0


def test_unknown_units_are_refused_by_name() -> None:
    with pytest.raises(InvalidDataError, match="'furlong'"):
        voxel_size_of(with_axes([1.0] * 3, "furlong"))


def test_voxels_that_are_no_cubes_are_refused_with_their_sizes() -> None:
    with pytest.raises(InvalidDataError, match=r"10\.0, 10\.0, 20\.0"):
        voxel_size_of(with_axes([10.0, 10.0, 20.0], "angstrom"))


def test_header_noise_still_counts_as_one_size() -> None:
    assert voxel_size_of(with_axes([10.0, 10.0001, 9.9999], "angstrom")) == 10.0


def test_there_is_no_voxel_size_without_unit_or_metadata() -> None:
    plain = MemoryStore()
    write_array(plain, VOLUME)

    assert voxel_size_of(with_axes([1.0] * 3, None)) is None
    assert voxel_size_of(plain) is None
    assert voxel_size_of(MemoryStore()) is None


def test_broken_metadata_is_named() -> None:
    store = MemoryStore()
    sync(store.set(".zattrs", default_buffer_prototype().buffer.from_bytes(b"{")))

    with pytest.raises(InvalidDataError, match=r"\.zattrs"):
        levels(store)
