"""A layer behind the index keeps the whole contract of layers, and lists that were asked once are not asked again."""

import pytest
from zarr.core.sync import sync

from copick_core.testing import LayerTests, samples
from copick_core.testing.layer_base import ALL_KINDS
from copick_core.testing.layer_replacements import WriteFailedError
from copick_core.testing.wrappers import CountingLayer
from copick_core.tree.keys import ROOT, Kind
from copick_layers.index.layer import IndexLayer
from copick_layers.index.options import IndexOptions
from support.wrapped_places import OnFiles, OnMemory, OnS3, OnSQLite


class IndexedTests(LayerTests):
    """What layers behind the index have in common: a layer that counts lies between it and the storage."""

    freshness = "check"

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.file = str(tmp_path / "index.sqlite")

    @pytest.fixture
    def layer(self, tmp_path):
        return self.indexed(self.bare(tmp_path))

    def bare(self, tmp_path):
        raise NotImplementedError

    def bare_again(self, bare, read_only):
        raise NotImplementedError

    def indexed(self, bare):
        layer = IndexLayer(CountingLayer(bare), IndexOptions(path=self.file, freshness=self.freshness))
        layer.update()
        return layer

    def reopen(self, layer, *, read_only=False):
        return self.indexed(self.bare_again(layer.unwrap(), read_only))

    @pytest.mark.parametrize("kind", ALL_KINDS)
    def test_lists_do_not_reach_the_storage_again(self, layer, kind):
        key = samples.key(kind)
        if kind is Kind.FEATURES:
            samples.fill(layer, key.parent)
        samples.fill(layer, key)
        first = [*layer.list(kind, key.parent)], layer.list_many(kind, [key.parent])
        layer.inner.calls.clear()

        again = [*layer.list(kind, key.parent)], layer.list_many(kind, [key.parent])

        assert again == first == ([key], {key.parent: [key]})
        assert layer.inner.calls == {}

    def test_a_run_that_a_failed_replacement_has_left_is_listed_exactly_if_it_exists(self, layer):
        key = samples.key(Kind.TOMOGRAM)

        fail_to_replace(layer, key)

        assert_listed_if_stored(layer)

    def test_a_layer_that_is_emptied_after_a_failed_replacement_is_empty(self, layer):
        fail_to_replace(layer, samples.key(Kind.TOMOGRAM))

        assert not self.emptied(layer).exists(samples.key(Kind.RUN))

    @pytest.mark.parametrize("kind", [Kind.PICKS, Kind.TOMOGRAM])
    def test_what_held_the_last_entity_is_listed_exactly_if_it_exists(self, layer, kind):
        key = samples.key(kind)
        samples.fill(layer, key)

        layer.delete(key)

        assert_listed_if_stored(layer)

    def test_what_held_a_volume_that_its_store_deleted_is_listed_exactly_if_it_exists(self, layer):
        key = samples.key(Kind.TOMOGRAM)
        samples.fill(layer, key)

        sync(layer.zarr(key).clear())

        assert_listed_if_stored(layer)

    def emptied(self, layer):
        layer.forget(ROOT)
        return super().emptied(layer)


def fail_to_replace(layer, key):
    """Write a volume, and fail before it is stored."""
    try:
        with layer.replace_zarr(key) as store:
            samples.write_volume(store, samples.volume(1, (2, 2, 2)))
            raise WriteFailedError
    except WriteFailedError:
        pass


def assert_listed_if_stored(layer):
    """The run and the voxel spacing of the samples are in the lists exactly if they exist."""
    run, spacing = samples.key(Kind.RUN), samples.key(Kind.VOXEL_SPACING)
    assert (run in layer.list(Kind.RUN, ROOT)) == layer.exists(run)
    assert (spacing in layer.list(Kind.VOXEL_SPACING, run)) == layer.exists(spacing)


class TrustingTests(IndexedTests):
    """Others who write through the index are seen at once."""

    freshness = "trust"


@pytest.mark.slow
class TestCheckedFiles(OnFiles, IndexedTests):
    pass


class TestTrustedFiles(OnFiles, TrustingTests):
    pass


@pytest.mark.exhaustive
class TestCheckedMemory(OnMemory, IndexedTests):
    pass


@pytest.mark.slow
class TestTrustedMemory(OnMemory, TrustingTests):
    pass


@pytest.mark.exhaustive
class TestCheckedSQLite(OnSQLite, IndexedTests):
    examples = 5


@pytest.mark.exhaustive
class TestTrustedSQLite(OnSQLite, TrustingTests):
    examples = 5


@pytest.mark.exhaustive
class TestCheckedS3(OnS3, IndexedTests):
    pass


@pytest.mark.exhaustive
class TestTrustedS3(OnS3, TrustingTests):
    pass
