"""What threads share while they read or write volumes is used by one of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore

from copick_core.errors import InvalidDataError
from copick_core.volumes.chunks import LevelWriter
from copick_core.volumes.format import VolumeFormat
from copick_core.volumes.ome import write_region
from copick_core.volumes.raw import RawSource
from copick_core.volumes.shards import ShardCodec, ShardWriter, _StoredShard
from support.locks import waits_for

VOLUME = np.arange(4 * 5 * 6, dtype="<f4").reshape(4, 5, 6)


def sharded(store: Any) -> Any:
    return zarr.create_array(
        store, name="0", shape=(8, 8, 8), dtype="f4", chunks=(4, 4, 4), shards=(8, 8, 8), zarr_format=3, fill_value=0
    )


BOXES: dict[str, tuple[slice, slice, slice]] = {
    "planes": (slice(1, 3), slice(0, 5), slice(0, 6)),
    "rows": (slice(1, 3), slice(2, 4), slice(0, 6)),
    "columns": (slice(1, 3), slice(2, 4), slice(3, 5)),
}


@pytest.mark.parametrize("box", BOXES)
def test_threads_read_a_file_that_was_given_open_one_after_another(tmp_path: Path, box: str) -> None:
    path = tmp_path / "volume.raw"
    path.write_bytes(b"head" + VOLUME.tobytes())
    read: list[Any] = []

    with path.open("rb") as file:
        source = RawSource("volume", file, 4, VOLUME.shape, "<f4")

        assert waits_for(source._lock, lambda: read.append(source.box(*BOXES[box])))

    np.testing.assert_array_equal(read[0], VOLUME[BOXES[box]])


def test_threads_add_chunks_to_a_shard_one_after_another() -> None:
    store = MemoryStore()
    codec = ShardCodec(sharded(store))

    with ShardWriter(store, "0/c/0/0/0", codec) as shard:
        assert waits_for(shard._lock, lambda: shard.add((0, 1, 0), codec.encode(np.ones((4, 4, 4)))))

    assert (zarr.open_array(store, path="0")[:4, 4:, :4] == 1).all()


def test_threads_read_chunks_of_a_stored_shard_one_after_another(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    array = sharded(store)
    array[...] = 7
    codec, read = ShardCodec(array), []

    with _StoredShard(store, "0/c/0/0/0", codec) as stored:
        assert waits_for(stored._lock, lambda: read.append(stored.chunk((1, 0, 1))))

    assert (codec.decode(read[0]) == 7).all()


class Guarded(dict[Any, Any]):
    """Shards that may change only while the lock of their level is held."""

    def __init__(self, writer: LevelWriter) -> None:
        super().__init__()
        self.writer, self.changes = writer, 0

    def __setitem__(self, *args: Any) -> None:
        assert self.writer._lock.locked()
        self.changes += 1
        super().__setitem__(*args)

    def __delitem__(self, *args: Any) -> None:
        assert self.writer._lock.locked()
        super().__delitem__(*args)


def test_shards_of_a_level_are_begun_and_completed_under_its_lock() -> None:
    store = MemoryStore()

    with LevelWriter(store, "0", (8, 8, 8), "f4", VolumeFormat(3, chunks=4, shards=8)) as writer:
        writer._shards = guarded = Guarded(writer)
        writer.encode(np.ones((8, 8, 8), "f4"), (0, 0, 0))

    assert guarded.changes == 1 + 8  # begun, and each of its chunks
    assert not guarded
    assert (zarr.open_array(store, path="0")[...] == 1).all()


# ----------------------------------------------------------------------------------------- files that change meanwhile


@pytest.mark.parametrize("box", ["planes", "rows"])
def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error(tmp_path: Path, box: str) -> None:
    path = tmp_path / "volume.raw"
    path.write_bytes(VOLUME.tobytes())
    source = RawSource("my volume", str(path), 0, VOLUME.shape, "<f4")
    path.write_bytes(VOLUME.tobytes()[:200])

    with pytest.raises(InvalidDataError, match="became shorter while it was read") as caught:
        source.box(*BOXES[box])

    assert caught.value.source == "my volume"


def moved(index: Any, size: int) -> None:
    index[0, 0, 0] = size, 1


def just_beyond(index: Any, size: int) -> None:
    index[0, 0, 0] = size - 10, 11


def wrapped(index: Any, size: int) -> None:
    index[0, 0, 0] = 2**63, 2**63 - 1


@pytest.mark.parametrize("damage", [moved, just_beyond, wrapped])
def test_a_shard_whose_index_leads_beyond_its_end_is_refused_and_kept(tmp_path: Path, damage: Callable[..., None]) -> None:
    array = sharded(LocalStore(tmp_path))
    array[...] = 7
    path, codec = tmp_path / "0/c/0/0/0", ShardCodec(array)
    data = path.read_bytes()
    index = codec.decode_index(data[-codec.index_bytes :]).copy()
    damage(index, len(data))
    damaged = data[: -codec.index_bytes] + codec.encode_index(index)
    path.write_bytes(damaged)

    with pytest.raises(InvalidDataError, match=f"leads beyond its {len(data)} bytes"):
        write_region(array, np.s_[7, 7, 7], 1)

    assert path.read_bytes() == damaged
