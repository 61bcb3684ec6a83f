"""A zarr store that notes which keys are read and written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore, WrapperStore


class CountingStore(WrapperStore[MemoryStore]):
    """Notes every request in order: ("get", key), ("set", key), ("list", prefix) and so on."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__(store or MemoryStore())
        self.requests: list[tuple[str, str]] = []

    def keys_of(self, request: str) -> list[str]:
        """Keys that one kind of request asked for, in order."""
        return [key for kind, key in self.requests if kind == request]

    def chunks_of(self, request: str) -> list[str]:
        """The same without metadata documents."""
        return [key for key in self.keys_of(request) if key.rsplit("/", 1)[-1].isdigit()]

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Buffer | None:
        self.requests.append(("get", key))
        return await super().get(key, *args, **kwargs)

    async def set(self, key: str, value: Buffer) -> None:
        self.requests.append(("set", key))
        await super().set(key, value)

    async def exists(self, key: str) -> bool:
        self.requests.append(("exists", key))
        return await super().exists(key)

    async def delete(self, key: str) -> None:
        self.requests.append(("delete", key))
        await super().delete(key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        self.requests.append(("list", prefix))
        async for entry in self._store.list_dir(prefix):
            yield entry
