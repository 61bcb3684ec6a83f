"""A layer behind the index keeps the whole contract of layers, and lists that were asked once are not asked again."""

import pytest

from copick_core.testing import LayerTests, samples
from copick_core.testing.layer_base import ALL_KINDS
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

    def emptied(self, layer):
        layer.forget(ROOT)
        return super().emptied(layer)


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
