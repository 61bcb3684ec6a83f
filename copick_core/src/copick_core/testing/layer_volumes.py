"""Checks of volumes: the zarr stores of a layer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import VOLUME_KINDS, LayerChecks
from copick_core.tree.keys import ROOT, Kind

OPENING = "Opening neither reads nor creates anything; writing to a store that did not exist creates it."
ROOTED = 'A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the layer is.'
TOGETHER = (
    "Whatever is set in stores of :meth:`zarr` within the block is stored when it ends, at the latest; "
    "by default each value is stored at once."
)
STORE = "The store keeps the promises of :class:`zarr.abc.store.Store`."

FORMATS = [2, 3]


def run_async(coroutine: Any) -> Any:
    """Run a coroutine of a store as zarr does."""
    from zarr.core.sync import sync

    return sync(coroutine)


async def collected(names: Any) -> list[str]:
    """What an asynchronous iterator gives, sorted."""
    return sorted([name async for name in names])


def as_buffer(data: bytes) -> Any:
    """Bytes as a store takes them."""
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype().buffer.from_bytes(data)


def _put(store: Any, **values: bytes) -> None:
    for name, data in values.items():
        run_async(store.set(name.replace("__", "/"), as_buffer(data)))


def get_value(store: Any, name: str, byte_range: Any = None) -> bytes | None:
    """A value of a store, or None."""
    from zarr.core.buffer import default_buffer_prototype

    value = run_async(store.get(name, default_buffer_prototype(), byte_range))
    return None if value is None else value.to_bytes()


class VolumeChecks(LayerChecks):
    """Opening, reading and writing volumes."""

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(OPENING)
    def test_opening_a_volume_creates_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        before = self.stored_files(layer)

        store = layer.zarr(samples.key(kind))
        run_async(store.delete("0/.zarray"))  # of what is not there, as zarr does before it makes an array

        assert not layer.exists(samples.key(kind))
        assert self.whole(layer) == set()
        assert self.stored_files(layer) == before

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(OPENING)
    def test_reading_a_volume_that_is_not_stored_fails_and_creates_nothing(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)

        with pytest.raises((FileNotFoundError, KeyError)):
            samples.read_volume(layer.zarr(samples.key(kind)))

        assert not layer.exists(samples.key(kind))
        assert self.whole(layer) == set()

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(OPENING)
    def test_writing_to_a_store_that_did_not_exist_creates_it(
        self, layer: Layer, kind: Kind, zarr_format: Literal[2, 3]
    ) -> None:
        self.need(kind)
        self.need_format(zarr_format)
        key = samples.key(kind)
        assert key not in [*layer.list(kind, key.parent)]

        samples.write_volume(layer.zarr(key), samples.volume(1), zarr_format)
        layer.forget(ROOT)

        assert layer.exists(key)
        assert [*layer.list(kind, key.parent)] == [key]
        assert np.array_equal(samples.read_volume(layer.zarr(key)), samples.volume(1))

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(ROOTED)
    def test_a_store_is_rooted_at_its_entity(self, layer: Layer, kind: Kind, zarr_format: Literal[2, 3]) -> None:
        self.need(kind)
        self.need_format(zarr_format)
        key = samples.key(kind)
        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(), zarr_format)

        name = "0/.zarray" if zarr_format == 2 else "0/zarr.json"

        assert run_async(layer.zarr(key).exists(name))
        assert run_async(collected(layer.zarr(key).list_dir("")))[-1] in ("0", "zarr.json")

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(STORE)
    def test_volumes_of_siblings_are_apart(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        keys = samples.siblings(kind)
        for n, key in enumerate(keys):
            samples.write_volume(layer.zarr(key), samples.volume(n))

        assert [str(k) for n, k in enumerate(keys) if not samples.holds(layer, k, n)] == []
        run_async(layer.zarr(keys[0]).clear())
        assert [str(k) for n, k in enumerate(keys[1:], 1) if not samples.holds(layer, k, n)] == []

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @promises(STORE)
    def test_a_region_is_written_in_place(self, layer: Layer, zarr_format: Literal[2, 3]) -> None:
        import zarr

        self.need(Kind.TOMOGRAM)
        self.need_format(zarr_format)
        key = samples.key(Kind.TOMOGRAM)
        samples.write_volume(layer.zarr(key), samples.volume(), zarr_format)
        expected = samples.volume()
        expected[1:3, 0, 1:] = 7

        zarr.open_array(layer.zarr(key), path="0", mode="r+")[1:3, 0, 1:] = np.full((2, 3), 7)

        assert np.array_equal(samples.read_volume(layer.zarr(key)), expected)

    @promises(TOGETHER)
    def test_a_region_that_is_written_within_changing_is_stored_when_the_block_ends(self, layer: Layer) -> None:
        import zarr

        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key)
        expected = samples.volume()
        expected[1:3, 0, 1:] = 7
        expected[3] = expected[1]

        with layer.changing(key):
            array = zarr.open_array(layer.zarr(key), path="0", mode="r+")
            array[1:3, 0, 1:] = np.full((2, 3), 7)
            array[3] = array[1]  # what was set within the block is read there

        assert np.array_equal(samples.read_volume(layer.zarr(key)), expected)

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @promises(STORE)
    def test_a_region_of_the_fill_value_is_written_over(self, layer: Layer, zarr_format: Literal[2, 3]) -> None:
        import zarr

        self.need(Kind.TOMOGRAM)
        self.need_format(zarr_format)
        key = samples.key(Kind.TOMOGRAM)
        samples.write_volume(layer.zarr(key), samples.volume() + 1, zarr_format)
        expected = samples.volume() + 1

        # zarr deletes a chunk that holds only the fill value, which is 0, and stores it again afterwards.
        for value in (0, 1, 0, 2):
            zarr.open_array(layer.zarr(key), path="0", mode="r+")[:2] = value
            expected[:2] = value

            assert np.array_equal(samples.read_volume(layer.zarr(key)), expected), f"the region does not hold {value}"

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @promises(STORE)
    def test_a_deleted_chunk_is_gone_until_it_is_stored_again(self, layer: Layer, zarr_format: Literal[2, 3]) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_format(zarr_format)
        key = samples.key(Kind.TOMOGRAM)
        expected = samples.volume() + 1
        samples.write_volume(layer.zarr(key), expected.copy(), zarr_format)
        name = "0/0.0.0" if zarr_format == 2 else "0/c/0/0/0"
        chunk = get_value(layer.zarr(key), name)
        assert chunk

        run_async(layer.zarr(key).delete(name))
        without = samples.read_volume(layer.zarr(key))
        names = run_async(collected(layer.zarr(key).list()))
        run_async(layer.zarr(key).set(name, as_buffer(chunk)))

        assert name not in names
        assert np.array_equal(samples.read_volume(layer.zarr(key)), expected)
        expected[:2, :2, :2] = 0
        assert np.array_equal(without, expected)

    @promises(STORE)
    def test_sharded_volumes_are_read_by_ranges(self, layer: Layer) -> None:
        import zarr

        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        group = zarr.open_group(layer.zarr(key), mode="a", zarr_format=3)
        group.create_array("0", data=samples.volume(), chunks=(2, 2, 2), shards=(4, 4, 4))

        array = zarr.open_array(layer.zarr(key), path="0", mode="r")

        assert np.array_equal(array[2:, :2, 1:3], samples.volume()[2:, :2, 1:3])

    @promises(STORE)
    def test_several_levels_are_kept(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        with layer.replace_zarr(key) as store:
            for n in range(3):
                samples.write_volume(store, samples.volume(n), name=str(n))

        assert all(np.array_equal(samples.read_volume(layer.zarr(key), str(n)), samples.volume(n)) for n in range(3))

    @promises(STORE)
    def test_a_writable_store_opens_for_reading(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        store = layer.zarr(samples.key(Kind.TOMOGRAM))

        reader = store.with_read_only(True)

        assert (store.read_only, reader.read_only) == (False, True)

    @promises(STORE)
    def test_store_values_come_back_exactly(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"1", b__c__d=b"\x00\xff", empty=b"")

        assert [get_value(layer.zarr(samples.key(Kind.TOMOGRAM)), n) for n in ("a", "b/c/d", "empty")] == [
            b"1",
            b"\x00\xff",
            b"",
        ]

    @promises(STORE)
    def test_a_missing_store_value_is_none(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a__b=b"1")

        assert [get_value(store, name) for name in ("a", "a/b/c", "b", "a/bc")] == [None] * 4
        assert [run_async(store.exists(name)) for name in ("a/b", "a/bc", "b")] == [True, False, False]

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            (("range", 2, 5), b"234"),
            (("range", 8, 99), b"89"),
            (("offset", 7), b"789"),
            (("suffix", 4), b"6789"),
            (("suffix", 99), b"0123456789"),
        ],
        ids=str,
    )
    @promises(STORE)
    def test_store_values_are_read_in_part(self, layer: Layer, asked: tuple[Any, ...], expected: bytes) -> None:
        from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        requests = {"range": RangeByteRequest, "offset": OffsetByteRequest, "suffix": SuffixByteRequest}
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"0123456789")

        assert get_value(store, "a", requests[asked[0]](*asked[1:])) == expected

    @promises(STORE)
    def test_store_names_are_listed(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"1", b__c=b"2", b__d__e=b"3", bx=b"4")

        assert run_async(collected(store.list())) == ["a", "b/c", "b/d/e", "bx"]
        assert run_async(collected(store.list_prefix("b/"))) == ["b/c", "b/d/e"]
        assert run_async(collected(store.list_dir(""))) == ["a", "b", "bx"]
        assert run_async(collected(store.list_dir("b"))) == ["c", "d"]

    @promises(STORE)
    def test_store_values_are_deleted(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"1", b__c=b"2", b__d=b"3", bc=b"4")

        run_async(store.delete("a"))
        run_async(store.delete_dir("b"))

        assert run_async(collected(store.list())) == ["bc"]

    @promises(STORE)
    def test_a_store_value_is_overwritten_or_kept(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"long first")
        _put(store, a=b"2nd")
        run_async(store.set_if_not_exists("a", as_buffer(b"3rd")))
        run_async(store.set_if_not_exists("b", as_buffer(b"b")))

        assert (get_value(store, "a"), get_value(store, "b")) == (b"2nd", b"b")
