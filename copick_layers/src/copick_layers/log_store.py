"""The store of a logged volume: every value that is asked of it is counted and timed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.abc.store import Store

from copick_layers.wrapper_stores import ReadingWrapper

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

T = TypeVar("T")

#: Notes one call: its method, the value or folder that it was for, how many seconds it took, and what it raised.
Note = Callable[[str, str, float, BaseException | None], None]


class LogStore(ReadingWrapper):
    """A store whose calls are noted.

    Args:
        store: The store of the volume.
        note: Notes a call.
    """

    def __init__(self, store: Store, note: Note) -> None:
        super().__init__(store)
        self._note = note

    def _with_store(self, store: Any) -> LogStore:
        return LogStore(store, self._note)

    async def _timed(self, method: str, name: str, call: Awaitable[T]) -> T:
        begin = time.perf_counter()
        try:
            result = await call
        except BaseException as error:
            self._note(method, name, time.perf_counter() - begin, error)
            raise
        self._note(method, name, time.perf_counter() - begin, None)
        return result

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Pass on."""
        return await self._timed("zarr.get", key, self._store.get(key, prototype, byte_range))

    async def exists(self, key: str) -> bool:
        """Pass on."""
        return await self._timed("zarr.exists", key, self._store.exists(key))

    async def is_empty(self, prefix: str) -> bool:
        """Pass on."""
        return await self._timed("zarr.is_empty", prefix, self._store.is_empty(prefix))

    async def getsize(self, key: str) -> int:
        """Pass on."""
        return await self._timed("zarr.getsize", key, self._store.getsize(key))

    async def set(self, key: str, value: Buffer) -> None:
        """Pass on."""
        await self._timed("zarr.set", key, self._store.set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Pass on."""
        await self._timed("zarr.set_if_not_exists", key, self._store.set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        """Pass on."""
        await self._timed("zarr.delete", key, self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        """Pass on."""
        await self._timed("zarr.delete_dir", prefix, self._store.delete_dir(prefix))

    async def clear(self) -> None:
        """Pass on."""
        await self._timed("zarr.clear", "", self._store.clear())

    def list(self) -> AsyncIterator[str]:
        """Pass on."""
        return self._listed("zarr.list", "", self._store.list())

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Pass on."""
        return self._listed("zarr.list_prefix", prefix, self._store.list_prefix(prefix))

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Pass on."""
        return self._listed("zarr.list_dir", prefix, self._store.list_dir(prefix))

    async def _listed(self, method: str, prefix: str, names: AsyncIterator[str]) -> AsyncIterator[str]:
        async def collected() -> list[str]:
            return [name async for name in names]

        for name in await self._timed(method, prefix, collected()):
            yield name
