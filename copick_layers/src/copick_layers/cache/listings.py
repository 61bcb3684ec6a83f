"""Lists of entities that were read from storage, for use offline: one SQLite file for each place."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence

from copick_core.tree.keys import Key, Kind, ParentKey
from copick_layers.key_text import key_text, text_key

FILE = "listings.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS listings (kind TEXT, parent TEXT, keys TEXT, PRIMARY KEY (kind, parent)) WITHOUT ROWID"


class Listings:
    """The lists of one place.

    Nothing here raises because of the disk: what cannot be kept is missing offline.

    Args:
        path: The file; its folder exists when something is put.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        #: What was put last for each question, to put only what changed.
        self._known: dict[tuple[Kind, ParentKey], int] = {}

    def put(self, kind: Kind, answers: Mapping[ParentKey, Sequence[Key]]) -> None:
        """Keep lists of entities of a kind, by parent."""
        hashes = {parent: hash(frozenset(keys)) for parent, keys in answers.items()}
        with self._lock:
            changed = [parent for parent, value in hashes.items() if self._known.get((kind, parent)) != value]
            if not changed:
                return
            rows = [
                (kind.value, key_text(parent), json.dumps([key_text(key) for key in answers[parent]])) for parent in changed
            ]
            try:
                connection = self._open()
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO listings VALUES (?, ?, ?)", rows)
            except (sqlite3.Error, OSError):
                self._close()
                return
            self._known.update({(kind, parent): hashes[parent] for parent in changed})

    def get(self, kind: Kind, parent: ParentKey) -> list[Key] | None:
        """The list that was kept; None if there is none."""
        with self._lock:
            try:
                if not os.path.exists(self._path):
                    return None
                query = "SELECT keys FROM listings WHERE kind = ? AND parent = ?"
                row = self._open().execute(query, (kind.value, key_text(parent))).fetchone()
                return None if row is None else [text_key(text) for text in json.loads(row[0])]
            except (sqlite3.Error, OSError, ValueError):
                self._close()
                return None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._process == os.getpid() and os.path.exists(self._path):
            return self._connection
        self._close()
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        # A list that a power cut takes away is read from storage again.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_TABLE)
        self._connection, self._process = connection, os.getpid()
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._known = {}
        if connection is not None and self._process == os.getpid():
            connection.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()
