"""A stored array as the OME-Zarr image that copick expects, without copying a byte.

A C-order array (x, y, z) is, byte for byte, an F-order array (z, y, x) with reversed shape, chunks and chunk index. So the
metadata of an image are made up, and ``0/k.j.i`` is the file ``i.j.k``. This module imports zarr.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, Store

from copick_backend_volume.arrays import open_array
from copick_core.layers.byte_ranges import limits

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

_LEVEL = "0/"


class ReversedStore(Store):
    """A read-only store of one stored array as an OME-NGFF 0.4 image with axes (z, y, x) and one level.

    Args:
        folder: Folder of the array.
        voxel_size: In angstrom.
        name: Name of the image.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, folder: str, voxel_size: float, name: str) -> None:
        super().__init__(read_only=True)
        self.folder = folder
        self.voxel_size = voxel_size
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReversedStore) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"ReversedStore({self.folder!r}, voxel_size={self.voxel_size})"

    @property
    def _identity(self) -> tuple[str, float, str]:
        return self.folder, self.voxel_size, self.name

    def with_read_only(self, read_only: bool = False) -> ReversedStore:
        """This store; it is never writable."""
        if not read_only:
            self._check_writable()
        return self

    def _documents(self) -> dict[str, bytes]:
        """Contents of the metadata files; none where there is no array."""
        from copick_core.volumes.multiscales import multiscales

        array = open_array(self.folder)
        if array is None:
            return {}
        flipped = {
            **array.document,
            "shape": array.document["shape"][::-1],
            "chunks": array.document["chunks"][::-1],
            "order": "F" if array.document.get("order", "C") == "C" else "C",
            "dimension_separator": ".",
        }
        image = multiscales([self.voxel_size], None, self.name, None, "0.4")
        contents = {".zgroup": {"zarr_format": 2}, ".zattrs": image, "0/.zarray": flipped}
        return {key: json.dumps(content).encode() for key, content in contents.items()}

    def _chunk_path(self, key: str) -> str | None:
        """File of a chunk, None if the key names none."""
        parts = key[len(_LEVEL) :].split(".") if key.startswith(_LEVEL) else []
        if len(parts) != 3 or not all(part.isdecimal() and part.isascii() for part in parts):
            return None
        array = open_array(self.folder)
        return None if array is None else os.path.join(self.folder, array.chunk_name([int(p) for p in reversed(parts)]))

    def _read(self, key: str) -> bytes | None:
        if key in (".zgroup", ".zattrs", "0/.zarray"):
            return self._documents().get(key)
        path = self._chunk_path(key)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read the value of a key; None where there is none."""
        data = await asyncio.to_thread(self._read, key)
        return None if data is None else prototype.buffer.from_bytes(data[slice(*limits(byte_range))])

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of values."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether a key has a value."""
        path = self._chunk_path(key)
        return os.path.isfile(path) if path else key in self._documents()

    async def set(self, key: str, value: Any) -> None:
        """Refuse: the volume is not written through arrays."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse: the volume is not written through arrays."""
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        """List all keys."""
        documents = self._documents()
        for key in documents:
            yield key
        array = open_array(self.folder) if documents else None
        for index in array.indices() if array else ():
            if os.path.isfile(os.path.join(self.folder, array.chunk_name(index))):  # type: ignore[union-attr]
                yield _LEVEL + ".".join(map(str, reversed(index)))

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names directly below a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        seen: set[str] = set()
        async for key in self.list():
            name = key[len(start) :].partition("/")[0]
            if key.startswith(start) and name not in seen:
                seen.add(name)
                yield name
