"""Threads that prepare chunks with bounded memory, and the event loop that stores them.

The store's coroutines run on zarr's event loop: this works on every `zarr.abc.store.Store`, and overlaps the requests of
remote ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from zarr.abc.store import Store

Task = Callable[[], Sequence[tuple[str, bytes]]]
"""Makes chunks: (key in the store, encoded chunk) of each."""

_IN_FLIGHT_BYTES = 64 * 2**20
"""Voxels whose compressed chunks may be on their way to the store at the same time."""


class Workers:
    """Threads that prepare chunks, and zarr's event loop that stores them. A context manager."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = min(16, cores())
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="copick_chunks")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Iterable[Task], task_bytes: int) -> None:
        """Run tasks on the threads and store what each returns, then return.

        Args:
            tasks: What prepares the values for some keys.
            task_bytes: About what one task holds in memory; it bounds how many are in flight.

        Raises:
            Exception: The first one that a task or the store raised; tasks that had not begun are dropped.
        """
        from zarr.core.sync import sync

        limit = max(self._threads, min(32, _IN_FLIGHT_BYTES // max(1, task_bytes)))
        sync(self._drain(iter(tasks), limit))

    async def _drain(self, tasks: Iterator[Task], limit: int) -> None:
        from zarr.core.buffer import default_buffer_prototype

        loop = asyncio.get_running_loop()
        from_bytes = default_buffer_prototype().buffer.from_bytes
        errors: list[BaseException] = []

        async def lane() -> None:
            for task in tasks:
                if errors:
                    return
                try:
                    for key, value in await loop.run_in_executor(self._pool, task):
                        await self._store.set(key, from_bytes(value))
                except BaseException as error:
                    errors.append(error)
                    raise

        await asyncio.gather(*(lane() for _ in range(limit)), return_exceptions=True)
        if errors:
            raise errors[0]


def cores() -> int:
    """Processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
