"""The file of an index: a SQLite database, which any program may read.

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
* ``about``: ``format`` (1), ``place``, ``complete`` (1 once all runs are known) and ``built`` (seconds since 1970).
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from copick_core.tree.keys import CONTAINER_KINDS, FILE_KINDS, VOLUME_KINDS, Key, Kind, ParentKey, TomogramKey, field_names
from copick_layers.index.rows import COLUMNS, FIELDS, below, keys_of, row_of, run_of, with_all_below

if TYPE_CHECKING:
    from copick_core.layers.contents import Content

logger = logging.getLogger(__name__)

FORMAT = "1"
_KEY = ", ".join(COLUMNS)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entities (
    kind TEXT NOT NULL, run TEXT NOT NULL, voxel_size REAL NOT NULL, name TEXT NOT NULL, user TEXT NOT NULL,
    session TEXT NOT NULL, type TEXT NOT NULL, variant TEXT NOT NULL,
    size INTEGER, revision TEXT, points INTEGER, shape TEXT, levels INTEGER, labels TEXT,
    PRIMARY KEY ({_KEY})
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entities_of_runs ON entities (run, kind);
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, listed REAL, version TEXT, changes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS changing (run TEXT NOT NULL, token TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (run, token));
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
"""
#: Seconds after which a change that nobody finished is that of a process that died, on whatever machine.
_ABANDONED = 3600.0
#: Seconds for which a build that was cut off can be gone on with.
_RESUMED = 86400.0
#: Seconds to wait for another writer.
_PATIENCE = 30.0


#: Version of a run that was changed through an index since it was listed: what the index wrote stays known.
_OURS = "ours"
#: Changes that this process is making.
_mine: set[str] = set()


#: How often something is tried whose file somebody deletes meanwhile, and seconds between two attempts, longer each time.
_ATTEMPTS, _PAUSE = 20, 0.001

P = ParamSpec("P")
T = TypeVar("T")


def _though_deleted(method: Callable[Concatenate[IndexFile, P], T]) -> Callable[Concatenate[IndexFile, P], T]:
    """Let a method be repeated with a new file, if somebody deletes the file while it runs."""

    @functools.wraps(method)
    def repeated(self: IndexFile, /, *args: P.args, **kwargs: P.kwargs) -> T:
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


@dataclass(frozen=True)
class State:
    """What was known before storage was listed.

    Attributes:
        changes: How often each run had been changed through an index.
        dead: Notes of changes whose processes had died.
    """

    changes: Mapping[str, int]
    dead: Sequence[str]


class IndexFile:
    """The file of an index.

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
                connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")  # in one step: the disk is waited for once
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

    # ------------------------------------------------------------------ lists

    @_though_deleted
    def children(self, kind: Kind, parent: ParentKey) -> list[Key] | None:
        """What a parent has of a kind; None where the index cannot tell."""
        run = run_of(parent)
        condition, values = below(kind, parent)
        with self._reading() as connection:
            if not self._knows(connection, run):
                return None
            if isinstance(parent, TomogramKey) and parent not in keys_of(parent.kind, _tomograms(connection, run)):
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

    @_though_deleted
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
            tomograms = {*keys_of(Kind.TOMOGRAM, _tomograms(connection))} if kind is Kind.FEATURES else {*()}
        found: dict[ParentKey, list[Key]] = {
            parent: []
            for parent in parents
            if (run := run_of(parent)) not in changing
            and (run in listed or (complete and run))
            and (kind is not Kind.FEATURES or parent in tomograms)
        }
        for key in keys:
            children = found.get(key.parent)
            if children is not None:
                children.append(key)
        return found

    def find(self, kind: Kind, fields: Mapping[str, str | float]) -> list[Key] | None:
        """Entities of a kind whose keys have some values; None where not every run is known, or one is being changed."""
        found = self._selected(kind, fields, [("", [])])
        return None if found is None else found[0]

    def find_content(
        self, kind: Kind, fields: Mapping[str, str | float], content: Content
    ) -> tuple[list[Key], list[Key]] | None:
        """Entities that have a content, and those of which it is not known; None as for :meth:`find`."""
        condition, values = content_condition(content)
        column = "labels" if content.label is not None else "points"
        found = self._selected(kind, fields, [(condition, values), (f" AND {column} IS NULL", [])])
        return None if found is None else (found[0], found[1])

    @_though_deleted
    def _selected(
        self, kind: Kind, fields: Mapping[str, str | float], further: Sequence[tuple[str, list[Any]]]
    ) -> list[list[Key]] | None:
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
            return [keys_of(kind, connection.execute(query + more, [*start, *values]).fetchall()) for more, values in further]

    # ------------------------------------------------------------------ changes

    @_though_deleted
    def begin(self, run: str, *, with_project: bool = False) -> str:
        """Note that entities of a run are about to change.

        Args:
            run: The run.
            with_project: Whether the list of runs may change too; it does with a run that the index does not have.

        Returns:
            A token for :meth:`finish`.
        """
        token = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        _mine.add(token)
        with self._writing() as connection:
            is_new = not connection.execute("SELECT 1 FROM entities WHERE kind = 'run' AND run = ?", (run,)).fetchone()
            for changed in {run, "" if is_new or with_project else run}:
                connection.execute("INSERT INTO changing VALUES (?, ?, ?)", (changed, token, time.time()))
                _count_change(connection, changed)
        return token

    @_though_deleted
    def finish(
        self,
        run: str,
        token: str,
        stored: Sequence[Key] = (),
        deleted: Sequence[Key] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put what was changed into the index, and take the note of :meth:`begin` away, in one step.

        Args:
            run: The run.
            token: What :meth:`begin` gave.
            stored: Entities that are stored now.
            deleted: Entities that are not, nor what was below them.
            facts: What is known of the first one stored, by column.
        """
        with self._writing() as connection:
            for key in deleted:
                condition, values = with_all_below(key)
                connection.execute(f"DELETE FROM entities WHERE {condition}", values)
                if key.kind is Kind.RUN:
                    connection.execute("UPDATE runs SET listed = NULL, version = NULL WHERE run = ?", (run,))
            for number, key in enumerate(stored):
                _insert(connection, key, facts or {} if number == 0 else None)
                if key.kind is Kind.RUN and self._is_complete(connection):
                    connection.execute("UPDATE runs SET listed = ? WHERE run = ? AND listed IS NULL", (time.time(), run))
            for (changed,) in connection.execute("SELECT run FROM changing WHERE token = ?", (token,)).fetchall():
                connection.execute("UPDATE runs SET version = ? WHERE run = ?", (_OURS, changed))
                _count_change(connection, changed)
            connection.execute("DELETE FROM changing WHERE token = ?", (token,))
        _mine.discard(token)

    def changes_of(self, run: str) -> int:
        """How often a run was changed through an index; get it before an entity is read, for :meth:`note`."""
        found = self.select("SELECT changes FROM runs WHERE run = ?", (run,))
        return int(found[0][0]) if found else 0

    @_though_deleted
    def note(self, key: Key, facts: Mapping[str, Any], changes: int) -> bool:
        """Note what was read of an entity that the index has, unless its run was changed meanwhile.

        Args:
            key: The entity.
            facts: What was read, by column.
            changes: What :meth:`changes_of` its run gave before it was read.

        Returns:
            Whether it was noted.
        """
        run = run_of(key)
        if not facts:
            return False
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM changing WHERE run = ?", (run,)).fetchone():
                return False
            now = connection.execute("SELECT changes FROM runs WHERE run = ?", (run,)).fetchone()
            if (now[0] if now else 0) != changes:
                return False
            _update(connection, key, facts)
        return True

    @_though_deleted
    def state(self) -> State:
        """What is known now; get it before storage is listed, for :meth:`replace`."""
        with self._reading() as connection:
            changes = dict(connection.execute("SELECT run, changes FROM runs").fetchall())
            notes = connection.execute("SELECT token, since FROM changing").fetchall()
        return State(changes, [token for token, since in notes if _is_dead(token, since)])

    @_though_deleted
    def replace(
        self,
        found: Mapping[str, Iterable[Key]],
        before: State,
        versions: Mapping[str, str | None],
        told: Mapping[Key, str],
        *,
        forget: bool = False,
    ) -> set[str]:
        """Take lists of whole runs into the index.

        Args:
            found: Everything below each run; for "", the runs and objects of the project.
            before: What :meth:`state` gave before they were listed.
            versions: What tells that a run has not changed, from before it was listed.
            told: Revisions of entities now: what those contain that still have the noted one stays known.
            forget: Forget what entities contain, even where nothing tells that somebody else has changed them.

        Returns:
            The runs that were taken; others were changed meanwhile.
        """
        taken: set[str] = set()
        with self._writing() as connection:
            died = {run for run, token in connection.execute("SELECT run, token FROM changing") if token in before.dead}
            for token in before.dead:
                for run in found:
                    connection.execute("DELETE FROM changing WHERE run = ? AND token = ?", (run, token))
            busy = {run for (run,) in connection.execute("SELECT run FROM changing")}
            now = dict(connection.execute("SELECT run, changes FROM runs").fetchall())
            for run, keys in found.items():
                if run in busy or now.get(run, 0) != before.changes.get(run, 0):
                    continue
                rows = {row_of(key) for key in keys}
                kinds = (Kind.RUN.value, Kind.OBJECT.value)
                where = "kind IN (?, ?)" if run == "" else "run = ? AND kind NOT IN (?, ?)"
                connection.execute("INSERT OR IGNORE INTO runs (run) VALUES (?)", (run,))
                ((version,),) = connection.execute("SELECT version FROM runs WHERE run = ?", (run,)).fetchall()
                of_run = (where, ([run] if run else []) + [*kinds])
                if forget or run in died or (version != _OURS and (version is None or version != versions.get(run))):
                    same = {} if forget or run in died else _noted(connection, run)
                    _forget(connection, *of_run, [key for key, noted in same.items() if told.get(key) == noted])
                    _count_change(connection, run)  # what is being read of it now is not noted
                elif version == _OURS and told:
                    for key, noted in _noted(connection, run).items():
                        if told.get(key, noted) != noted:
                            _update(connection, key, dict.fromkeys(_FACTS))
                known = {*connection.execute(f"SELECT {_KEY} FROM entities WHERE {where}", ([run] if run else []) + [*kinds])}
                connection.executemany(_DELETE, known - rows)
                connection.executemany(_INSERT, rows - known)
                update = "UPDATE runs SET listed = ?, version = ? WHERE run = ?"
                connection.execute(update, (time.time(), versions.get(run), run))
                taken.add(run)
        return taken

    @_though_deleted
    def noted_revisions(self, runs: Iterable[str], versions: Mapping[str, str | None]) -> dict[Key, str]:
        """Revisions of what is described in runs that somebody else may have changed.

        Args:
            runs: The runs.
            versions: What tells now that they have not changed.
        """
        found: dict[Key, str] = {}
        with self._reading() as connection:
            for run in runs:
                ((known,),) = connection.execute("SELECT max(version) FROM runs WHERE run = ?", (run,)).fetchall()
                if known is None or known != versions.get(run):
                    found |= _noted(connection, run)
        return found

    @_though_deleted
    def give_up(self, token: str) -> None:
        """Note that nobody knows what a change has left: whoever lists the run next asks the storage how it is."""
        with self._writing() as connection:
            connection.execute("UPDATE changing SET since = 0 WHERE token = ?", (token,))
        _mine.discard(token)

    def left_behind(self) -> set[str]:
        """Runs with changes that nobody will finish."""
        notes = self.select("SELECT run, token, since FROM changing")
        return {run for run, token, since in notes if _is_dead(token, since)}

    @_though_deleted
    def begin_build(self) -> set[str]:
        """Begin to build the index, or to go on.

        Returns:
            The runs that were listed by a build that was cut off not long ago.
        """
        now = time.time()
        with self._writing() as connection:
            row = connection.execute("SELECT value FROM about WHERE name = 'building'").fetchone()
            if row is None or now - float(row[0]) > _RESUMED:
                connection.execute("INSERT OR REPLACE INTO about VALUES ('building', ?)", (str(now),))
                return set()
            query = "SELECT run FROM runs WHERE listed >= ? AND run NOT IN (SELECT run FROM changing)"
            return {run for (run,) in connection.execute(query, (float(row[0]),))}

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

    @_though_deleted
    def finish_build(self, runs: Iterable[str]) -> None:
        """Note that everything is known; other runs than these are dropped."""
        with self._writing() as connection:
            known = {run for (run,) in connection.execute("SELECT run FROM runs WHERE run <> ''")}
            for run in known - {*runs}:
                connection.execute("DELETE FROM entities WHERE run = ?", (run,))
                connection.execute("UPDATE runs SET listed = NULL, version = NULL WHERE run = ?", (run,))
            connection.execute("DELETE FROM about WHERE name = 'building'")
            values = [("complete", "1"), ("built", str(time.time()))]
            connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", values)

    @_though_deleted
    def versions(self) -> dict[str, str | None]:
        """The versions of runs that are known and that nobody changes."""
        with self._reading() as connection:
            query = "SELECT run, version FROM runs WHERE listed IS NOT NULL AND run NOT IN (SELECT run FROM changing)"
            return dict(connection.execute(query).fetchall())

    # ------------------------------------------------------------------ questions

    @_though_deleted
    def select(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of any query."""
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    @property
    @_though_deleted
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
            ``path``, ``place``, ``built`` (seconds since 1970, or None), ``entities`` by kind, and ``unfinished`` runs.
        """
        about = dict(self.select("SELECT name, value FROM about"))
        counts = dict(self.select("SELECT kind, count(*) FROM entities GROUP BY kind"))
        return {
            "path": self.path,
            "place": about.get("place", ""),
            "built": float(about["built"]) if "built" in about else None,
            "entities": {kind.value: counts[kind.value] for kind in Kind if kind.value in counts},
            "unfinished": self.unfinished(),
        }

    def unfinished(self) -> list[str]:
        """Runs that somebody is changing, or was changing when they died."""
        return [run for (run,) in self.select("SELECT DISTINCT run FROM changing ORDER BY run")]


def content_condition(content: Content) -> tuple[str, list[Any]]:
    """The condition on the columns of facts, beginning with AND, and its values."""
    if content.label is not None:
        return " AND instr(replace(replace(replace(labels, ' ', ''), '[', ','), ']', ','), ?)", [f",{content.label},"]
    limits = [
        (sign, number) for sign, number in ((">=", content.min_points), ("<=", content.max_points)) if number is not None
    ]
    return "".join(f" AND points {sign} ?" for sign, _ in limits), [number for _, number in limits]


def _tomograms(connection: sqlite3.Connection, run: str | None = None) -> list[tuple[Any, ...]]:
    """Rows of the tomograms of a run, or of all."""
    query = f"SELECT {', '.join(FIELDS[Kind.TOMOGRAM])} FROM entities WHERE kind = ?"
    values = (Kind.TOMOGRAM.value, *([] if run is None else [run]))
    return connection.execute(query if run is None else f"{query} AND run = ?", values).fetchall()


_DELETE = f"DELETE FROM entities WHERE {' AND '.join(f'{column} = ?' for column in COLUMNS)}"
_INSERT = f"INSERT OR IGNORE INTO entities ({_KEY}) VALUES ({', '.join('?' for _ in COLUMNS)})"
_FACTS = ("size", "revision", "points", "shape", "levels", "labels")
_FORGET = f"UPDATE entities SET {', '.join(f'{column} = NULL' for column in _FACTS)}"


def _noted(connection: sqlite3.Connection, run: str) -> dict[Key, str]:
    """Revisions of what is described in a run."""
    found: dict[Key, str] = {}
    for kind in (*FILE_KINDS, *VOLUME_KINDS):
        query = f"SELECT {', '.join(FIELDS[kind])}, revision FROM entities WHERE run = ? AND kind = ? AND revision IS NOT NULL"
        rows = connection.execute(query, (run, kind.value)).fetchall()
        found.update(zip(keys_of(kind, [row[:-1] for row in rows]), (row[-1] for row in rows), strict=True))
    return found


def _forget(connection: sqlite3.Connection, where: str, values: Sequence[Any], same: Sequence[Key]) -> None:
    """Forget what some entities contain, but for those that are the same."""
    facts = ", ".join(_FACTS)
    equal = " AND ".join(f"{column} = ?" for column in COLUMNS)
    kept = [connection.execute(f"SELECT {facts} FROM entities WHERE {equal}", row_of(key)).fetchone() for key in same]
    connection.execute(f"{_FORGET} WHERE {where}", values)
    assignments = ", ".join(f"{column} = ?" for column in _FACTS)
    rows = [(*known, *row_of(key)) for known, key in zip(kept, same, strict=True)]
    connection.executemany(f"UPDATE entities SET {assignments} WHERE {equal}", rows)


def _insert(connection: sqlite3.Connection, key: Key, facts: Mapping[str, Any] | None) -> None:
    """Put an entity, and what holds it."""
    above: Any = key
    while hasattr(above, "kind"):
        connection.execute(_INSERT, row_of(above))
        above = above.parent
        if getattr(above, "kind", None) is Kind.TOMOGRAM:
            above = above.parent  # features may lie beside a tomogram that there is not
    if facts is not None:
        _update(connection, key, {**dict.fromkeys(_FACTS), **facts})


def _update(connection: sqlite3.Connection, key: Key, facts: Mapping[str, Any]) -> None:
    columns = [column for column in _FACTS if column in facts]
    values = [json.dumps(v) if isinstance(v := facts[c], list) else v for c in columns]
    where = " AND ".join(f"{column} = ?" for column in COLUMNS)
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(f"UPDATE entities SET {assignments} WHERE {where}", [*values, *row_of(key)])


def _count_change(connection: sqlite3.Connection, run: str) -> None:
    connection.execute(
        "INSERT INTO runs (run, changes) VALUES (?, 1) ON CONFLICT (run) DO UPDATE SET changes = changes + 1", (run,)
    )


def _is_dead(token: str, since: float) -> bool:
    """Whether the process that made a note will not finish what it was doing."""
    if token in _mine:
        return False
    if time.time() - since > _ABANDONED:
        return True
    host, process, _ = token.split(":")
    if host != socket.gethostname() or os.name == "nt":
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return int(process) == os.getpid()  # of an earlier process with this number
