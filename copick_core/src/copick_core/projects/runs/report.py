"""What came of the runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class RunFailure:
    """Why there is no result for a run.

    Attributes:
        run: Name of the run.
        error: What was raised.
        traceback: Where, as the worker saw it.
    """

    run: str
    error: BaseException = field(compare=False)  # no error equals its copy
    traceback: str


@dataclass
class MapReport(Generic[T]):
    """What :func:`map_runs` did.

    Attributes:
        results: What the function returned, by name of the run, in the order of the runs.
        errors: Runs that failed, likewise.
        skipped: Runs that were done before.
        pending: Runs that were not finished because the work was interrupted.
    """

    results: dict[str, T] = field(default_factory=dict)
    errors: dict[str, RunFailure] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while runs were worked on.

    Attributes:
        report: What had been done; pass it as ``done`` to go on.
    """

    def __init__(self, report: MapReport[Any]) -> None:
        super().__init__(f"{len(report.results)} runs are done, {len(report.pending)} are not; go on with done=error.report")
        self.report = report
