"""Batches of runs on their way through a pool of workers, some of which may die."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Future
from dataclasses import dataclass
from typing import Any

from copick_core.errors import WorkerLostError
from copick_core.projects.runs.pools import Pool, Processes
from copick_core.projects.runs.report import MapReport, RunFailure
from copick_core.projects.runs.worker import Outcome, failure_of


@dataclass
class _Batch:
    runs: list[tuple[str, Mapping[str, Any]]]
    #: How often it was lost with its worker.
    lost: int = 0


class Work:
    """Batches on their way through a pool.

    When a worker dies, nobody knows which of the batches under way was its. All of them are tried again run by run, and
    those that are lost again one at a time, so that the run that kills its worker is found and no other one suffers.
    """

    def __init__(
        self,
        pool: Pool,
        batches: Iterable[list[tuple[str, Mapping[str, Any]]]],
        report: MapReport[Any],
        progress: Callable[[str, int, int], None] | None,
        total: int,
        on_outcome: Callable[[str, Any, RunFailure | None], None] | None = None,
    ) -> None:
        self._on_outcome = on_outcome
        self._pool, self._report, self._progress, self._total = pool, report, progress, total
        self._waiting = deque(_Batch(runs) for runs in batches)
        self._suspects: deque[_Batch] = deque()
        self._under_way: dict[Future[Any], _Batch] = {}
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._done = 0

    def finish(self) -> None:
        """Work until there is an outcome for every run."""
        while True:
            broken = not self._submit()
            if not self._under_way:
                if not broken:
                    return
                if not self._pool.restart():
                    self._give_up()
                    return
                continue
            future = self._finished.get()
            self._settle(self._under_way.pop(future), future)

    def stop(self) -> None:
        """Begin no more runs, and wait for those that are under way as far as they cannot be cancelled."""
        self._pool.stop()
        self._progress = None
        for future in self._under_way:
            future.cancel()
        for future, batch in self._under_way.items():
            if not future.cancelled():
                self._settle(batch, future)  # waits

    def _submit(self) -> bool:
        """Submit what may be; returns whether the pool took it."""
        most = self._pool.under_way or len(self._waiting) + len(self._under_way)
        try:
            while self._waiting and len(self._under_way) < most:
                self._begin(self._waiting[0])
                self._waiting.popleft()
            if self._suspects and not self._under_way:
                self._begin(self._suspects[0])
                self._suspects.popleft()
        except (BrokenExecutor, RuntimeError) as error:
            if isinstance(error, BrokenExecutor) or "shutdown" in str(error):
                return False
            raise
        return True

    def _begin(self, batch: _Batch) -> None:
        future = self._pool.submit(batch.runs)
        self._under_way[future] = batch
        future.add_done_callback(self._finished.put)

    def _settle(self, batch: _Batch, future: Future[Any]) -> None:
        reason = "it was interrupted"
        outcomes: list[Outcome] = []
        try:
            outcomes += self._pool.outcomes(future.result())
        except (Exception, CancelledError) as error:
            reason = str(error) or type(error).__name__
        found = {name for name, _, _ in outcomes}
        missing = {name: arguments for name, arguments in batch.runs if name not in found}
        for outcome in outcomes:
            self._note(*outcome)
        if missing:
            self._retry(_Batch([*missing.items()], batch.lost + 1), reason)

    def _note(self, name: str, result: Any, failure: RunFailure | None) -> None:
        if failure is None:
            self._report.results[name] = result
        else:
            self._report.errors[name] = failure
        self._done += 1
        if self._on_outcome is not None:
            self._on_outcome(name, result, failure)
        if self._progress is not None:
            self._progress(name, self._done, self._total)

    def _retry(self, batch: _Batch, reason: str) -> None:
        if batch.lost >= self._pool.attempts:
            for name, _ in batch.runs:
                error = WorkerLostError(run=name, reason=reason)
                self._note(name, None, failure_of(name, error))
        else:
            places = self._suspects if batch.lost == Processes.attempts - 1 else self._waiting
            places.extend(_Batch([run], batch.lost) for run in batch.runs)

    def _give_up(self) -> None:
        for batch in [*self._waiting, *self._suspects]:
            for name, _ in batch.runs:
                error = WorkerLostError(run=name, reason="the executor takes no more work: a worker died, or it was shut down")
                self._note(name, None, failure_of(name, error))
