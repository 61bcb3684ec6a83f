"""The zarr store of a volume in a repository; in a module of its own because it imports zarr."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icechunk import IcechunkStore, Session

    from copick_backend_icechunk.places import Place

#: Attribute of a volume's root group that identifies the volume: another one after each replacement. It is not shown.
IDENTITY = "copick_volume_id"

_DOCUMENT = "zarr.json"
_EMPTY = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}).encode()

#: Makes some changes in the store of a session.
Change = "Callable[[IcechunkStore], Awaitable[None]]"


class Source(Protocol):
    """Where a volume is read and changed: in what is committed, in a transaction, or in what is being staged."""

    @property
    def place(self) -> Place:
        """Where the repository lies."""

    def reading(self) -> IcechunkStore | None:
        """The store to read from; None where there is no repository yet."""

    async def change(self, make: Callable[[IcechunkStore], Awaitable[None]]) -> None:
        """Make a change."""


class Volume(Store):
    """One volume of a repository.

    It takes what zarr v3 has: documents named ``zarr.json``, and chunks (``c/…``) of arrays whose document is stored.

    Args:
        source: Where it is read and changed.
        path: Its group in the repository.
        read_only: Refuse writes.

    Attributes:
        seen_version: Identity of the volume whose root document was read last.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True
    zarr_formats = (3,)

    def __init__(self, source: Source, path: str, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._source = source
        self._path = path
        self.seen_version: str | None = None

    def with_read_only(self, read_only: bool = False) -> Volume:
        """The same volume, writable or not."""
        return type(self)(self._source, self._path, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Volume) and (self._source, self._path) == (other._source, other._path)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Volume {self._path!r}>"

    # ------------------------------------------------------------------ reading

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Get a value, or a part of it."""
        with self._source.place.failing():
            return await self._get(key, prototype or default_buffer_prototype(), byte_range)

    async def _get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None) -> Buffer | None:
        store = self._source.reading()
        if store is None or not is_zarr_key(key):
            return None
        if key == _DOCUMENT:
            document = await root_document(store, self._path)
            if document is None:
                return None
            self.seen_version = document.get("attributes", {}).pop(IDENTITY, "")
            return prototype.buffer.from_bytes(json.dumps(document).encode())
        if not key.endswith(_DOCUMENT) and not await store.exists(self._document_of(key)):
            return None
        return await store.get(f"{self._path}/{key}", prototype, byte_range)

    def _document_of(self, key: str) -> str:
        """The document of the array that a chunk belongs to."""
        array = f"/{key}".rpartition("/c/")[0] if "/c/" in f"/{key}" else f"/{key}".removesuffix("/c")
        return f"{self._path}{array}/{_DOCUMENT}"

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Get parts of several values."""
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def exists(self, key: str) -> bool:
        """Whether there is such a value."""
        store = self._source.reading()
        if store is None or not is_zarr_key(key):
            return False
        with self._source.place.failing():
            if not key.endswith(_DOCUMENT) and not await store.exists(self._document_of(key)):
                return False
            return await store.exists(f"{self._path}/{key}")

    async def list(self) -> AsyncIterator[str]:
        """Names of all values."""
        async for name in self.list_prefix(""):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of the values that start with a prefix."""
        store = self._source.reading()
        if store is None:
            return
        start = f"{self._path}/"
        with self._source.place.failing():
            names = await names_below(store, self._path)
        for name in names:
            below = name.removeprefix(start)
            if below.startswith(prefix):
                yield below

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix."""
        below = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        seen: dict[str, None] = {}
        async for name in self.list_prefix(below):
            seen[name.removeprefix(below).partition("/")[0]] = None
        for name in sorted(seen):
            yield name

    # ------------------------------------------------------------------ writing

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value.

        Raises:
            ValueError: It is none of zarr v3, or its array has no document yet.
        """
        self._check_writable()
        await self._put(key, value, only_new=False)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        self._check_writable()
        await self._put(key, value, only_new=True)

    async def _put(self, key: str, value: Buffer, *, only_new: bool) -> None:
        if not isinstance(value, Buffer):
            raise TypeError(f"a zarr store takes buffers, not {type(value).__name__}")
        if not is_zarr_key(key):
            raise ValueError(f"{key!r} is not a name of zarr v3, and volumes with a history are stored in zarr v3 only")
        data = value.to_bytes()

        async def make(store: IcechunkStore) -> None:
            if only_new and await self.exists(key):
                return
            stored = data
            if key == _DOCUMENT:
                known = await root_document(store, self._path)
                stored = identified(data, (known or {}).get("attributes", {}).get(IDENTITY))
            elif not key.endswith(_DOCUMENT) and not await store.exists(self._document_of(key)):
                raise ValueError(f"{self._path}/{key} is a chunk of an array that has no {_DOCUMENT} yet; store that first")
            if key != _DOCUMENT:
                await finish(store, self._path)
            await store.set(f"{self._path}/{key}", default_buffer_prototype().buffer.from_bytes(stored))

        with self._source.place.failing():
            await self._source.change(make)

    async def delete(self, key: str) -> None:
        """Delete a value if there is one."""
        self._check_writable()
        if not await self.exists(key):
            return

        async def make(store: IcechunkStore) -> None:
            # A volume is there as long as its root group is: it goes last.
            if key == _DOCUMENT and len(await names_below(store, self._path)) > 1:
                await store.set(f"{self._path}/{key}", default_buffer_prototype().buffer.from_bytes(identified(_EMPTY)))
            else:
                await store.delete(f"{self._path}/{key}")

        with self._source.place.failing():
            await self._source.change(make)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix."""
        self._check_writable()
        folder = f"{self._path}/{prefix.strip('/')}".rstrip("/")
        if [name async for name in self.list_prefix(f"{prefix.strip('/')}/" if prefix.strip("/") else "")]:
            await self._source.change(lambda store: store.delete_dir(folder))

    async def clear(self) -> None:
        """Delete all values."""
        await self.delete_dir("")


def is_zarr_key(key: str) -> bool:
    """Whether a name is that of a document or a chunk of zarr v3."""
    name = f"/{key}"
    return name.endswith((f"/{_DOCUMENT}", "/c")) or "/c/" in name


async def root_document(store: IcechunkStore, path: str) -> dict[str, Any] | None:
    """The document of a volume's root, with its identity; None where it has none."""
    found = await store.get(f"{path}/{_DOCUMENT}", default_buffer_prototype())
    document: dict[str, Any] | None = None if found is None else json.loads(found.to_bytes())
    return document


def identified(document: bytes, identity: str | None = None) -> bytes:
    """A root document with an identity in its attributes; a new one unless it is given."""
    content = json.loads(document)
    content["attributes"] = {**(content.get("attributes") or {}), IDENTITY: identity or uuid.uuid4().hex}
    return json.dumps(content).encode()


async def copy_values(source: IcechunkStore, target: IcechunkStore, path: str, names: Iterable[str] | None = None) -> None:
    """Copy the values of a volume from one session to another, as they are; with ``names``, these only.

    A name that the source does not have is deleted in the target.
    """
    if names is None:
        names = await names_below(source, path)
    prototype = default_buffer_prototype()
    for name in sorted(names, key=lambda name: not name.endswith(_DOCUMENT)):
        value = await source.get(name, prototype) if await source.exists(name) else None
        if value is not None:
            await target.set(name, value)
        elif await target.exists(name):
            await target.delete(name)


async def finish(store: IcechunkStore, path: str) -> None:
    """Make the root group of a volume, unless it is there: without one nothing of the volume is listed."""
    if not await store.exists(f"{path}/{_DOCUMENT}"):
        await store.set(f"{path}/{_DOCUMENT}", default_buffer_prototype().buffer.from_bytes(identified(_EMPTY)))


async def names_below(store: IcechunkStore, path: str) -> list[str]:
    """Names of all values of a volume, with its path; none where its root group is missing."""
    if not await store.exists(f"{path}/{_DOCUMENT}"):
        return []
    return [name async for name in store.list_prefix(f"{path}/") if name.startswith(f"{path}/")]


async def same_values(first: IcechunkStore, second: IcechunkStore, path: str) -> bool:
    """Whether a volume holds the same in two sessions: documents, but for the identity, and chunks as they are stored."""
    names = await names_below(first, path)
    if sorted(names) != sorted(await names_below(second, path)):
        return False
    prototype = default_buffer_prototype()
    for name in names:
        values = [await store.get(name, prototype) for store in (first, second)]
        texts = [b"" if value is None else value.to_bytes() for value in values]
        if name == f"{path}/{_DOCUMENT}":
            texts = [identified(text, "same") for text in texts]
        if texts[0] != texts[1]:
            return False
    return True


async def changed_names(session: Session, path: str) -> list[str]:
    """Names of the values of a volume that a session has changed."""
    status = await asyncio.to_thread(session.status)
    nodes = {*status.new_arrays, *status.new_groups, *status.updated_arrays, *status.updated_groups}
    nodes |= {*status.deleted_arrays, *status.deleted_groups}
    names = [f"{node.strip('/')}/{_DOCUMENT}" for node in nodes]
    for node, chunks in status.updated_chunks.items():
        names += [f"{node.strip('/')}/c/{'/'.join(map(str, index))}".rstrip("/") for index in chunks]
    return [name for name in names if name.startswith(f"{path}/")]


#: Attributes of the repository's root group: what wrote it, and how it is laid out.
FORMAT = {"copick": {"layout": "copick-1", "version": 1}}


async def put_root(store: IcechunkStore) -> None:
    """Make the repository's root group, unless it is there."""
    if not await store.exists(_DOCUMENT):
        document = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": FORMAT}).encode()
        await store.set(_DOCUMENT, default_buffer_prototype().buffer.from_bytes(document))
