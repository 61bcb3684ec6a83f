"""What has been asked of the portal: each part once, for batches of runs, from the disk cache where it has it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from copick_backend_portal.errors import PortalError, PortalQueryError, PortalUnreachableError, PortalWarning
from copick_backend_portal.queries import PARTS, RUNS, Query, Row
from copick_core.callers import warn_caller
from copick_core.errors import by_caller

if TYPE_CHECKING:
    from copick_backend_portal.connection import Connection, Gaps
    from copick_backend_portal.disk_cache import DiskCache

#: Rows of one run: lists by the name of the query that gave them.
RunRows = dict[str, list[Row]]
#: What identifies a question on disk, and the queries with their ids.
_Question = tuple[str, Sequence[tuple[Query, Sequence[int]]]]


def warn_of_empty(dataset_ids: Iterable[int], runs: Iterable[Row]) -> None:
    """Warn of datasets that have no runs in the portal: most likely their ids are wrong."""
    if empty := sorted({*dataset_ids} - {row["datasetId"] for row in runs}):
        names = ", ".join(map(str, empty))
        warn_caller(f"The portal has no runs of dataset_ids {names}. Check the ids.", PortalWarning)


class PortalIndex:
    """The portal's rows about some datasets.

    The list of runs is asked as a whole, everything else by part (:data:`~copick_backend_portal.queries.PARTS`) for a batch
    of neighbouring runs: who looks at one run mostly looks at the next one too. The second batch of a part that is needed
    brings all others with it, overlapping.

    Args:
        connection: Asks the portal.
        dataset_ids: The datasets.
        identifiers: Identifiers of the objects whose annotations matter.
        batch: How many runs are asked for at once.
        cache: Keeps answers between processes, if there is one.
        ask_again: Ask the portal also for what is fresh on disk.
        forgets: Seconds for which a portal that could not be reached is not asked again.
    """

    def __init__(
        self,
        connection: Connection,
        dataset_ids: Sequence[int],
        identifiers: Sequence[str],
        batch: int,
        cache: DiskCache | None,
        ask_again: bool = False,
        forgets: float = 0.0,
    ) -> None:
        self._connection = connection
        self._dataset_ids = sorted(set(dataset_ids))
        self._identifiers = list(identifiers)
        self._batch = batch
        self._cache = cache
        self._ask_again = ask_again
        self._lock = threading.RLock()
        self._part_locks = {part: threading.Lock() for part in PARTS}
        self._runs: dict[str, Row] | None = None
        self._batch_of: dict[str, int] = {}
        self._batches: list[list[int]] = []
        self._rows: dict[str, dict[str, RunRows]] = {part: {} for part in PARTS}
        #: Runs that the portal refuses to answer for, by part.
        self._refused: dict[str, dict[str, PortalQueryError]] = {part: {} for part in PARTS}
        self._loaded: dict[str, set[int]] = {part: set() for part in PARTS}
        self._warned_stale = False
        self._forgets = forgets
        #: Why nobody asks, and until when.
        self._away: tuple[float, PortalUnreachableError] | None = None

    # ------------------------------------------------------------------ runs

    def runs(self) -> dict[str, Row]:
        """The runs of the datasets by their name in a project: their portal id as text."""
        if self._runs is None:
            with self._lock:
                if self._runs is None:
                    (rows,) = self._fetch([("runs", [(RUNS, self._dataset_ids)])])
                    ordered = sorted(rows[0], key=lambda row: int(row["id"]))
                    warn_of_empty(self._dataset_ids, ordered)
                    self._batches = [
                        [row["id"] for row in ordered[i : i + self._batch]] for i in range(0, len(ordered), self._batch)
                    ]
                    self._batch_of = {str(run): n for n, batch in enumerate(self._batches) for run in batch}
                    self._runs = {str(row["id"]): row for row in ordered}
        return self._runs

    def run(self, name: str) -> Row | None:
        """The run of a name; no query is needed to know that a name is not a portal id."""
        return self.runs().get(name) if name.isascii() and name.isdigit() else None

    # ------------------------------------------------------------------ parts

    def rows(self, part: str, run: str) -> RunRows:
        """What the portal has about one run.

        Raises:
            PortalQueryError: The portal refuses to answer for this run.
        """
        if self.run(run) is None:
            return {query.name: [] for query in PARTS[part]}
        found = self._rows[part].get(run)
        if found is None:
            self.load(part, [run])
            if (refusal := self._refused[part].get(run)) is not None:
                raise refusal
            found = self._rows[part][run]
        return found

    def refused(self, part: str) -> dict[str, PortalQueryError]:
        """Runs that the portal has refused to answer for, with the reasons; until all is asked anew."""
        return dict(self._refused[part])

    def load(self, part: str, runs: Iterable[str]) -> None:
        """Ask for one part about some runs, and the neighbours of their batches, if that has not been done.

        Runs that the portal refuses to answer for are left out; see :meth:`refused`.
        """
        known = self.runs()
        with self._part_locks[part]:
            loaded = self._loaded[part]
            missing = {self._batch_of[run] for run in runs if run in known} - loaded
            if missing and loaded:
                missing = {*range(len(self._batches))} - loaded
            if not missing:
                return
            order = sorted(missing)
            from copick_backend_portal.connection import Gaps

            gaps = Gaps()
            if self._identifiers or not part.startswith("annotation"):
                asked = [(_question(part, self._batches[n]), [(q, self._batches[n]) for q in PARTS[part]]) for n in order]
                answers = self._fetch(asked, gaps)
            else:
                answers = [[[] for _ in PARTS[part]] for _ in order]  # no object can have annotations
            grouped: dict[str, RunRows] = {}
            for n, tables in zip(order, answers, strict=True):
                grouped.update(_by_run(part, self._batches[n], dict(zip((q.name for q in PARTS[part]), tables, strict=True))))
            refused = {str(run): error for run, error in gaps.refused.items()}
            self._refused[part].update(refused)
            self._rows[part].update({run: rows for run, rows in grouped.items() if run not in refused})
            loaded.update(missing)

    def _fetch(self, asked: Sequence[_Question], gaps: Gaps | None = None) -> list[list[list[Row]]]:
        """Answers to several questions, each made of several queries: from disk where it has them, else from the portal."""
        answers: dict[str, Any] = {}
        if self._cache is not None and not self._ask_again:
            answers = {question: self._cache.load(question) for question, _ in asked}
        missing = [(question, queries) for question, queries in asked if answers.get(question) is None]
        if missing and self._cache is not None:
            with self._cache.asking(missing[0][0]):
                if not self._ask_again:  # somebody else may have asked while we waited
                    answers.update({question: self._cache.load(question) for question, _ in missing})
                    missing = [(question, queries) for question, queries in missing if answers[question] is None]
                answers.update(self._ask(missing, gaps))
        elif missing:
            answers.update(self._ask(missing, gaps))
        return [answers[question] for question, _ in asked]

    def _ask(self, missing: Sequence[_Question], gaps: Gaps | None) -> dict[str, Any]:
        if not missing:
            return {}
        questions = [question for question, _ in missing]
        if self._away is not None and time.monotonic() < self._away[0]:
            return self._stale(questions, self._away[1])
        flat = [query for _, queries in missing for query in queries]
        try:
            tables = iter(self._connection.ask_all(flat, self._identifiers, gaps))
        except PortalUnreachableError as error:
            self._away = (time.monotonic() + self._forgets, error)
            return self._stale(questions, error)
        answers = {question: [next(tables) for _ in queries] for question, queries in missing}
        if self._cache is not None:
            for question, queries in missing:
                all_refused = gaps.refused if gaps is not None else {}
                refused = [run for run in queries[0][1] if run in all_refused]
                if not refused:
                    self._cache.store(question, answers[question])
                elif (old := self._cache.load(question, stale=True)) is not None:
                    answers[question] = old
                    self._warn_of_stale(all_refused[refused[0]])
                    for run in refused:
                        del all_refused[run]
        return answers

    def _stale(self, questions: Sequence[str], error: PortalUnreachableError) -> dict[str, Any]:
        """Old answers in place of none."""
        answers = {q: self._cache.load(q, stale=True) for q in questions} if self._cache is not None else {}
        if not answers or any(answer is None for answer in answers.values()):
            raise error
        self._warn_of_stale(error)
        return answers

    def _warn_of_stale(self, error: PortalError) -> None:
        if not self._warned_stale:
            self._warned_stale = True
            warn_caller(
                f"{error} What was kept on disk earlier is used{by_caller('; reconnect() asks again', '')}.", PortalWarning
            )


def _question(part: str, runs: Sequence[int]) -> str:
    """What identifies a question on disk, and tells a reader what it is."""
    digest = hashlib.sha256(",".join(map(str, runs)).encode()).hexdigest()[:16]
    return f"{part} of runs {runs[0]}..{runs[-1]} ({len(runs)}, {digest})"


def _run_id(row: Row) -> Any:
    return row["runId"]


def _by_run(part: str, runs: Sequence[int], tables: dict[str, list[Row]]) -> dict[str, RunRows]:
    """Group the rows of a batch by run, in the order of their ids; rows that belong to none are left out."""
    owners: dict[str, Callable[[Row], Any]] = {}
    if part == "run_details":
        annotations = {row["id"]: row["runId"] for row in tables["captioned"]}
        shapes = {row["id"]: annotations.get(row["annotationId"]) for row in tables["caption_shapes"]}
        owners["caption_shapes"] = lambda row: annotations.get(row["annotationId"])
        owners["caption_files"] = lambda row: shapes.get(row["annotationShapeId"])
    elif part.startswith("volume"):
        tomograms = {row["id"]: row["runId"] for row in tables.get("tomogram_details", [])}
        owners["tomogram_authors"] = lambda row: tomograms.get(row["tomogramId"])
    else:
        annotations = {row["id"]: row["runId"] for row in tables.get("annotations") or tables.get("annotation_details") or []}
        shapes = {row["id"]: annotations.get(row["annotationId"]) for row in tables.get("shapes", [])}
        owners["shapes"] = owners["annotation_authors"] = lambda row: annotations.get(row["annotationId"])
        owners["files"] = lambda row: shapes.get(row["annotationShapeId"])
    grouped: dict[Any, RunRows] = {run: {name: [] for name in tables} for run in runs}
    for name, rows in tables.items():
        owner = owners.get(name, _run_id)
        for row in sorted(rows, key=lambda row: row.get("id") or row.get("authorListOrder") or 0):
            mine = grouped.get(owner(row))
            if mine is not None:
                mine[name].append(row)
    return {str(run): rows for run, rows in grouped.items()}
