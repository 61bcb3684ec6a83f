"""The layer in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from copick_backend_memory import layer as memory
from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.layer import MemoryLayer
from copick_backend_memory.opening import open_layers
from copick_core.errors import ConflictError, NotFoundError, ReadOnlyError
from copick_core.tree.keys import ROOT, FeaturesKey, Kind, MeshKey, PicksKey, RunKey, TomogramKey, VoxelSpacingKey
from support.locks import waits_for

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
FEATURES = FeaturesKey("TS_1", 10.0, "wbp", "sobel")


@pytest.fixture
def layer() -> MemoryLayer:
    return MemoryLayer()


def fail_half_way(layer: MemoryLayer) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), 9))
        raise KeyboardInterrupt


def fill(layer: MemoryLayer, key: TomogramKey | FeaturesKey, value: int) -> None:
    with layer.replace_zarr(key) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), value))


def value_of(layer: MemoryLayer, key: TomogramKey | FeaturesKey) -> int:
    return int(zarr.open_array(layer.zarr(key), path="0", mode="r")[0, 0, 0])


def test_what_is_written_makes_what_holds_it(layer: MemoryLayer) -> None:
    fill(layer, FEATURES, 1)

    assert layer.list(Kind.RUN, ROOT) == [RUN]
    assert layer.list(Kind.VOXEL_SPACING, RUN) == [VoxelSpacingKey("TS_1", 10.0)]
    assert layer.list(Kind.TOMOGRAM, TOMOGRAM.parent) == []
    assert layer.list(Kind.FEATURES, TOMOGRAM) == [FEATURES]


def test_a_listing_is_a_snapshot(layer: MemoryLayer) -> None:
    layer.ensure(RUN)

    for run in layer.list(Kind.RUN, ROOT):
        layer.delete(run)

    assert layer.list(Kind.RUN, ROOT) == []


def test_looking_at_a_volume_makes_nothing(layer: MemoryLayer) -> None:
    with pytest.raises(FileNotFoundError):
        zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")

    assert layer.list(Kind.RUN, ROOT) == []


def test_writing_to_an_opened_volume_makes_it(layer: MemoryLayer) -> None:
    zarr.create_array(layer.zarr(TOMOGRAM), name="0", data=np.ones((2, 2, 2)))

    assert layer.exists(TOMOGRAM)
    assert layer.list(Kind.TOMOGRAM, TOMOGRAM.parent) == [TOMOGRAM]


def test_a_stored_volume_does_not_follow_the_array_it_was_made_of(layer: MemoryLayer) -> None:
    data = np.ones((2, 2, 2))
    zarr.create_array(layer.zarr(TOMOGRAM), name="0", data=data, compressors=None)

    data[:] = 9

    assert value_of(layer, TOMOGRAM) == 1


def test_a_volume_that_fails_half_way_leaves_the_old_one(layer: MemoryLayer) -> None:
    fill(layer, TOMOGRAM, 1)

    with pytest.raises(KeyboardInterrupt):
        fail_half_way(layer)

    assert value_of(layer, TOMOGRAM) == 1


def test_a_store_that_is_held_sees_the_replaced_volume(layer: MemoryLayer) -> None:
    fill(layer, TOMOGRAM, 1)
    array = zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")

    fill(layer, TOMOGRAM, 2)

    assert array[0, 0, 0] == 2


def test_a_read_only_layer_refuses_every_mutation(layer: MemoryLayer) -> None:
    fill(layer, TOMOGRAM, 1)
    layer.write(PICKS, b"old")
    static = MemoryLayer("static", layer.place, read_only=True)

    with pytest.raises(ReadOnlyError):
        static.write(PICKS, b"new")
    with pytest.raises(ReadOnlyError):
        static.delete(RUN)
    with pytest.raises(ReadOnlyError):
        static.ensure(RunKey("other"))
    with pytest.raises(ReadOnlyError), static.replace_zarr(TOMOGRAM):
        pass
    with pytest.raises(ValueError, match="read-only"):
        zarr.core.sync.sync(static.zarr(TOMOGRAM).clear())
    with pytest.raises(ValueError, match="read-only"):
        zarr.core.sync.sync(static.zarr(TOMOGRAM).delete_dir("0"))

    assert value_of(layer, TOMOGRAM) == 1
    assert layer.read(PICKS) == b"old"


def test_deleting_a_run_deletes_all_below_it(layer: MemoryLayer) -> None:
    fill(layer, TOMOGRAM, 1)
    fill(layer, FEATURES, 1)
    layer.write(PICKS, b"{}")
    layer.write(MeshKey("TS_1", "membrane", "alice", "1"), b"glTF")

    layer.delete(RUN)

    assert (layer.place.files, layer.place.volumes) == ({}, {})
    assert layer.list(Kind.RUN, ROOT) == []


def test_deleting_what_is_not_there_is_an_error(layer: MemoryLayer) -> None:
    with pytest.raises(NotFoundError):
        layer.delete(RUN)


def test_of_many_threads_that_know_one_revision_exactly_one_wins(layer: MemoryLayer) -> None:
    layer.write(PICKS, b"start")
    known = layer.revision(PICKS)
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def store(name: int) -> None:
        start.wait()
        try:
            layer.write(PICKS, b"%d" % name, if_revision=known)
            outcomes.append(f"{name}")
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=store, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count("conflict") == 7
    assert layer.read(PICKS).decode() in outcomes


def test_threads_may_list_while_others_write_and_delete(layer: MemoryLayer) -> None:
    errors: list[BaseException] = []

    def churn(number: int) -> None:
        try:
            for i in range(100):
                key = PicksKey(f"run{number}", f"object{i}", "alice", "1")
                layer.write(key, b"{}")
                assert key in layer.list(Kind.PICKS, key.parent)
                layer.list(Kind.RUN, ROOT)
                if i % 2:
                    layer.delete(key)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len([*layer.list(Kind.PICKS, RunKey("run0"))]) == 50


def test_projects_without_a_place_are_alone() -> None:
    one, other = (open_layers(CopickConfigMemory()).overlay for _ in range(2))
    assert one is not None
    assert other is not None

    one.ensure(RUN)

    assert [*other.list(Kind.RUN, ROOT)] == []


def test_projects_that_name_one_place_share_it() -> None:
    config = CopickConfigMemory(place="test_projects_that_name_one_place_share_it")
    one, other = (open_layers(config).overlay for _ in range(2))
    assert one is not None
    assert other is not None

    one.ensure(RUN)

    assert [*other.list(Kind.RUN, ROOT)] == [RUN]


# -------------------------------------------------------------------------------------------------------------- threads


def stored(layer: MemoryLayer) -> MemoryLayer:
    layer.write(PICKS, b"{}")
    fill(layer, TOMOGRAM, 1)
    return layer


def buffer() -> Any:
    return default_buffer_prototype().buffer.from_bytes(b"1")


GUARDED: dict[str, Callable[[MemoryLayer], object]] = {
    "list": lambda layer: layer.list(Kind.PICKS, RUN),
    "list_many": lambda layer: layer.list_many(Kind.PICKS, [RUN]),
    "exists": lambda layer: layer.exists(PICKS),
    "write": lambda layer: layer.write(PICKS, b"2"),
    "write_record": lambda layer: layer.write_record(RUN, "review", b"2"),
    "ensure": lambda layer: layer.ensure(RUN),
    "replace_zarr": lambda layer: fill(layer, TOMOGRAM, 2),
    "delete": lambda layer: layer.delete(PICKS),
    "list of a volume": lambda layer: layer.zarr(TOMOGRAM)._names(),
    "set": lambda layer: layer.zarr(TOMOGRAM).set_sync("a", buffer()),
    "delete of a value": lambda layer: layer.zarr(TOMOGRAM).delete_sync("zarr.json"),
    "clear": lambda layer: sync(layer.zarr(TOMOGRAM).clear()),
}


@pytest.mark.parametrize("call", GUARDED)
def test_a_place_is_read_and_changed_by_one_thread_at_a_time(layer: MemoryLayer, call: str) -> None:
    stored(layer)

    assert waits_for(layer.place.lock, lambda: GUARDED[call](layer))


def test_a_shared_place_is_made_by_one_thread_at_a_time() -> None:
    assert waits_for(memory._shared_places_lock, lambda: memory.shared_place("of a test"))
