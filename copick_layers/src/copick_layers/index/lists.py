"""What an index answers: lists, selections, and what it knows of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    VOLUME_KINDS,
    Key,
    Kind,
    ParentKey,
    TomogramKey,
    as_columns,
    field_names,
)
from copick_layers.index.connection import Database, though_deleted
from copick_layers.index.rows import COLUMNS, FIELDS, below, keys_of, row_of, run_of, with_all_below
from copick_layers.index.tables import content_condition, tomograms

if TYPE_CHECKING:
    from copick_core.layers.contents import Content


class Lists(Database):
    """The file of an index, to be read."""

    @though_deleted
    def children(self, kind: Kind, parent: ParentKey) -> list[Key] | None:
        """What a parent has of a kind; None where the index cannot tell."""
        run = run_of(parent)
        condition, values = below(kind, parent)
        with self._reading() as connection:
            if not self._knows(connection, run):
                return None
            if isinstance(parent, TomogramKey) and parent not in keys_of(parent.kind, tomograms(connection, run)):
                return None  # features may lie beside a tomogram that is not stored, which only the storage knows
            query = f"SELECT {', '.join(FIELDS[kind])} FROM entities WHERE {condition}"
            return keys_of(kind, connection.execute(query, values).fetchall())

    def is_bare(self, container: Key) -> bool:
        """Whether it knows of nothing in a container but containers."""
        condition, values = with_all_below(container)
        query = f"SELECT 1 FROM entities WHERE {condition} AND kind NOT IN (?, ?) LIMIT 1"
        return not self.select(query, [*values, *(kind.value for kind in CONTAINER_KINDS)])

    def _knows(self, connection: sqlite3.Connection, run: str) -> bool:
        changing = {found for (found,) in connection.execute("SELECT run FROM changing WHERE run IN (?, '')", (run,))}
        if run in changing:
            return False
        if connection.execute("SELECT 1 FROM runs WHERE run = ? AND listed IS NOT NULL", (run,)).fetchone():
            return True
        return not changing and self._is_complete(connection)  # there is no such run

    @staticmethod
    def _is_complete(connection: sqlite3.Connection) -> bool:
        return connection.execute("SELECT 1 FROM about WHERE name = 'complete' AND value = '1'").fetchone() is not None

    @though_deleted
    def many(self, kind: Kind, parents: Sequence[ParentKey]) -> dict[ParentKey, list[Key]]:
        """What parents have of a kind; those that the index cannot tell are left out."""
        with self._reading() as connection:
            changing = {run for (run,) in connection.execute("SELECT run FROM changing")}
            complete = self._is_complete(connection) and "" not in changing
            listed = {run for (run,) in connection.execute("SELECT run FROM runs WHERE listed IS NOT NULL")}
            query = f"SELECT {', '.join(FIELDS[kind])} FROM entities WHERE kind = ?"
            values = [kind.value]
            runs = {run_of(parent) for parent in parents}
            if len(runs) == 1 and "" not in runs:
                query, values = f"{query} AND run = ?", [*values, *runs]
            keys = keys_of(kind, connection.execute(query, values).fetchall())
            stored = {*keys_of(Kind.TOMOGRAM, tomograms(connection))} if kind is Kind.FEATURES else {*()}
        found: dict[ParentKey, list[Key]] = {
            parent: []
            for parent in parents
            if (run := run_of(parent)) not in changing
            and (run in listed or (complete and run))
            and (kind is not Kind.FEATURES or parent in stored)
        }
        for key in keys:
            children = found.get(key.parent)
            if children is not None:
                children.append(key)
        return found

    def find(self, kind: Kind, fields: Mapping[str, str | float]) -> list[Key] | None:
        """Entities of a kind whose keys have some values; None where not every run is known, or one is being changed."""
        found = self._selected(kind, fields, [("", [])])
        return None if found is None else keys_of(kind, found[0])

    def find_columns(self, kind: Kind, fields: Mapping[str, str | float]) -> list[list[Any]] | None:
        """What :meth:`find` gives, as columns in the order of the keys: that of the table's primary key."""
        found = self._selected(kind, fields, [(f" ORDER BY {', '.join(FIELDS[kind])}", [])])
        return None if found is None else as_columns(kind, found[0])

    def find_content(
        self, kind: Kind, fields: Mapping[str, str | float], content: Content
    ) -> tuple[list[Key], list[Key]] | None:
        """Entities that have a content, and those of which it is not known; None as for :meth:`find`."""
        condition, values = content_condition(content)
        column = "labels" if content.label is not None else "points"
        found = self._selected(kind, fields, [(condition, values), (f" AND {column} IS NULL", [])])
        return None if found is None else (keys_of(kind, found[0]), keys_of(kind, found[1]))

    @though_deleted
    def _selected(
        self, kind: Kind, fields: Mapping[str, str | float], further: Sequence[tuple[str, list[Any]]]
    ) -> list[list[tuple[Any, ...]]] | None:
        columns = dict(zip(field_names(kind), FIELDS[kind], strict=True))
        conditions = " AND ".join(["kind = ?", *(f"{columns[field]} = ?" for field in fields)])
        with self._reading() as connection:
            if connection.execute("SELECT 1 FROM changing").fetchone() or not self._is_complete(connection):
                return None
            unknown = (
                "SELECT 1 FROM entities WHERE kind = 'run' AND run NOT IN (SELECT run FROM runs WHERE listed IS NOT NULL)"
            )
            if connection.execute(unknown).fetchone():
                return None
            query = f"SELECT {', '.join(FIELDS[kind])} FROM entities WHERE {conditions}"
            start = [kind.value, *fields.values()]
            return [connection.execute(query + more, [*start, *values]).fetchall() for more, values in further]

    def has_labels(self, key: Key) -> bool:
        """Whether the labels of a segmentation are known, which a change of its voxels makes untrue."""
        if key.kind is not Kind.SEGMENTATION:
            return False
        where = " AND ".join(f"{column} = ?" for column in COLUMNS)
        return bool(self.select(f"SELECT 1 FROM entities WHERE labels IS NOT NULL AND {where}", row_of(key)))

    def undescribed(self) -> list[Key]:
        """Files whose size, and volumes whose levels are not known."""
        found: list[Key] = []
        for kind in (*FILE_KINDS, *VOLUME_KINDS):
            column = "size" if kind in FILE_KINDS else "labels" if kind is Kind.SEGMENTATION else "levels"
            query = f"SELECT {', '.join(FIELDS[kind])} FROM entities WHERE kind = ? AND {column} IS NULL"
            found += keys_of(kind, self.select(query, (kind.value,)))
        return found

    @property
    @though_deleted
    def is_complete(self) -> bool:
        """Whether it was built."""
        with self._reading() as connection:
            return self._is_complete(connection)

    def everything(self) -> set[Key]:
        """Every entity."""
        found: set[Key] = set()
        for kind in Kind:
            query = f"SELECT {', '.join(FIELDS[kind])} FROM entities WHERE kind = ?"
            found.update(keys_of(kind, self.select(query, (kind.value,))))
        return found

    def facts(self) -> dict[str, Any]:
        """What it knows.

        Returns:
            ``path``, ``place``, ``built`` (seconds since 1970, or None), ``listed`` (how many runs the last build or update
            listed), ``requests`` (how many it sent, or None), ``entities`` by kind, and ``unfinished`` runs.
        """
        about = dict(self.select("SELECT name, value FROM about"))
        counts = dict(self.select("SELECT kind, count(*) FROM entities GROUP BY kind"))
        return {
            "path": self.path,
            "place": about.get("place", ""),
            "built": float(about["built"]) if "built" in about else None,
            "listed": int(about.get("listed", 0)),
            "requests": int(about["requests"]) if "requests" in about else None,
            "entities": {kind.value: counts[kind.value] for kind in Kind if kind.value in counts},
            "unfinished": self.unfinished(),
        }

    def unfinished(self) -> list[str]:
        """Runs that somebody is changing, or was changing when they died."""
        return [run for (run,) in self.select("SELECT DISTINCT run FROM changing ORDER BY run")]
