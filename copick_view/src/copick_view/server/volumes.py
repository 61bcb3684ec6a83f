"""Values of volumes: from a key to the store that holds it, one request to the storage for each value.

The stores of some backends live on zarr's event loop (connections belong to a loop), so all of them are asked there.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import OrderedDict
from collections.abc import Coroutine, Hashable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import xxhash

from copick_core.errors import NotFoundError
from copick_core.tree.keys import Key, Kind
from copick_view.server.urls import BadPathError, Target

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store

    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_view.server.ranges import Range

T = TypeVar("T")

#: Open volumes that are kept; opening one costs little.
_KEPT = 256
#: ETags of another process are not to be taken for ours: some identities of volumes are counters.
_SALT = secrets.token_hex(8)


class OpenVolume:
    """A volume that is being read.

    Args:
        layer: The layer that holds it.
        key: The volume.
        changing: Whether regions of it may be written while it is served.

    Attributes:
        layer: The layer that holds it.
        key: The volume.
        changing: Whether regions of it may be written while it is served.
    """

    def __init__(self, layer: Layer, key: Key, *, changing: bool) -> None:
        self.layer = layer
        self.key = key
        self.changing = changing
        self._store: Store = layer.zarr(key)
        self._asked: Hashable | None = None

    async def get(self, name: str, part: Range | None = None) -> memoryview | None:
        """Read a value or a part of it, with one request to the storage; None where there is none.

        Args:
            name: The value.
            part: Which bytes.
        """
        from zarr.core.buffer import default_buffer_prototype

        request = None if part is None else byte_request(part)
        value = await on_zarr_loop(self._store.get(name, default_buffer_prototype(), request))
        return None if value is None else memoryview(cast(Any, np.ascontiguousarray(value.as_numpy_array()))).cast("B")

    async def size(self, name: str) -> int | None:
        """The size of a value in bytes, without reading it where the storage can tell; None where there is none."""
        try:
            return await on_zarr_loop(self._store.getsize(name))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def tag(self) -> str | None:
        """The ETag of all values of a volume that is not :attr:`changing`; None where the layer cannot tell its identity.

        It is made from the identity of the volume (:meth:`copick_core.layers.Layer.volume_version`), which is another one
        after each replacement, but stays the same while regions are written: only static layers can have such tags. Where a
        server would have to be asked each time, it is asked once, and again when the documents of the volume are read.
        """
        if not self.layer.versions_take_requests:
            version = self.layer.volume_version(self.key)
        else:
            version = getattr(self._store, "seen_version", None) or self._asked
            if version is None:
                version = self._asked = self.layer.volume_version(self.key)
        return None if version is None else f'"{xxhash.xxh3_128_hexdigest(repr((_SALT, self.key, version)).encode())}"'


class Volumes:
    """The volumes of a project that are being read.

    Args:
        root: The project.
    """

    def __init__(self, root: CopickRootOverlay) -> None:
        self._root = root
        self._open: OrderedDict[tuple[Key, str | None], OpenVolume] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, target: Target) -> OpenVolume:
        """The volume that a path means; blocks where the storage has to be asked.

        Which layer holds it is found out anew whenever a document of the volume is asked for: readers begin there.

        Raises:
            NotFoundError: No layer has it, or there is no such layer.
            BadPathError: Several tomograms share the address.
        """
        known = self.known(target)
        if known is not None:
            return known
        layer, key = find(self._root, target)
        volume = OpenVolume(layer, key, changing=layer not in self._root.layers.static)
        with self._lock:
            self._open[target.key, target.layer] = volume
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
        return volume

    def known(self, target: Target) -> OpenVolume | None:
        """The volume if it is open, and need not be looked for anew."""
        place = target.key, target.layer
        with self._lock:
            if target.layer is None and "/" not in target.value:
                self._open.pop(place, None)
                return None
            if place in self._open:
                self._open.move_to_end(place)
            return self._open.get(place)


def find(root: CopickRootOverlay, target: Target) -> tuple[Layer, Key]:
    """The layer that holds an entity, the overlay before static ones, later ones before earlier ones; and its whole key.

    A tomogram of a place that has several of one type needs its variant only where there are several.

    Raises:
        NotFoundError: No layer has it, or there is no such layer.
        BadPathError: Several tomograms share the address.
    """
    layers = [layer for layer in reversed(root.layers.all) if target.layer in (None, layer.name)]
    for layer in layers:
        if layer.exists(target.key):
            return layer, target.key
    if target.key.kind in (Kind.TOMOGRAM, Kind.FEATURES) and not target.key.variant:
        for layer in layers:
            if found := [key for key in _variants(layer, target.key) if key._replace(variant="") == target.key]:
                if len(found) > 1:
                    names = ", ".join(key.variant for key in found)
                    raise BadPathError(f"several tomograms have this address; choose one with ;variant=: {names}")
                return layer, found[0]
    raise NotFoundError(key=target.key, layer=target.layer or ", ".join(layer.name for layer in root.layers.all))


def _variants(layer: Layer, key: Any) -> list[Any]:
    """All variants of a tomogram in a layer, or of features in it."""
    if key.kind is Kind.TOMOGRAM:
        return [*layer.list(Kind.TOMOGRAM, key.parent)]
    tomograms = (t for t in _variants(layer, key.parent) if t._replace(variant="") == key.parent)
    return [found for tomogram in tomograms for found in layer.list(Kind.FEATURES, tomogram)]


def content_tag(data: bytes | memoryview) -> str:
    """The ETag of a value that may change while it is served: made from the value itself."""
    return f'"{xxhash.xxh3_128_hexdigest(data)}"'


async def on_zarr_loop(call: Coroutine[Any, Any, T]) -> T:
    """Await a call of a store on zarr's event loop."""
    from zarr.core.sync import _get_loop

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, _get_loop()))


def byte_request(part: Range) -> ByteRequest:
    """A part of a value as stores of zarr are asked for it."""
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

    if part.start < 0:
        return SuffixByteRequest(-part.start)
    if part.stop is None:
        return OffsetByteRequest(part.start)
    return RangeByteRequest(part.start, part.stop)
