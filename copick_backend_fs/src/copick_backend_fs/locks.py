"""Locks between writers, on servers that can create a file on condition that there is none, and know no other condition.

The lock of a file is a small file beside it, hidden by its leading dot, that names its writer. It is held while the stored
file is compared with what the writer expects, and replaced. A writer of this machine whose process has ended holds nothing.
A lock that somebody watches for :data:`LEASE` seconds without a change belongs to a writer that died elsewhere; no clocks
are compared. Who holds one for longer than half of that makes sure that it still does before anything is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copick_backend_fs.live import do, is_broken_connection
from copick_backend_fs.writers import host, is_dead, started
from copick_core.layers.staged import staged_name

if TYPE_CHECKING:
    from copick_backend_fs.live import Live

PREFIX = ".writing-"
"""What the name of a lock begins with; the file's name follows."""

LEASE = 10.0
"""Seconds without a change after which a lock belongs to a writer that died."""

_PATIENCE = 15.0
"""Seconds to wait for other writers; it is more than a lease, so that locks of dead ones are waited out."""


class LockLostError(Exception):
    """A lock could not be had in time, or was taken over: another writer is at the file."""


def _new_mark() -> bytes:
    process = os.getpid()
    return json.dumps([uuid.uuid4().hex, host(), process, started(process)]).encode()


@dataclass
class Owner:
    """Who wants a lock: the same for each attempt, so that one cut off does not lock out the next."""

    mark: bytes = field(default_factory=_new_mark)


@dataclass
class Lock:
    """A lock that is held."""

    live: Live
    place: str
    mark: bytes
    taken: float
    taken_over: bool

    async def check(self) -> None:
        """Make sure, before something is replaced, that the lock is still held.

        Raises:
            LockLostError: It is not.
        """
        doubtful = self.taken_over or time.monotonic() - self.taken > LEASE / 2
        if doubtful and await _read(self.live, self.place) != self.mark:
            raise LockLostError


@asynccontextmanager
async def locked(
    live: Live, path: str, owner: Owner, create: Callable[[Live, str, bytes], Awaitable[bool]]
) -> AsyncIterator[Lock]:
    """Hold the lock of a file.

    Args:
        live: The connection.
        path: The file, in a folder that is there.
        owner: Who wants it.
        create: Creates a file if there is none, and returns whether it has.

    Raises:
        LockLostError: Others hold it one after another.
    """
    folder, _, name = path.rpartition("/")
    place = f"{folder}/{PREFIX}{name}"
    taken_over = await _take(live, place, owner.mark, create)
    lock = Lock(live, place, owner.mark, time.monotonic(), taken_over)
    try:
        yield lock
    finally:
        if time.monotonic() - lock.taken < LEASE / 2 or await _read(live, place) == owner.mark:
            with contextlib.suppress(FileNotFoundError):
                await do(live, "rm_file", place)


async def _take(live: Live, place: str, mark: bytes, create: Callable[[Live, str, bytes], Awaitable[bool]]) -> bool:
    """Take a lock; whether it was taken over from a writer that died."""
    seen: bytes | None = None
    since = 0.0
    taken_over = False
    end = time.monotonic() + _PATIENCE
    while not await create(live, place, mark):
        found = await _read(live, place)
        now = time.monotonic()
        if found == mark:  # created before the connection broke
            break
        if found != seen:
            seen, since = found, now
        if found is not None and (is_abandoned(found) or now - since > LEASE):
            await _take_away(live, place, found)
            taken_over = True
            continue
        if now > end:
            raise LockLostError
        await asyncio.sleep(random.uniform(0.005, 0.03))  # noqa: S311 - writers that wait do not all ask at once
    return taken_over


async def _take_away(live: Live, place: str, expected: bytes) -> None:
    """Remove the lock of a dead writer: of several who do, one moves it aside."""
    aside = f"{place.rpartition('/')[0]}/{staged_name()}"
    try:
        await do(live, "mv", place, aside)
    except Exception as error:
        if is_broken_connection(error):
            raise
        return
    if await _read(live, aside) != expected:  # another one had taken it over just before
        await do(live, "mv", aside, place)
        return
    await do(live, "rm_file", aside)


async def _read(live: Live, place: str) -> bytes | None:
    """What a lock says; None if it is gone; nothing while its writer has it open alone."""
    try:
        return bytes(await do(live, "cat_file", place))
    except FileNotFoundError:
        return None
    except OSError as error:
        if is_broken_connection(error):
            raise
        return b""


def is_abandoned(mark: bytes) -> bool:
    """Whether the writer of a lock certainly is dead, by what the lock says."""
    try:
        _, at, process, since = json.loads(mark)
        return is_dead(str(at), int(process), str(since))
    except (ValueError, TypeError):
        return False
