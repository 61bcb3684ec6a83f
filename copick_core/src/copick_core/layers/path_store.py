"""The zarr store of a volume whose values are files of a :class:`~copick_core.layers.path_layer.PathLayer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from copick_core.layers.byte_ranges import limits
from copick_core.layers.revisions import FileChangedError

if TYPE_CHECKING:
    from copick_core.layers.path_layer import PathLayer

#: How a layer says that there is no file at a path.
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class PathStore(Store):
    """The values below one folder of a layer.

    Each value is one call of the layer's primitives, in a thread: a primitive that waits for a server does not hold up the
    others.

    Args:
        layer: The layer.
        path: The folder.
        read_only: Refuse writes.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True

    def __init__(self, layer: PathLayer, path: str, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._layer = layer
        self._path = path

    def with_read_only(self, read_only: bool = False) -> PathStore:
        """The same values, writable or not."""
        return type(self)(self._layer, self._path, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PathStore) and (self._layer, self._path) == (other._layer, other._path)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<PathStore {self._path!r} of {self._layer!r}>"

    def _full(self, key: str) -> str:
        return f"{self._path}/{key.strip('/')}".rstrip("/")

    # ------------------------------------------------------------------ reading

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value, or a part of it."""
        try:
            data = await asyncio.to_thread(self._read, self._full(key), byte_range)
        except _MISSING:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    def _read(self, path: str, part: ByteRequest | None) -> bytes:
        if part is None:
            return self._layer.read_file(path)[0]
        return self._layer.read_part(path, *limits(part))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Get parts of several values at once."""
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is such a value."""
        return await asyncio.to_thread(self._layer.path_exists, self._full(key), folder=False)

    async def list(self) -> AsyncIterator[str]:
        """Names of all values."""
        async for name in self._below(""):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix."""
        async for name in self._below(prefix.rpartition("/")[0]):
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix."""
        for name in await asyncio.to_thread(self._layer.list_folder, self._full(prefix)):
            yield name

    async def _below(self, folder: str) -> AsyncIterator[str]:
        """Names of the values below a folder, one depth after another: the folders of one depth are listed at once."""
        names = [folder.strip("/")]
        while names:
            paths = [self._full(name) for name in names]
            listings = await asyncio.to_thread(self._layer.list_folders, paths)
            folders = []
            for name, path in zip(names, paths, strict=True):
                for entry, is_folder in listings[path].items():
                    below = f"{name}/{entry}" if name else entry
                    if is_folder:
                        folders.append(below)
                    else:
                        yield below
            names = folders

    # ------------------------------------------------------------------ writing

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value."""
        self._check_writable()
        await asyncio.to_thread(self._layer.write_file, self._full(key), self._bytes(value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        self._check_writable()
        with suppress(FileChangedError):
            await asyncio.to_thread(self._layer.write_file, self._full(key), self._bytes(value), None)

    @staticmethod
    def _bytes(value: Buffer) -> bytes:
        if not isinstance(value, Buffer):
            raise TypeError(f"a zarr store takes buffers, not {type(value).__name__}")
        return value.to_bytes()

    async def delete(self, key: str) -> None:
        """Delete a value if there is one."""
        self._check_writable()
        if await self.exists(key):
            await self._delete(self._full(key))

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        self._check_writable()
        await self._delete(self._full(prefix))

    async def clear(self) -> None:
        """Delete all values."""
        await self.delete_dir("")

    async def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            await asyncio.to_thread(self._layer.delete_path, path)
