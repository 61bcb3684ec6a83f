"""A volume as rows: a zarr store whose values are blobs of one table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from copick_backend_sqlite.database import Database


class SQLiteStore(Store):
    """The values of one volume.

    Args:
        database: The file.
        table: ``"chunks"``, or ``"staged"`` for a volume that is being written.
        entity: Text of the volume's key.
        create: Called in the transaction of each value that is stored, to make the entity that the values belong to.
        read_only: Refuse writes.
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(
        self, database: Database, table: str, entity: str, create: Callable[[Any], None], *, read_only: bool = False
    ) -> None:
        super().__init__(read_only=read_only)
        self._arguments = (database, table, entity, create)
        self._database, self._table, self._entity, self._create = self._arguments

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQLiteStore) and (other._database.path, other._table, other._entity) == (
            self._database.path,
            self._table,
            self._entity,
        )

    def with_read_only(self, read_only: bool = False) -> SQLiteStore:
        """Give the same store, read-only or not."""
        return SQLiteStore(*self._arguments, read_only=read_only)

    def _rows(self, what: str, condition: str = "", *values: Any) -> list[Any]:
        sql = f"SELECT {what} FROM {self._table} WHERE entity = ? {condition}"  # noqa: S608 - both are ours
        return self._database.rows(sql, self._entity, *values)

    def _change(self, sql: str, *values: Any, create: bool = False) -> None:
        self._check_writable()
        with self._database.transaction() as connection:
            if create:
                self._create(connection)
            connection.execute(sql.format(table=self._table), (self._entity, *values))

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a value, or a part of it; SQLite counts from 1."""
        part = "value"
        if isinstance(byte_range, RangeByteRequest):
            part = f"substr(value, {byte_range.start + 1}, {byte_range.end - byte_range.start})"
        elif isinstance(byte_range, OffsetByteRequest):
            part = f"substr(value, {byte_range.offset + 1})"
        elif isinstance(byte_range, SuffixByteRequest):
            part = f"substr(value, max(length(value) - {byte_range.suffix}, 0) + 1)"
        rows = self._rows(part, "AND name = ?", key)
        return prototype.buffer.from_bytes(rows[0][0]) if rows else None

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of several values."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        return bool(self._rows("1", "AND name = ?", key))

    async def set(self, key: str, value: Buffer) -> None:
        """Store a value."""
        sql = "INSERT OR REPLACE INTO {table} (entity, name, value) VALUES (?, ?, ?)"
        self._change(sql, key, value.to_bytes(), create=True)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store a value unless there is one."""
        sql = "INSERT OR IGNORE INTO {table} (entity, name, value) VALUES (?, ?, ?)"
        self._change(sql, key, value.to_bytes(), create=True)

    async def delete(self, key: str) -> None:
        """Delete a value, if there is one."""
        self._change("DELETE FROM {table} WHERE entity = ? AND name = ?", key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all values below a prefix, in one transaction."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        self._change("DELETE FROM {table} WHERE entity = ? AND substr(name, 1, ?) = ?", len(start), start)

    async def list(self) -> AsyncIterator[str]:
        """List all names."""
        for (name,) in self._rows("name"):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the names that start with a prefix."""
        for (name,) in self._rows("name", "AND substr(name, 1, ?) = ?", len(prefix), prefix):
            yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what is directly below a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        names = [name async for name in self.list_prefix(start)]
        for name in dict.fromkeys(name[len(start) :].partition("/")[0] for name in names):
            yield name
