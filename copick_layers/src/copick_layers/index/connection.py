"""The connection to the file of an index, which may be deleted at any moment."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from copick_layers.index.tables import FORMAT, SCHEMA

logger = logging.getLogger(__name__)

#: Seconds to wait for another writer.
_PATIENCE = 30.0
#: How often something is tried whose file somebody deletes meanwhile, and seconds between two attempts, longer each time.
_ATTEMPTS, _PAUSE = 20, 0.001


P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound="Database")


def though_deleted(method: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T]:
    """Let a method be repeated with a new file, if somebody deletes the file while it runs."""

    @functools.wraps(method)
    def repeated(self: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        attempt = 0
        while True:
            try:
                return method(self, *args, **kwargs)
            except (sqlite3.OperationalError, FileNotFoundError) as error:
                attempt += 1
                if attempt >= _ATTEMPTS or "locked" in str(error):
                    raise
                self.close()
                time.sleep(_PAUSE * attempt)

    return repeated


class Database:
    """The file of an index: reads and writes of one step each.

    It may be deleted at any moment: an index that is gone knows nothing.

    Args:
        path: The file.
        place: What is indexed, for people.
    """

    def __init__(self, path: str, place: str = "") -> None:
        self.path = os.path.abspath(path)
        self._place = place
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int, int] | None = None

    # ------------------------------------------------------------------ the connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A state of the file that does not change meanwhile."""
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A change that happens as a whole or not at all."""
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened == self._identity():
            return self._connection
        self._close()
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone() is None:
                connection.executescript(f"BEGIN IMMEDIATE;{SCHEMA}COMMIT;")  # in one step: the disk is waited for once
            if "labels" not in {row[1] for row in connection.execute("PRAGMA table_info(entities)")}:
                connection.execute("ALTER TABLE entities ADD COLUMN labels TEXT")
            connection.execute("INSERT OR IGNORE INTO about VALUES ('format', ?), ('place', ?)", (FORMAT, self._place))
        except sqlite3.DatabaseError as error:
            connection.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            logger.warning("the index %s is damaged (%s); it is built anew", self.path, error)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            return self._open()
        self._connection, self._opened = connection, self._identity()
        return connection

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return os.getpid(), found.st_dev, found.st_ino

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._opened and self._opened[0] == os.getpid():
            connection.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    @though_deleted
    def select(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of any query."""
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()
