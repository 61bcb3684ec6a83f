"""Parts of chunks: the voxels that zarr gives, from fewer bytes, and never wrong ones of a damaged file."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Blosc
from zarr.storage import LocalStore, MemoryStore

from copick_core.volumes import chunk_parts
from copick_core.volumes.ome import open_level, read_region

SHAPE = (21, 34, 27)
#: Compresses well in places, and not at all in others: both kinds of Blosc buffers, and chunks that are not stored.
VOLUME = np.random.default_rng(0).integers(0, 2**31, SHAPE, np.int32)
VOLUME[:11] %= 3
VOLUME[:5, :16] = 0

BLOSC = st.builds(
    Blosc,
    st.sampled_from(["lz4", "lz4hc", "zstd", "zlib", "blosclz"]),
    st.integers(0, 9),
    st.sampled_from([Blosc.NOSHUFFLE, Blosc.SHUFFLE, Blosc.BITSHUFFLE]),
    st.sampled_from([0, 128, 256, 1000, 4096]),
)
INDICES = st.tuples(*(st.one_of(st.integers(-n, n - 1), st.slices(n)) for n in SHAPE))


def stored(store: Any, data: np.ndarray, chunks: Any, compressor: Any, **options: Any) -> zarr.Array[Any]:
    array = zarr.create_array(
        store,
        name="0",
        shape=data.shape,
        dtype=data.dtype,
        chunks=chunks,
        compressors=compressor,
        **{"zarr_format": 2, **options},
    )
    array[...] = data
    return open_level(store)


@given(
    codec=BLOSC,
    chunks=st.tuples(*(st.integers(n // 5, n + 4) for n in SHAPE)),
    dtype=st.sampled_from(["u1", "<i2", "<f4", "<f8", ">i4", "<c8"]),
    fill=st.sampled_from([0, 1, None]),
    indices=st.lists(INDICES, min_size=1, max_size=6),
    slab=st.sampled_from([1, 300, 4096, 2**21]),
)
def test_regions_are_what_numpy_gives(codec: Any, chunks: Any, dtype: str, fill: Any, indices: Any, slab: int) -> None:
    data = VOLUME.astype(dtype)
    array = stored(MemoryStore(), data, chunks, codec, fill_value=fill)

    for index in indices:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunk_parts, "_SLAB_BYTES", slab)
            region = read_region(array, index)
        np.testing.assert_array_equal(region, data[index])
        assert region.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        region[...] = 7  # belongs to the caller


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2, "compressors": Blosc("zstd", 5, Blosc.SHUFFLE, 1024)},
        {"zarr_format": 2, "compressors": numcodecs.Zstd()},
        {"zarr_format": 2, "compressors": None},
        {"zarr_format": 2, "compressors": Blosc("zstd", blocksize=1024), "filters": [numcodecs.Delta("<i4")]},
        {"zarr_format": 2, "compressors": Blosc("zstd", blocksize=1024), "order": "F"},
        {"zarr_format": 3, "compressors": zarr.codecs.BloscCodec(cname="zstd", blocksize=1024)},
        {
            "zarr_format": 3,
            "compressors": zarr.codecs.BloscCodec(cname="zstd", blocksize=1024),
            "serializer": zarr.codecs.BytesCodec(endian="big"),
        },
        {"zarr_format": 3, "compressors": zarr.codecs.BloscCodec(), "shards": (16, 32, 32)},
        {"zarr_format": 3, "compressors": zarr.codecs.ZstdCodec()},
        {"zarr_format": 3, "compressors": [zarr.codecs.BloscCodec(), zarr.codecs.GzipCodec()]},
    ],
    ids=lambda options: re.sub(r"_tunable_attrs=\{.*?\}, ", "", str(options)),  # a set, which has no order
)
@pytest.mark.parametrize("in_files", [True, False])
def test_regions_of_all_formats_are_what_numpy_gives(options: Any, in_files: bool, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "volume.zarr") if in_files else MemoryStore()
    array = zarr.create_array(store, name="0", shape=SHAPE, dtype="<i4", chunks=(8, 16, 16), fill_value=0, **options)
    array[...] = VOLUME
    array = open_level(store)

    for index in [..., 3, (slice(9, 12), slice(3, 20), 20), (slice(None, None, 7), -1), (slice(20, 3, -3), slice(5, 5))]:
        np.testing.assert_array_equal(read_region(array, index), VOLUME[index])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["<i4", ">i4"])
def test_an_array_that_was_just_made_gives_its_dtype(dtype: str, zarr_format: Any) -> None:
    compressor: Any = Blosc("zstd", blocksize=1024) if zarr_format == 2 else zarr.codecs.BloscCodec(blocksize=1024)
    array = zarr.create_array(
        MemoryStore(), shape=SHAPE, dtype=dtype, chunks=(8, 16, 16), compressors=compressor, zarr_format=zarr_format
    )
    array[...] = VOLUME

    for index in (9, (9, 3, 2)):
        region = read_region(array, index)
        np.testing.assert_array_equal(region, VOLUME[index])
        assert region.dtype == array.dtype


def shuffled(frame: bytes, seed: int) -> bytes:
    """The same Blosc buffer with its blocks in another order, as several threads may write them."""
    size, block = np.frombuffer(frame, "<u4", 2, 4)
    count = -(-int(size) // int(block))
    offsets = np.frombuffer(frame, "<i4", count, 16)
    ends = np.append(offsets[1:], len(frame))
    moved, at, blocks = np.empty(count, "<i4"), 16 + 4 * count, []
    for i in np.random.default_rng(seed).permutation(count):
        moved[i] = at
        blocks.append(frame[offsets[i] : ends[i]])
        at += len(blocks[-1])
    return frame[:16] + moved.tobytes() + b"".join(blocks)


def in_one_chunk(path: Path, data: np.ndarray, codec: Blosc) -> tuple[zarr.Array[Any], Path]:
    """An array of one chunk, and the chunk's file."""
    array = stored(LocalStore(path), data, data.shape, codec)
    return array, path / "0" / ".".join("0" * data.ndim)


@pytest.mark.parametrize("seed", range(5))
def test_blocks_may_be_stored_in_any_order(tmp_path: Path, seed: int) -> None:
    data = np.random.default_rng(1).integers(0, 9, (40, 40, 41), np.int32)
    array, file = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("zstd", 3, Blosc.SHUFFLE, 8192))
    file.write_bytes(shuffled(file.read_bytes(), seed))
    np.testing.assert_array_equal(array[...], data)

    for z in range(38):
        np.testing.assert_array_equal(read_region(array, slice(z, z + 3)), data[z : z + 3])


@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc says that was read")
def test_only_the_blocks_of_a_region_are_read(tmp_path: Path) -> None:
    data = np.random.default_rng(2).standard_normal((128, 128, 128)).astype("f4")
    array, file = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("lz4", 5, Blosc.SHUFFLE))
    size = file.stat().st_size

    def share_read(index: Any) -> float:
        before = bytes_read()
        region = read_region(array, index)
        share = (bytes_read() - before) / size
        np.testing.assert_array_equal(region, data[index])
        return share

    share_read(0)  # imports what it needs
    block = 1 / 16
    assert share_read(64) < 1.1 * block
    assert share_read((slice(32, 64), slice(50, 90), slice(3, 5))) < 4.1 * block
    assert share_read((slice(30, 66), 0, 0)) < 6.1 * block
    assert share_read(...) < 1.1


def test_each_block_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(8).integers(0, 99, (64, 64, 64), np.int32)
    array, _ = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("zstd", 1, Blosc.SHUFFLE, 32768))
    decoded: list[int] = []
    decode = chunk_parts._Chunk._decode

    def counting(*args: Any) -> Any:
        blocks, at = decode(*args)
        decoded.append(len(blocks))
        return blocks, at

    monkeypatch.setattr(chunk_parts._Chunk, "_decode", counting)
    monkeypatch.setattr(chunk_parts, "_SLAB_BYTES", 100_000)  # three blocks, and a bit

    np.testing.assert_array_equal(read_region(array), data)

    assert sum(decoded) == data.nbytes
    assert max(decoded) == 3 * 32768


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("compressible", [True, False])
def test_of_a_file_that_was_cut_off_nothing_wrong_is_read(tmp_path: Path, compressible: bool) -> None:
    data = np.random.default_rng(3).integers(0, 3 if compressible else 2**31, (8, 16, 16), np.int32)
    array, file = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("zstd", 5, Blosc.SHUFFLE, 1024))
    whole = file.read_bytes()
    assert bool(whole[2] & 2) is not compressible

    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"'0/0\.0\.0' ends before byte"):
            read_region(array)
        for z in (0, 5, 7):
            with contextlib.suppress(ValueError):
                np.testing.assert_array_equal(read_region(array, z), data[z])


DAMAGES = {
    "size of the buffer": (12, -1, "not the 8192 bytes that"),
    "flags of a plain copy": (0, 0x04020102, "not the 8192 bytes that"),
    "size of the content": (4, 7, "not the 8192 bytes that"),
    "size of a block": (8, 0, "not the 8192 bytes that"),
    "first offset before the blocks": (16, 3, "outside"),
    "first offset below zero": (16, -5, "outside"),
    "first offset behind the end": (16, 2**30, "outside"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("in_files", [True, False])
def test_a_damaged_header_is_refused(tmp_path: Path, damage: str, in_files: bool) -> None:
    at, value, said = DAMAGES[damage]
    data = np.random.default_rng(4).integers(0, 3, (8, 16, 16), np.int32)
    array, file = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("zstd", 5, Blosc.SHUFFLE, 1024))
    frame = bytearray(file.read_bytes())
    frame[at : at + 4] = np.array(value, "<i4").tobytes()
    file.write_bytes(frame)
    if not in_files:
        store = MemoryStore(
            {p.relative_to(tmp_path / "volume.zarr").as_posix(): from_bytes(p.read_bytes()) for p in file.parent.iterdir()}
        )
        array = open_level(store)

    with pytest.raises(ValueError, match=said):
        read_region(array, 0)


def test_an_end_beyond_the_integers_of_the_offsets_is_refused() -> None:
    size, block = 3 * 2**30, 2**30
    header = np.array([0x01010102, size, block, size - 1, 28, 100, 200], "<u4").view("u1")
    chunk = chunk_parts._Chunk(lambda start, stop: header[start:stop], "0/0", [size], np.dtype("u1"), Blosc().decode)

    with pytest.raises(ValueError, match=f"ends before byte {size - 1}"):
        chunk.read([slice(size - 1, size, 1)], np.empty(1, "u1"))


def from_bytes(data: bytes) -> Any:
    return zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(data)


def test_a_store_that_answers_for_itself_is_asked(tmp_path: Path) -> None:
    class Renamed(LocalStore):
        """Keeps chunks under other names."""

        async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
            return await super().get(key.replace("0/0.0.0", "0/first"), *args, **kwargs)

    data = np.random.default_rng(5).integers(0, 9, (8, 16, 16), np.int32)
    _, file = in_one_chunk(tmp_path / "volume.zarr", data, Blosc("zstd", blocksize=1024))
    file.rename(file.with_name("first"))

    np.testing.assert_array_equal(read_region(open_level(Renamed(tmp_path / "volume.zarr")), 3), data[3])


def test_a_chunk_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (np.random.default_rng(seed).integers(0, 9, (8, 16, 16), np.int32) for seed in (6, 7))
    array, file = in_one_chunk(tmp_path / "volume.zarr", old, Blosc("zstd", 5, Blosc.SHUFFLE, 1024))
    _, other = in_one_chunk(tmp_path / "new.zarr", new, Blosc("lz4", 1, Blosc.NOSHUFFLE, 2048))
    fetched = chunk_parts._Chunk._bytes

    def replace_meanwhile(*args: Any) -> Any:
        if other.exists():
            os.replace(other, file)
        return fetched(*args)

    monkeypatch.setattr(chunk_parts._Chunk, "_bytes", replace_meanwhile)

    np.testing.assert_array_equal(read_region(array, 7), old[7])
    np.testing.assert_array_equal(read_region(array, 7), new[7])
