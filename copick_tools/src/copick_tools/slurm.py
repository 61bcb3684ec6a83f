"""An executor whose workers are jobs of a SLURM cluster, through submitit."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

from copick_core.errors import MissingDependencyError

#: Seconds between two looks at the jobs.
_INTERVAL = 1.0
#: Looks at a job that has left the queue, before its result is given up: shared file systems show files late.
_PATIENCE = 10


class SlurmExecutor(Executor):
    """Runs each call as a job of its own.

    A future of a job that was cancelled, or whose node died, raises. Cancelling a future cancels its job.

    Args:
        folder: For scripts, logs and results of the jobs; every node must see it.
        jobs: How many jobs may be waiting or running at once.
        parameters: Further parameters of :class:`submitit.SlurmExecutor`, such as ``{"partition": "gpu", "time": 60}``.

    Raises:
        MissingDependencyError: submitit is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], jobs: int = 16, parameters: Mapping[str, Any] | None = None) -> None:
        try:
            import submitit
        except ImportError as error:
            raise MissingDependencyError(feature="SLURM", install='pip install "copick-tools[slurm]"') from error
        self._max_workers = jobs
        self._inner = submitit.SlurmExecutor(folder=os.fspath(folder))
        self._inner.update_parameters(**(parameters or {}))
        self._waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._running: list[tuple[Future[Any], Any]] = []
        #: How often each job was seen outside of the queue, without a result.
        self._absent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="copick-slurm", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as a job, or keep it until fewer jobs are under way."""
        if self._closed.is_set():
            raise BrokenExecutor("the executor was shut down")
        import functools

        future: Future[Any] = Future()
        with self._lock:
            self._waiting.append((future, functools.partial(fn, **kwargs), args))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what has not ended, and stop looking at the jobs."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_INTERVAL):
            self._look()
        with self._lock:
            for future, job in self._running:
                job.cancel()
                future.cancel()
            for future, _, _ in self._waiting:
                future.cancel()
            self._running, self._waiting = [], []

    def _look(self) -> None:
        """Settle the futures of jobs that have ended, and submit calls that wait."""
        with self._lock:
            running, self._running = self._running, []
        queued = _queued() if running else None
        for future, job in running:
            self._absent[job.job_id] += queued is not None and job.job_id not in queued
            if future.cancelled():
                job.cancel()
            elif job.paths.result_pickle.exists():
                _settle(future, job)
            elif self._absent[job.job_id] > _PATIENCE:
                future.set_exception(RuntimeError(f"SLURM job {job.job_id} ended without a result: {job.paths.stderr}"))
            else:
                with self._lock:
                    self._running.append((future, job))
        while True:
            with self._lock:
                if not self._waiting or len(self._running) >= self._max_workers:
                    return
                future, call, args = self._waiting.pop(0)
            if future.cancelled():
                continue
            try:
                job = self._inner.submit(call, *args)
            except Exception as error:  # such as sbatch, which is missing or refuses a parameter
                future.set_exception(error)
                continue
            with self._lock:
                self._running.append((future, job))


def _queued() -> set[str] | None:
    """Ids of the user's jobs that wait or run; None if the cluster does not answer. Accounting need not be set up."""
    command = ["squeue", "--me", "--noheader", "--format=%A"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no input of anybody
    return {*done.stdout.split()} if done.returncode == 0 else None


def _settle(future: Future[Any], job: Any) -> None:
    """Give a future the result of its job, whose file is there."""
    try:
        result = job.result()
    except Exception as error:
        future.set_exception(RuntimeError(f"SLURM job {job.job_id} failed: {error}".partition("\n")[0]))
    else:
        future.set_result(result)
