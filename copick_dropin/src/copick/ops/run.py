"""Work on many runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from copick.models import CopickRoot, CopickRun
from copick_core.errors import InvalidDataError

logger = logging.getLogger(__name__)


def map_runs(
    callback: Callable[..., Any],
    root: CopickRoot,
    runs: Sequence[str | CopickRun],
    workers: int = 8,
    parallelism: Literal["thread", "process"] = "thread",
    run_args: Sequence[Mapping[str, Any]] | None = None,
    show_progress: bool = True,
    task_desc: str | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Call a function for each run; failures are logged, and their results are None.

    :func:`copick_core.map_runs` raises them instead, and tells more.

    Args:
        callback: Called as ``callback(run, **arguments of that run, **kwargs)``; ``run`` is None for a run that is missing.
        root: The project; threads share it.
        runs: Runs or their names.
        workers: Number of threads or processes.
        parallelism: ``"thread"`` or ``"process"``.
        run_args: Arguments of each run, in the order of ``runs``.
        show_progress: Show a progress bar on standard output.
        task_desc: Its label.
        **kwargs: Arguments of all calls.

    Returns:
        Results by the names of runs.

    Raises:
        ValueError: ``runs`` is not a list of runs and names, ``run_args`` has another length, or ``parallelism`` is unknown.
    """
    if parallelism not in ("thread", "process"):
        raise InvalidDataError(source="parallelism", reason=f"{parallelism!r} is neither 'thread' nor 'process'")
    if isinstance(runs, str) or not isinstance(runs, Sequence) or not all(isinstance(run, str | CopickRun) for run in runs):
        raise InvalidDataError(source="runs", reason="it must be a list of runs or their names")
    if run_args is not None and len(run_args) != len(runs):
        raise InvalidDataError(source="run_args", reason=f"there are {len(run_args)} for {len(runs)} runs")
    from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed

    from tqdm import tqdm

    names = [run if isinstance(run, str) else run.name for run in runs]
    arguments = run_args or [{}] * len(names)
    pool: Any = ThreadPoolExecutor if parallelism == "thread" else ProcessPoolExecutor
    results: dict[str, Any] = {}
    with pool(max_workers=max(1, workers)) as executor:
        calls: dict[Future[Any], str] = {
            executor.submit(_call, callback, root, name, {**own, **kwargs}): name
            for name, own in zip(names, arguments, strict=True)
        }
        done = as_completed(calls)
        for call in tqdm(done, total=len(calls), desc=task_desc, file=sys.stdout, disable=not show_progress):
            name = calls[call]
            try:
                results[name] = call.result()
            except Exception:  # as in copick: callers look for None
                logger.exception("Run %s failed.", name)
                results[name] = None
    return results


def _call(callback: Callable[..., Any], root: CopickRoot, name: str, arguments: Mapping[str, Any]) -> Any:
    return callback(root.get_run(name), **arguments)


def report_results(results: Mapping[str, Any], total_files: int, logger: logging.Logger | None = None) -> None:
    """Log what :func:`map_runs` returned.

    Args:
        results: Results by run, with ``processed`` and ``errors``; None for failures.
        total_files: Number of runs.
        logger: Where to; the module's by default.
    """
    passed = [result for result in results.values() if isinstance(result, Mapping)]
    logger = logger or logging.getLogger(__name__)
    logger.info("%d of %d runs: %d processed.", len(passed), total_files, sum(int(r.get("processed", 0)) for r in passed))
    for name, result in results.items():
        for error in result.get("errors", ()) if isinstance(result, Mapping) else ("it failed",):
            logger.error("Run %s: %s", name, error)
