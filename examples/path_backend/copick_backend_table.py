"""A backend over paths: every file of a project is a row of one SQLite table. It passes the conformance kit."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Literal

from copick_core.layers import ANY, AnyRevision, FileChangedError, Layers, Revision
from copick_core.layers.path_layer import Listing, PathLayer
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.schema import CopickConfig

TABLE = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, data BLOB, revision TEXT)"


def below(folder: str) -> tuple[str, str]:
    """What the paths below a folder lie between; "0" is the character after "/"."""
    return (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")


class TableLayer(PathLayer):
    """A layer in one SQLite file; its first write makes the file."""

    def __init__(self, file: str, name: str = "table", *, read_only: bool = False) -> None:
        super().__init__(name, read_only=read_only)
        self.file = file

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Read rows; none where nothing was written yet."""
        if not os.path.exists(self.file):  # reading makes nothing
            return []
        with closing(sqlite3.connect(self.file, timeout=60)) as connection:
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'files'").fetchone()
            return connection.execute(sql, values).fetchall() if made else []

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time; all that it does, or nothing."""
        os.makedirs(os.path.dirname(self.file), exist_ok=True)
        with closing(sqlite3.connect(self.file, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(TABLE)
            with connection:
                yield connection

    def list_folder(self, path: str) -> Listing:
        """List a folder: what follows its path up to the next "/"."""
        start = len(path) + 1 if path else 0
        found = self.rows("SELECT path FROM files WHERE path >= ? AND path < ?", *below(path))
        return {name: bool(rest) for name, rest, _ in (row[0][start:].partition("/") for row in found)}

    def path_exists(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or something below a folder."""
        if folder:
            return bool(self.rows("SELECT 1 FROM files WHERE path >= ? AND path < ? LIMIT 1", *below(path)))
        return bool(self.rows("SELECT 1 FROM files WHERE path = ?", path))

    def read_file(self, path: str) -> tuple[bytes, Revision | None]:
        """Read a file with its revision."""
        found = self.rows("SELECT data, revision FROM files WHERE path = ?", path)
        if not found:
            raise FileNotFoundError(path)
        return found[0]

    def write_file(self, path: str, data: bytes, if_revision: Revision | AnyRevision | None = ANY) -> Revision | None:
        """Write a file if it is the expected one."""
        revision = uuid.uuid4().hex
        with self.transaction() as connection:
            row = connection.execute("SELECT revision FROM files WHERE path = ?", (path,)).fetchone()
            found = row[0] if row else None
            if if_revision not in (ANY, found):
                raise FileChangedError(found)
            connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, data, revision))
        return revision

    def delete_path(self, path: str) -> None:
        """Delete a file, or all that is below a folder."""
        with self.transaction() as connection:
            sql = "DELETE FROM files WHERE path = ? OR (path >= ? AND path < ?)"
            if connection.execute(sql, (path, *below(path))).rowcount == 0:
                raise FileNotFoundError(path)

    def replace_folder(self, staged: str, path: str) -> None:
        """Rename all that is below the staged folder, in one transaction."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM files WHERE path >= ? AND path < ?", below(path))
            sql = "UPDATE files SET path = ? || substr(path, ?) WHERE path >= ? AND path < ?"
            connection.execute(sql, (path, len(staged) + 1, *below(staged)))


class TableConfig(CopickConfig):
    """Configuration: the file is a location, so a relative one starts at the config file."""

    location_fields: ClassVar[tuple[str, ...]] = ("file",)

    config_type: Literal["table"] = "table"
    file: str


def open_layers(config: TableConfig) -> Layers:
    """Open the layer; nothing is read yet."""
    return Layers(overlay=TableLayer(config.file))


@hookimpl
def copick_backend() -> Backend:
    """Bring the backend."""
    return Backend(
        "table", api_version=1, config_cls=TableConfig, open_layers=open_layers, summary="Files in a table of SQLite"
    )
