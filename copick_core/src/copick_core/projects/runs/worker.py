"""What happens in the workers: threads of this process, or other processes."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from copick_core.errors import NotFoundError, NotPicklableError
from copick_core.projects.runs.report import RunFailure
from copick_core.tree.keys import RunKey

if TYPE_CHECKING:
    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay


#: Calls of map_runs whose projects a worker keeps open.
_OPEN_JOBS = 2


@dataclass(frozen=True, repr=False)  # no repr: the configuration may hold credentials, and schedulers log arguments
class Job:
    """Project and function, pickled once for all batches of one call."""

    token: str
    content: bytes


#: Projects and functions of the jobs that this process works on.
_jobs: OrderedDict[str, tuple[CopickRootOverlay, Callable[..., Any]]] = OrderedDict()
_jobs_lock = threading.Lock()
#: Set when no more runs are to be begun; only in processes that map_runs started.
_stop_event: Any = None
#: Seconds that a process whose run was interrupted waits to be told to stop. Ctrl-C reaches the processes of a terminal in no
#: order, and a run that were begun before the caller of map_runs has said "stop" would not be interrupted any more.
_SECONDS_TO_STOP = 5
#: Whether Ctrl-C has come while there was no run to interrupt.
_interrupted = False

#: What became of a run: its name, and its result or failure.
Outcome = tuple[str, Any, RunFailure | None]


def start_worker(stop: Any) -> None:
    """Prepare a process: Ctrl-C interrupts the run that it works on, never the process itself."""
    global _stop_event
    _stop_event = stop
    _note_interrupts()


def _note_interrupts() -> None:
    """From now on, Ctrl-C is noted and does nothing else; only in processes that map_runs started."""

    def note(*_: object) -> None:
        global _interrupted
        _interrupted = True

    if _stop_event is not None:
        signal.signal(signal.SIGINT, note)


def ready() -> int:
    """Show that a worker process could be started."""
    return os.getpid()


def _content_of(job: Job) -> tuple[CopickRootOverlay, Callable[..., Any]]:
    with _jobs_lock:
        if job.token not in _jobs:
            content = pickle.loads(job.content)  # noqa: S301 - from the process that called map_runs
            while len(_jobs) >= _OPEN_JOBS:
                _jobs.popitem(last=False)
            _jobs[job.token] = content
        return _jobs[job.token]


def work_on_sent(job: Job, batch: bytes) -> list[tuple[str, bytes]]:
    """Work on a batch in another process; outcomes come back one by one pickled, so that one cannot spoil the others."""
    runs: list[tuple[str, Mapping[str, Any]]] = pickle.loads(batch)  # noqa: S301 - from the process that called map_runs
    try:
        root, function = _content_of(job)
    except Exception as error:  # for example a backend that this worker does not have
        return [(name, _packed(name, None, failure_of(name, error))) for name, _ in runs]
    packed = []
    for outcome in work_on(root, function, runs, _stop_event):
        packed.append((outcome[0], _packed(*outcome)))
        _release(root, outcome[0])
    return packed


def work_on(
    root: CopickRootOverlay, function: Callable[..., Any], runs: Sequence[tuple[str, Mapping[str, Any]]], stop: Any
) -> Iterator[Outcome]:
    """Work on runs one by one until told to stop."""
    for name, arguments in runs:
        if stop is not None and stop.is_set():
            return
        try:
            with _interruptible():
                result = function(_run(root, name), **arguments)
        except KeyboardInterrupt:
            _note_interrupts()
            if stop is not None:
                stop.wait(_SECONDS_TO_STOP)
            return
        except (Exception, SystemExit) as error:
            yield name, None, failure_of(name, error)
        else:
            yield name, result, None


def _run(root: CopickRootOverlay, name: str) -> CopickRun:
    run = root.get_run(name)
    if run is None:
        raise NotFoundError(key=RunKey(name), layer=", ".join(layer.name for layer in root.layers.all))
    return run


class _interruptible:  # noqa: N801 - used as a function
    """Lets Ctrl-C raise inside of a run, in processes that map_runs started; elsewhere nothing changes."""

    def __enter__(self) -> None:
        global _interrupted
        if _stop_event is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if _interrupted:  # it came just before this run
            _interrupted = False
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        _note_interrupts()


def failure_of(name: str, error: BaseException) -> RunFailure:
    """Why there is no result for a run, with the traceback as it is here."""
    return RunFailure(name, error, "".join(traceback.format_exception(error)))


def _packed(name: str, result: Any, failure: RunFailure | None) -> bytes:
    if failure is None:
        try:
            return pickle.dumps((result, None))
        except Exception as error:
            subject = f"The result for run {name!r}, a {type(result).__name__},"
            failure = failure_of(
                name, NotPicklableError(subject=subject, reason=f"{error}. Store it, or return plain values.")
            )
    try:
        packed = pickle.dumps((None, failure))
        pickle.loads(packed)  # noqa: S301 - made in the line above
    except Exception:  # errors of other libraries often cannot be pickled, or only one way
        stand_in = RuntimeError(f"{type(failure.error).__name__}: {failure.error}")
        return pickle.dumps((None, RunFailure(name, stand_in, failure.traceback)))
    return packed


def unpacked(name: str, packed: bytes) -> Outcome:
    """An outcome as :func:`_packed` has sent it."""
    try:
        result, failure = pickle.loads(packed)  # noqa: S301 - from the workers
    except Exception as error:  # for example of a class that only the workers have
        return name, None, failure_of(name, error)
    return name, result, failure


def _release(root: CopickRootOverlay, name: str) -> None:
    """Forget a run that is done with: a worker's memory does not grow with the number of its runs."""
    for run in root._run_children.get(RunKey(name), list):
        run.refresh()
        root._run_children.remove(run)
