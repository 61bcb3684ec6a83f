"""Workers of every kind, behind one interface."""

from __future__ import annotations

import functools
import os
import pickle
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from copick_core.errors import (
    InvalidDataError,
    NotPicklableError,
    WorkerLostError,
    at_command_line,
    by_caller,
    is_at_command_line,
)
from copick_core.projects.runs.worker import Job, Outcome, ready, start_worker, unpacked, work_on, work_on_sent

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from copick_core.overlay import CopickRootOverlay


#: Batches for each process that are under way: one that it works on, one that waits for it.
_UNDER_WAY = 2


class Pool:
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

    def outcomes(self, result: Any) -> Iterable[Outcome]:
        """Outcomes of a batch, from the result of its future."""
        return cast("Iterable[Outcome]", result)

    def restart(self) -> bool:
        """Replace workers that died; returns whether there are workers now."""
        return False

    def stop(self) -> None:
        """Begin no more runs."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _with_threads() -> str:
    return by_caller('executor="thread"', "--executor thread")


class _Threads(Pool):
    """Threads of this process, which share the project."""

    def __init__(self, function: Callable[..., Any], root: CopickRootOverlay, executor: Executor | None, workers: int) -> None:
        self.workers = workers
        self._own = executor is None
        self._executor = executor or ThreadPoolExecutor(workers, thread_name_prefix="copick-map-runs")
        self._job = root, function
        self._stop = threading.Event()

    def submit(self, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[Any]:
        return self._executor.submit(lambda: [*work_on(*self._job, batch, self._stop)])

    def stop(self) -> None:
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._executor.shutdown(cancel_futures=True)


class _AtCommandLine:
    """A function whose messages are for the command line in other processes too."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        with at_command_line():
            return self.function(*args, **options)


class _Sending(Pool):
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
            reason = f"{error.reason} Threads can work on it: {_with_threads()}."
            raise NotPicklableError(subject=error.subject, reason=reason) from None
        del project
        called = _AtCommandLine(function) if is_at_command_line() else function
        self._job = Job(uuid.uuid4().hex, self._sendable((root, called), f"Function {_name_of(function)}"))

    def _sendable(self, content: Any, subject: str) -> bytes:
        try:
            return self._dumps(content)
        except Exception as error:
            way_out = f"Define it at the top level of a module, or use {_with_threads()}."
            raise NotPicklableError(subject=subject, reason=f"{error}. {way_out}") from error

    def submit(self, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[Any]:
        if self._executor is None:
            raise BrokenExecutor
        return self._executor.submit(work_on_sent, self._job, self._sendable(batch, f"An argument of run {batch[0][0]!r}"))

    def outcomes(self, result: Any) -> Iterable[Outcome]:
        return [unpacked(name, packed) for name, packed in result]


class Processes(_Sending):
    """Processes that are started here, and replaced when one dies."""

    attempts = 3

    def __init__(self, function: Callable[..., Any], root: CopickRootOverlay, workers: int) -> None:
        self._context = process_context()
        super().__init__(function, root, None, workers, _dumps_for(function, self._context))
        self.under_way = workers * _UNDER_WAY
        self._stop = self._context.Event()
        self._first: Future[int] | None = None
        self.restart()

    def restart(self) -> bool:
        """Start processes, in the place of those that died.

        Raises:
            WorkerLostError: They end while they start.
        """
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
            self.workers, mp_context=self._context, initializer=start_worker, initargs=(self._stop,)
        )
        self._first = self._executor.submit(ready)
        return True

    def stop(self) -> None:
        """Begin no more runs."""
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


def pool_of(executor: Any, workers: int | None, function: Callable[..., Any], root: CopickRootOverlay) -> Pool:
    """The pool that ``executor`` means; see :func:`copick_core.projects.runs.map_runs`."""
    if workers is not None and workers < 1:
        raise InvalidDataError(source="workers", reason=f"{workers} is less than 1")
    if executor == "process":
        return Processes(function, root, workers or _cores())
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


def _dumps_for(function: Callable[..., Any], context: BaseContext) -> Callable[[Any], bytes]:
    """What pickles a function for new processes: by its name, or by its code where a notebook or console has defined it.

    Raises:
        NotPicklableError: That would need cloudpickle, which is not installed.
    """
    import __main__

    has_name = getattr(__main__, "__file__", None) is not None or getattr(__main__, "__spec__", None) is not None
    if has_name or context.get_start_method() == "fork":  # a forked process has everything that was defined here
        return pickle.dumps
    try:
        import cloudpickle  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        inner = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        if getattr(inner, "__module__", None) == "__main__":
            raise NotPicklableError(
                subject=f"Function {_name_of(inner)}",
                reason="it is defined in a notebook or console, where other processes cannot import it. Define it in a "
                f"module, run `pip install cloudpickle`, or use {_with_threads()}.",
            ) from None
        return pickle.dumps
    dumps: Callable[[Any], bytes] = cloudpickle.dumps
    return dumps


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_context() -> BaseContext:
    """How to start processes: forking copies the locks of other threads, event loops included, and nobody releases them."""
    import multiprocessing

    try:
        alone = len(os.listdir("/proc/self/task")) == 1  # also threads that Python knows nothing of
    except OSError:
        alone = False
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if alone else "forkserver" if "forkserver" in methods else "spawn")
