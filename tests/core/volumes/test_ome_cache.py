"""Decoded chunks that are kept: the same voxels, fewer requests, bounded memory, and never what was there before."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import MemoryStore

import copick_core
from copick_core.errors import LevelNotFoundError
from copick_core.layers.revisions import note_change
from copick_core.tree.keys import TomogramKey
from copick_core.volumes import chunk_cache, chunk_parts
from copick_core.volumes.chunk_cache import ChunkCache
from copick_core.volumes.ome import VolumeFormat, open_level, read_region, write_volume
from support.counting_store import CountingStore
from support.objects import OBJECTS

SHAPE = (9, 14, 11)
VOLUME = np.random.default_rng(0).standard_normal(SHAPE).astype("f4")
CHUNK_BYTES = 4 * 4 * 4 * 4
KEY = TomogramKey("TS_1", 10.0, "wbp")


def stored(**format: Any) -> CountingStore:
    store = CountingStore(MemoryStore())
    write_volume(store, VOLUME, 10.0, levels=1, format=VolumeFormat(**{"chunks": 4, **format}))
    store.requests.clear()
    return store


def reader(store: Any, cache: ChunkCache) -> Callable[[Any], np.ndarray]:
    array = open_level(store)
    return lambda index: read_region(array, index, lambda region: cache.read(array, region, KEY))


INDICES = st.tuples(*(st.one_of(st.integers(-n, n - 1), st.slices(n)) for n in SHAPE))


@given(st.lists(INDICES, min_size=1, max_size=8), st.integers(1, 40), st.sampled_from([{}, {"zarr_format": 3, "shards": 8}]))
def test_regions_are_what_numpy_gives_whatever_is_kept(indices: Any, chunks: int, format: Any) -> None:
    cache = ChunkCache(chunks * CHUNK_BYTES)
    read = reader(stored(**format), cache)

    for index in indices:
        region = read(index)
        np.testing.assert_array_equal(region, VOLUME[index])
        assert cache.size <= chunks * CHUNK_BYTES
        region[...] = 7  # belongs to the caller


def test_a_chunk_is_read_once() -> None:
    store = stored()
    read = reader(store, ChunkCache(2**20))

    for _ in range(3):
        read((slice(2, 6), slice(0, 4), 1))
        read((slice(0, 8), 3, slice(0, 4)))

    assert sorted(store.chunks_of("get")) == ["0/0/0/0", "0/1/0/0"]


def test_the_chunks_that_were_not_used_for_longest_make_room() -> None:
    store = stored()
    read = reader(store, ChunkCache(2 * CHUNK_BYTES))

    for z in (0, 4, 0, 8, 0, 4):
        read((z, slice(0, 4), slice(0, 4)))

    assert store.chunks_of("get") == ["0/0/0/0", "0/1/0/0", "0/2/0/0", "0/1/0/0"]


def test_a_region_that_is_larger_than_the_cache_changes_nothing_in_it() -> None:
    store = stored()
    cache = ChunkCache(2 * CHUNK_BYTES)
    read = reader(store, cache)
    read((0, 0, 0))
    before = cache.size

    np.testing.assert_array_equal(read(...), VOLUME)

    assert cache.size == before
    store.requests.clear()
    read((0, 0, 0))
    assert store.chunks_of("get") == []


def test_what_was_read_during_a_write_is_not_believed_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChunkCache(2**20)
    read = reader(stored(), cache)

    def read_during_a_write(array: Any, box: Any) -> np.ndarray:
        """Gives a chunk, and then somebody's write ends."""
        before = chunk_parts.read(array, box)
        array[...] = -VOLUME
        note_change(KEY)
        return before

    monkeypatch.setattr(chunk_cache, "read", read_during_a_write)
    box = (slice(0, 4),) * 3
    np.testing.assert_array_equal(read(box), VOLUME[:4, :4, :4])

    np.testing.assert_array_equal(read(box), -VOLUME[:4, :4, :4])


def test_threads_read_the_same_voxels() -> None:
    cache = ChunkCache(20 * CHUNK_BYTES)
    read = reader(stored(), cache)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(60):
            starts = [random.integers(0, n - 4) for n in SHAPE]
            index = tuple(slice(s, s + 4) for s in starts)
            if not np.array_equal(read(index), VOLUME[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
    assert cache.size == sum(voxels.nbytes for _, _, voxels in cache._chunks.values()) <= 20 * CHUNK_BYTES


class Guarded(OrderedDict):
    """Chunks that may change only while the lock of their cache is held."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__()
        self.lock, self.changes = lock, 0

    def _changes(self) -> None:
        assert self.lock.locked()
        self.changes += 1

    def move_to_end(self, *args: Any, **kwargs: Any) -> None:
        self._changes()
        super().move_to_end(*args, **kwargs)

    def __setitem__(self, *args: Any) -> None:
        self._changes()
        super().__setitem__(*args)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_chunks_are_kept_and_used_under_the_lock_of_their_cache(known: bool) -> None:
    cache = ChunkCache(100 * CHUNK_BYTES)
    cache._chunks = guarded = Guarded(cache._lock)
    read = reader(stored(), cache)
    if known:
        read(np.s_[:4, :4, :4])
        guarded.changes = 0

    read(np.s_[:4, :4, :4])

    assert guarded.changes == 1


# ------------------------------------------------------------------------------------------------------------- projects


PLACES: dict[str, Callable[[Path], dict[str, str]]] = {
    "filesystem": lambda folder: {"config_type": "filesystem", "overlay_root": str(folder / "data")},
    "memory": lambda folder: {"config_type": "memory", "place": str(folder)},
    # Here nothing tells one volume from another that has taken its place.
    "memory://": lambda folder: {"config_type": "filesystem", "overlay_root": f"memory://{folder.name}"},
}


@pytest.fixture(params=PLACES)
def projects(request: Any, tmp_path: Path) -> tuple[Any, Any]:
    """Two open projects over one place, with a cache."""
    config = {"pickable_objects": OBJECTS, "user_id": "alice", "chunks": (4, 4, 4), **PLACES[request.param](tmp_path)}
    root = copick_core.open({**config, "chunk_cache_bytes": 2**20})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    tomogram.new_features("sobel").from_numpy(VOLUME)
    root.get_run("TS_1").new_segmentation(10.0, "membrane", "1").from_numpy(VOLUME > 0)
    root.get_object("ribosome").from_numpy(VOLUME, 10.0)
    return root, copick_core.open({**config, "chunk_cache_bytes": 2**20})


def entities(root: Any) -> dict[str, Any]:
    run = root.get_run("TS_1")
    tomogram = run.get_voxel_spacing(10.0).get_tomogram("wbp")
    return {
        "tomogram": tomogram,
        "features": tomogram.get_features("sobel"),
        "segmentation": run.get_segmentations(name="membrane")[0],
        "object": root.get_object("ribosome"),
    }


KINDS = ("tomogram", "features", "segmentation", "object")


def replace(kind: str, entity: Any) -> None:
    entity.from_numpy(np.ones(SHAPE, "f4"), **({"voxel_size": 10.0} if kind == "object" else {}))


WRITES: dict[str, Callable[[str, Any], None]] = {
    "set_region": lambda kind, entity: entity.set_region(1),
    "from_numpy": replace,
    "import_volume": lambda kind, entity: entity.import_volume(np.ones(SHAPE, "f4"), voxel_size=10.0),
}


@pytest.mark.parametrize("same_handle", [True, False])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_this_process_writes_shows_at_once(projects: Any, kind: str, write: str, same_handle: bool) -> None:
    ours, other = (entities(root)[kind] for root in projects)
    assert not (ours.numpy() == 1).all()
    assert not (other.numpy() == 1).all()

    WRITES[write](kind, ours if same_handle else other)

    assert (ours.numpy() == 1).all()


def test_coarser_levels_that_were_updated_show_at_once(projects: Any) -> None:
    tomogram = entities(projects[0])["tomogram"]
    tomogram.numpy("1")

    tomogram.set_region(1, update_levels=True)

    assert (tomogram.numpy("1") == 1).all()


DELETIONS: dict[str, tuple[str, Callable[[Any], None]]] = {
    **{f"the {kind}": (kind, lambda root, kind=kind: entities(root)[kind].delete()) for kind in KINDS},
    "its tomogram": ("features", lambda root: entities(root)["tomogram"].delete()),
    "its voxel spacing": ("tomogram", lambda root: root.get_run("TS_1").get_voxel_spacing(10.0).delete()),
    "its run": ("tomogram", lambda root: root.delete_run("TS_1")),
}


@pytest.mark.parametrize("deleted", DELETIONS)
def test_what_was_deleted_and_made_again_is_not_answered_from_before(projects: Any, deleted: str) -> None:
    root, other = projects
    kind, delete = DELETIONS[deleted]
    old = entities(root)[kind]
    assert not (old.numpy() == 1).all()

    delete(other)
    with other.layers.overlay.replace_zarr(old.key) as store:  # as another program would make it
        write_volume(store, np.ones(SHAPE, "f4"), 10.0, levels=1, format=VolumeFormat(chunks=4))

    assert (old.numpy() == 1).all()


@pytest.mark.parametrize("projects", ["memory://"], indirect=True)  # where handles do not look at each access
@pytest.mark.parametrize("deleted", DELETIONS)
def test_no_project_keeps_open_what_this_process_deleted(projects: Any, deleted: str) -> None:
    root, other = projects
    kind, delete = DELETIONS[deleted]
    known = entities(root)[kind]
    assert known.array().shape == SHAPE

    delete(other)

    with pytest.raises(LevelNotFoundError):
        known.array()


def test_a_copied_project_shows_at_once(projects: Any) -> None:
    root, _ = projects
    tomogram = entities(root)["tomogram"]
    tomogram.numpy()
    source = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "user_id": "alice"})
    source.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones(SHAPE, "f4"), chunks=4)

    copick_core.copy_project(source, root, overwrite=True)

    assert (tomogram.numpy() == 1).all()


@pytest.mark.parametrize(
    "refresh", [lambda tomogram: tomogram.refresh(), lambda t: t.voxel_spacing.run.refresh(), lambda t: t._root.refresh()]
)
def test_what_somebody_else_wrote_shows_after_refresh(projects: Any, refresh: Any) -> None:
    root, _ = projects
    tomogram = entities(root)["tomogram"]
    tomogram.numpy()
    open_level(root.layers.overlay.zarr(tomogram.key))[...] = 1

    refresh(tomogram)

    assert (entities(root)["tomogram"].numpy() == 1).all()


def test_there_is_no_cache_unless_configured(root: Any) -> None:
    assert root._chunk_cache is None


def test_a_project_that_is_gone_leaves_no_chunks(tmp_path: Path) -> None:
    root = copick_core.open({"config_type": "memory", "pickable_objects": OBJECTS, "chunk_cache_bytes": 2**20})
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    tomogram.numpy()
    cache = weakref.ref(root._chunk_cache)
    assert cache() is not None
    del root, tomogram
    gc.collect()

    assert cache() is None
