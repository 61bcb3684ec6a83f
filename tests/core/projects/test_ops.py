"""Many runs at once: results and failures of each, whatever does the work."""

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import copick_core
from copick_core.errors import InvalidDataError, NotFoundError, NotPicklableError, RunsFailedError, WorkerLostError
from copick_core.projects.runs import Interrupted, MapReport, _parts, map_runs, worker
from copick_core.projects.runs.pools import process_context
from support import map_jobs
from support.audit import count_events
from support.s3_server import S3Server

NAMES = [f"TS_{number}" for number in range(6)]


@pytest.fixture
def project(project_config):
    root = copick_core.open(project_config())
    for name in NAMES:
        root.new_run(name)
    return root


@pytest.fixture
def memory():
    root = copick_core.open({"config_type": "memory"})
    for name in NAMES:
        root.new_run(name)
    return root


# ----------------------------------------------------------------------------------------------------- results and errors


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_results_are_in_the_order_of_the_runs(project, executor):
    report = map_runs(map_jobs.name_of, project, reversed(NAMES), executor=executor, workers=2)

    assert [*report.results.items()] == [(name, name) for name in reversed(NAMES)]


def test_a_project_is_given_by_its_config_or_its_file_too(project, tmp_path):
    project.save_config(tmp_path / "config.json")

    assert len(map_runs(map_jobs.name_of, tmp_path / "config.json", executor="thread").results) == 6
    assert len(map_runs(map_jobs.name_of, project.config.model_dump(mode="json"), executor="thread").results) == 6


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_failures_raise_one_summary_with_all_tracebacks_after_all_runs(project, executor):
    with pytest.raises(RunsFailedError) as caught:
        map_runs(map_jobs.fail_for_odd, project, executor=executor, workers=2)

    report = caught.value.report
    assert [*report.results] == ["TS_0", "TS_2", "TS_4"]
    assert [*report.errors] == ["TS_1", "TS_3", "TS_5"]
    assert all(
        type(failure.error) is KeyError and "in fail_for_odd" in failure.traceback for failure in report.errors.values()
    )
    assert "3 of 6 runs failed" in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


def test_failures_are_collected_when_told_to(project):
    assert len(map_runs(map_jobs.fail_for_odd, project, executor="thread", collect=True).errors) == 3


def test_a_run_that_does_not_exist_fails_alone_and_says_so(project):
    report = map_runs(map_jobs.name_of, project, ["TS_1", "TS_9"], executor="thread", collect=True)

    assert [*report.results] == ["TS_1"]
    assert isinstance(report.errors["TS_9"].error, NotFoundError)


@pytest.mark.parametrize("job", [map_jobs.return_what_cannot_be_sent, map_jobs.raise_what_cannot_be_sent])
def test_what_cannot_be_sent_back_is_a_failure_of_its_run(project, job):
    report = map_runs(job, project, workers=1, collect=True)

    assert [*report.errors] == NAMES
    assert all(failure.traceback for failure in report.errors.values())


def test_an_error_that_cannot_be_sent_back_keeps_its_name_and_traceback(project):
    report = map_runs(map_jobs.raise_what_cannot_be_sent, project, ["TS_1"], workers=1, collect=True)

    assert "PickyError: one two" in str(report.errors["TS_1"].error)
    assert "in raise_what_cannot_be_sent" in report.errors["TS_1"].traceback


def test_a_report_can_be_pickled(project):
    report = map_runs(map_jobs.fail_for_odd, project, executor="thread", collect=True)

    assert [*pickle.loads(pickle.dumps(report)).errors] == [*report.errors]


# --------------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("arguments", [[{"factor": n} for n in range(6)], {f"TS_{n}": {"factor": n} for n in range(6)}])
def test_each_run_has_arguments_of_its_own(project, arguments):
    job = functools.partial(map_jobs.scaled, offset=1)

    report = map_runs(job, project, NAMES, run_args=arguments, executor="thread")

    assert report.results == {f"TS_{n}": n * n + 1 for n in range(6)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_args": [{}]},
        {"run_args": {"TS_9": {}}},
        {"run_args": [{}] * 7, "runs": [*NAMES, "TS_1"]},
        {"runs": "TS_1"},
        {"workers": 0},
        {"chunksize": 0},
        {"chunksize": -1},
        {"done": "TS_1"},
        {"executor": "cluster"},
    ],
)
def test_arguments_that_make_no_sense_are_refused(project, wrong):
    with pytest.raises(InvalidDataError):
        map_runs(map_jobs.name_of, project, **{"runs": NAMES, **wrong})


def test_progress_is_told_after_every_run(project):
    told = []

    map_runs(map_jobs.name_of, project, executor="thread", progress=lambda *args: told.append(args))

    assert sorted(name for name, _, _ in told) == NAMES
    assert [(done, total) for _, done, total in told] == [(n, 6) for n in range(1, 7)]


def test_an_error_of_progress_stops_the_work_and_is_raised(project):
    with pytest.raises(ZeroDivisionError):
        map_runs(map_jobs.name_of, project, executor="thread", workers=1, progress=lambda *args: 1 / 0)


# --------------------------------------------------------------------------------------------------------------- resuming


def test_runs_that_are_done_are_left_out(project):
    report = map_runs(map_jobs.name_of, project, executor="thread", done=["TS_1", "TS_2"])

    assert report.skipped == ["TS_1", "TS_2"]
    assert [*report.results] == ["TS_0", "TS_3", "TS_4", "TS_5"]


def test_with_a_report_only_what_failed_is_tried_again_and_all_results_are_together(project):
    first = map_runs(map_jobs.fail_for_odd, project, executor="thread", collect=True)

    second = map_runs(map_jobs.name_of, project, executor="thread", done=first)

    assert second.skipped == ["TS_0", "TS_2", "TS_4"]
    assert [*second.results] == NAMES
    assert second.errors == {}


@pytest.mark.parametrize("seconds", [0, 0.5], ids=["all-at-once", "workers-first"])
def test_ctrl_c_interrupts_processes_cleanly_and_reports_what_is_done(project, tmp_path, seconds):
    project.save_config(tmp_path / "config.json")
    begun = tmp_path / "begun"
    begun.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, map_jobs.__file__, str(tmp_path / "config.json"), "process", str(begun)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            while len([path for path in begun.iterdir() if path.read_text()]) < 3:
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)

            # The kernel signals the processes of a terminal in no order, and each is scheduled when it is.
            for worker in {int(path.read_text()) for path in begun.iterdir()}:
                os.kill(worker, signal.SIGINT)
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    assert (out.strip(), err) == ("done TS_0 pending TS_1 TS_2 TS_3 TS_4 TS_5", "")


def test_ctrl_c_between_two_runs_begins_no_other(project, monkeypatch):
    stop = threading.Event()
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(worker, "_stop_event", None)
    try:
        worker.start_worker(stop)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.2, stop.set).start()  # the process that called map_runs is told a little later

        assert [*worker.work_on(project, map_jobs.name_of, [("TS_0", {})], stop)] == []
        assert stop.is_set()

        stop.clear()
        assert [*worker.work_on(project, map_jobs.name_of, [("TS_0", {})], stop)] == [("TS_0", "TS_0", None)]
    finally:
        signal.signal(signal.SIGINT, handler)


def test_ctrl_c_lets_threads_finish_their_runs_and_begin_no_others(project):
    def interrupt(name, done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        map_runs(lambda run: time.sleep(0.2), project, executor="thread", workers=1, chunksize=1, progress=interrupt)

    report = caught.value.report
    assert {"TS_0"} <= {*report.results} < {*NAMES}
    assert sorted([*report.results, *report.pending]) == NAMES
    assert [*map_runs(map_jobs.name_of, project, executor="thread", done=report).results] == NAMES


# --------------------------------------------------------------------------------------------------------------- executors


def test_each_process_opens_the_project_once(project):
    report = map_runs(map_jobs.root_of, project, workers=2, chunksize=1)

    roots = set(report.results.values())
    assert len(roots) == len({process for process, _ in roots}) <= 2
    assert os.getpid() not in {process for process, _ in roots}


def test_threads_share_the_project(project):
    assert {root for _, root in map_runs(map_jobs.root_of, project, executor="thread").results.values()} == {id(project)}


def test_any_executor_will_do(project):
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert {*map_runs(map_jobs.process_of, project, executor=threads).results.values()} == {os.getpid()}
        assert os.getpid() not in map_runs(map_jobs.process_of, project, executor=processes).results.values()


def test_processes_are_not_forked_while_threads_run():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()

    method = process_context().get_start_method()

    stop.set()
    thread.join()
    assert method in {"forkserver", "spawn"}


def test_a_project_in_memory_refuses_processes_and_says_what_to_do(memory):
    with pytest.raises(NotPicklableError, match='executor="thread"'):
        map_runs(map_jobs.name_of, memory)


def test_a_project_in_memory_works_with_threads(memory):
    assert len(map_runs(lambda run: run.new_voxel_spacing(10.0), memory, executor="thread").results) == 6
    assert all(len(run.voxel_spacings) == 1 for run in memory.runs)


def test_a_run_that_kills_its_worker_fails_and_no_other_one(project):
    job = functools.partial(map_jobs.die_for, names=["TS_3"])

    report = map_runs(job, project, workers=2, collect=True)

    assert [*report.results] == ["TS_0", "TS_1", "TS_2", "TS_4", "TS_5"]
    assert isinstance(report.errors["TS_3"].error, WorkerLostError)


def test_a_broken_executor_of_the_user_is_reported(project):
    job = functools.partial(map_jobs.die_for, names=NAMES)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        report = map_runs(job, project, executor=processes, collect=True)

    assert {type(failure.error) for failure in report.errors.values()} == {WorkerLostError}
    assert [*report.errors] == NAMES


def test_a_script_without_main_guard_is_told_so_instead_of_trying_for_ever(project, tmp_path):
    project.save_config(tmp_path / "config.json")
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, copick_core\nfrom support import map_jobs\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        f"copick_core.map_runs(map_jobs.name_of, {str(tmp_path / 'config.json')!r}, workers=1)\n"
    )

    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert "WorkerLostError" in done.stderr
    assert '__name__ == "__main__"' in done.stderr


def test_dask_is_not_imported_by_the_module():
    code = (
        "import sys, copick_core.projects.runs; "
        "print([m for m in ('dask', 'distributed', 'zarr', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout.strip() == "[]"


def test_runs_are_found_without_listing_the_project(project, tmp_path):
    project.save_config(tmp_path / "config.json")
    script = tmp_path / "script.py"
    script.write_text(
        "import copick_core\n"
        f"root = copick_core.open({str(tmp_path / 'config.json')!r})\n"
        "copick_core.map_runs(lambda run: run.name, root, ['TS_1', 'TS_2'], executor='thread')\n"
    )

    assert count_events([str(script)], inside=Path(project.config.overlay_root)) == {}


# ---------------------------------------------------------------------------------------------------------------- clusters


@pytest.fixture(scope="module")
def server():
    with S3Server() as running:
        yield running


@pytest.fixture
def bucket(server):
    server.empty("lab")
    fs_args = {"endpoint_url": server.url, "key": "someone", "secret": "do-not-tell"}
    return {"config_type": "filesystem", "overlay_root": "s3://lab/project", "overlay_fs_args": fs_args}


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_cluster_that_loses_a_worker_completes_everything(place, project_config, request, tmp_path, client):
    config = project_config() if place == "folder" else {**project_config(None), **request.getfixturevalue("bucket")}
    root = copick_core.open(config)
    for number in range(16):
        run = root.new_run(f"TS_{number}")
        run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(map_jobs.density(number))
    job = functools.partial(map_jobs.segment, markers=str(tmp_path), die="TS_5")

    report = map_runs(job, root, executor=client)

    assert (tmp_path / "TS_5").exists()
    # Of those that began: what the killed one had done is lost, and may be done again before it is back.
    assert len([*tmp_path.glob("process-*")]) >= 4
    assert [*report.results] == sorted(report.results, key=[r.name for r in root.runs].index)
    fresh = copick_core.open(config)
    for number in range(16):
        map_jobs.check_segmented(fresh, number)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_takes_functions_of_notebooks_and_refuses_projects_in_memory(project, memory, client):
    assert [*map_runs(lambda run: run.name, project, executor=client).results] == NAMES
    with pytest.raises(NotPicklableError):
        map_runs(map_jobs.name_of, memory, executor=client)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_kills_every_worker_of_a_cluster_fails_alone(project, client):
    job = functools.partial(map_jobs.die_for, names=["TS_3"])

    report = map_runs(job, project, executor=client, collect=True)

    assert [*report.errors] == ["TS_3"]
    assert len(report.results) == 5


def test_the_report_of_nothing_is_empty(project):
    assert map_runs(map_jobs.name_of, project, [], executor="thread") == MapReport()


def test_batches_grow_smaller_until_no_worker_waits_for_another_ones_last():
    sizes = [part.stop - part.start for part in _parts(200, None, 2)]

    assert sum(sizes) == 200
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (12, 1)
    assert len(sizes) < 70


@pytest.mark.parametrize(("runs", "chunksize", "sizes"), [(0, None, []), (1, None, [1]), (7, 3, [3, 3, 3])])
def test_batches_hold_every_run(runs, chunksize, sizes):
    assert [part.stop - part.start for part in _parts(runs, chunksize, 2)] == sizes
    assert [n for part in _parts(runs, chunksize, 2) for n in range(runs)[part]] == [*range(runs)]


NOTEBOOK = """
import functools, sys, threading, time
import copick_core

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # as a notebook's server has: no process is forked
{before}
root = copick_core.open({config!r})
scale = 3

def scaled(run, factor):
    return len(run.name) * factor * scale

try:
    print(copick_core.map_runs(functools.partial(scaled, factor=2), root, workers=1).results)
except TypeError as error:
    print(type(error).__name__, error)
"""


def printed_by_notebook(project, before=""):
    config = project.config.model_dump(mode="json")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.format(config=config, before=before)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_function_that_a_notebook_defines_runs_in_processes(project):
    pytest.importorskip("cloudpickle")

    assert "'TS_5': 24" in printed_by_notebook(project)


def test_without_cloudpickle_a_function_of_a_notebook_is_refused_with_the_ways_out(project):
    said = printed_by_notebook(project, before="sys.modules['cloudpickle'] = None")

    assert said.startswith("NotPicklableError Function scaled cannot be pickled: it is defined in a notebook or console")
    assert all(way in said for way in ("in a module", "pip install cloudpickle", 'executor="thread"'))


def test_a_function_that_processes_cannot_be_sent_is_named_with_the_way_out(project):
    held = threading.Lock()  # no pickler takes it, not even cloudpickle, which takes other lambdas

    with pytest.raises(NotPicklableError, match=r'Function .*lambda.*top level of a module.*executor="thread"'):
        map_runs(lambda run: held, project, NAMES, executor="process", workers=2)
