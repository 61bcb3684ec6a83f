"""A layer in one SQLite file: entities are rows, and so are the chunks of their volumes."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from copick_backend_sqlite.database import Database
from copick_backend_sqlite.store import SQLiteStore
from copick_core.errors import ConflictError, NotFoundError
from copick_core.layers import ANY, Layer, Revision
from copick_core.tree.keys import CONTAINER_KINDS, KEY_CLASSES, Key, Kind, ParentKey, RootKey, key_fields

BELOW = """WITH RECURSIVE below (key) AS (
    VALUES (?) UNION SELECT entities.key FROM entities JOIN below ON entities.parent = below.key
) DELETE FROM entities WHERE key IN (SELECT key FROM below)"""


def as_text(key: ParentKey | Key) -> str:
    """Write a key as text: its kind and its fields."""
    return "" if isinstance(key, RootKey) else json.dumps([key.kind.value, *key_fields(key).values()])


def as_key(text: str) -> Key:
    """Read a key back."""
    kind, *fields = json.loads(text)
    key: Key = KEY_CLASSES[Kind(kind)](*fields)
    return key


class SQLiteLayer(Layer):
    """A layer in one file.

    Args:
        path: The file; the first write makes it.
        name: Name of the layer.
        read_only: Refuse writes.
    """

    def __init__(self, path: str, name: str = "sqlite", *, read_only: bool = False) -> None:
        self.name = name
        self.read_only = read_only
        self._database = Database(path)

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent."""
        sql = "SELECT key FROM entities WHERE parent = ? AND kind = ? AND stored"
        return [as_key(text) for (text,) in self._database.rows(sql, as_text(parent), kind.value)]

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        return bool(self._database.rows("SELECT 1 FROM entities WHERE key = ? AND stored", as_text(key)))

    def read(self, key: Key) -> bytes:
        """Read picks or a mesh."""
        return self.read_revised(key)[0]

    def read_revised(self, key: Key) -> tuple[bytes, Revision | None]:
        """Read picks or a mesh with their revision."""
        rows = self._database.rows("SELECT data, revision FROM entities WHERE key = ? AND stored", as_text(key))
        if not rows:
            raise NotFoundError(key=key, layer=self.name, location=self.location(key))
        data, revision = rows[0]
        return data, revision

    def revision(self, key: Key) -> Revision | None:
        """Token of what is stored now."""
        rows = self._database.rows("SELECT revision FROM entities WHERE key = ?", as_text(key))
        return rows[0][0] if rows else None

    def zarr(self, key: Key) -> SQLiteStore:
        """Open a volume."""
        return SQLiteStore(self._database, "chunks", as_text(key), partial(_insert, key), read_only=self.read_only)

    def volume_version(self, key: Key) -> Revision | None:
        """Name of the replacement that the volume is from; "" for one that was made by setting values."""
        rows = self._database.rows("SELECT revision FROM entities WHERE key = ? AND stored", as_text(key))
        return rows[0][0] or "" if rows else None

    def location(self, key: Key) -> str:
        """Where an entity lies."""
        return self._database.path

    def place_id(self) -> str:
        """The file, without links."""
        return f"sqlite://{os.path.realpath(self._database.path)}"

    def reconnect(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def write(self, key: Key, data: bytes, *, if_revision: Revision | None = ANY) -> Revision:
        """Store picks or a mesh."""
        self.check_writable(key)
        with self._database.transaction() as connection:
            found = self.revision(key)
            if if_revision not in (ANY, found):
                raise ConflictError(key=key, layer=self.name, expected=if_revision, found=found)
            _insert(key, connection)
            revision = uuid.uuid4().hex
            connection.execute("UPDATE entities SET data = ?, revision = ? WHERE key = ?", (data, revision, as_text(key)))
        return revision

    def ensure(self, key: Key) -> None:
        """Make a container."""
        self.check_writable(key)
        with self._database.transaction() as connection:
            _insert(key, connection)

    @contextmanager
    def replace_zarr(self, key: Key) -> Iterator[SQLiteStore]:
        """Fill rows that nobody else sees, and put them in the place of the volume's in one transaction."""
        self.check_writable(key)
        entity, staged = as_text(key), uuid.uuid4().hex
        with self._database.transaction() as holder:
            pass  # what is staged is gone with this connection
        try:
            yield SQLiteStore(self._database, "staged", staged, lambda connection: None)
            with self._database.transaction() as connection:
                if connection is not holder:
                    raise ConnectionError(f"{self._database.path} was opened anew while {key} was written; write it again")
                _insert(key, connection)
                connection.execute("DELETE FROM chunks WHERE entity = ?", (entity,))
                connection.execute("INSERT INTO chunks SELECT ?, name, value FROM staged WHERE entity = ?", (entity, staged))
                connection.execute("UPDATE entities SET revision = ? WHERE key = ?", (staged, entity))
        finally:
            self._database.rows("DELETE FROM staged WHERE entity = ?", staged)

    def delete(self, key: Key) -> None:
        """Delete an entity and everything below it."""
        self.check_writable(key)
        with self._database.transaction() as connection:
            if not self.exists(key):
                raise NotFoundError(key=key, layer=self.name, location=self.location(key))
            connection.execute(BELOW, (as_text(key),))


def _insert(key: Key, connection: Any) -> None:
    """Insert the row of an entity, and those of what holds it, unless they are there."""
    insert = "INSERT INTO entities (key, parent, kind, stored) VALUES (?, ?, ?, 1) ON CONFLICT (key) DO UPDATE SET stored = 1"
    connection.execute(insert, (as_text(key), as_text(key.parent), key.kind.value))
    parent: Any = key.parent
    while not isinstance(parent, RootKey):
        insert = "INSERT OR IGNORE INTO entities (key, parent, kind, stored) VALUES (?, ?, ?, ?)"
        connection.execute(
            insert, (as_text(parent), as_text(parent.parent), parent.kind.value, parent.kind in CONTAINER_KINDS)
        )
        parent = parent.parent
