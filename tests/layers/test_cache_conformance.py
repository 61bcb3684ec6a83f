"""A layer behind the cache keeps the whole contract of layers, and what is kept is not read again."""

import pytest
import zarr

from copick_core.errors import NotFoundError
from copick_core.testing import LayerTests, samples
from copick_core.testing.layer_base import FILE_KINDS, VOLUME_KINDS
from copick_core.tree.keys import ROOT
from copick_layers.cache.layer import CacheLayer
from copick_layers.cache.options import CacheOptions
from copick_layers.log import LogLayer
from support.wrapped_places import OnFiles, OnMemory, OnS3, OnSQLite


class CachedTests(LayerTests):
    """What layers behind the cache have in common: the log between it and the storage counts."""

    revalidate = "each"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = str(tmp_path / "cache")

    @pytest.fixture
    def layer(self, tmp_path):
        return self.cached(self.bare(tmp_path))

    def bare(self, tmp_path):
        raise NotImplementedError

    def bare_again(self, layer, read_only):
        raise NotImplementedError

    def cached(self, bare):
        return CacheLayer(LogLayer(bare), CacheOptions(path=self.folder, revalidate=self.revalidate))

    def reopen(self, layer, *, read_only=False):
        return self.cached(self.bare_again(layer.unwrap(), read_only))

    @pytest.mark.parametrize("kind", FILE_KINDS)
    def test_a_file_that_was_read_is_not_read_from_storage_again(self, layer, kind):
        key = samples.key(kind)
        samples.fill(layer, key)
        first = layer.read(key)
        layer.inner.reset()

        again = [layer.read(key), layer.read_revised(key)[0]]

        assert again == [first, first]
        assert reads(layer) == set()


def reads(layer):
    """What was read from storage since the log was reset."""
    return {name for name in layer.inner.statistics if name.startswith(("read", "load", "zarr.get"))}


class OpenTests(CachedTests):
    """Behind a cache that asks once, what others wrote is seen after forget()."""

    revalidate = "open"

    @pytest.mark.parametrize("kind", FILE_KINDS)
    def test_bytes_that_another_layer_wrote_are_read(self, layer, kind):
        key = samples.key(kind)
        layer.write(key, b"mine")
        assert layer.read(key) == b"mine"

        self.other(layer).write(key, b"hers")
        layer.forget(ROOT)

        assert layer.read(key) == b"hers"

    @pytest.mark.parametrize("kind", FILE_KINDS)
    def test_bytes_that_another_layer_deleted_are_not_read(self, layer, kind):
        key = samples.key(kind)
        layer.write(key, b"mine")
        assert layer.read(key) == b"mine"

        self.other(layer).delete(key)
        layer.forget(ROOT)

        with pytest.raises(NotFoundError):
            layer.read(key)

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    def test_a_volume_that_was_read_is_not_read_from_storage_again(self, layer, kind):
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)
        assert samples.holds(layer, key, seed=1)
        layer.volume_version(key)  # as handles do after each read
        layer.inner.reset()

        assert samples.holds(layer, key, seed=1)

        assert reads(layer) == set()

    @pytest.mark.parametrize("kind", VOLUME_KINDS)
    def test_a_region_that_another_layer_wrote_is_read_at_once(self, layer, kind):
        key = samples.key(kind)
        samples.fill(layer, key, seed=1)
        assert samples.holds(layer, key, seed=1)
        layer.volume_version(key)

        zarr.open_array(self.other(layer).zarr(key), path="0", mode="r+")[0] = 7

        assert (samples.read_volume(layer.zarr(key))[0] == 7).all()


@pytest.mark.slow
class TestEachOnFiles(OnFiles, CachedTests):
    pass


class TestOpenOnFiles(OnFiles, OpenTests):
    pass


@pytest.mark.exhaustive
class TestEachOnMemory(OnMemory, CachedTests):
    pass


@pytest.mark.slow
class TestOpenOnMemory(OnMemory, OpenTests):
    # The place has no name: nobody could drop what another layer keeps of a volume, so nothing is kept.
    test_a_volume_that_was_read_is_not_read_from_storage_again = None


@pytest.mark.exhaustive
class TestEachOnSQLite(OnSQLite, CachedTests):
    examples = 5


@pytest.mark.exhaustive
class TestOpenOnSQLite(OnSQLite, OpenTests):
    examples = 5


@pytest.mark.exhaustive
class TestEachOnS3(OnS3, CachedTests):
    pass


@pytest.mark.exhaustive
class TestOpenOnS3(OnS3, OpenTests):
    pass
