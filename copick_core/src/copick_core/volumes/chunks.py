"""Whole chunks, made and stored on all cores with bounded memory.

Every chunk of an array is cut, compressed with numcodecs on a thread and put into the zarr store. The store's
coroutines run on zarr's event loop: this works on every `zarr.abc.store.Store`, and overlaps the requests of
remote ones. Sharded arrays go through zarr, one shard at a time. A chunk that holds nothing but zeros (the
fill value) is left out.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from copick_core.volumes.format import VolumeFormat
from copick_core.volumes.multiscales import put_json

if TYPE_CHECKING:
    from zarr import Array
    from zarr.abc.store import Store

Task = Callable[[], Sequence[tuple[str, bytes]]]
"""Makes chunks: (key in the store, encoded chunk) of each."""

_IN_FLIGHT_BYTES = 64 * 2**20
"""Voxels whose compressed chunks may be on their way to the store at the same time."""


class Workers:
    """Threads that prepare chunks, and zarr's event loop that stores them. A context manager."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = min(16, cores())
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="copick_chunks")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Iterable[Task], task_bytes: int) -> None:
        """Run tasks on the threads and store what each returns, then return.

        Args:
            tasks: What prepares the values for some keys.
            task_bytes: About what one task holds in memory; it bounds how many are in flight.

        Raises:
            Exception: The first one that a task or the store raised; tasks that had not begun are dropped.
        """
        from zarr.core.sync import sync

        limit = max(self._threads, min(32, _IN_FLIGHT_BYTES // max(1, task_bytes)))
        sync(self._drain(iter(tasks), limit))

    async def _drain(self, tasks: Iterator[Task], limit: int) -> None:
        from zarr.core.buffer import default_buffer_prototype

        loop = asyncio.get_running_loop()
        from_bytes = default_buffer_prototype().buffer.from_bytes
        errors: list[BaseException] = []

        async def lane() -> None:
            for task in tasks:
                if errors:
                    return
                try:
                    for key, value in await loop.run_in_executor(self._pool, task):
                        await self._store.set(key, from_bytes(value))
                except BaseException as error:
                    errors.append(error)
                    raise

        await asyncio.gather(*(lane() for _ in range(limit)), return_exceptions=True)
        if errors:
            raise errors[0]


class LevelWriter:
    """Creates one array and makes its chunks.

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
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.chunks = format.chunk_shape(shape)
        nominal = format.nominal(len(self.shape))
        # Tiles begin at even voxels, so that every tile can be halved without its neighbours.
        self.tile = tuple(n * (1 + n % 2) for n in nominal[-3:])
        self._codec = format.codec()
        if format.zarr_format == 2:
            self._prefix = f"{name}/"
            self._sharded = False
            self._create_v2(store, name)
            return
        import zarr

        shards = format.shard_shape(shape)
        self._prefix = f"{name}/c/"
        self._sharded = shards is not None
        self._array: Array[Any] = zarr.create_array(
            store,
            name=name,
            shape=self.shape,
            dtype=self.dtype,
            chunks=self.chunks,
            shards=shards,
            compressors=format.zarr_compressor(self.dtype.itemsize),
            fill_value=0,
            zarr_format=3,
            chunk_key_encoding={"name": "default", "separator": "/"},
            dimension_names=dimension_names,
            config={"write_empty_chunks": False, "order": "C"},
        )

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
            (key in the store, encoded chunk) of every chunk that is not all zero; nothing for a sharded
            array, whose shards have been stored by the time this returns.
        """
        if self._sharded:
            self._array[tuple(slice(o, o + n) for o, n in zip(origin, block.shape, strict=True))] = block
            return []
        chunks = []
        grid = [range(0, n, c) for n, c in zip(block.shape, self.chunks, strict=True)]
        for corner in itertools.product(*grid):
            part = block[tuple(slice(k, k + c) for k, c in zip(corner, self.chunks, strict=True))]
            if not part.any():
                continue
            if part.shape == self.chunks:
                chunk = np.ascontiguousarray(part, self.dtype)
            else:
                chunk = np.zeros(self.chunks, self.dtype)
                chunk[tuple(slice(n) for n in part.shape)] = part
            index = ((o + k) // c for o, k, c in zip(origin, corner, self.chunks, strict=True))
            key = self._prefix + "/".join(map(str, index))
            chunks.append((key, chunk.tobytes() if self._codec is None else bytes(self._codec.encode(chunk))))
        return chunks


def cores() -> int:
    """Processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
