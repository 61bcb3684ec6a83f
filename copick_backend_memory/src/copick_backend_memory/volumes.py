"""The zarr store of a volume in memory; in a module of its own because it imports zarr."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from copick_core.layers.byte_ranges import limits
from copick_core.layers.staged import natural

if TYPE_CHECKING:
    from copick_backend_memory.layer import Place, Volume
    from copick_core.tree.keys import Key


class MemoryVolume(Store):
    """One volume of a :class:`~copick_backend_memory.layer.Place`.

    Unlike zarr's own MemoryStore it keeps copies (an uncompressed chunk may be a view of the caller's array), refuses
    ``clear()`` where it is read-only, and may be listed while it is written. A store that is held while its volume is
    replaced or deleted sees what is there now, as a path does.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True

    def __init__(self, place: Place, key: Key, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._place = place
        self._key = key

    def with_read_only(self, read_only: bool = False) -> MemoryVolume:
        """The same volume, writable or not."""
        return type(self)(self._place, self._key, read_only=read_only)

    @property
    def _values(self) -> Volume:
        return self._place.volumes.get(self._key, {})

    def _names(self) -> list[str]:
        with self._place.lock:
            return [*self._values]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryVolume) and (self._place, self._key) == (other._place, other._key)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<MemoryVolume of {self._key}>"

    # ------------------------------------------------------------------ reading

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value, or a part of it, without copying."""
        value = self._values.get(key)
        if value is None:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer
        return buffer.from_bytes(value if byte_range is None else memoryview(value)[slice(*limits(byte_range))])

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value, or a part of it, without copying."""
        return self.get_sync(key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Get parts of several values."""
        return [self.get_sync(key, prototype=prototype, byte_range=part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such a value."""
        return key in self._values

    async def getsize(self, key: str) -> int:
        """Size of a value in bytes."""
        value = self._values.get(key)
        if value is None:
            raise FileNotFoundError(key)
        return len(value)

    async def list(self) -> AsyncIterator[str]:
        """Names of all values."""
        for name in self._names():
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix."""
        for name in self._names():
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix, in their order: whoever takes the first array gets the finest level."""
        below = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        for name in sorted({n[len(below) :].partition("/")[0] for n in self._names() if n.startswith(below)}, key=natural):
            yield name

    # ------------------------------------------------------------------ writing

    def set_sync(self, key: str, value: Buffer) -> None:
        """Store a value."""
        self._put(key, value, only_new=False)

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value."""
        self._put(key, value, only_new=False)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        self._put(key, value, only_new=True)

    def _put(self, key: str, value: Any, *, only_new: bool) -> None:
        self._check_writable()
        if not isinstance(value, Buffer):
            raise TypeError(f"a zarr store takes buffers, not {type(value).__name__}")
        data = value.to_bytes()
        with self._place.lock:
            self._place.times[self._key] = time.time()
            values = self._place.volumes.get(self._key)
            if values is None:
                values = self._place.volumes[self._key] = {}
                self._place.add(self._key)
            if not (only_new and key in values):
                values[key] = data

    def delete_sync(self, key: str) -> None:
        """Delete a value if there is one."""
        self._check_writable()
        with self._place.lock:
            self._values.pop(key, None)

    async def delete(self, key: str) -> None:
        """Delete a value if there is one."""
        self.delete_sync(key)

    async def clear(self) -> None:
        """Delete all values."""
        self._check_writable()
        with self._place.lock:
            self._values.clear()
