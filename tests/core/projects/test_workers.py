"""What a worker keeps between batches, and what it sends back whatever happens."""

import pickle
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

import copick_core
from copick_core.errors import InvalidDataError, NotFoundError, NotPicklableError, at_command_line, by_caller
from copick_core.projects.runs import map_runs, worker
from copick_core.projects.runs.pools import _Sending, pool_of
from support import map_jobs
from support.locks import waits_for


@pytest.fixture
def project(project_config):
    root = copick_core.open(project_config())
    for name in ("TS_0", "TS_1"):
        root.new_run(name)
    return root


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch):
    monkeypatch.setattr(worker, "_jobs", type(worker._jobs)())


def job(token, root, function=map_jobs.name_of):
    return worker.Job(token, pickle.dumps((root, function)))


def work(one, *names):
    sent = worker.work_on_sent(one, pickle.dumps([(name, {}) for name in names]))
    return [worker.unpacked(name, packed) for name, packed in sent]


def test_a_worker_opens_a_project_once_and_keeps_those_of_the_last_two_calls(project):
    jobs = [job(token, project) for token in "abc"]
    first, second = (worker._content_of(one)[0] for one in jobs[:2])

    assert worker._content_of(jobs[0])[0] is first
    third = worker._content_of(jobs[2])[0]

    assert worker._content_of(jobs[2])[0] is third
    assert worker._content_of(jobs[1])[0] is second
    assert worker._content_of(jobs[0])[0] is not first


def test_a_project_is_opened_by_one_thread_of_a_worker_at_a_time(project):
    one = job("a", project)

    assert waits_for(worker._jobs_lock, lambda: worker._content_of(one))


def test_a_worker_that_cannot_open_the_project_says_so_for_each_run():
    outcomes = work(worker.Job("a", b"no pickle"), "TS_0", "TS_1")

    assert [(name, result, failure.run) for name, result, failure in outcomes] == [
        ("TS_0", None, "TS_0"),
        ("TS_1", None, "TS_1"),
    ]
    assert all(isinstance(failure.error, pickle.UnpicklingError) for _, _, failure in outcomes)
    assert all("_content_of" in failure.traceback for _, _, failure in outcomes)


def test_a_worker_forgets_each_run_when_it_is_done_with(project):
    one = job("a", project)

    assert work(one, "TS_0", "TS_1") == [("TS_0", "TS_0", None), ("TS_1", "TS_1", None)]
    assert worker._content_of(one)[0]._run_children == []


def test_a_result_that_cannot_be_sent_is_a_failure_that_names_its_run_and_type(project):
    ((name, result, failure),) = work(job("a", project, map_jobs.return_what_cannot_be_sent), "TS_0")

    assert (name, result) == ("TS_0", None)
    assert isinstance(failure.error, NotPicklableError)
    assert failure.error.subject == "The result for run 'TS_0', a function,"
    assert "Store it, or return plain values" in str(failure.error)


def test_an_error_that_can_be_sent_only_one_way_comes_back_with_its_name_and_traceback(project):
    ((_, result, failure),) = work(job("a", project, map_jobs.raise_what_cannot_be_sent), "TS_0")

    assert result is None
    assert (type(failure.error), str(failure.error)) == (RuntimeError, "PickyError: one two")
    assert "in raise_what_cannot_be_sent" in failure.traceback


def test_an_outcome_that_cannot_be_read_is_a_failure_of_its_run():
    name, result, failure = worker.unpacked("TS_0", b"no pickle")

    assert (name, result, failure.run) == ("TS_0", None, "TS_0")
    assert isinstance(failure.error, pickle.UnpicklingError)


def test_a_run_that_is_gone_is_named_with_the_layers_that_were_asked(project):
    ((_, _, failure),) = work(job("a", project), "TS_9")

    assert isinstance(failure.error, NotFoundError)
    assert failure.error.layer == "overlay"


def test_no_run_is_begun_after_the_call_was_stopped(project):
    stop, begun = threading.Event(), []

    def stop_after_one(run):
        begun.append(run.name)
        stop.set()

    outcomes = [*worker.work_on(project, stop_after_one, [("TS_0", {}), ("TS_1", {})], stop)]

    assert begun == ["TS_0"]
    assert outcomes == [("TS_0", None, None)]


def test_an_exit_of_a_function_is_a_failure_of_its_run_and_the_others_go_on(project):
    def leave(run):
        raise SystemExit(3)

    outcomes = [*worker.work_on(project, leave, [("TS_0", {}), ("TS_1", {})], None)]

    assert [(name, type(failure.error)) for name, _, failure in outcomes] == [("TS_0", SystemExit), ("TS_1", SystemExit)]


# ------------------------------------------------------------------------------------------------------------ arguments


def test_a_client_that_is_asynchronous_is_refused(project):
    client = SimpleNamespace(get_executor=None, nthreads=None, asynchronous=True)

    with pytest.raises(InvalidDataError, match="the client is asynchronous"):
        map_runs(map_jobs.name_of, project, executor=client)


@pytest.mark.parametrize(("executor", "workers", "expected"), [("thread", 3, 3), ("process", 1, 1)])
def test_a_pool_has_as_many_workers_as_were_asked_for(project, executor, workers, expected):
    with pool_of(executor, workers, map_jobs.name_of, project) as pool:
        assert pool.workers == expected
        assert pool.under_way == (2 * expected if executor == "process" else None)


@pytest.mark.parametrize(
    ("wrong", "source", "reason"),
    [
        ({"workers": 0}, "workers", "0 is less than 1"),
        ({"chunksize": 0}, "chunksize", "0 is less than 1"),
        ({"runs": "TS_0"}, "runs", "'TS_0' is one name; give a list of names"),
        ({"done": "TS_0"}, "done", "'TS_0' is one name; give a list of names"),
        ({"executor": "cluster"}, "executor", "'cluster' is not 'process', 'thread', an Executor or a distributed.Client"),
        ({"run_args": [{}]}, "run_args", "it has 1 entries for 2 runs"),
        ({"run_args": [{}] * 2, "runs": ["TS_0", "TS_0"]}, "run_args", "runs are named more than once"),
        ({"run_args": {"TS_9": {}, "TS_8": {}}}, "run_args", "it has arguments for 'TS_8', which is not among the runs"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named_with_the_reason(project, wrong, source, reason):
    with pytest.raises(InvalidDataError) as caught:
        map_runs(map_jobs.name_of, project, **wrong)

    assert caught.value.source == source
    assert caught.value.reason.startswith(reason)


def test_a_run_that_is_named_twice_is_worked_on_once(project):
    report = map_runs(map_jobs.name_of, project, ["TS_1", "TS_0", "TS_1"], executor="thread")

    assert [*report.results] == ["TS_1", "TS_0"]


def told_by(run):
    return by_caller("exist_ok=True", "--if-exists replace")


@pytest.mark.parametrize("is_at", [False, True])
def test_what_a_worker_says_is_for_those_who_called(project, is_at):
    with at_command_line() if is_at else nullcontext():
        job = _Sending(told_by, project, None, 1)._job

    assert work(job, "TS_0") == [("TS_0", "--if-exists replace" if is_at else "exist_ok=True", None)]
    assert by_caller("exist_ok=True", "--if-exists replace") == "exist_ok=True"


def test_an_argument_that_cannot_be_sent_is_named_with_its_run(project):
    with pool_of("process", 1, map_jobs.name_of, project) as pool, pytest.raises(NotPicklableError) as caught:
        pool.submit([("TS_1", {"held": threading.Lock()})])

    assert caught.value.subject == "An argument of run 'TS_1'"
    assert 'Define it at the top level of a module, or use executor="thread"' in caught.value.reason
