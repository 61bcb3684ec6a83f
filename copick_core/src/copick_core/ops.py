"""Work on many runs at once: in processes, in threads, or on a cluster.

:func:`map_runs` sends a project's configuration and names of runs, never handles: each worker opens the project once and
asks for its runs by name.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from copick_core.errors import InvalidDataError, NotFoundError, NotPicklableError, RunsFailedError, WorkerLostError
from copick_core.keys import RunKey

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from distributed import Client

    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay

T = TypeVar("T")

#: Batches for each worker: enough for fast workers to take over from slow ones, few enough to cost nothing.
BATCHES_PER_WORKER = 8
#: Batches for each process that are under way: one that it works on, one that waits for it.
_UNDER_WAY = 2
#: Calls of map_runs whose projects a worker keeps open.
_OPEN_JOBS = 2


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
) -> MapReport[T]:
    """Call a function for each of many runs.

    The function may be called again for a run whose worker died, so it should be able to replace what it has stored before
    (``exist_ok=True``). It is pickled for processes and clusters: define it in a module, and give arguments that are the
    same for all runs with :func:`functools.partial`. In a script, call this below ``if __name__ == "__main__":``.

    Args:
        function: Called as ``function(run, **arguments)``, where ``run`` belongs to a project that the worker has opened (with
            threads: to ``root``).
        root: The project, or what :func:`copick_core.open` takes.
        runs: The runs, or their names; all runs of the project by default. Names are not looked up by listing the project.
        executor: ``"process"`` for what keeps Python busy, ``"thread"`` for what waits for storage or computes outside of
            Python, any :class:`concurrent.futures.Executor`, or a ``distributed.Client`` (``copick-core[dask]``).
        workers: Number of processes or threads; as many as there are cores by default.
        run_args: Keyword arguments for each run: by its name, or one mapping for each of ``runs``, in their order.
        chunksize: Runs that are sent to a worker together; an eighth of each worker's share by default.
        done: Names of runs to leave out, or the report of an earlier call, whose results are then part of this one's.
        collect: Return failures in the report instead of raising :class:`~copick_core.errors.RunsFailedError`.
        progress: Called after each run with its name, how many are finished, and how many there are.

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
        from copick_core.opening import open

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
    with_pool = _pool_of(executor, workers, function, root)
    with with_pool as pool:
        size = chunksize or max(1, len(todo) // (BATCHES_PER_WORKER * pool.workers))
        batches = [[(name, arguments.get(name, {})) for name in todo[at : at + size]] for at in range(0, len(todo), size)]
        work = _Work(pool, batches, report, progress, len(todo))
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
        unknown = [name for name in run_args if name not in set(names)]
        if unknown:
            raise InvalidDataError(
                source="run_args", reason=f"it has arguments for {unknown[0]!r}, which is not among the runs"
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


# ------------------------------------------------------------------------------------------------------- in the workers


@dataclass(frozen=True, repr=False)  # no repr: the configuration may hold credentials, and schedulers log arguments
class _Job:
    """Project and function, pickled once for all batches of one call."""

    token: str
    content: bytes


#: Projects and functions of the jobs that this process works on.
_jobs: OrderedDict[str, tuple[CopickRootOverlay, Callable[..., Any]]] = OrderedDict()
_jobs_lock = threading.Lock()
#: Set when no more runs are to be begun; only in processes that map_runs started.
_stop_event: Any = None

#: What became of a run: its name, and its result or failure.
_Outcome = tuple[str, Any, RunFailure | None]


def _start_worker(stop: Any) -> None:
    """Prepare a process: Ctrl-C interrupts the run that it works on, never the process itself."""
    global _stop_event
    _stop_event = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ready() -> int:
    """Show that a worker process could be started."""
    return os.getpid()


def _content_of(job: _Job) -> tuple[CopickRootOverlay, Callable[..., Any]]:
    with _jobs_lock:
        if job.token not in _jobs:
            content = pickle.loads(job.content)  # noqa: S301 - from the process that called map_runs
            while len(_jobs) >= _OPEN_JOBS:
                _jobs.popitem(last=False)
            _jobs[job.token] = content
        return _jobs[job.token]


def _work_on_sent(job: _Job, batch: bytes) -> list[tuple[str, bytes]]:
    """Work on a batch in another process; outcomes come back one by one pickled, so that one cannot spoil the others."""
    runs: list[tuple[str, Mapping[str, Any]]] = pickle.loads(batch)  # noqa: S301 - from the process that called map_runs
    try:
        root, function = _content_of(job)
    except Exception as error:  # for example a backend that this worker does not have
        return [(name, _packed(name, None, _failure(name, error))) for name, _ in runs]
    packed = []
    for outcome in _work_on(root, function, runs, _stop_event):
        packed.append((outcome[0], _packed(*outcome)))
        _release(root, outcome[0])
    return packed


def _work_on(
    root: CopickRootOverlay, function: Callable[..., Any], runs: Sequence[tuple[str, Mapping[str, Any]]], stop: Any
) -> Iterator[_Outcome]:
    """Work on runs one by one until told to stop."""
    for name, arguments in runs:
        if stop is not None and stop.is_set():
            return
        try:
            with _interruptible():
                result = function(_run(root, name), **arguments)
        except KeyboardInterrupt:
            return
        except (Exception, SystemExit) as error:
            yield name, None, _failure(name, error)
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
        if _stop_event is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if _stop_event is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _failure(name: str, error: BaseException) -> RunFailure:
    return RunFailure(name, error, "".join(traceback.format_exception(error)))


def _packed(name: str, result: Any, failure: RunFailure | None) -> bytes:
    if failure is None:
        try:
            return pickle.dumps((result, None))
        except Exception as error:
            subject = f"The result for run {name!r}, a {type(result).__name__},"
            failure = _failure(name, NotPicklableError(subject=subject, reason=f"{error}. Store it, or return plain values."))
    try:
        packed = pickle.dumps((None, failure))
        pickle.loads(packed)  # noqa: S301 - made in the line above
    except Exception:  # errors of other libraries often cannot be pickled, or only one way
        stand_in = RuntimeError(f"{type(failure.error).__name__}: {failure.error}")
        return pickle.dumps((None, RunFailure(name, stand_in, failure.traceback)))
    return packed


def _unpacked(name: str, packed: bytes) -> _Outcome:
    try:
        result, failure = pickle.loads(packed)  # noqa: S301 - from the workers
    except Exception as error:  # for example of a class that only the workers have
        return name, None, _failure(name, error)
    return name, result, failure


def _release(root: CopickRootOverlay, name: str) -> None:
    """Forget a run that is done with: a worker's memory does not grow with the number of its runs."""
    for run in root._run_children.get(RunKey(name), list):
        run.refresh()
        root._run_children.remove(run)


# ------------------------------------------------------------------------------------------------------------ the pools


class _Pool:
    """Something that works on batches.

    Attributes:
        workers: How many batches it works on at once.
        under_way: How many batches may be submitted at once; None for all.
        attempts: How often a run is tried whose worker dies.
    """

    workers: int
    under_way: int | None = None
    attempts = 2

    def submit(self, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[Any]:
        """Begin to work on a batch.

        Raises:
            BrokenExecutor: Nothing can be submitted any more, until `restart`.
        """
        raise NotImplementedError

    def outcomes(self, result: Any) -> Iterable[_Outcome]:
        """Outcomes of a batch, from the result of its future."""
        return cast("Iterable[_Outcome]", result)

    def restart(self) -> bool:
        """Replace workers that died; returns whether there are workers now."""
        return False

    def stop(self) -> None:
        """Begin no more runs."""

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Threads(_Pool):
    """Threads of this process, which share the project."""

    def __init__(self, function: Callable[..., Any], root: CopickRootOverlay, executor: Executor | None, workers: int) -> None:
        self.workers = workers
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(workers, thread_name_prefix="copick-map-runs")
        self._job = root, function
        self._stop = threading.Event()

    def submit(self, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[Any]:
        return self._executor.submit(lambda: [*_work_on(*self._job, batch, self._stop)])

    def stop(self) -> None:
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._executor.shutdown(cancel_futures=True)


class _Sending(_Pool):
    """An executor of somebody else, whose workers are other processes."""

    def __init__(
        self,
        function: Callable[..., Any],
        root: CopickRootOverlay,
        executor: Executor | None,
        workers: int,
        dumps: Callable[[Any], bytes] = pickle.dumps,
    ) -> None:
        self.workers = workers
        self._executor = executor
        self._dumps = dumps
        try:
            project = dumps(root)  # before the function, so that it is clear what cannot be pickled
        except NotPicklableError as error:
            reason = f'{error.reason} Threads can work on it: executor="thread".'
            raise NotPicklableError(subject=error.subject, reason=reason) from None
        del project
        self._job = _Job(uuid.uuid4().hex, self._sendable((root, function), f"Function {_name_of(function)}"))

    def _sendable(self, content: Any, subject: str) -> bytes:
        try:
            return self._dumps(content)
        except Exception as error:
            way_out = 'Define it at the top level of a module, or use executor="thread".'
            raise NotPicklableError(subject=subject, reason=f"{error}. {way_out}") from error

    def submit(self, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[Any]:
        if self._executor is None:
            raise BrokenExecutor
        return self._executor.submit(_work_on_sent, self._job, self._sendable(batch, f"An argument of run {batch[0][0]!r}"))

    def outcomes(self, result: Any) -> Iterable[_Outcome]:
        return [_unpacked(name, packed) for name, packed in result]


class _Processes(_Sending):
    """Processes that are started here, and replaced when one dies."""

    attempts = 3

    def __init__(self, function: Callable[..., Any], root: CopickRootOverlay, workers: int) -> None:
        super().__init__(function, root, None, workers)
        self.under_way = workers * _UNDER_WAY
        self._context = _context()
        self._stop = self._context.Event()
        self._first: Future[int] | None = None
        self.restart()

    def restart(self) -> bool:
        from concurrent.futures import ProcessPoolExecutor

        if self._first is not None and (not self._first.done() or self._first.exception() is not None):
            raise WorkerLostError(
                run=None,
                reason="worker processes end while they start. In a script, call map_runs below "
                '`if __name__ == "__main__":`; what they say on standard error tells more.',
            )
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = ProcessPoolExecutor(
            self.workers, mp_context=self._context, initializer=_start_worker, initargs=(self._stop,)
        )
        self._first = self._executor.submit(_ready)
        return True

    def stop(self) -> None:
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


def _pool_of(executor: Any, workers: int | None, function: Callable[..., Any], root: CopickRootOverlay) -> _Pool:
    if workers is not None and workers < 1:
        raise InvalidDataError(source="workers", reason=f"{workers} is less than 1")
    if executor == "process":
        return _Processes(function, root, workers or _cores())
    if executor == "thread":
        return _Threads(function, root, None, workers or _cores())
    if isinstance(executor, Executor):
        at_once = workers or getattr(executor, "_max_workers", None) or _cores()
        if isinstance(executor, ThreadPoolExecutor):
            return _Threads(function, root, executor, at_once)
        return _Sending(function, root, executor, at_once)
    if hasattr(executor, "get_executor") and hasattr(executor, "nthreads"):  # a Client, without importing distributed
        if executor.asynchronous:
            raise InvalidDataError(source="executor", reason="the client is asynchronous; map_runs would block its event loop")
        import cloudpickle  # type: ignore[import-untyped,unused-ignore] # distributed depends on it

        at_once = workers or max(1, sum(executor.nthreads().values()))
        return _Sending(function, root, executor.get_executor(pure=False), at_once, cloudpickle.dumps)
    raise InvalidDataError(
        source="executor", reason=f"{executor!r} is not 'process', 'thread', an Executor or a distributed.Client"
    )


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context() -> BaseContext:
    """How to start processes: forking copies the locks of other threads, event loops included, and nobody releases them."""
    import multiprocessing

    try:
        alone = len(os.listdir("/proc/self/task")) == 1  # also threads that Python knows nothing of
    except OSError:
        alone = False
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if alone else "forkserver" if "forkserver" in methods else "spawn")


# ------------------------------------------------------------------------------------------------------------- the work


@dataclass
class _Batch:
    runs: list[tuple[str, Mapping[str, Any]]]
    #: How often it was lost with its worker.
    lost: int = 0


class _Work:
    """Batches on their way through a pool.

    When a worker dies, nobody knows which of the batches under way was its. All of them are tried again run by run, and
    those that are lost again one at a time, so that the run that kills its worker is found and no other one suffers.
    """

    def __init__(
        self,
        pool: _Pool,
        batches: Iterable[list[tuple[str, Mapping[str, Any]]]],
        report: MapReport[Any],
        progress: Callable[[str, int, int], None] | None,
        total: int,
    ) -> None:
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
        outcomes: list[_Outcome] = []
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
        if self._progress is not None:
            self._progress(name, self._done, self._total)

    def _retry(self, batch: _Batch, reason: str) -> None:
        if batch.lost >= self._pool.attempts:
            for name, _ in batch.runs:
                error = WorkerLostError(run=name, reason=reason)
                self._note(name, None, _failure(name, error))
        else:
            places = self._suspects if batch.lost == _Processes.attempts - 1 else self._waiting
            places.extend(_Batch([run], batch.lost) for run in batch.runs)

    def _give_up(self) -> None:
        for batch in [*self._waiting, *self._suspects]:
            for name, _ in batch.runs:
                error = WorkerLostError(run=name, reason="the executor takes no more work: a worker died, or it was shut down")
                self._note(name, None, _failure(name, error))
