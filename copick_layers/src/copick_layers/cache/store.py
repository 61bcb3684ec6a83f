"""The store of a cached volume: values that are kept are not read from storage again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype

from copick_core.volumes.chunk_parts import DamagedCopyError, Fetch, parts_of
from copick_layers.cache.entries import Header, is_whole
from copick_layers.cache.volume import DOCUMENTS, label_of
from copick_layers.wrapper_stores import ReadingWrapper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from copick_layers.cache.layer import CacheLayer
    from copick_layers.cache.volume import CachedVolume


class CacheStore(ReadingWrapper):
    """A store whose values are kept.

    Args:
        store: The store of the volume.
        layer: The cache.
        volume: What it knows of the volume.
    """

    def __init__(self, store: Store, layer: CacheLayer, volume: CachedVolume) -> None:
        super().__init__(store)
        self._layer = layer
        self._volume = volume
        self._seen: Hashable | None = None
        #: Documents that are being read.
        self._under_way: set[Future[None]] = set()

    @property
    def seen_version(self) -> Hashable | None:
        """Identity of the volume whose root document was read last, where the layer's stores know it."""
        return self._seen if self._layer.keeps_volumes else super().seen_version

    def _with_store(self, store: Any) -> CacheStore:
        return CacheStore(store, self._layer, self._volume)

    def with_read_only(self, read_only: bool = False) -> CacheStore:
        """The same volume, writable or not."""
        return self._with_store(self._store.with_read_only(read_only))

    # ------------------------------------------------------------------ reading

    def open_kept(self, key: str) -> AbstractContextManager[Fetch | None] | None:
        """Open the copy of a chunk: regions read parts of it, and wait for nobody."""
        version = self._volume.version_without_asking if self._layer.keeps_volumes else None
        found = None if version is None else self._volume.open(version, key)
        return None if found is None else _parts(*found)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value, or a part of it, from the cache or from storage."""
        prototype = prototype or default_buffer_prototype()
        if not self._layer.keeps_volumes:
            return await self._store.get(key, prototype, byte_range)
        volume = self._volume
        is_document = key in DOCUMENTS and byte_range is None
        version = await volume.version(self._store)
        if version is not None:
            # zarr lists arrays in the order in which their documents arrive, so threads must not overtake each other.
            small = key.rpartition("/")[2].startswith(".z") or key.endswith("zarr.json")
            load = volume.load(version, key, byte_range) if small else None
            entry = load if small else await asyncio.to_thread(volume.load, version, key, byte_range)
            if entry is not None:
                if is_document and entry.data is not None:
                    self._seen = version
                return None if entry.data is None else prototype.buffer.from_bytes(entry.data)
        if self._layer.offline:
            raise self._layer.lacking(f"{key!r} of {volume.key}")
        if self._layer.inner.versions_take_requests:
            return await self._get_unconfirmed(key, prototype, byte_range, version)
        held = volume.hold() if version is not None else None
        try:
            value = await self._store.get(key, prototype, byte_range)
            if held is not None and await volume.version(self._store) == version:
                data = None if value is None else value.to_bytes()
                await asyncio.to_thread(volume.put, held, version, label_of(key, byte_range), data)
        finally:
            if held is not None:
                held.close()
        return value

    async def _get_unconfirmed(
        self, key: str, prototype: BufferPrototype, part: ByteRequest | None, version: Hashable | None
    ) -> Buffer | None:
        """Get a value that is kept once the layer has told which version is stored after the read."""
        is_document = key in DOCUMENTS and part is None
        volume = self._volume
        done: Future[None] = Future()
        if is_document:
            self._under_way.add(done)
        elif version is None:
            # What is read before the document may be of another volume than the document, and could not be kept.
            await asyncio.gather(*map(asyncio.wrap_future, [*self._under_way]))
            if getattr(self._store, "seen_version", None) is None:  # of an array that is opened without its group
                version = await volume.ask()
        held = volume.hold_batch()
        seen = getattr(self._store, "seen_version", None)
        try:
            value: Buffer | None = await self._store.get(key, prototype, part)
        finally:
            self._under_way.discard(done)
            done.set_result(None)
        if is_document and value is not None:
            self._seen = seen = getattr(self._store, "seen_version", None)
        version = version if version is not None else seen
        # Of a document that there is not, the one that there is tells the version.
        if version is not None or (is_document and value is None):
            data = None if value is None else value.to_bytes()
            if volume.wait(held, version, label_of(key, part), data):
                volume.settle(await asyncio.to_thread(self._layer.ask_version, volume.key))
        return value

    async def exists(self, key: str) -> bool:
        """Whether there is such a value; asked of storage, but offline."""
        return await self.get(key) is not None if self._layer.offline else await self._store.exists(key)

    async def getsize(self, key: str) -> int:
        """Size of a value in bytes."""
        return await Store.getsize(self, key) if self._layer.offline else await self._store.getsize(key)

    async def is_empty(self, prefix: str) -> bool:
        """Whether there is nothing below a prefix."""
        self._check_online()
        return await self._store.is_empty(prefix)

    def list(self) -> AsyncIterator[str]:
        """Names of all values, from storage."""
        self._check_online()
        return self._store.list()

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix, from storage."""
        self._check_online()
        return self._store.list_prefix(prefix)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix, from storage."""
        self._check_online()
        return self._store.list_dir(prefix)

    def _check_online(self) -> None:
        if self._layer.offline:
            raise self._layer.lacking(f"the list of what is in {self._volume.key}")

    # ------------------------------------------------------------------ writing

    async def _changing(self, name: str, call: Any) -> None:
        self._check_online()
        try:
            await call
        finally:
            await asyncio.to_thread(self._volume.drop, is_same="/" in name)

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value; nothing of the volume is kept then."""
        await self._changing(key, self._store.set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        await self._changing(key, self._store.set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        """Delete a value."""
        await self._changing(key, self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        await self._changing("", self._store.delete_dir(prefix))

    async def clear(self) -> None:
        """Delete all values."""
        await self._changing("", self._store.clear())


@contextmanager
def _parts(file: BinaryIO, header: Header) -> Iterator[Fetch | None]:
    with file:
        yield None if header.absent else _checked(file, header)


def _checked(file: BinaryIO, header: Header) -> Fetch:
    """What gives parts of a kept value, of which each piece is checked; pieces that were just read are not read again."""
    stored = parts_of(file, header.end)
    last: list[tuple[int, NDArray[np.uint8]]] = []

    def fetch(start: int, stop: int) -> NDArray[np.uint8]:
        stop = min(stop, header.size)
        if last and last[0][0] <= start and stop <= last[0][0] + len(last[0][1]):
            begin, values = last[0]
            return values[start - begin : max(start, stop) - begin]
        first = start // header.piece
        begin = first * header.piece
        values = stored(begin, min(header.size, -(-stop // header.piece) * header.piece))
        if not is_whole(header, values.data, first):
            raise DamagedCopyError
        last[:] = [(begin, values)]
        return values[start - begin : max(start, stop) - begin]

    return fetch
