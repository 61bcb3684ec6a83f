"""Making the chunks of an array that is written from nothing.

Every chunk is cut and compressed with numcodecs, or added to the shard that it belongs to. A chunk that holds nothing but
zeros (the fill value) is left out.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError
from copick_core.volumes.format import VolumeFormat
from copick_core.volumes.levels import expect_numcodecs
from copick_core.volumes.multiscales import put_json
from copick_core.volumes.shards import ShardCodec, ShardWriter

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store

_SHARD_LIMIT = 5 * 10**12
"""Bytes of voxels from which a shard of a whole level is refused, as copick 2.0 does: object stores take no larger file."""

_LARGE_SHARD = 5 * 10**9
"""Bytes of voxels above which copick 2.0 warns of a shard of a whole level."""


class LevelWriter:
    """Creates one array and makes its chunks. A context manager: an error discards the shards that are not complete.

    Args:
        store: Where.
        name: Path of the array in the store, for example ``"0"``.
        shape: Its shape.
        dtype: Its dtype; stored as little-endian.
        format: Its layout.
        dimension_names: Names of the axes, which zarr v3 keeps with the array.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        format: VolumeFormat,
        dimension_names: Sequence[str] | None = None,
    ) -> None:
        self.shape = tuple(shape)
        self._store = store
        self._shard_codec: ShardCodec | None = None
        #: Shards that are being written, each with the number of its chunks that are still to come.
        self._shards: dict[tuple[int, ...], tuple[ShardWriter, int]] = {}
        self._lock = threading.Lock()
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.chunks = format.chunk_shape(shape)
        nominal = format.nominal(len(self.shape))
        # Tiles begin at even voxels, so that every tile can be halved without its neighbours.
        self.tile = tuple(n * (1 + n % 2) for n in nominal[-3:])
        self._codec = format.codec()
        if format.zarr_format == 2:
            self._prefix = f"{name}/"
            self._create_v2(store, name)
            return
        import zarr

        shards = format.shard_shape(shape)
        if shards is not None and format.shards == "level":
            # Channels lie in one shard; features do not: each is often read alone.
            shards = (1, *shards[1:]) if dimension_names and dimension_names[0] == "feature" else shards
            self._check_size(shards, name)
        self._prefix = f"{name}/c/" if format.key_encoding == "default" else f"{name}/"
        expect_numcodecs()
        array: Array[Any] = zarr.create_array(
            store,
            name=name,
            shape=self.shape,
            dtype=self.dtype,
            chunks=self.chunks,
            shards=shards,
            compressors=format.zarr_compressors(self.dtype),
            fill_value=0,
            zarr_format=3,
            chunk_key_encoding={"name": format.key_encoding, "separator": "/"},
            dimension_names=dimension_names,
            config={"write_empty_chunks": False, "order": "C"},
        )
        if shards is not None:
            self._array = array
            self._shard_codec = ShardCodec(array)

    def _check_size(self, shards: Sequence[int], name: str) -> None:
        size = self.dtype.itemsize
        for n in shards:
            size *= int(n)
        way_out = 'format="ome-0.5" writes shards of bounded size'
        if size >= _SHARD_LIMIT:
            reason = f"its one shard would hold {size} bytes of voxels, and has to stay below 5 TB; {way_out}"
            raise InvalidDataError(source=f"level {name!r}", reason=reason)
        if size > _LARGE_SHARD:
            warn_caller(f"Level {name!r} is one file of {size / 1e9:.0f} GB of voxels; {way_out}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for shard, _ in self._shards.values():
            shard.__exit__(kind, error, traceback)
        self._shards.clear()

    def _create_v2(self, store: Store, name: str) -> None:
        """Write the array's document; zarr would first look what is there, and take as long as many chunks do."""
        zero = np.zeros((), self.dtype).item()
        document = {
            "chunks": self.chunks,
            "compressor": None if self._codec is None else self._codec.get_config(),
            "dimension_separator": "/",
            "dtype": self.dtype.str,
            "fill_value": [zero.real, zero.imag] if self.dtype.kind == "c" else zero,
            "filters": None,
            "order": "C",
            "shape": self.shape,
            "zarr_format": 2,
        }
        put_json(store, {f"{name}/.zarray": document})

    def encode(self, block: npt.NDArray[Any], origin: Sequence[int]) -> list[tuple[str, bytes]]:
        """Make the chunks of a block.

        Args:
            block: Voxels, of any dtype that casts to the array's; one axis for each of the array's.
            origin: Index of its first voxel; a multiple of the chunks (and shards).

        Returns:
            (key in the store, encoded chunk) of every chunk that is not all zero; nothing for a sharded array, whose
            shards are stored when the last of their chunks has come.
        """
        if self._shard_codec is not None:
            self._add(self._shard_codec, block, origin)
            return []
        chunks = []
        for index, chunk in self._cut(block, origin):
            if chunk is not None:
                key = self._prefix + "/".join(map(str, index))
                chunks.append((key, chunk.tobytes() if self._codec is None else bytes(self._codec.encode(chunk))))
        return chunks

    def _cut(
        self, block: npt.NDArray[Any], origin: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], npt.NDArray[Any] | None]]:
        """Cut a block into chunks of the full size, each with its index; None for one that is all zero."""
        grid = [range(0, n, c) for n, c in zip(block.shape, self.chunks, strict=True)]
        for corner in itertools.product(*grid):
            part = block[tuple(slice(k, k + c) for k, c in zip(corner, self.chunks, strict=True))]
            chunk: npt.NDArray[Any] | None = None
            if part.any():
                if part.shape == self.chunks:
                    chunk = np.ascontiguousarray(part, self.dtype)
                else:
                    chunk = np.zeros(self.chunks, self.dtype)
                    chunk[tuple(slice(n) for n in part.shape)] = part
            yield tuple((o + k) // c for o, k, c in zip(origin, corner, self.chunks, strict=True)), chunk

    def _add(self, codec: ShardCodec, block: npt.NDArray[Any], origin: Sequence[int]) -> None:
        """Add the chunks of a block to their shards, and store those that are complete."""
        for index, chunk in self._cut(block, origin):
            number = tuple(i // n for i, n in zip(index, codec.grid, strict=True))
            with self._lock:
                if number not in self._shards:
                    key = f"{self._array.path}/{self._array.metadata.encode_chunk_key(number)}"
                    self._shards[number] = ShardWriter(self._store, key, codec), codec.count(number, self.shape)
                shard, _ = self._shards[number]
            if chunk is not None:
                shard.add(tuple(i % n for i, n in zip(index, codec.grid, strict=True)), codec.encode(chunk))
            with self._lock:
                missing = self._shards[number][1] - 1
                self._shards[number] = shard, missing
                if not missing:
                    del self._shards[number]
            if not missing:
                shard.__exit__(None)
