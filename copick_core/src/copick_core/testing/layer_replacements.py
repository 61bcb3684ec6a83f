"""Checks of the replacement of volumes, and of their identity."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from copick_core.errors import ConflictError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.contract import promises
from copick_core.testing.layer_base import VOLUME_KINDS, LayerChecks
from copick_core.testing.layer_volumes import FORMATS, collected, get_value, run_async
from copick_core.tree.keys import ROOT, Kind, TomogramKey

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


class WriteFailedError(Exception):
    """What checks raise in the middle of a write."""


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
            {n.split("/")[0] for n in run_async(collected(layer.zarr(key).list()))} - {".zgroup", ".zattrs", "zarr.json"}
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

        assert get_value(store, ".zattrs") or get_value(store, "zarr.json") or get_value(store, ".zgroup")

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
            # Without a root document nobody knows what was read: handles open such a volume again.
            return found if before is not None and before == layer.volume_version(key) else None

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
