"""Batches of runs on their way through workers that die, stop, or take nothing more."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from typing import Any

import pytest

import copick_core
from copick_core.errors import WorkerLostError
from copick_core.projects.runs import Interrupted, MapReport, map_runs
from copick_core.projects.runs.pools import Pool
from copick_core.projects.runs.scheduling import Work

NAMES = ["TS_0", "TS_1", "TS_2"]


class Scripted(Pool):
    """Works at once; loses its worker with the runs in `deadly`, as often as it has attempts."""

    workers = 1

    def __init__(self, deadly: tuple[str, ...] = (), attempts: int = 3, restarts: bool = True) -> None:
        self.attempts = attempts
        self.deadly, self.restarts = deadly, restarts
        self.submitted: list[list[str]] = []
        self.at_once: list[int] = []
        self.broken = self.stopped = False
        self.restarted = 0

    def submit(self, batch: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("broken")
        names = [name for name, _ in batch]
        self.submitted.append(names)
        future: Future[Any] = Future()
        if {*names} & {*self.deadly}:
            self.broken = self.restarts
            future.set_exception(BrokenExecutor("the worker died"))
        else:
            future.set_result([(name, arguments.get("value", name), None) for name, arguments in batch])
        return future

    def restart(self) -> bool:
        self.restarted += 1
        self.broken = False
        return self.restarts

    def stop(self) -> None:
        self.stopped = True


def batches(*sizes: int) -> list[list[tuple[str, dict[str, Any]]]]:
    runs = iter([(name, {"value": name.lower()}) for name in NAMES])
    return [[next(runs) for _ in range(size)] for size in sizes]


def work(pool: Pool, *sizes: int, **options: Any) -> MapReport[Any]:
    report: MapReport[Any] = MapReport()
    told = options.pop("told", [])
    Work(pool, batches(*sizes), report, lambda *args: told.append(args), 3, **options).finish()
    return report


def test_every_outcome_is_told_with_its_result_or_its_failure():
    outcomes: list[tuple[str, Any, Any]] = []
    told: list[tuple[str, int, int]] = []

    report = work(Scripted(("TS_1",)), 1, 1, 1, on_outcome=lambda *one: outcomes.append(one), told=told)

    assert report.results == {"TS_0": "ts_0", "TS_2": "ts_2"}
    assert sorted((name, result) for name, result, _ in outcomes) == [("TS_0", "ts_0"), ("TS_1", None), ("TS_2", "ts_2")]
    assert {name: failure for name, _, failure in outcomes} == {**dict.fromkeys(report.results), **report.errors}
    assert [(done, total) for _, done, total in told] == [(1, 3), (2, 3), (3, 3)]
    assert sorted(name for name, _, _ in told) == NAMES


def test_runs_that_are_lost_together_are_tried_one_by_one_with_their_arguments():
    pool = Scripted(("TS_1",))

    report = work(pool, 3)

    assert pool.submitted[0] == NAMES
    assert all(len(names) == 1 for names in pool.submitted[1:])
    assert pool.submitted.count(["TS_1"]) == 2
    assert report.results == {"TS_0": "ts_0", "TS_2": "ts_2"}
    assert pool.restarted == 2


def test_the_failure_of_a_lost_run_names_it_and_the_cause():
    report = work(Scripted(("TS_1",)), 1, 1, 1)

    failure = report.errors["TS_1"]
    assert isinstance(failure.error, WorkerLostError)
    assert (failure.run, failure.error.run) == ("TS_1", "TS_1")
    assert "the worker died" in failure.error.reason
    assert "WorkerLostError" in failure.traceback


def test_a_cause_without_words_is_told_by_its_kind():
    class Silent(Scripted):
        def submit(self, batch: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(TimeoutError())
            return future

    report = work(Silent(attempts=1), 3)

    assert [failure.error.reason for failure in report.errors.values()] == ["TimeoutError"] * 3


def test_a_batch_that_was_cut_short_is_tried_again_for_what_is_missing():
    class Short(Scripted):
        def outcomes(self, result: Any) -> Any:
            return result[:1] if len(self.submitted) == 1 else result

    pool = Short()

    assert work(pool, 3).results == {name: name.lower() for name in NAMES}
    assert pool.submitted == [NAMES, ["TS_1"], ["TS_2"]]


def test_what_is_missing_every_time_was_interrupted():
    class Silent(Scripted):
        def outcomes(self, result: Any) -> Any:
            return []

    report = work(Silent(attempts=2), 3)

    assert [failure.error.reason for failure in report.errors.values()] == ["it was interrupted"] * 3


@pytest.mark.parametrize("error", [BrokenExecutor("broken"), RuntimeError("cannot schedule new futures after shutdown")])
def test_an_executor_that_takes_no_more_work_fails_every_run(error):
    class Closed(Scripted):
        def submit(self, batch: Any) -> Future[Any]:
            raise error

    report = work(Closed(restarts=False), 2, 1)

    assert [*report.errors] == NAMES
    assert {failure.error.reason for failure in report.errors.values()} == {
        "the executor takes no more work: a worker died, or it was shut down"
    }
    assert {failure.run for failure in report.errors.values()} == {*NAMES}


def test_other_errors_of_an_executor_are_raised():
    class Odd(Scripted):
        def submit(self, batch: Any) -> Future[Any]:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        work(Odd(), 3)


@pytest.mark.parametrize("under_way", [None, 1, 2])
def test_no_more_batches_are_under_way_than_the_pool_takes(under_way):
    class Waiting(Scripted):
        most = 0

        def submit(self, batch: Any) -> Future[Any]:
            self.waiting = getattr(self, "waiting", 0) + 1
            self.most = max(self.most, self.waiting)
            return super().submit(batch)

        def outcomes(self, result: Any) -> Any:
            self.waiting -= 1
            return result

    pool = Waiting()
    pool.under_way = under_way

    assert len(work(pool, 1, 1, 1).results) == 3
    assert pool.most == (under_way or 3)


def test_after_a_stop_what_is_under_way_is_finished_and_nobody_is_told():
    pool, told = Scripted(), []
    report: MapReport[Any] = MapReport()
    one = Work(pool, batches(1, 1), report, lambda *args: told.append(args), 3)
    one._submit()
    cancelled: Future[Any] = Future()
    one._under_way[cancelled] = one._under_way.pop(next(iter(one._under_way)))

    one.stop()

    assert pool.stopped
    assert cancelled.cancelled()
    assert (report.results, told) == ({"TS_1": "ts_1"}, [])


# ------------------------------------------------------------------------------------------------------------- map_runs


@pytest.fixture
def memory():
    root = copick_core.open({"config_type": "memory"})
    for name in NAMES:
        root.new_run(name)
    return root


def test_what_came_of_each_run_is_told_at_once(memory):
    def fail_for_one(run: Any) -> str:
        if run.name == "TS_1":
            raise ZeroDivisionError("by 0")
        return str(run.name)

    told: dict[str, Any] = {}
    report = map_runs(
        fail_for_one, memory, executor="thread", collect=True, on_outcome=lambda name, *rest: told.update({name: rest})
    )

    assert told == {"TS_0": ("TS_0", None), "TS_1": (None, report.errors["TS_1"]), "TS_2": ("TS_2", None)}
    assert [*report.errors] == ["TS_1"]


def test_a_report_of_an_interruption_has_what_is_done_and_what_is_not(memory):
    def interrupt(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"runs are done, .* are not; go on with done=error\.report") as caught:
        map_runs(lambda run: run.name, memory, executor="thread", workers=1, chunksize=1, progress=interrupt, done=["TS_9"])

    report = caught.value.report
    assert "TS_0" in report.results
    assert report.pending == [name for name in NAMES if name not in report.results]
    assert str(caught.value).startswith(f"{len(report.results)} runs are done, {len(report.pending)} are not")
    assert caught.value.__suppress_context__


def test_results_of_an_earlier_report_are_taken_only_for_the_runs_that_are_asked_for(memory):
    first = map_runs(lambda run: run.name, memory, executor="thread")

    second = map_runs(lambda run: 1 / 0, memory, ["TS_2", "TS_0"], executor="thread", done=first)

    assert (second.results, second.skipped) == ({"TS_2": "TS_2", "TS_0": "TS_0"}, ["TS_2", "TS_0"])


def test_one_failure_is_the_cause_of_the_error_that_counts_them(memory):
    with pytest.raises(copick_core.errors.RunsFailedError, match="3 of 3 runs failed") as caught:
        map_runs(lambda run: 1 / 0, memory, executor="thread")

    assert caught.value.__cause__ is caught.value.report.errors["TS_0"].error
