"""Volumes are copied into another format by value."""

import numpy as np
import pytest
import zarr
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from copick_core.volumes.format import VolumeFormat
from copick_core.volumes.ome import open_level, read_image, voxel_size_of, write_array, write_volume
from copick_core.volumes.reencoding import reencode, same_volume

V2, V3 = VolumeFormat(chunks=8), VolumeFormat(zarr_format=3, chunks=8)
SHARDED = VolumeFormat(zarr_format=3, chunks=8, shards=16)


def volume(format: VolumeFormat = V2) -> MemoryStore:
    data = np.arange(20 * 18 * 17, dtype=np.float32).reshape(20, 18, 17)
    store = MemoryStore()
    write_volume(store, data, 10.0, levels=2, format=format, metadata={"method": "mean"})
    return store


@pytest.mark.parametrize("target", [V2, V3, SHARDED], ids=["v2", "v3", "sharded"])
@pytest.mark.parametrize("source", [V2, V3, SHARDED], ids=["v2", "v3", "sharded"])
def test_values_levels_and_metadata_stay(source: VolumeFormat, target: VolumeFormat) -> None:
    store, copy = volume(source), MemoryStore()

    assert reencode(store, copy, target)

    assert same_volume(store, copy)
    assert open_level(copy, "1").metadata.zarr_format == target.zarr_format
    assert voxel_size_of(copy) == 10.0
    assert read_image(copy).paths == ["0", "1"]


def test_a_copy_there_and_back_has_the_documents_of_the_original() -> None:
    store, there, back = volume(V2), MemoryStore(), MemoryStore()

    reencode(store, there, V3)
    reencode(there, back, V2)

    assert zarr.open_group(back, mode="r").attrs.asdict() == zarr.open_group(store, mode="r").attrs.asdict()


def test_attributes_of_arrays_and_groups_and_fill_values_stay() -> None:
    store, copy = MemoryStore(), MemoryStore()
    group = zarr.open_group(store, mode="w", zarr_format=2, attributes={"made": "here"})
    below = group.create_group("labels", attributes={"labels": ["cells"]})
    array = below.create_array("0", shape=(5, 4), chunks=(2, 2), dtype=">i2", fill_value=7, attributes={"unit": "K"})
    array[0] = 3

    reencode(store, copy, V3)

    assert same_volume(store, copy)
    copied = zarr.open_group(copy, mode="r")["labels/0"]
    assert (copied.attrs.asdict(), copied.fill_value, copied[0].tolist(), copied[1].tolist()) == (
        {"unit": "K"},
        7,
        [3] * 4,
        [7] * 4,
    )


@pytest.mark.parametrize("change", ["value", "attribute", "level"])
def test_volumes_that_differ_are_not_the_same(change: str) -> None:
    store, copy = volume(), MemoryStore()
    reencode(store, copy, V3)
    if change == "value":
        zarr.open_array(copy, path="0", mode="r+")[3, 3, 3] = -1
    elif change == "attribute":
        zarr.open_array(copy, path="0", mode="r+").attrs["more"] = 1
    else:
        sync(copy.delete_dir("1"))

    assert not same_volume(store, copy)


def test_features_of_any_number_of_axes_are_copied() -> None:
    store, copy = MemoryStore(), MemoryStore()
    write_array(store, np.arange(2 * 3 * 4 * 5 * 6, dtype="f4").reshape(2, 3, 4, 5, 6), V2)

    assert reencode(store, copy, V3)

    assert same_volume(store, copy)


def test_an_empty_store_is_no_volume() -> None:
    assert not reencode(MemoryStore(), MemoryStore(), V3)


def written(dtype: str = "<f4", attributes: object = None, name: str = "0", **options: object) -> MemoryStore:
    store = MemoryStore()
    group = zarr.open_group(store, mode="w", zarr_format=2, attributes={"made": "here"})
    array = group.create_array(name, **{"shape": (3, 4), "dtype": dtype, "fill_value": 0, "chunks": (2, 2), **options})
    array[...] = np.arange(np.prod(array.shape)).reshape(array.shape)
    array.attrs.update(attributes or {})
    return store


def with_group_for_array() -> MemoryStore:
    store = MemoryStore()
    zarr.open_group(store, mode="w", zarr_format=2, attributes={"made": "here"}).create_group("0")
    return store


def with_another_value() -> MemoryStore:
    store = written()
    zarr.open_array(store, path="0")[2, 3] = -1
    return store


DIFFERENT = {
    "shape": lambda: written(shape=(3, 5)),
    "dtype": lambda: written("<f8"),
    "attributes of an array": lambda: written(attributes={"unit": "K"}),
    "name": lambda: written(name="1"),
    "kind of node": with_group_for_array,
    "last value": with_another_value,
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_volumes_that_say_something_else_are_not_the_same(difference: str) -> None:
    assert not same_volume(written(), DIFFERENT[difference]())
    assert not same_volume(DIFFERENT[difference](), written())


@pytest.mark.parametrize("same", [{"chunks": (3, 3)}, {"dtype": ">f4"}, {"compressors": None}], ids=str)
def test_volumes_that_are_only_stored_in_another_way_are_the_same(same: dict[str, object]) -> None:
    assert same_volume(written(), written(**same))


def test_values_that_are_no_numbers_are_the_same_as_themselves() -> None:
    first, second = written(), written()
    for store in (first, second):
        zarr.open_array(store, path="0")[1, 1] = np.nan

    assert same_volume(first, second)
    assert not same_volume(first, written())


def test_of_nothing_there_is_no_copy() -> None:
    target = MemoryStore()

    assert reencode(MemoryStore(), target, V3) is False
    assert same_volume(target, MemoryStore())


@pytest.mark.parametrize(("target", "names"), [(V3, ("z", "y", "x")), (SHARDED, ("z", "y", "x")), (V2, None)])
def test_names_of_axes_stay_where_the_format_has_them(target: VolumeFormat, names: object) -> None:
    copy = MemoryStore()

    reencode(volume(V3), copy, target)

    assert getattr(open_level(copy).metadata, "dimension_names", None) == names


def test_the_layout_is_that_of_the_target_format() -> None:
    copy = MemoryStore()

    reencode(volume(V2), copy, VolumeFormat(zarr_format=3, chunks=4, shards=8, key_encoding="v2", compressor="zstd"))

    array = open_level(copy)
    assert (array.chunks, array.shards) == ((4, 4, 4), (8, 8, 8))
    assert array.metadata.encode_chunk_key((0, 1, 2)) == "0/1/2"
    assert "zstd" in str(array.metadata.codecs).lower()
