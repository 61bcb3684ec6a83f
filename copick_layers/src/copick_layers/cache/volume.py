"""What a cache knows of one volume: its version, and values that were read but not yet confirmed to be of that version.

A volume may be replaced while it is read. What was read is kept only once the version that was known before is known to be
the stored one afterwards: at once where that costs nothing, and where it is a request when the handle asks anyway, which it
does at the end of each read.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Hashable
from concurrent.futures import Future
from typing import TYPE_CHECKING, BinaryIO

from copick_core.layers.byte_ranges import limits
from copick_core.tree.keys import Key
from copick_layers.cache.entries import Entry, Header, UnknownTokenError, as_text
from copick_layers.cache.folder import Held, hashed

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store

    from copick_layers.cache.layer import CacheLayer

#: Documents by which zarr knows a volume.
DOCUMENTS = (".zattrs", "zarr.json", ".zgroup")
#: Name of the entry that has the version of the volume.
_CURRENT = "current"
_DOCUMENTS_HASH = "hash of documents"
#: Most values, and bytes of values, that wait to be confirmed.
_MOST_WAITING, _MOST_BYTES = 256, 32 * 2**20


class CachedVolume:
    """What a cache knows of one volume.

    Args:
        layer: The cache.
        key: The volume.
    """

    def __init__(self, layer: CacheLayer, key: Key) -> None:
        self._layer = layer
        self.key = key
        self._folder = layer.folder_of(key)
        self._lock = threading.Lock()
        #: The version that was last found to be stored; None if nobody asked yet, or if the volume was changed since.
        self.known: Hashable | None = None
        self._is_written = False
        self._waiting: list[tuple[Hashable | None, str, bytes | None]] = []
        self._waiting_bytes = 0
        self._held: Held | None = None
        #: While the version is asked for.
        self._answer: Future[None] | None = None

    # ------------------------------------------------------------------ versions

    @property
    def is_waiting(self) -> bool:
        """Whether values wait to be confirmed."""
        return bool(self._waiting)

    async def version(self, store: Store) -> Hashable | None:
        """The version that values are kept under now; None where none is known before something is read."""
        layer = self._layer
        if self.known is None and (layer.offline or layer.revalidate == "never"):
            self.known = self._kept()
        if layer.offline:
            return self.known
        if layer.inner.versions_take_requests:
            if self.known is None and self._kept() is not None:
                await self.ask()
            return self.known
        if layer.revalidate == "never" and _is_of_documents(self.known):
            return self.known
        found = await asyncio.to_thread(layer.ask_version, self.key)
        if found is None:
            return self.known if _is_of_documents(self.known) else await self._by_documents(store)
        if found != self.known:
            self._note(found)
        return found

    async def ask(self) -> Hashable | None:
        """Ask which version is stored; whoever wants to know meanwhile waits for the same answer."""
        with self._lock:
            answer, is_mine = self._answer, self._answer is None
            if answer is None:
                answer = self._answer = Future()
        if not is_mine:
            await asyncio.wrap_future(answer)
            return self.known
        try:
            self._note(await asyncio.to_thread(self._layer.ask_version, self.key))
        finally:
            with self._lock:
                self._answer = None
            answer.set_result(None)
        return self.known

    def _kept(self) -> Hashable | None:
        entry = self._layer.cache_folder.load(self._folder, _CURRENT)
        return None if entry is None else entry.token

    def _note(self, version: Hashable | None) -> None:
        """Take a version as the stored one."""
        self.known = version
        self._is_written = False

    async def _by_documents(self, store: Store) -> Hashable | None:
        """A version for places that have none: a checksum of the documents of the volume; None if there are none."""
        from zarr.core.buffer import default_buffer_prototype

        values = await asyncio.gather(*(store.get(name, default_buffer_prototype()) for name in DOCUMENTS))
        if all(value is None for value in values):
            return None
        parts = [b"" if value is None else value.to_bytes() for value in values]
        self._note((_DOCUMENTS_HASH, hashlib.sha256(b"\0".join(parts)).hexdigest()))
        return self.known

    # ------------------------------------------------------------------ values

    def load(self, version: Hashable, name: str, part: ByteRequest | None) -> Entry | None:
        """A value, or a part of it, that is kept under a version."""
        cache = self._layer.cache_folder
        try:
            text = as_text(version)
        except UnknownTokenError:
            return None
        entry = cache.load(self._folder, hashed(text, label_of(name, part)))
        if entry is None and part is not None:
            entry = cache.load(self._folder, hashed(text, name))
            if entry is not None and entry.data is not None:
                entry = Entry(entry.token, entry.data[slice(*limits(part))])
        return entry

    @property
    def version_without_asking(self) -> Hashable | None:
        """The version that values are kept under, where storage need not be asked for it; None elsewhere."""
        return self.known if self._layer.offline or self._layer.inner.versions_take_requests else None

    def open(self, version: Hashable, name: str) -> tuple[BinaryIO, Header] | None:
        """Open a whole value that is kept under a version, to read parts of it."""
        try:
            text = as_text(version)
        except UnknownTokenError:
            return None
        return self._layer.cache_folder.open(self._folder, hashed(text, name))

    def hold(self) -> Held | None:
        """Open the volume's folder in the cache, before something is read."""
        return self._layer.cache_folder.hold(self._folder, self._layer.place_text)

    def hold_batch(self) -> Held | None:
        """Open the folder for values that will wait, before they are read."""
        with self._lock:
            if self._held is None:
                self._held = self.hold()
            return self._held

    def put(self, held: Held | None, version: Hashable, label: str, data: bytes | None) -> None:
        """Keep a value that is known to be of a version.

        Args:
            held: The folder, opened before the value was read.
            version: The version.
            label: The value, as :func:`label_of` writes it.
            data: Its bytes; None if there is none.
        """
        try:
            file = hashed(as_text(version), label)
        except UnknownTokenError:
            return
        self._layer.cache_folder.put(held, file, Entry(version, data))
        if not self._is_written:
            self._layer.cache_folder.put(held, _CURRENT, Entry(version, None))
            self._is_written = True

    def wait(self, held: Held | None, version: Hashable | None, label: str, data: bytes | None) -> bool:
        """Let a value wait until the version is confirmed.

        Args:
            held: What :meth:`hold_batch` gave before the value was read; nothing waits if the volume was changed since.
            version: The version that it was read under; None for a document that there is not.
            label: The value, as :func:`label_of` writes it.
            data: Its bytes; None if there is none.

        Returns:
            Whether so much waits that the version should be asked for now.
        """
        with self._lock:
            if held is None or held is not self._held:
                return False
            self._waiting.append((version, label, data))
            self._waiting_bytes += 0 if data is None else len(data)
            return len(self._waiting) >= _MOST_WAITING or self._waiting_bytes >= _MOST_BYTES

    def settle(self, version: Hashable | None) -> None:
        """Keep the values that waited, if they are of the version that is stored now."""
        with self._lock:
            waiting, held = self._waiting, self._held
            self._forget_waiting()
            if version != self.known:
                self._note(version)
        if version is not None:
            for of, label, data in waiting:
                if of in (None, version):
                    self.put(held, version, label, data)
        if held is not None:
            held.close()

    def _forget_waiting(self) -> None:
        self._waiting, self._waiting_bytes, self._held = [], 0, None

    def forget(self) -> None:
        """Ask again which version is stored."""
        with self._lock:
            self.known = None

    def drop(self, *, is_same: bool = False) -> None:
        """Delete what is kept of the volume: it was changed.

        Args:
            is_same: Only values below its root were changed, so that its version is still the same.
        """
        with self._lock:
            held = self._held
            self._forget_waiting()
            self._is_written = False
            self.known = self.known if is_same else None
        if held is not None:
            held.close()
        self._layer.cache_folder.drop(self._folder)


def _is_of_documents(version: Hashable | None) -> bool:
    return isinstance(version, tuple) and version[:1] == (_DOCUMENTS_HASH,)


def label_of(name: str, part: ByteRequest | None) -> str:
    """A value, or a part of it, as text."""
    return name if part is None else f"{name}\0{part!r}"
