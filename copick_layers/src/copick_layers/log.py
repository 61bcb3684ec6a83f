"""``{"name": "log"}``: counts and times what is asked of a layer, and of the volumes that it opens."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import field_validator

from copick_core.layers import Layer, WrapperLayer
from copick_core.tree.keys import Key, ParentKey
from copick_core.tree.wrapper_options import WrapperOptions
from copick_layers.local_paths import local_path

if TYPE_CHECKING:
    from zarr.abc.store import Store

logger = logging.getLogger(__name__)
T = TypeVar("T")


class LogOptions(WrapperOptions):
    """Options of the log.

    Attributes:
        path: File that a JSON line is appended to for each call; None for none. Folders that are missing are made.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str | None = None

    @field_validator("path")
    @classmethod
    def _is_local(cls, value: str | None) -> str | None:
        return value and local_path(value, "it must be a local file: remote ones cannot be appended to")


@dataclass(frozen=True)
class Calls:
    """What is known of the calls of one method.

    Attributes:
        count: How many there were.
        errors: How many of them raised.
        seconds: How long they took together.
        slowest: How long the slowest one took, in seconds.
    """

    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


class LogLayer(WrapperLayer):
    """A layer whose calls are counted, timed and logged.

    Args:
        inner: The layer.
        options: Where to write the calls.

    Example:
        >>> import copick_core
        >>> root = copick_core.open({"config_type": "memory", "wrappers": [{"name": "log"}]})
        >>> root.runs
        []
        >>> root.layers.overlay.unwrap(LogLayer).statistics["list"].count
        1
    """

    def __init__(self, inner: Layer, options: LogOptions | None = None) -> None:
        super().__init__(inner)
        self._path = options.path if options else None
        self._lock = threading.Lock()
        self._calls: dict[str, Calls] = {}

    @property
    def statistics(self) -> Mapping[str, Calls]:
        """The calls of each method since the project was opened, or :meth:`reset`."""
        with self._lock:
            return dict(self._calls)

    def reset(self) -> None:
        """Count from zero."""
        with self._lock:
            self._calls.clear()

    def around(self, method: str, key: Key | ParentKey | None, call: Callable[[], T]) -> T:
        """Make the call, and note how long it took."""
        begin = time.perf_counter()
        try:
            result = call()
        except BaseException as error:
            self._note(method, key, time.perf_counter() - begin, error)
            raise
        self._note(method, key, time.perf_counter() - begin, None)
        return result

    def wrap_store(self, key: Key, store: Store, *, staged: bool) -> Store:
        """Count and time each value that is read from the volume, or written to it; the methods are ``zarr.get`` and so on."""
        from copick_layers.log_store import LogStore

        def note(method: str, value: str, seconds: float, error: BaseException | None) -> None:
            self._note(method, key, seconds, error, value)

        return LogStore(store, note)

    def _note(
        self,
        method: str,
        key: Key | ParentKey | None,
        seconds: float,
        error: BaseException | None,
        value: str | None = None,
    ) -> None:
        with self._lock:
            calls = self._calls.get(method, Calls())
            self._calls[method] = replace(
                calls,
                count=calls.count + 1,
                errors=calls.errors + (error is not None),
                seconds=calls.seconds + seconds,
                slowest=max(calls.slowest, seconds),
            )
        cause = type(error).__name__ if error else None
        if logger.isEnabledFor(logging.DEBUG):
            what = ("" if key is None else f" {key}") + (f", {value!r}" if value is not None else "")
            failed = f", raised {cause}" if cause else ""
            logger.debug("%s: %s%s took %.1f ms%s", self.name, method, what, seconds * 1000, failed)
        if self._path:
            self._append(
                {
                    "time": time.time(),
                    "process": os.getpid(),
                    "layer": self.name,
                    "method": method,
                    "key": None if key is None else str(key),
                    "value": value,
                    "seconds": round(seconds, 6),
                    "error": cause,
                }
            )

    def _append(self, line: Mapping[str, object]) -> None:
        path = str(self._path)
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            file = os.open(path, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = os.open(path, flags, 0o666)
        try:
            os.write(file, data)  # in one piece, so that lines of several processes do not mix
        finally:
            os.close(file)
