"""Shards (zarr v3) of any size, written and changed chunk by chunk.

A shard is one file that holds many chunks, with an index of where each begins. zarr makes a shard in memory, which a shard of
a whole level has no room in: copick 2.0 writes one for each level. Here the chunks go into a file as they are made, and to
change a shard is to copy the chunks that stay, compressed as they are, and to add those that change.
"""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.volumes.chunk_parts import in_files, pieces
from copick_core.volumes.workers import cores

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store
    from zarr.storage import LocalStore

Values = Callable[[tuple[slice, ...]], npt.NDArray[Any]]
"""Gives the values of a part of a region, by slices of the region."""

_NOTHING = 2**64 - 1
"""Offset and length, in a shard's index, of a chunk that is all fill value."""

_BATCH_BYTES = 64 * 2**20
"""Voxels of the chunks that are changed at the same time; each is in memory up to three times, also compressed."""

LARGE_BYTES = 2**30
"""Voxels of a shard above which changing it is warned of: all of it is written again."""


class ShardWriter:
    """One shard while it is written: chunks are added in any order, from any thread. A context manager.

    When the block ends without an error the shard takes its place in one step; otherwise nothing is left of it.

    Args:
        store: Where.
        key: Name of the shard in the store.
        codec: The codec of the array.
    """

    def __init__(self, store: Store, key: str, codec: ShardCodec) -> None:
        self._store, self._key, self._codec = store, key, codec
        self._index = np.full((*codec.grid, 2), _NOTHING, np.uint64)
        self._lock = threading.Lock()
        self._path = local_path(store, key)
        self._partial: str | None = None
        self._file: IO[bytes] | None = None
        self._end = codec.index_bytes if codec.index_first else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._file is not None:
                self._file.close()
            if self._partial is not None and os.path.lexists(self._partial):
                os.unlink(self._partial)

    def add(self, index: tuple[int, ...], data: bytes) -> None:
        """Append an encoded chunk, by its index in the shard."""
        with self._lock:
            file = self._file or self._begin()
            file.seek(self._end)
            file.write(data)
            self._index[index] = self._end, len(data)
            self._end += len(data)

    def _begin(self) -> IO[bytes]:
        if self._path is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
            return self._file
        # Named as zarr names what it is writing, so that one rule finds what a killed writer leaves.
        self._partial = f"{self._path}.{uuid.uuid4().hex}.partial"
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        self._file = open(self._partial, "w+b")  # noqa: SIM115 - closed by __exit__
        return self._file

    def _finish(self) -> None:
        from zarr.core.sync import sync

        if self._file is None:  # all fill value
            sync(self._store.delete(self._key))
            return
        self._file.seek(0 if self._codec.index_first else self._end)
        self._file.write(self._codec.encode_index(self._index))
        self._file.flush()
        if self._partial is not None and self._path is not None:
            os.replace(self._partial, self._path)
            return
        from zarr.core.buffer import default_buffer_prototype

        self._file.seek(0)
        store_file = getattr(self._store, "set_file", None)
        if store_file is not None:
            sync(store_file(self._key, self._file))
        else:
            sync(self._store.set(self._key, default_buffer_prototype().buffer.from_bytes(self._file.read())))


class ShardCodec:
    """Encodes and decodes the chunks and the index of a sharded array's shards.

    Args:
        array: The array; its only codec is the sharding codec.

    Attributes:
        chunks: Shape of a chunk.
        grid: Chunks along each axis of a shard.
        index_first: Whether the index is at the beginning of a shard.
        index_bytes: Length of the index.
    """

    def __init__(self, array: Array[Any]) -> None:
        document: dict[str, Any] = array.metadata.to_dict()
        (sharding,) = document["codecs"]
        settings = sharding["configuration"]
        self.chunks = tuple(array.chunks)
        shards = array.shards or array.chunks
        self.grid = tuple(s // c for s, c in zip(shards, self.chunks, strict=True))
        self.index_first = settings.get("index_location", "end") == "start"
        self._dtype = array.dtype
        self.fill: Any = array.metadata.fill_value
        self._chunk = _plain(document, self.chunks, settings["codecs"])
        index = {**document, "data_type": "uint64", "fill_value": _NOTHING, "dimension_names": None}
        self._index = _plain(index, (*self.grid, 2), settings["index_codecs"])
        pipeline, spec = self._index
        self.index_bytes = int(pipeline.compute_encoded_size(16 * math.prod(self.grid), spec))

    def inside(self, number: Sequence[int], shape: Sequence[int]) -> list[int]:
        """How many chunks along each axis of a shard lie in an array, at least in part."""
        return [
            max(0, min(n, -(-length // c) - i * n))
            for n, length, c, i in zip(self.grid, shape, self.chunks, number, strict=True)
        ]

    def count(self, number: Sequence[int], shape: Sequence[int]) -> int:
        """How many chunks of a shard lie in an array, at least in part."""
        return math.prod(self.inside(number, shape))

    def is_empty(self, chunk: npt.NDArray[Any]) -> bool:
        """Whether a chunk holds nothing but the fill value, and so is left out."""
        if self.fill == 0:
            return not chunk.any()
        return bool((chunk == self.fill).all())

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        """Encode a chunk of the full size."""
        return _encode(self._chunk, np.ascontiguousarray(chunk, self._dtype))

    def decode(self, data: Any) -> npt.NDArray[Any]:
        """Decode a chunk; the array may be read-only."""
        return _decode(self._chunk, data).reshape(self.chunks)

    def encode_index(self, index: npt.NDArray[np.uint64]) -> bytes:
        """Encode an index: (offset, length) of every chunk."""
        return _encode(self._index, index)

    def decode_index(self, data: Any) -> npt.NDArray[np.uint64]:
        """Decode an index."""
        return _decode(self._index, data).reshape((*self.grid, 2)).astype(np.uint64)


def _plain(document: dict[str, Any], shape: Sequence[int], codecs: Any) -> tuple[Any, Any]:
    """The codec pipeline of an array of one chunk, and what it needs to know of the chunk."""
    from zarr import AsyncArray
    from zarr.core.array_spec import ArrayConfig
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore, StorePath

    grid: Any = {"name": "regular", "configuration": {"chunk_shape": tuple(shape)}}
    plain = AsyncArray.from_dict(
        StorePath(MemoryStore()), {**document, "shape": tuple(shape), "chunk_grid": grid, "codecs": codecs, "attributes": {}}
    )
    metadata: Any = plain.metadata
    config = ArrayConfig.from_dict({"order": "C", "write_empty_chunks": True})
    return plain.codec_pipeline, metadata.get_chunk_spec((0,) * len(shape), config, default_buffer_prototype())


def _encode(codec: tuple[Any, Any], values: npt.NDArray[Any]) -> bytes:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    pipeline, spec = codec
    (encoded,) = sync(pipeline.encode([(default_buffer_prototype().nd_buffer.from_numpy_array(values), spec)]))
    return bytes(encoded.to_bytes())


def _decode(codec: tuple[Any, Any], data: Any) -> npt.NDArray[Any]:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    pipeline, spec = codec
    (decoded,) = sync(pipeline.decode([(default_buffer_prototype().buffer.from_bytes(data), spec)]))
    return np.asarray(decoded.as_numpy_array())


def local_path(store: Store, key: str) -> str | None:
    """The file that holds a value of a store, if it is one of files on this machine."""
    return os.path.join(cast("LocalStore", store).root, *key.split("/")) if in_files(store) else None


def change(array: Array[Any], boxes: Sequence[slice], values: Values) -> None:
    """Write a region of a sharded array: each shard that it touches is written once, and replaced in one step.

    Memory holds some chunks, whatever the size of the shards.

    Args:
        array: An array whose only codec is the sharding codec; of a writable store.
        boxes: A slice with a positive step for each axis.
        values: Gives the values of a part of the region.

    Warns:
        UserWarning: If a shard of more than 1 GiB of voxels is written again.
    """
    codec = ShardCodec(array)
    shards: dict[tuple[int, ...], list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]] = {}
    for piece in pieces(boxes, array.chunks):
        shards.setdefault(tuple(i // n for i, n in zip(piece[0], codec.grid, strict=True)), []).append(piece)
    size = math.prod(min(s, n) for s, n in zip(array.shards or array.chunks, array.shape, strict=True)) * array.dtype.itemsize
    if shards and size > LARGE_BYTES:
        warn_caller(
            f"Changing a region of {array.path!r} writes whole shards again, of {size / 2**30:.1f} GiB of voxels each. "
            'Write the volume with format="ome-0.5" (bounded shards) if its regions change often.'
        )
    for number, found in shards.items():
        _rewrite(array, codec, number, found, values)


def _rewrite(array: Array[Any], codec: ShardCodec, number: tuple[int, ...], found: Sequence[Any], values: Values) -> None:
    prefix = f"{array.path}/" if array.path else ""
    key = prefix + array.metadata.encode_chunk_key(number)
    origin = [i * n for i, n in zip(number, codec.grid, strict=True)]
    changed = {tuple(i - o for i, o in zip(index, origin, strict=True)): (box, target) for index, box, target in found}

    def make(index: tuple[int, ...]) -> bytes | None:
        box, target = changed[index]
        whole = all(
            part == slice(0, min(c, length - (o + i) * c), 1)
            for part, c, length, o, i in zip(box, codec.chunks, array.shape, origin, index, strict=True)
        )
        data = None if whole else old.chunk(index)
        chunk = np.full(codec.chunks, codec.fill, array.dtype) if data is None else codec.decode(data).copy()
        chunk[box] = values(target)
        return None if codec.is_empty(chunk) else codec.encode(chunk)

    lanes = max(1, min(2 * cores(), _BATCH_BYTES // max(1, math.prod(codec.chunks) * array.dtype.itemsize)))
    with (
        _StoredShard(array.store, key, codec) as old,
        ShardWriter(array.store, key, codec) as new,
        ThreadPoolExecutor(min(lanes, 16), thread_name_prefix="copick_shards") as pool,
    ):
        for index in itertools.product(*map(range, codec.inside(number, array.shape))):
            if index not in changed:
                old.copy(index, new)
        waiting = iter(changed)
        while batch := tuple(itertools.islice(waiting, lanes)):
            for index, data in zip(batch, pool.map(make, batch), strict=True):
                if data is not None:
                    new.add(index, data)


class _StoredShard:
    """The chunks of a stored shard; on local disk all of one file, whatever replaces it meanwhile."""

    def __init__(self, store: Store, key: str, codec: ShardCodec) -> None:
        self._store, self._key, self._codec = store, key, codec
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._index: npt.NDArray[np.uint64] | None = None

    def __enter__(self) -> Self:
        try:
            data = self._stored_index()
            self._index = None if data is None else self._codec.decode_index(data)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _stored_index(self) -> bytes | None:
        path = local_path(self._store, self._key)
        if path is None:
            return self._request(None)
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by __exit__
        except FileNotFoundError:
            return None
        self._size = os.fstat(self._file.fileno()).st_size
        length = self._codec.index_bytes
        return self._bytes(0 if self._codec.index_first else self._size - length, length)

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def chunk(self, index: tuple[int, ...]) -> bytes | None:
        """The encoded chunk; None if it is all fill value."""
        found = self._where(index)
        if found is None:
            return None
        return self._bytes(*found) if self._file is not None else self._request(found)

    def copy(self, index: tuple[int, ...], new: ShardWriter) -> None:
        """Add a chunk as it is to another shard."""
        data = self.chunk(index)
        if data is not None:
            new.add(index, data)

    def _where(self, index: tuple[int, ...]) -> tuple[int, int] | None:
        if self._index is None:
            return None
        start, length = (int(n) for n in self._index[index])
        if start == length == _NOTHING:
            return None
        if self._file is not None and not start + length <= self._size:
            raise InvalidDataError(source=self._key, reason=f"the index of this shard leads beyond its {self._size} bytes")
        return start, length

    def _bytes(self, start: int, length: int) -> bytes:
        if self._file is None or start < 0:
            raise InvalidDataError(source=self._key, reason="this shard is shorter than its index")
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)

    def _request(self, part: tuple[int, int] | None) -> bytes | None:
        from zarr.abc.store import RangeByteRequest, SuffixByteRequest
        from zarr.core.buffer import default_buffer_prototype
        from zarr.core.sync import sync

        wanted: Any = RangeByteRequest(part[0], part[0] + part[1]) if part else None
        if part is None:
            length = self._codec.index_bytes
            wanted = RangeByteRequest(0, length) if self._codec.index_first else SuffixByteRequest(length)
        found = sync(self._store.get(self._key, default_buffer_prototype(), wanted))
        return None if found is None else bytes(found.to_bytes())
