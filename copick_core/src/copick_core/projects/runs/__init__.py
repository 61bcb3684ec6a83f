"""Work on many runs at once: in processes, in threads, or on a cluster.

:func:`map_runs` sends a project's configuration and names of runs, never handles: each worker opens the project once and
asks for its runs by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import InvalidDataError, RunsFailedError
from copick_core.projects.runs.pools import pool_of
from copick_core.projects.runs.report import Interrupted, MapReport, RunFailure
from copick_core.projects.runs.scheduling import Work

if TYPE_CHECKING:
    from distributed import Client

    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay

T = TypeVar("T")

#: How many batches a worker's share of what is left would make: early batches cost little, late ones leave nobody waiting.
_BATCHES_IN_SHARE = 8

__all__ = ["Interrupted", "MapReport", "RunFailure", "map_runs"]


def map_runs(
    function: Callable[..., T],
    root: CopickRootOverlay | str | os.PathLike[str] | Mapping[str, Any],
    runs: Iterable[str | CopickRun] | None = None,
    *,
    executor: str | Executor | Client = "process",
    workers: int | None = None,
    run_args: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]] | None = None,
    chunksize: int | None = None,
    done: Iterable[str] | MapReport[T] = (),
    collect: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    on_outcome: Callable[[str, T | None, RunFailure | None], None] | None = None,
) -> MapReport[T]:
    """Call a function for each of many runs.

    The function may be called again for a run whose worker died, so it should be able to replace what it has stored before
    (``exist_ok=True``). It is pickled for processes and clusters: define it in a module (or, where cloudpickle is
    installed, in a notebook), and give arguments that are the same for all runs with :func:`functools.partial`. In a script,
    call this below ``if __name__ == "__main__":``.

    Args:
        function: Called as ``function(run, **arguments)``, where ``run`` belongs to a project that the worker has opened (with
            threads: to ``root``).
        root: The project, or what :func:`copick_core.open` takes.
        runs: The runs, or their names; all runs of the project by default. Names are not looked up by listing the project.
        executor: ``"process"`` for what keeps Python busy, ``"thread"`` for what waits for storage or computes outside of
            Python, any :class:`concurrent.futures.Executor`, or a ``distributed.Client`` (``copick-core[dask]``).
        workers: Number of processes or threads; as many as there are cores by default.
        run_args: Keyword arguments for each run: by its name, or one mapping for each of ``runs``, in their order.
        chunksize: Runs that are sent to a worker together; an eighth of each worker's share of what is left by default.
        done: Names of runs to leave out, or the report of an earlier call, whose results are then part of this one's.
        collect: Return failures in the report instead of raising :class:`~copick_core.errors.RunsFailedError`.
        progress: Called after each run with its name, how many are finished, and how many there are.
        on_outcome: Called after each run with its name, and its result or its failure, such as to write them down at once.

    Returns:
        Results, and failures with their tracebacks, by run.

    Raises:
        RunsFailedError: The function failed for some runs; all others were worked on nevertheless. Has the report.
        Interrupted: Ctrl-C; has the report. Runs that were being worked on in processes are interrupted, in threads and on
            clusters they are finished; no others are begun.
        NotPicklableError: The function, its arguments or the project cannot be sent to other processes.
        WorkerLostError: No worker process can be started.
        InvalidDataError: An argument makes no sense.

    Example:
        >>> import copick_core
        >>> root = copick_core.open({"config_type": "memory"})
        >>> for name in ("TS_1", "TS_2"):
        ...     _ = root.new_run(name)
        >>> copick_core.map_runs(lambda run: len(run.picks), root, executor="thread").results
        {'TS_1': 0, 'TS_2': 0}
    """
    if isinstance(root, str | os.PathLike | Mapping):
        from copick_core.opening.opening import open

        root = open(root)
    names = _names_of(root, runs)
    arguments = _arguments_of(names, run_args)
    names = [*dict.fromkeys(names)]
    if chunksize is not None and chunksize < 1:
        raise InvalidDataError(source="chunksize", reason=f"{chunksize} is less than 1")
    if isinstance(done, str):
        raise InvalidDataError(source="done", reason=f"{done!r} is one name; give a list of names")
    report: MapReport[T] = MapReport()
    if isinstance(done, MapReport):
        report.results.update({name: done.results[name] for name in names if name in done.results})
        done = done.results
    before = {*done}
    report.skipped = [name for name in names if name in before]
    todo = [name for name in names if name not in before]
    with_pool = pool_of(executor, workers, function, root)
    with with_pool as pool:
        calls = [(name, arguments.get(name, {})) for name in todo]
        batches = [calls[part] for part in _parts(len(calls), chunksize, pool.workers)]
        work = Work(pool, batches, report, progress, len(todo), on_outcome)
        try:
            work.finish()
        except KeyboardInterrupt:
            work.stop()
            _in_order(report, names)
            report.pending = [n for n in todo if n not in report.results and n not in report.errors]
            raise Interrupted(report) from None
        except BaseException:
            work.stop()
            raise
    _in_order(report, names)
    if report.errors and not collect:
        raise RunsFailedError(report=report, runs=len(todo)) from next(iter(report.errors.values())).error
    return report


def _parts(runs: int, chunksize: int | None, workers: int) -> Iterator[slice]:
    """Cut a number of runs into batches that grow smaller, so that all workers finish at about the same time."""
    at = 0
    while at < runs:
        size = chunksize or max(1, (runs - at) // (_BATCHES_IN_SHARE * workers))
        yield slice(at, at + size)
        at += size


def _names_of(root: CopickRootOverlay, runs: Iterable[str | CopickRun] | None) -> list[str]:
    if runs is None:
        return [run.name for run in root.runs]
    if isinstance(runs, str):
        raise InvalidDataError(source="runs", reason=f"{runs!r} is one name; give a list of names")
    return [run if isinstance(run, str) else run.name for run in runs]


def _arguments_of(names: list[str], run_args: Any) -> Mapping[str, Mapping[str, Any]]:
    if run_args is None:
        return {}
    if isinstance(run_args, Mapping):
        if unknown := run_args.keys() - {*names}:
            raise InvalidDataError(
                source="run_args", reason=f"it has arguments for {min(unknown)!r}, which is not among the runs"
            )
        return run_args
    if len(run_args) != len(names):
        raise InvalidDataError(source="run_args", reason=f"it has {len(run_args)} entries for {len(names)} runs")
    if len({*names}) != len(names):
        raise InvalidDataError(source="run_args", reason="runs are named more than once; give arguments by name")
    return dict(zip(names, run_args, strict=True))


def _in_order(report: MapReport[Any], names: list[str]) -> None:
    report.results = {name: report.results[name] for name in names if name in report.results}
    report.errors = {name: report.errors[name] for name in names if name in report.errors}
