"""How a process ends that has used an async library of Rust: only after its threads are done with Python.

Threads of such libraries (obstore, icechunk, and whatever else answers by pyo3) call Python for credentials, and to hand an
answer over. In the midst of the latter the event loop wakes up, and who asked may be at the end of the program before the
thread has Python's lock again. Python ends every thread that wants its lock then, and Rust, whose frames are on this thread's
stack, aborts the whole process. A backend over such a library calls :func:`end_after_threads` with its event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import ParamSpec, TypeVar
from weakref import WeakSet

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that the end of a process waits at most, and that it waits when a request was given up, whose thread asks Python
#: whether it was, at a moment that nobody sees.
_MOST, _GIVEN_UP = 1.0, 0.1

#: How many threads are in Python, and the tasks that wait for an answer.
_inside = 0
_waiting: set[asyncio.Task[object]] = set()
_was_given_up = False
#: The event loops that are looked after, which are not kept by that.
_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def for_threads(function: Callable[P, T]) -> Callable[P, T]:
    """Take note of the threads that are in a function, which such a library calls."""

    @wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        global _inside
        _inside += 1
        try:
            return function(*args, **kwargs)
        finally:
            _inside -= 1  # the last step: Python lets no other thread run between it and the return to Rust

    return counted


def end_after_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Let Python end only after the threads that answer requests of an event loop are done with it."""
    if loop not in _watched:
        _watched.add(loop)
        loop.call_soon_threadsafe = for_threads(loop.call_soon_threadsafe)  # type: ignore[method-assign]
    _end_slowly(os.getpid())


@cache
def _end_slowly(process: int) -> None:
    atexit.register(_end, process)


@contextmanager
def waiting() -> Iterator[None]:
    """Take note that the running task waits for an answer; it is given up when Python ends."""
    global _was_given_up
    task = asyncio.current_task()
    assert task is not None  # a coroutine is run by one
    _waiting.add(task)
    try:
        yield
    except asyncio.CancelledError:
        _was_given_up = True
        raise
    finally:
        _waiting.discard(task)


def _end(process: int) -> None:
    if process != os.getpid():  # a forked child has none of the threads
        return
    last = time.monotonic() + _MOST
    for task in [*_waiting]:
        task.get_loop().call_soon_threadsafe(task.cancel)
    while (_inside or _waiting) and time.monotonic() < last:
        time.sleep(0.001)
    if _was_given_up:
        time.sleep(_GIVEN_UP)
