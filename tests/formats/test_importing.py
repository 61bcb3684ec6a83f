"""Streaming files into a store: orientation, and what is read and written how often."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from copick_core.volumes.importing import import_volume_into
from copick_core.volumes.ome import VolumeFormat, open_level, write_volume
from copick_core.volumes.reading import read_volume
from support.counting_store import CountingStore
from support.volume_files import VOLUME, write_mrc

SMALL = VolumeFormat(chunks=4)


AXES = st.permutations([0, 1, 2])
FLIPS = st.lists(st.integers(0, 2), max_size=3)


@pytest.mark.parametrize("kind", ["mrc", "gz", "tif", "array"])
@settings(max_examples=25, deadline=None)
@given(axes=AXES, flips=FLIPS)
def test_transpose_then_flip_as_numpy_does(
    tmp_path_factory: pytest.TempPathFactory, kind: str, axes: list[int], flips: list[int]
) -> None:
    source = oriented_source(tmp_path_factory.getbasetemp(), kind)
    expected = VOLUME.transpose(axes)
    for axis in flips:
        expected = np.flip(expected, axis)
    store = MemoryStore()

    import_volume_into(
        store, source, 1.0, levels=2, format=SMALL, transpose=",".join(map(str, axes)), flip=", ".join(map(str, flips))
    )

    whole = MemoryStore()
    write_volume(whole, expected, 1.0, levels=2, format=SMALL)
    for level in range(2):
        np.testing.assert_array_equal(open_level(store, level)[:], open_level(whole, level)[:])


def oriented_source(folder: Path, kind: str) -> Any:
    if kind == "array":
        return VOLUME
    if kind == "tif":
        tifffile.imwrite(folder / "turned.tif", VOLUME, compression="zlib")
        return folder / "turned.tif"
    path = write_mrc(folder / "turned.mrc")
    if kind == "gz":
        (folder / "turned.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
        return folder / "turned.mrc.gz"
    return path


def test_every_chunk_is_written_once_and_none_is_read(tmp_path: Path) -> None:
    store = CountingStore()
    volume = np.random.default_rng(0).standard_normal((40, 33, 20)).astype("f4")

    import_volume_into(store, write_mrc(tmp_path / "a.mrc", volume), format=VolumeFormat(chunks=8), levels=3)

    written = store.chunks_of("set")
    assert len(written) == len(set(written)) == 5 * 5 * 3 + 3 * 3 * 2 + 2 * 2 * 1
    assert store.chunks_of("get") == []
    whole = MemoryStore()
    write_volume(whole, volume, 1.0, format=VolumeFormat(chunks=8))
    for level in range(3):
        np.testing.assert_array_equal(open_level(store, level)[:], open_level(whole, level)[:])


def test_large_files_are_read_in_bricks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copick_core.volumes.level_stream._BRICK_BYTES", 4 * 8 * 20 * 8)
    reads: list[tuple[int, int, int, int]] = []
    volume = read_volume(write_mrc(tmp_path / "a.mrc", np.ones((20, 20, 20), "f4")))
    read = volume.read
    monkeypatch.setattr(volume, "read", lambda *box: reads.append(box) or read(*box))
    told: list[tuple[int, int]] = []

    import_volume_into(
        MemoryStore(), volume, format=VolumeFormat(chunks=8), progress=lambda done, total: told.append((done, total))
    )

    assert reads == [(z, min(z + 8, 20), y, min(y + 8, 20)) for z in (0, 8, 16) for y in (0, 8, 16)]
    assert told[-1] == (8000, 8000)
