"""The zarr store of a layer's volumes gives, lists and replaces the values below one folder."""

from __future__ import annotations

from typing import Any

import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from copick_core.layers.path_store import PathStore
from copick_core.testing.layer_volumes import run_async
from support.path_layer import DictPathLayer

PROTOTYPE = default_buffer_prototype()


def buffer(data: bytes) -> Any:
    return PROTOTYPE.buffer.from_bytes(data)


@pytest.fixture
def store() -> PathStore:
    store = PathStore(DictPathLayer(), "volume.zarr")
    for name, data in {".zgroup": b"{}", "0/.zarray": b"document", "0/0/1": b"0123456789", "10/0": b"x"}.items():
        run_async(store.set(name, buffer(data)))
    return store


async def listed(names: Any) -> list[str]:
    return [name async for name in names]


def get(store: PathStore, key: str, part: Any = None) -> bytes | None:
    found = run_async(store.get(key, PROTOTYPE, part))
    return None if found is None else found.to_bytes()


@pytest.mark.parametrize(
    ("part", "data"),
    [
        (None, b"0123456789"),
        (RangeByteRequest(2, 5), b"234"),
        (OffsetByteRequest(7), b"789"),
        (SuffixByteRequest(2), b"89"),
        (SuffixByteRequest(0), b""),
    ],
    ids=str,
)
def test_a_value_or_a_part_of_it_is_given(store: PathStore, part: Any, data: bytes) -> None:
    assert get(store, "0/0/1", part) == data


@pytest.mark.parametrize("part", [None, RangeByteRequest(2, 5), OffsetByteRequest(7), SuffixByteRequest(2)], ids=str)
@pytest.mark.parametrize("key", ["0/0/2", "0/0"], ids=["missing", "folder"])
def test_of_what_is_no_value_nothing_is_given(store: PathStore, key: str, part: Any) -> None:
    assert get(store, key, part) is None


def test_parts_of_several_values_come_in_the_order_of_the_question(store: PathStore) -> None:
    asked = [("0/0/1", RangeByteRequest(0, 2)), ("nothing", None), ("10/0", None)]

    found = run_async(store.get_partial_values(PROTOTYPE, asked))

    assert [None if value is None else value.to_bytes() for value in found] == [b"01", None, b"x"]


def test_a_value_is_given_without_a_prototype_too(store: PathStore) -> None:
    assert run_async(store.get("10/0")).to_bytes() == b"x"


def test_values_are_listed_by_prefix_and_folder(store: PathStore) -> None:
    assert run_async(listed(store.list())) == sorted([".zgroup", "0/.zarray", "0/0/1", "10/0"], key=lambda n: n.count("/"))
    assert set(run_async(listed(store.list_prefix("0")))) == {"0/.zarray", "0/0/1"}
    assert set(run_async(listed(store.list_prefix("0/")))) == {"0/.zarray", "0/0/1"}
    assert set(run_async(listed(store.list_prefix("0/0")))) == {"0/0/1"}
    assert set(run_async(listed(store.list_dir("")))) == {".zgroup", "0", "10"}
    assert set(run_async(listed(store.list_dir("0/")))) == {".zarray", "0"}


def test_only_values_exist(store: PathStore) -> None:
    assert [run_async(store.exists(key)) for key in ("0/0/1", "0/0", "0/0/2")] == [True, False, False]


def test_a_value_that_exists_is_kept_where_only_a_new_one_is_wanted(store: PathStore) -> None:
    run_async(store.set_if_not_exists("10/0", buffer(b"other")))
    run_async(store.set_if_not_exists("10/1", buffer(b"new")))

    assert (get(store, "10/0"), get(store, "10/1")) == (b"x", b"new")


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(store: PathStore) -> None:
    for _ in range(2):
        run_async(store.delete("0/0/1"))
        run_async(store.delete_dir("10"))
    run_async(store.delete("0"))  # a folder is not a value

    assert set(run_async(listed(store.list()))) == {".zgroup", "0/.zarray"}
    for _ in range(2):
        run_async(store.clear())
    assert run_async(listed(store.list())) == []


def test_a_store_that_is_only_read_refuses_every_write(store: PathStore) -> None:
    only_read = store.with_read_only(True)

    for write in (
        only_read.set("10/0", buffer(b"new")),
        only_read.set_if_not_exists("10/1", buffer(b"new")),
        only_read.delete("10/0"),
        only_read.delete_dir("10"),
        only_read.clear(),
    ):
        with pytest.raises(ValueError, match="read-only"):
            run_async(write)
    assert get(only_read, "10/0") == b"x"
    assert not store.read_only
    assert not only_read.with_read_only().read_only


def test_stores_of_one_folder_of_one_layer_are_equal(store: PathStore) -> None:
    layer = store._layer

    assert store == PathStore(layer, "volume.zarr")
    assert store != PathStore(layer, "other.zarr")
    assert store != PathStore(DictPathLayer(), "volume.zarr")
    assert store != "volume.zarr"


def test_what_is_no_part_and_no_buffer_is_refused_by_its_type(store: PathStore) -> None:
    part: Any = (2, 5)
    value: Any = b"bytes"

    with pytest.raises(TypeError, match=r"\(2, 5\) is not a byte range"):
        get(store, "10/0", part)
    with pytest.raises(TypeError, match="takes buffers, not bytes"):
        run_async(store.set("10/0", value))


def test_a_store_can_all_that_zarr_may_ask_of_one_and_is_writable_unless_it_says_otherwise() -> None:
    store = PathStore(DictPathLayer(), "volume.zarr")

    assert (store.supports_writes, store.supports_deletes, store.supports_listing) == (True, True, True)
    assert (store.read_only, PathStore(DictPathLayer(), "volume.zarr", read_only=True).read_only) == (False, True)
