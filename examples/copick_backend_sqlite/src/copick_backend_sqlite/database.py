"""One SQLite file: its tables, its connection, its transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    key TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    kind TEXT NOT NULL,
    stored INTEGER NOT NULL,  -- 0: a tomogram that is only there as the parent of feature maps
    data BLOB,                -- picks and meshes
    revision TEXT
);
CREATE INDEX IF NOT EXISTS children ON entities (parent, kind);
CREATE TABLE IF NOT EXISTS chunks (
    entity TEXT NOT NULL REFERENCES entities ON DELETE CASCADE,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (entity, name)
);
"""
#: Volumes that are being written: a table of this connection alone, which is gone with it.
STAGED = "CREATE TEMP TABLE staged (entity TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (entity, name))"


class Database:
    """A file that is made by the first write; until then it reads as empty. Safe for threads, and in forked processes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Ask."""
        with self._lock:
            connection = self._connected(create=False)
            return connection.execute(sql, values).fetchall() if connection else []

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Change: all or nothing. Others that write wait, also in other processes."""
        with self._lock:
            connection = self._connected(create=True)
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def _connected(self, *, create: bool) -> sqlite3.Connection | None:
        if self._connection is not None and self._process == os.getpid():
            return self._connection
        if not create and not os.path.exists(self.path):
            return None
        mode = "rwc" if create else "rw" if os.access(self.path, os.W_OK) else "ro"
        if create:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        uri = f"{Path(self.path).absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(STAGED)
        if mode != "ro":
            connection.executescript(SCHEMA)
        self._connection, self._process = connection, os.getpid()
        return connection


def is_project(path: str) -> bool:
    """Whether a path is a file with our tables."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return False
    with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"entities", "chunks"} <= names
