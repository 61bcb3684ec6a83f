"""The tables of an index: a SQLite database, which any program may read.

Tables:

* ``entities``: one row for each entity: ``kind`` and what its key has of ``run``, ``voxel_size``, ``name`` (the object, the
  segmentation or the type of the tomogram), ``user``, ``session``, ``type`` (of segmentations and features) and ``variant``;
  empty where a kind has no such field. Where they are known: ``size`` in bytes of files, the ``revision`` of files and
  volumes, ``points`` of picks, ``shape`` (JSON, finest level) and ``levels`` of volumes, and ``labels`` of segmentations
  (JSON, sorted, without 0). All this is forgotten with the run's lists, when others have changed the run and the revision is
  another one, or a writer died.
* ``runs``: runs whose entities are all known: when they were listed (``listed``, seconds since 1970), what told then that the
  run had not changed (``version``; "ours" if it was changed through an index since), and a counter of changes. The run "" is
  the project: its runs and objects.
* ``changing``: runs that somebody is changing: a row is put before storage is changed, and taken away with the update of the
  index, in one step. While there is one, lists of that run are asked of the storage. A process that dies leaves it.
* ``about``: ``format`` (1), ``place``, ``complete`` (1 once all runs are known), ``built`` (seconds since 1970), and of the
  last build or update ``listed`` (how many runs it listed) and ``requests`` (how many it sent, where the storage counts them).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from copick_core.tree.keys import FILE_KINDS, VOLUME_KINDS, Key, Kind
from copick_layers.index.rows import COLUMNS, FIELDS, keys_of, row_of

if TYPE_CHECKING:
    from copick_core.layers.contents import Content

FORMAT = "1"
KEY = ", ".join(COLUMNS)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entities (
    kind TEXT NOT NULL, run TEXT NOT NULL, voxel_size REAL NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL,
    session TEXT NOT NULL, type TEXT NOT NULL, variant TEXT NOT NULL,
    size INTEGER, revision TEXT, points INTEGER, shape TEXT, levels INTEGER, labels TEXT,
    PRIMARY KEY ({KEY})
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entities_of_runs ON entities (run, kind);
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, listed REAL, version TEXT, changes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS changing (run TEXT NOT NULL, token TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (run, token));
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
"""
#: Columns of what is known of the content of an entity.
FACTS = ("size", "revision", "points", "shape", "levels", "labels")
DELETE = f"DELETE FROM entities WHERE {' AND '.join(f'{column} = ?' for column in COLUMNS)}"
INSERT = f"INSERT OR IGNORE INTO entities ({KEY}) VALUES ({', '.join('?' for _ in COLUMNS)})"
_FORGET = f"UPDATE entities SET {', '.join(f'{column} = NULL' for column in FACTS)}"


def content_condition(content: Content) -> tuple[str, list[Any]]:
    """The condition on the columns of facts, beginning with AND, and its values."""
    if content.label is not None:
        return " AND instr(replace(replace(replace(labels, ' ', ''), '[', ','), ']', ','), ?)", [f",{content.label},"]
    limits = [
        (sign, number) for sign, number in ((">=", content.min_points), ("<=", content.max_points)) if number is not None
    ]
    return "".join(f" AND points {sign} ?" for sign, _ in limits), [number for _, number in limits]


def tomograms(connection: sqlite3.Connection, run: str | None = None) -> list[tuple[Any, ...]]:
    """Rows of the tomograms of a run, or of all."""
    query = f"SELECT {', '.join(FIELDS[Kind.TOMOGRAM])} FROM entities WHERE kind = ?"
    values = (Kind.TOMOGRAM.value, *([] if run is None else [run]))
    return connection.execute(query if run is None else f"{query} AND run = ?", values).fetchall()


def noted_in(connection: sqlite3.Connection, run: str) -> dict[Key, str]:
    """Revisions of what is described in a run."""
    found: dict[Key, str] = {}
    for kind in (*FILE_KINDS, *VOLUME_KINDS):
        query = f"SELECT {', '.join(FIELDS[kind])}, revision FROM entities WHERE run = ? AND kind = ? AND revision IS NOT NULL"
        rows = connection.execute(query, (run, kind.value)).fetchall()
        found.update(zip(keys_of(kind, [row[:-1] for row in rows]), (row[-1] for row in rows), strict=True))
    return found


def forget_facts(connection: sqlite3.Connection, where: str, values: Sequence[Any], same: Sequence[Key]) -> None:
    """Forget what some entities contain, but for those that are the same."""
    facts = ", ".join(FACTS)
    equal = " AND ".join(f"{column} = ?" for column in COLUMNS)
    kept = [connection.execute(f"SELECT {facts} FROM entities WHERE {equal}", row_of(key)).fetchone() for key in same]
    connection.execute(f"{_FORGET} WHERE {where}", values)
    assignments = ", ".join(f"{column} = ?" for column in FACTS)
    rows = [(*known, *row_of(key)) for known, key in zip(kept, same, strict=True)]
    connection.executemany(f"UPDATE entities SET {assignments} WHERE {equal}", rows)


def insert(connection: sqlite3.Connection, key: Key, facts: Mapping[str, Any] | None) -> None:
    """Put an entity, and what holds it."""
    above: Any = key
    while hasattr(above, "kind"):
        connection.execute(INSERT, row_of(above))
        above = above.parent
        if getattr(above, "kind", None) is Kind.TOMOGRAM:
            above = above.parent  # features may lie beside a tomogram that there is not
    if facts is not None:
        set_facts(connection, key, {**dict.fromkeys(FACTS), **facts})


def set_facts(connection: sqlite3.Connection, key: Key, facts: Mapping[str, Any]) -> None:
    """Set what is known of an entity, by column."""
    columns = [column for column in FACTS if column in facts]
    values = [json.dumps(v) if isinstance(v := facts[c], list) else v for c in columns]
    where = " AND ".join(f"{column} = ?" for column in COLUMNS)
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(f"UPDATE entities SET {assignments} WHERE {where}", [*values, *row_of(key)])


def count_change(connection: sqlite3.Connection, run: str) -> None:
    """Count a change of a run."""
    connection.execute(
        "INSERT INTO runs (run, changes) VALUES (?, 1) ON CONFLICT (run) DO UPDATE SET changes = changes + 1", (run,)
    )
