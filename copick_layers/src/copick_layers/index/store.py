"""The store of a volume that is indexed: what makes a volume or deletes it is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import Store

from copick_layers.wrapper_stores import VolumeWrapper

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

    from copick_core.tree.keys import Key
    from copick_layers.index.layer import IndexLayer


class IndexStore(VolumeWrapper):
    """A writable store of a volume.

    Args:
        store: The store of the volume.
        layer: The layer with the index.
        key: The volume.
    """

    def __init__(self, store: Store, layer: IndexLayer, key: Key) -> None:
        super().__init__(store)
        self._layer = layer
        self._key = key

    def _with_store(self, store: Store) -> IndexStore:
        return IndexStore(store, self._layer, self._key)

    async def _changing(self, call: Awaitable[None], *, deletes: bool = False) -> None:
        loop = asyncio.get_running_loop()

        def wait() -> None:
            asyncio.run_coroutine_threadsafe(_awaited(call), loop).result()

        await asyncio.to_thread(self._layer.note_values, self._key, wait, deletes=deletes)

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value, which may make the volume."""
        if self._layer.has_volume(self._key):
            await self._store.set(key, value)
        else:
            await self._changing(self._store.set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        await self._changing(self._store.set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        """Delete a value; without its documents a volume may be none."""
        if "/" in key and self._layer.has_volume(self._key):
            await self._store.delete(key)
        else:
            await self._changing(self._store.delete(key), deletes=True)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        await self._changing(self._store.delete_dir(prefix), deletes=True)

    async def clear(self) -> None:
        """Delete all values."""
        await self._changing(self._store.clear(), deletes=True)

    async def _get_many(self, requests: Any) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        async for request in self._store._get_many(requests):
            yield request


async def _awaited(call: Awaitable[None]) -> None:
    await call
