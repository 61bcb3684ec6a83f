"""Layers around layers: they count, delay, fail or refuse, for the kit's checks and for tests of your own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import WrapperStore

from copick_core.layers import ANY, Layer, Layers, Revision
from copick_core.tree.keys import Key, Kind, ParentKey

if TYPE_CHECKING:
    from trimesh.parent import Geometry
    from zarr.abc.store import Store

    from copick_core.picks import PicksArrays

T = TypeVar("T")


class WrapperLayer(Layer):
    """A layer that passes every call on to another one.

    Subclasses override :meth:`_call`, through which every call goes.

    Attributes:
        inner: The wrapped layer.
    """

    def __init__(self, inner: Layer) -> None:
        self.inner = inner
        self.name = inner.name
        self.read_only = inner.read_only
        self.process_bound = inner.process_bound

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.inner, name)

    def _call(self, method: str, call: Callable[[], T]) -> T:
        return call()

    def list(self, kind: Kind, parent: ParentKey) -> list[Key]:
        """Pass on."""
        return self._call("list", lambda: [*self.inner.list(kind, parent)])

    def list_many(self, kind: Kind, parents: Sequence[ParentKey]) -> Mapping[ParentKey, Sequence[Key]]:
        """Pass on."""
        return self._call("list_many", lambda: self.inner.list_many(kind, parents))

    def exists(self, key: Key) -> bool:
        """Pass on."""
        return self._call("exists", lambda: self.inner.exists(key))

    def read(self, key: Key) -> bytes:
        """Pass on."""
        return self._call("read", lambda: self.inner.read(key))

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Pass on."""
        return self._call("read_revised", lambda: self.inner.read_revised(key))

    def revision(self, key: Key) -> Revision | None:
        """Pass on."""
        return self._call("revision", lambda: self.inner.revision(key))

    def zarr(self, key: Key) -> Store:
        """Pass on."""
        return self._call("zarr", lambda: self.inner.zarr(key))

    def details(self, key: Key) -> Mapping[str, Any]:
        """Pass on, unobserved: it concerns no storage."""
        return self.inner.details(key)

    def load_picks(self, key: Key) -> tuple[PicksArrays, Revision | None]:
        """Pass on."""
        return self._call("load_picks", lambda: self.inner.load_picks(key))

    def load_mesh(self, key: Key) -> tuple[Geometry, Revision | None]:
        """Pass on."""
        return self._call("load_mesh", lambda: self.inner.load_mesh(key))

    def forget(self, parent: ParentKey) -> None:
        """Pass on, unobserved: it concerns no storage."""
        self.inner.forget(parent)

    def reconnect(self) -> None:
        """Pass on, unobserved: it concerns no storage."""
        self.inner.reconnect()

    def location(self, key: Key) -> str | None:
        """Pass on, unobserved: it concerns no storage."""
        return self.inner.location(key)

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision | None:
        """Pass on."""
        self._check_writable(key)
        return self._call("write", lambda: self.inner.write(key, data, if_revision=if_revision))

    def ensure(self, key: Key) -> None:
        """Pass on."""
        self._check_writable(key)
        self._call("ensure", lambda: self.inner.ensure(key))

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[Store]:
        """Pass on."""
        self._check_writable(key)
        context = self._call("replace_zarr", lambda: self.inner.replace_zarr(key))
        with context as store:
            yield self._staged(store)

    def _staged(self, store: Store) -> Store:
        """The store that is handed out to be filled."""
        return store

    def delete(self, key: Key) -> None:
        """Pass on."""
        self._check_writable(key)
        self._call("delete", lambda: self.inner.delete(key))


class CountingLayer(WrapperLayer):
    """Counts the calls that ask storage.

    Attributes:
        calls: How often each method was called.
    """

    def __init__(self, inner: Layer) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()

    def _call(self, method: str, call: Callable[[], T]) -> T:
        self.calls[method] += 1
        return call()


class SlowLayer(WrapperLayer):
    """Takes its time for every call, as a place behind a network does.

    Args:
        inner: The wrapped layer.
        seconds: How long each call takes longer.
    """

    def __init__(self, inner: Layer, seconds: float = 0.05) -> None:
        super().__init__(inner)
        self.seconds = seconds

    def _call(self, method: str, call: Callable[[], T]) -> T:
        time.sleep(self.seconds)
        return call()


class FlakyLayer(WrapperLayer):
    """Fails every n-th call, or in the middle of filling a volume.

    Args:
        inner: The wrapped layer.
        every: Which calls fail: 1 is each one, 3 each third one, 0 none.
        after_values: How many values of a fresh volume are stored before the next one fails; None: all are stored.
        methods: The methods that fail; None: all of them.
    """

    def __init__(
        self, inner: Layer, every: int = 1, *, after_values: int | None = None, methods: Sequence[str] | None = None
    ) -> None:
        super().__init__(inner)
        self.every = every
        self.after_values = after_values
        self.methods = methods
        self._lock = threading.Lock()
        self._count = 0

    def _call(self, method: str, call: Callable[[], T]) -> T:
        if self.every and (self.methods is None or method in self.methods):
            with self._lock:
                self._count += 1
                fails = self._count % self.every == 0
            if fails:
                raise OSError(f"{method}() of {self.inner!r} failed, as it was told to")
        return call()

    def _staged(self, store: Store) -> Store:
        return store if self.after_values is None else FlakyStore(store, self.after_values)


class FlakyStore(WrapperStore[Any]):
    """A store that fails once a number of values was written to it.

    Args:
        store: The wrapped store.
        values: How many values are written before it fails.
    """

    def __init__(self, store: Store, values: int) -> None:
        super().__init__(store)
        self.left = [values]

    def _with_store(self, store: Any) -> Any:
        other = type(self)(store, 0)
        other.left = self.left
        return other

    def with_read_only(self, read_only: bool = False) -> Any:
        """Give a store on the same place that fails after the same number of values."""
        return self._with_store(self._store.with_read_only(read_only))

    async def set(self, key: str, value: Any) -> None:
        """Write a value, or fail."""
        if self.left[0] <= 0:
            raise OSError(f"writing {key!r} failed, as it was told to")
        self.left[0] -= 1
        await super().set(key, value)


class ReadOnlyLayer(WrapperLayer):
    """Refuses every write."""

    def __init__(self, inner: Layer) -> None:
        super().__init__(inner)
        self.read_only = True

    def zarr(self, key: Key) -> Store:
        """Open a volume, read-only."""
        store = super().zarr(key)
        return store if store.read_only else store.with_read_only(True)


def wrapped(layers: Layers, wrap: Callable[[Layer], Layer]) -> Layers:
    """Wrap every layer of a project.

    Example:
        >>> counted = wrapped(layers, CountingLayer)  # doctest: +SKIP
    """
    overlay = None if layers.overlay is None else wrap(layers.overlay)
    return Layers([wrap(layer) for layer in layers.static], overlay, layers.overlay_field)
