"""Layers around layers: they count, delay, fail or refuse, for the kit's checks and for tests of your own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import WrapperStore

from copick_core.layers import Layer, Layers, WrapperLayer
from copick_core.tree.keys import Key, ParentKey

if TYPE_CHECKING:
    from zarr.abc.store import Store

T = TypeVar("T")


class CountingLayer(WrapperLayer):
    """Counts the calls that ask storage.

    Attributes:
        calls: How often each method was called.
    """

    def __init__(self, inner: Layer) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
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

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
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

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
        if self.every and (self.methods is None or method in self.methods):
            with self._lock:
                self._count += 1
                fails = self._count % self.every == 0
            if fails:
                raise OSError(f"{method}() of {self.inner!r} failed, as it was told to")
        return call()

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Give a store that fails in the middle of being filled."""
        return FlakyStore(store, self.after_values) if staged and self.after_values is not None else store


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
    """Refuses every write, whatever the wrapped layer allows."""

    @property
    def read_only(self) -> bool:
        """Always."""
        return True

    @read_only.setter
    def read_only(self, value: bool) -> None:
        """It stays so."""

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Give a store that can only be read."""
        return store if store.read_only else store.with_read_only(True)


def wrapped(layers: Layers, wrap: Callable[[Layer], Layer]) -> Layers:
    """Wrap every layer of a project.

    Example:
        >>> counted = wrapped(layers, CountingLayer)  # doctest: +SKIP
    """
    overlay = None if layers.overlay is None else wrap(layers.overlay)
    return Layers([wrap(layer) for layer in layers.static], overlay, layers.overlay_field)
