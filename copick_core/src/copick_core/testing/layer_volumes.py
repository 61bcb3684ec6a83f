"""Checks of volumes: the zarr stores of a layer, and their replacement."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from copick_core.errors import ConflictError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import VOLUME_KINDS, LayerChecks
from copick_core.tree.keys import ROOT, Kind, TomogramKey

OPENING = "Opening neither reads nor creates anything; writing to a store that did not exist creates it."
ROOTED = 'A store rooted at the entity (``"0/.zarray"`` or ``"0/zarr.json"`` is its first level), read-only if the layer is.'
TOGETHER = (
    "Whatever is set in stores of :meth:`zarr` within the block is stored when it ends, at the latest; "
    "by default each value is stored at once."
)
STORE = "The store keeps the promises of :class:`zarr.abc.store.Store`."
FRESH = "Fill a fresh, empty store that takes the place of the entity's volume."
SWAP = (
    "The new volume becomes visible when the block ends without an error; otherwise, and if the process dies, the old one "
    "stays readable."
)
STAGED = "What is being staged is never listed, and an error leaves nothing of it behind."

IDENTITY = "Another one after every replacement and every deletion, by whatever process; the same while regions are written."
COMPARED = (
    "Handles compare it after each read with that of the volume they opened, and read again if it changed: a read answers "
    "from one volume, not from two."
)
CHEAP = (
    "It costs no more than a stat, or one small request where ``versions_take_requests``: there the store has an attribute "
    "``seen_version``, the identity of the volume whose root document it read last."
)

FORMATS = [2, 3]


class WriteFailedError(Exception):
    """What checks raise in the middle of a write."""


def run_async(coroutine: Any) -> Any:
    """Run a coroutine of a store as zarr does."""
    from zarr.core.sync import sync

    return sync(coroutine)


async def _collected(names: Any) -> list[str]:
    return sorted([name async for name in names])


def as_buffer(data: bytes) -> Any:
    """Bytes as a store takes them."""
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype().buffer.from_bytes(data)


def _put(store: Any, **values: bytes) -> None:
    for name, data in values.items():
        run_async(store.set(name.replace("__", "/"), as_buffer(data)))


def _get(store: Any, name: str, byte_range: Any = None) -> bytes | None:
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
        assert run_async(_collected(layer.zarr(key).list_dir("")))[-1] in ("0", "zarr.json")

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
        chunk = _get(layer.zarr(key), name)
        assert chunk

        run_async(layer.zarr(key).delete(name))
        without = samples.read_volume(layer.zarr(key))
        names = run_async(_collected(layer.zarr(key).list()))
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

        assert [_get(layer.zarr(samples.key(Kind.TOMOGRAM)), n) for n in ("a", "b/c/d", "empty")] == [b"1", b"\x00\xff", b""]

    @promises(STORE)
    def test_a_missing_store_value_is_none(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a__b=b"1")

        assert [_get(store, name) for name in ("a", "a/b/c", "b", "a/bc")] == [None] * 4
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

        assert _get(store, "a", requests[asked[0]](*asked[1:])) == expected

    @promises(STORE)
    def test_store_names_are_listed(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"1", b__c=b"2", b__d__e=b"3", bx=b"4")

        assert run_async(_collected(store.list())) == ["a", "b/c", "b/d/e", "bx"]
        assert run_async(_collected(store.list_prefix("b/"))) == ["b/c", "b/d/e"]
        assert run_async(_collected(store.list_dir(""))) == ["a", "b", "bx"]
        assert run_async(_collected(store.list_dir("b"))) == ["c", "d"]

    @promises(STORE)
    def test_store_values_are_deleted(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"1", b__c=b"2", b__d=b"3", bc=b"4")

        run_async(store.delete("a"))
        run_async(store.delete_dir("b"))

        assert run_async(_collected(store.list())) == ["bc"]

    @promises(STORE)
    def test_a_store_value_is_overwritten_or_kept(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        self.need_any_value()
        store = layer.zarr(samples.key(Kind.TOMOGRAM))
        _put(store, a=b"long first")
        _put(store, a=b"2nd")
        run_async(store.set_if_not_exists("a", as_buffer(b"3rd")))
        run_async(store.set_if_not_exists("b", as_buffer(b"b")))

        assert (_get(store, "a"), _get(store, "b")) == (b"2nd", b"b")


class ReplacementChecks(LayerChecks):
    """Replacing volumes."""

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(FRESH)
    def test_the_store_to_fill_is_empty(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        samples.fill(layer, samples.key(kind), seed=1)

        with layer.replace_zarr(samples.key(kind)) as store:
            empty = run_async(store.is_empty(""))
            samples.write_volume(store, samples.volume(2))

        assert empty

    @pytest.mark.parametrize("zarr_format", FORMATS)
    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(SWAP)
    def test_the_new_volume_is_there_after_the_block(self, layer: Layer, kind: Kind, zarr_format: Literal[2, 3]) -> None:
        self.need(kind)
        self.need_format(zarr_format)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)

        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(2), zarr_format)

        assert np.array_equal(samples.read_volume(layer.zarr(key)), samples.volume(2))
        assert [*layer.list(kind, key.parent)] == [key]

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(SWAP)
    def test_the_old_volume_is_read_during_the_block(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)

        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(2))
            during = samples.holds(layer, key, seed=1)

        assert during, "the old volume could not be read while the new one was written"

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(STAGED)
    def test_a_new_volume_is_not_seen_before_the_block_ends(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        layer.ensure(samples.key(Kind.RUN))
        if Kind.VOXEL_SPACING in self.kinds:
            layer.ensure(samples.key(Kind.VOXEL_SPACING))
        before = self.whole(layer)

        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume())
            layer.forget(ROOT)
            during = (layer.exists(key), self.whole(layer))

        assert during == (False, before)

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(FRESH)
    def test_nothing_of_the_old_volume_is_left(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(1))
            samples.write_volume(store, samples.volume(1), name="1")

        samples.fill(layer, key, seed=2)

        assert sorted(
            {n.split("/")[0] for n in run_async(_collected(layer.zarr(key).list()))} - {".zgroup", ".zattrs", "zarr.json"}
        ) == ["0"]

    @pytest.mark.parametrize("error", [WriteFailedError, KeyboardInterrupt, OSError], ids=lambda e: e.__name__)
    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(SWAP)
    def test_the_old_volume_outlives_an_error(self, layer: Layer, kind: Kind, error: type[BaseException]) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)

        with pytest.raises(error), layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(2))
            raise error

        assert samples.holds(layer, key, seed=1)
        assert [*layer.list(kind, key.parent)] == [key]

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(STAGED)
    def test_an_error_leaves_nothing_behind(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)
        before, listed = self.stored_files(layer) or {}, self.whole(layer)

        with pytest.raises(WriteFailedError), layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(2))
            raise WriteFailedError

        layer.forget(ROOT)
        left = sorted({*(self.stored_files(layer) or {})} - {*before})
        assert left == []
        assert self.whole(layer) == listed

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    @promises(SWAP)
    def test_an_error_makes_no_new_volume(self, layer: Layer, kind: Kind) -> None:
        self.need(kind)
        key = samples.key(kind)

        with pytest.raises(WriteFailedError), layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume())
            raise WriteFailedError

        assert not layer.exists(key)
        assert [*layer.list(kind, key.parent)] == []

    @promises(SWAP)
    def test_a_volume_is_replaced_after_a_failure(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key, seed=1)
        with pytest.raises(WriteFailedError), layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(2))
            raise WriteFailedError

        samples.fill(layer, key, seed=3)

        assert samples.holds(layer, key, seed=3)

    @promises(SWAP)
    def test_a_volume_outlives_a_new_connection_during_the_block(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key, seed=1)
        seed = 2

        try:
            with layer.replace_zarr(key) as store:
                samples.write_volume(store, samples.volume(2))
                layer.reconnect()
        except Exception:  # a layer that cannot go on may say so
            seed = 1

        assert samples.holds(layer, key, seed), "neither the old volume nor the new one is there"

    @promises(SWAP)
    def test_features_outlive_the_replacement_of_their_tomogram(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM, Kind.FEATURES)
        features = samples.key(Kind.FEATURES)
        tomogram = TomogramKey("TS_1", 10.0, "wbp")
        samples.fill(layer, tomogram, seed=1)
        samples.fill(layer, features, seed=2)

        samples.fill(layer, tomogram, seed=3)

        assert samples.holds(layer, tomogram, seed=3)
        assert samples.holds(layer, features, seed=2)

    @promises(SWAP)
    def test_two_replacements_at_once_do_not_mix(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)

        refused = between = False

        with layer.replace_zarr(key) as first:
            samples.write_volume(first, samples.volume(1))
            try:
                with layer.replace_zarr(key) as second:
                    samples.write_volume(second, samples.volume(2))
            except ConflictError:  # a place may let one writer at a time fill a volume
                refused = True
            else:
                between = samples.holds(layer, key, seed=2)

        assert refused or between
        assert samples.holds(layer, key, seed=1)

    @promises(IDENTITY)
    def test_a_volume_that_was_replaced_or_deleted_has_another_identity(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key, seed=1)
        seen = [layer.volume_version(key)]
        if seen == [None]:
            pytest.skip("the layer cannot tell volumes apart")

        for seed in (1, 2, 2):  # the same content, too, is another volume
            samples.fill(layer, key, seed=seed)
            seen.append(layer.volume_version(key))
        layer.delete(key)
        seen.append(layer.volume_version(key))

        assert len(set(seen)) == len(seen)
        assert seen[-1] is None

    @promises(IDENTITY)
    def test_a_volume_keeps_its_identity_while_its_voxels_change(self, layer: Layer) -> None:
        import zarr

        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key, seed=1)
        before = layer.volume_version(key)

        zarr.open_array(layer.zarr(key), path="0", mode="r+")[0] = 0

        assert layer.volume_version(key) == before

    @promises(CHEAP)
    def test_the_identity_that_a_store_saw_is_that_of_its_volume(self, layer: Layer) -> None:
        self.need(Kind.TOMOGRAM)
        if not layer.versions_take_requests:
            pytest.skip("the layer knows identities without a request")
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key, seed=1)
        store: Any = layer.zarr(key)

        assert _get(store, ".zgroup") or _get(store, "zarr.json")

        assert store.seen_version == layer.volume_version(key) is not None

    @promises(COMPARED)
    def test_a_read_beside_a_writer_answers_from_one_volume(self, layer: Layer) -> None:
        from collections import deque
        from concurrent.futures import ThreadPoolExecutor

        from copick_core.volumes.ome import open_with_image, read_region

        self.need(Kind.TOMOGRAM)
        key = samples.key(Kind.TOMOGRAM)
        shape = (24, 8, 8)

        def write(value: int) -> None:
            from copick_core.volumes.ome import VolumeFormat, write_volume

            with layer.replace_zarr(key) as store:
                format = VolumeFormat(**{"chunks": 4, **layer.volume_format})
                write_volume(store, np.full(shape, value, "u1"), 10.0, levels=1, format=format)

        def read() -> set[int] | None:
            """Values that one read gives; None if the layer says that it was disturbed."""
            store: Any = layer.zarr(key)
            before = None if layer.versions_take_requests else layer.volume_version(key)
            try:
                found = {*read_region(open_with_image(store, "0")[0]).flat}
            except Exception:  # the volume is gone for a moment
                return None
            before = store.seen_version if layer.versions_take_requests else before
            return found if before == layer.volume_version(key) else None

        write(1)
        if layer.volume_version(key) is None:
            pytest.skip("the layer cannot tell volumes apart")
        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(lambda: deque(map(write, range(2, 12)), 0))
            reads = [read()]
            while not writer.done():
                reads.append(read())
            writer.result()
        reads.append(read())

        assert reads[-1] == {11}
        assert [found for found in reads if found is not None and len(found) != 1] == []
