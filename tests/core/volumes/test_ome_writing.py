"""Writing volumes: values, layout, metadata, order of writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v04 import Image as Image04
from ome_zarr_models.v05 import Image as Image05
from zarr.core.buffer import Buffer
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from copick_core.errors import InvalidDataError
from copick_core.volumes.ome import VolumeFormat, open_level, write_array, write_volume
from copick_core.volumes.pyramid import halve, level_shapes
from support.counting_store import CountingStore

FORMATS = {
    "v2": VolumeFormat(chunks=8),
    "v2 odd chunks": VolumeFormat(chunks=(5, 3, 7)),
    "v2 uncompressed": VolumeFormat(chunks=8, compressor=None),
    "v2 zstd": VolumeFormat(chunks=8, compressor={"id": "zstd", "level": 3}),
    "v3": VolumeFormat(zarr_format=3, chunks=8),
    "v3 zstd": VolumeFormat(zarr_format=3, chunks=8, compressor="zstd"),
    "v3 gzip": VolumeFormat(zarr_format=3, chunks=(4, 8, 8), compressor="gzip"),
    "v3 uncompressed": VolumeFormat(zarr_format=3, chunks=8, compressor=None),
    "v3 sharded": VolumeFormat(zarr_format=3, chunks=4, shards=8),
    "v3 odd shards": VolumeFormat(zarr_format=3, chunks=(3, 3, 5), shards=(9, 6, 5)),
}


def noise(shape: tuple[int, ...], dtype: str = "f4") -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(shape) * 50 + 120).clip(0, 255).astype(dtype)


def document(store: MemoryStore, key: str) -> Any:
    return json.loads(store._store_dict[key].to_bytes())


def expected_levels(volume: np.ndarray, levels: int, kind: str) -> list[np.ndarray]:
    found = [volume]
    while len(found) < levels:
        channels = found[-1] if volume.ndim == 4 else found[-1][None]
        coarse = np.stack([halve(channel, kind) for channel in channels])
        found.append(coarse if volume.ndim == 4 else coarse[0])
    return found


@pytest.mark.parametrize("kind", ["mean", "nearest"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_level_reads_back_in_every_format(name: str, kind: str) -> None:
    store = MemoryStore()
    volume = noise((37, 21, 18), "f4" if kind == "mean" else "u2")

    write_volume(store, volume, 10.0, levels=4, kind=kind, format=FORMATS[name])

    for level, expected in enumerate(expected_levels(volume, 4, kind)):
        np.testing.assert_array_equal(open_level(store, level)[:], expected)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 23)] * 3),
    chunks=st.tuples(*[st.integers(1, 9)] * 3),
    dtype=st.sampled_from(["u1", "i2", "u4", "i8", "f2", "f4", "f8", "?", ">f4", ">i2"]),
    kind=st.sampled_from(["mean", "nearest"]),
    levels=st.integers(1, 4),
    order=st.sampled_from("CF"),
)
def test_any_shape_dtype_chunking_and_order_round_trips(
    shape: tuple[int, int, int], chunks: tuple[int, int, int], dtype: str, kind: str, levels: int, order: str
) -> None:
    store = MemoryStore()
    volume = np.asarray(noise(shape).astype(dtype), order=order)

    write_volume(store, volume, 1.0, levels=levels, kind=kind, format=VolumeFormat(chunks=chunks))

    for level, expected in enumerate(expected_levels(volume, levels, kind)):
        array = open_level(store, level)
        assert array.dtype == np.dtype(dtype).newbyteorder("<")
        np.testing.assert_array_equal(array[:], expected)


def test_strided_views_and_memory_maps_are_written_as_they_look(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "raw", np.float32, "w+", shape=(20, 30, 40))
    mapped[:] = noise((20, 30, 40))
    view = mapped[::-1, ::2, 3::3].transpose(2, 0, 1)
    store = MemoryStore()

    write_volume(store, view, 1.0, levels=1, format=VolumeFormat(chunks=8))

    np.testing.assert_array_equal(open_level(store)[:], view)


class Slabwise:
    """An array-like that hands out no more than it must, as dask and zarr arrays do."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data
        self.shape, self.dtype = data.shape, data.dtype
        self.largest = 0

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        part = self._data[index]
        self.largest = max(self.largest, part.size)
        return part


def test_array_likes_are_read_slab_by_slab() -> None:
    volume = noise((50, 12, 10))
    source = Slabwise(volume)
    store = MemoryStore()

    write_volume(store, source, 1.0, levels=2, format=VolumeFormat(chunks=8))

    np.testing.assert_array_equal(open_level(store)[:], volume)
    assert source.largest == 8 * 12 * 10


def test_a_zarr_array_can_be_written_elsewhere() -> None:
    first, second = MemoryStore(), MemoryStore()
    write_volume(first, noise((20, 12, 10)), 1.0, levels=1, format=VolumeFormat(chunks=8))

    write_volume(second, open_level(first), 1.0, levels=2, format=VolumeFormat(chunks=7))

    np.testing.assert_array_equal(open_level(second)[:], open_level(first)[:])


def test_a_panoptic_volume_has_a_channel_axis_in_chunks_of_one() -> None:
    store = MemoryStore()
    volume = noise((2, 11, 9, 7), "u2")
    note = {"copick": {"segmentation_type": "panoptic", "channels": ["label", "instance"]}}

    write_volume(
        store,
        volume,
        10.52,
        levels=2,
        kind="nearest",
        axes="czyx",
        metadata=note,
        format=VolumeFormat(chunks=8),
    )

    for level, expected in enumerate(expected_levels(volume, 2, "nearest")):
        np.testing.assert_array_equal(open_level(store, level)[:], expected)
    assert open_level(store).chunks == (1, 8, 8, 7)
    image = document(store, ".zattrs")["multiscales"][0]
    assert image["axes"][0] == {"name": "c", "type": "channel"}
    assert image["datasets"][1]["coordinateTransformations"] == [{"scale": [1.0, 21.04, 21.04, 21.04], "type": "scale"}]
    assert image["metadata"] == note
    Image04.from_zarr(zarr.open_group(store, mode="r"))


def test_version_04_documents_are_those_of_the_reference() -> None:
    store = MemoryStore()

    write_volume(store, noise((20, 64, 64)), 10.52, levels=3)

    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    datasets = [
        {"coordinateTransformations": [{"scale": [size] * 3, "type": "scale"}], "path": path}
        for path, size in [("0", 10.52), ("1", 21.04), ("2", 42.08)]
    ]
    image = {"axes": axes, "datasets": datasets, "metadata": {}, "name": "/", "version": "0.4"}
    assert document(store, ".zattrs") == {"multiscales": [image]}
    assert document(store, ".zgroup") == {"zarr_format": 2}
    assert document(store, "1/.zarray") == {
        "chunks": [10, 32, 32],
        "compressor": {"blocksize": 0, "clevel": 5, "cname": "lz4", "id": "blosc", "shuffle": 1},
        "dimension_separator": "/",
        "dtype": "<f4",
        "fill_value": 0.0,
        "filters": None,
        "order": "C",
        "shape": [10, 32, 32],
        "zarr_format": 2,
    }
    Image04.from_zarr(zarr.open_group(store, mode="r"))


def test_version_05_lies_under_ome() -> None:
    store = MemoryStore()

    write_volume(store, noise((20, 64, 64)), 10.52, levels=2, format=VolumeFormat(zarr_format=3, chunks=16, shards=32))

    attributes = document(store, "zarr.json")["attributes"]
    assert set(attributes) == {"ome"}
    assert attributes["ome"]["version"] == "0.5"
    assert document(store, "0/zarr.json")["dimension_names"] == ["z", "y", "x"]
    Image05.from_zarr(zarr.open_group(store, mode="r"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_multiscales_are_written_last_and_every_chunk_once(zarr_format: Any) -> None:
    store = CountingStore()

    write_volume(store, noise((40, 20, 20)), 1.0, levels=3, format=VolumeFormat(zarr_format=zarr_format, chunks=8))

    assert store.keys_of("set")[-1] == (".zattrs" if zarr_format == 2 else "zarr.json")
    written = store.chunks_of("set")
    assert len(written) == len(set(written)) == 5 * 3 * 3 + 3 * 2 * 2 + 2 * 1 * 1
    assert store.chunks_of("get") == []


def test_empty_chunks_are_left_out() -> None:
    store = CountingStore()
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[20, 20, 20] = 1

    write_volume(store, labels, 1.0, levels=1, kind="nearest", format=VolumeFormat(chunks=8))

    assert store.chunks_of("set") == ["0/2/2/2"]
    np.testing.assert_array_equal(open_level(store)[:], labels)


class Full(MemoryStore):
    """A store that has no room left after some chunks."""

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        if key == "0/2/1/1":
            raise OSError(28, "No space left on device")
        await super().set(key, value, byte_range)


def test_an_interrupted_write_has_no_multiscales() -> None:
    store = Full()
    write_volume(store, noise((8, 8, 8)), 1.0)

    with pytest.raises(OSError, match="No space"):
        write_volume(store, noise((32, 32, 32)), 1.0, format=VolumeFormat(chunks=8))

    assert "multiscales" not in (document(store, ".zattrs") if ".zattrs" in store._store_dict else {})


def test_writing_again_leaves_nothing_of_the_old_volume(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "v.zarr")
    write_volume(store, noise((40, 40, 40)), 1.0, levels=3, format=VolumeFormat(chunks=8))

    write_volume(store, noise((8, 8, 8)), 1.0, levels=1, format=VolumeFormat(zarr_format=3))

    files = sorted(p.relative_to(tmp_path / "v.zarr").as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["0/c/0/0/0", "0/zarr.json", "zarr.json"]


def test_fsspec_stores_are_written_too() -> None:
    filesystem = fsspec.filesystem("memory", skip_instance_cache=True)
    store = FsspecStore(AsyncFileSystemWrapper(filesystem, asynchronous=True), path="/test_ome_writing")
    volume = noise((20, 12, 10))

    write_volume(store, volume, 2.0, levels=2, format=VolumeFormat(chunks=8))
    write_volume(store, volume, 2.0, levels=2, format=VolumeFormat(chunks=8))

    np.testing.assert_array_equal(open_level(store)[:], volume)


def test_labels_that_the_dtype_would_change_are_refused_with_their_index() -> None:
    volume = np.zeros((20, 20, 20), np.int32)
    volume[17, 3, 9] = 256

    with pytest.raises(InvalidDataError, match="256") as caught:
        write_volume(MemoryStore(), volume, 1.0, kind="nearest", dtype="u1", format=VolumeFormat(chunks=8))

    assert caught.value.index == (17, 3, 9)


def test_progress_counts_the_voxels_of_the_finest_level() -> None:
    calls: list[tuple[int, int]] = []

    write_volume(
        MemoryStore(), noise((2, 20, 6, 5)), 1.0, axes="czyx", format=VolumeFormat(chunks=8),
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip

    assert calls == [(240, 1200), (480, 1200), (600, 1200), (840, 1200), (1080, 1200), (1200, 1200)]


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), float("inf")])
def test_voxel_sizes_are_positive_numbers(size: float) -> None:
    with pytest.raises(ValueError, match="voxel size"):
        write_volume(MemoryStore(), noise((4, 4, 4)), size)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.zeros((4, 4)), {}, "zyx"),
        (np.zeros((4, 4, 4)), {"axes": "czyx"}, "czyx"),
        (np.zeros((4, 4, 4), complex), {}, "complex"),
        (np.zeros((0, 4, 4)), {}, r"\(0, 4, 4\)"),
        (np.zeros((4, 4, 4)), {"levels": 0}, "level"),
        (np.zeros((4, 4, 4)), {"kind": "max"}, "kind"),
    ],
)
def test_what_is_no_volume_is_refused_before_anything_is_deleted(data: Any, options: Any, message: str) -> None:
    store = MemoryStore()
    write_volume(store, noise((4, 4, 4)), 1.0)

    with pytest.raises(ValueError, match=message):
        write_volume(store, data, 1.0, **options)

    assert open_level(store).shape == (4, 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zarr_format": 4}, "zarr_format"),
        ({"chunks": (0, 8, 8)}, "chunks"),
        ({"chunks": ()}, "chunks"),
        ({"shards": (256, 256, 256)}, "zarr_format=3"),
        ({"zarr_format": 3, "chunks": 64, "shards": (128, 128, 100)}, "multiples"),
        ({"zarr_format": 3, "chunks": (8, 8), "shards": (8, 8, 8)}, "same number"),
        ({"zarr_format": 3, "compressor": "lz4"}, "blosc, zstd, gzip"),
        ({"compressor": {"level": 3}}, "id"),
    ],
)
def test_formats_that_cannot_be_written_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VolumeFormat(**options)


def test_unknown_compressors_are_refused_when_writing() -> None:
    with pytest.raises(ValueError, match="snappy"):
        write_volume(MemoryStore(), noise((4, 4, 4)), 1.0, format=VolumeFormat(compressor="snappy"))


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 16, 33, 32), (2, 3, 4, 5, 6), (0, 4, 4)])
@pytest.mark.parametrize("name", ["v2", "v3", "v3 sharded"])
def test_arrays_of_any_dimensionality_are_written_without_multiscales(shape: tuple[int, ...], name: str) -> None:
    store = MemoryStore()
    data = noise(shape)

    write_array(store, data, FORMATS[name])

    np.testing.assert_array_equal(open_level(store)[:], data)
    assert ".zattrs" not in store._store_dict or document(store, ".zattrs") == {}


def test_an_array_can_be_stored_as_another_dtype() -> None:
    store = MemoryStore()

    write_array(store, np.array([1.0, 2.0]), dtype="u1")

    assert open_level(store).dtype == np.uint8


def test_scalars_are_no_arrays() -> None:
    with pytest.raises(ValueError, match="at least one axis"):
        write_array(MemoryStore(), np.float32(3))


def test_importing_the_module_does_not_import_zarr() -> None:
    code = "import copick_core.volumes.ome, sys; sys.exit(bool({'zarr', 'numcodecs'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_levels_have_the_announced_shapes() -> None:
    store = MemoryStore()

    write_volume(store, noise((36, 206, 94)), 10.52)

    assert [open_level(store, level).shape for level in range(3)] == level_shapes((36, 206, 94), 3, "mean")
    assert level_shapes((36, 206, 94), 3, "mean") == [(36, 206, 94), (18, 103, 47), (9, 52, 24)]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (5,), (2, 3, 4, 5, 6)])
def test_arrays_of_any_size_read_back_as_they_were(shape: tuple[int, ...]) -> None:
    data = np.arange(np.prod(shape), dtype="f8").reshape(shape)
    store = MemoryStore()

    write_array(store, data, VolumeFormat(chunks=2), dtype="i4")

    array = open_level(store)
    assert (array.shape, array.dtype) == (shape, np.dtype("i4"))
    np.testing.assert_array_equal(array[...], data)


def test_a_value_of_an_array_that_its_dtype_would_change_is_named_with_its_index() -> None:
    data = np.zeros((5, 6))
    data[4, 3] = 0.5

    with pytest.raises(InvalidDataError) as caught:
        write_array(MemoryStore(), data, VolumeFormat(chunks=2), dtype="u1")

    assert caught.value.index == (4, 3)
