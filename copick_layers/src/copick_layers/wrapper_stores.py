"""What the stores of wrapped volumes share; in a module of its own because it imports zarr."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import Store
from zarr.storage import WrapperStore

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class VolumeWrapper(WrapperStore[Store]):
    """A store around that of a volume. Pickled, it is the plain store: the wrapper belongs to this process."""

    @property
    def seen_version(self) -> Hashable | None:
        """Identity of the volume whose root document was read last, where the layer's stores know it."""
        version: Hashable | None = getattr(self._store, "seen_version", None)
        return version

    def __reduce__(self) -> tuple[Any, ...]:
        return _plain, (self._store,)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        await Store._set_many(self, values)  # by set(), many at once


class ReadingWrapper(VolumeWrapper):
    """A store around that of a volume through whose ``get`` everything is read."""

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Get parts of several values at once."""
        return [*await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))]

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        async for request in Store._get_many(self, requests):  # by get(), one by one
            yield request


def _plain(store: Store) -> Store:
    return store
