"""The file of an index: lists to read, and the changes that keep them true."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copick_core.tree.keys import Key, Kind
from copick_layers.index.connection import though_deleted
from copick_layers.index.lists import Lists
from copick_layers.index.rows import row_of, run_of, with_all_below
from copick_layers.index.tables import DELETE, FACTS, INSERT, KEY, count_change, forget_facts, insert, noted_in, set_facts

#: Seconds after which a change that nobody finished is that of a process that died, on whatever machine.
_ABANDONED = 3600.0
#: Seconds for which a build that was cut off can be gone on with.
_RESUMED = 86400.0

#: Version of a run that was changed through an index since it was listed: what the index wrote stays known.
_OURS = "ours"
#: Changes that this process is making.
_mine: set[str] = set()


@dataclass(frozen=True)
class State:
    """What was known before storage was listed.

    Attributes:
        changes: How often each run had been changed through an index.
        dead: Notes of changes whose processes had died.
    """

    changes: Mapping[str, int]
    dead: Sequence[str]


class IndexFile(Lists):
    """The file of an index.

    It may be deleted at any moment: an index that is gone knows nothing.

    Args:
        path: The file.
        place: What is indexed, for people.
    """

    @though_deleted
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
                count_change(connection, changed)
        return token

    @though_deleted
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
                insert(connection, key, facts or {} if number == 0 else None)
                if key.kind is Kind.RUN and self._is_complete(connection):
                    connection.execute("UPDATE runs SET listed = ? WHERE run = ? AND listed IS NULL", (time.time(), run))
            for (changed,) in connection.execute("SELECT run FROM changing WHERE token = ?", (token,)).fetchall():
                connection.execute("UPDATE runs SET version = ? WHERE run = ?", (_OURS, changed))
                count_change(connection, changed)
            connection.execute("DELETE FROM changing WHERE token = ?", (token,))
        _mine.discard(token)

    def changes_of(self, run: str) -> int:
        """How often a run was changed through an index; get it before an entity is read, for :meth:`note`."""
        found = self.select("SELECT changes FROM runs WHERE run = ?", (run,))
        return int(found[0][0]) if found else 0

    @though_deleted
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
            set_facts(connection, key, facts)
        return True

    @though_deleted
    def state(self) -> State:
        """What is known now; get it before storage is listed, for :meth:`replace`."""
        with self._reading() as connection:
            changes = dict(connection.execute("SELECT run, changes FROM runs").fetchall())
            notes = connection.execute("SELECT token, since FROM changing").fetchall()
        return State(changes, [token for token, since in notes if _is_dead(token, since)])

    @though_deleted
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
                    same = {} if forget or run in died else noted_in(connection, run)
                    forget_facts(connection, *of_run, [key for key, noted in same.items() if told.get(key) == noted])
                    count_change(connection, run)  # what is being read of it now is not noted
                elif version == _OURS and told:
                    for key, noted in noted_in(connection, run).items():
                        if told.get(key, noted) != noted:
                            set_facts(connection, key, dict.fromkeys(FACTS))
                known = {*connection.execute(f"SELECT {KEY} FROM entities WHERE {where}", ([run] if run else []) + [*kinds])}
                connection.executemany(DELETE, known - rows)
                connection.executemany(INSERT, rows - known)
                update = "UPDATE runs SET listed = ?, version = ? WHERE run = ?"
                connection.execute(update, (time.time(), versions.get(run), run))
                taken.add(run)
        return taken

    @though_deleted
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
                    found |= noted_in(connection, run)
        return found

    @though_deleted
    def give_up(self, token: str) -> None:
        """Note that nobody knows what a change has left: whoever lists the run next asks the storage how it is."""
        with self._writing() as connection:
            connection.execute("UPDATE changing SET since = 0 WHERE token = ?", (token,))
        _mine.discard(token)

    def left_behind(self) -> set[str]:
        """Runs with changes that nobody will finish."""
        notes = self.select("SELECT run, token, since FROM changing")
        return {run for run, token, since in notes if _is_dead(token, since)}

    @though_deleted
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

    @though_deleted
    def finish_build(self, runs: Iterable[str], *, listed: int = 0, requests: int | None = None) -> None:
        """Note that everything is known; other runs than these are dropped.

        Args:
            runs: All runs.
            listed: How many of them had to be listed.
            requests: How many requests that took, where the storage counts them.
        """
        with self._writing() as connection:
            known = {run for (run,) in connection.execute("SELECT run FROM runs WHERE run <> ''")}
            for run in known - {*runs}:
                connection.execute("DELETE FROM entities WHERE run = ?", (run,))
                connection.execute("UPDATE runs SET listed = NULL, version = NULL WHERE run = ?", (run,))
            connection.execute("DELETE FROM about WHERE name IN ('building', 'requests')")
            values = [("complete", "1"), ("built", str(time.time())), ("listed", str(listed))]
            values += [] if requests is None else [("requests", str(requests))]
            connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", values)

    @though_deleted
    def versions(self) -> dict[str, str | None]:
        """The versions of runs that are known and that nobody changes."""
        with self._reading() as connection:
            query = "SELECT run, version FROM runs WHERE listed IS NOT NULL AND run NOT IN (SELECT run FROM changing)"
            return dict(connection.execute(query).fetchall())


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
