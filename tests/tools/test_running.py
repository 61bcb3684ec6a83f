"""``run``: a function for each run or entity, on every executor, again only where that is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

import copick_core
from copick_core.__main__ import main
from copick_core.errors import AddressError, InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.layers.provenance import provenance_of
from copick_core.overlay import CopickRootOverlay
from copick_core.testing.dict_layer import DICT_BACKEND
from copick_core.tree.keys import PicksKey
from copick_tools.running import plan_run
from support import slurm
from tools.conftest import contents, fill

MODULE = """
__version__ = "3.1"
import os, pathlib, time

def average(run, shift=1.0):
    points = [p for picks in run.get_picks("ribosome") if picks.user_id != "mean" for p in picks.numpy()[0]]
    mean = run.new_picks("ribosome", "1", "mean", exist_ok=True)
    mean.from_numpy([sum(points) / len(points) + shift])

def fails(run):
    if run.name == "TS_1":
        raise ValueError("no fiducials")

def describe(entity):
    picks = entity.run.new_picks("proteasome", "1", f"of-{entity.user_id}", exist_ok=True)
    picks.from_numpy(entity.numpy()[0])

def slow(run, folder, first="0"):
    folder = pathlib.Path(folder)
    (folder / f"began-{run.name}-{os.environ.get('SLURM_JOB_ID', '')}").touch()
    if run.name == "TS_1" and not (folder / "go").exists():
        time.sleep(600)
    average(run)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with a module of functions."""
    (tmp_path / "my_tools.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_tools", raising=False)
    return tmp_path


@pytest.fixture
def local(project_config, here, monkeypatch):
    """A filled project in a folder, which ``COPICK_CONFIG`` names."""
    path = here / "config.json"
    path.write_text(json.dumps({**project_config(), "user_id": "alice"}))
    monkeypatch.setenv("COPICK_CONFIG", str(path))
    return fill(copick_core.open(path))


def mean_of(root, run="TS_1"):
    root.refresh()
    return root.get_run(run).get_picks("ribosome", "mean", "1")[0].numpy()[0].tolist()


def reasons(plan):
    return {str(call) for call in plan.calls}


def test_a_function_is_called_for_each_run(project, here):
    outcomes = plan_run("my_tools:average", project, arguments={"shift": 2.0}).run(executor="thread")

    assert [(one.address, one.state, one.outputs) for one in sorted(outcomes, key=lambda one: one.address)] == [
        (f"TS_{n}/", "done", (f"TS_{n}/ribosome:mean/1",)) for n in (1, 2)
    ]
    assert mean_of(project) == [[3.5, 4.0, 5.0]]


def test_a_function_is_called_for_each_entity_that_an_address_matches(project, here):
    plan_run("my_tools:describe", project, ["TS_1/ribosome"], kind="picks").run(executor="thread")

    project.refresh()
    assert {picks.user_id for picks in project.get_run("TS_1").get_picks("proteasome")} == {"of-alice", "of-bob"}
    assert project.get_run("TS_2").get_picks("proteasome") == []


def test_what_it_stores_says_what_made_it_and_from_what(project, here):
    plan_run("my_tools:average", project, ["TS_1/"]).run(executor="thread")

    found = provenance_of(project.layers.overlay, PicksKey("TS_1", "ribosome", "mean", "1"))
    assert (found["tool"], found["function"], found["version"]) == ("copick-core run", "my_tools:average", "3.1")
    assert [one["address"] for one in found["inputs"]] == ["TS_1/ribosome:alice/1", "TS_1/ribosome:bob/1"]


def test_an_error_of_the_function_is_an_outcome(project, here):
    outcomes = {one.address: one for one in plan_run("my_tools:fails", project).run(executor="thread")}

    assert (outcomes["TS_1/"].state, outcomes["TS_1/"].error) == ("failed", "ValueError: no fiducials")
    assert "in fails" in outcomes["TS_1/"].traceback
    assert outcomes["TS_2/"].state == "done"


def test_a_plan_calls_nothing(project, here):
    before = contents(project)

    plan = plan_run("my_tools:average", project)

    assert contents(project) == before
    assert str(plan) == "my_tools:average:\n  run TS_1/: asked for\n  run TS_2/: asked for"


def test_if_needed_runs_what_was_never_run_and_nothing_twice(project, here):
    plan_run("my_tools:average", project, ["TS_1/"]).run(executor="thread")

    plan = plan_run("my_tools:average", project, if_needed=True)

    assert reasons(plan) == {"TS_2/: it was never run"}
    assert [why for _, why in plan.skipped] == ["it is up to date"]


def test_if_needed_runs_again_where_an_output_is_missing(project, here):
    plan_run("my_tools:average", project).run(executor="thread")
    project.select("TS_2/ribosome:mean", "picks").delete()

    plan = plan_run("my_tools:average", project, if_needed=True)

    assert reasons(plan) == {"TS_2/: picks TS_2/ribosome:mean/1 is missing"}


def test_if_needed_runs_again_where_an_input_has_changed(project, here):
    plan_run("my_tools:average", project).run(executor="thread")
    project.get_run("TS_1").get_picks("ribosome", "bob", "1")[0].from_numpy([[9.0, 9.0, 9.0]])

    plan = plan_run("my_tools:average", project, if_needed=True)
    assert reasons(plan) == {"TS_1/: picks TS_1/ribosome:bob/1 has changed"}

    plan.run(executor="thread")
    assert mean_of(project) == [[6.0, 6.5, 7.0]]
    assert plan_run("my_tools:average", project, if_needed=True).calls == []


def test_if_needed_runs_again_with_other_arguments(project, here):
    plan_run("my_tools:average", project, ["TS_1/"]).run(executor="thread")

    plan = plan_run("my_tools:average", project, ["TS_1/"], arguments={"shift": 5}, if_needed=True)

    assert reasons(plan) == {"TS_1/: the arguments have changed"}


def test_a_failed_call_is_needed_still(project, here):
    plan_run("my_tools:fails", project).run(executor="thread")

    assert reasons(plan_run("my_tools:fails", project, if_needed=True)) == {"TS_1/: it was never run"}


def test_if_needed_is_refused_where_nothing_is_kept(here):
    root = CopickRootOverlay(DICT_BACKEND.config_cls(), DICT_BACKEND.open_layers)
    root.layers.overlay.keeps_records = False
    root.new_run("TS_1")

    with pytest.raises(ReadOnlyError, match="if_needed"):
        plan_run("my_tools:average", root, if_needed=True)


@pytest.mark.parametrize(
    ("function", "addresses", "kind", "error"),
    [
        ("my_tools", ["*/"], None, InvalidDataError),
        ("my_tools:nothing", ["*/"], None, InvalidDataError),
        ("no_such_module:f", ["*/"], None, InvalidDataError),
        ("my_tools:__version__", ["*/"], None, InvalidDataError),
        ("my_tools:average", ["TS_9/"], None, NotFoundError),
        ("my_tools:average", ["TS_1/membrane:alice"], None, AddressError),
        ("my_tools:average", ["ribosome"], "object", InvalidDataError),
    ],
)
def test_mistakes_are_refused_before_anything_is_called(project, here, function, addresses, kind, error):
    before = contents(project)

    with pytest.raises(error):
        plan_run(function, project, addresses, kind=kind)

    assert contents(project) == before


def test_a_report_leaves_out_what_it_says_is_done(local, here):
    report = here / "done.jsonl"
    plan_run("my_tools:fails", local, report=report).run(executor="thread", report=report)

    plan = plan_run("my_tools:fails", local, report=report)

    assert [call.run for call in plan.calls] == ["TS_1"]
    assert [why for _, why in plan.skipped] == ["the report says that it is done"]


def test_a_report_with_a_torn_line_is_read_and_continued(local, here):
    report = here / "done.jsonl"
    plan_run("my_tools:average", local, ["TS_1/"], report=report).run(executor="thread", report=report)
    with report.open("a") as file:
        file.write('{"kind": "run", "addr')

    plan = plan_run("my_tools:average", local, report=report)
    plan.run(executor="thread", report=report)

    assert [call.run for call in plan.calls] == ["TS_2"]
    assert plan_run("my_tools:average", local, report=report).calls == []


def test_a_report_of_another_function_is_refused(local, here):
    report = here / "done.jsonl"
    plan_run("my_tools:average", local, report=report).run(executor="thread", report=report)

    with pytest.raises(InvalidDataError, match="not a report of my_tools:fails"):
        plan_run("my_tools:fails", local, report=report)


def test_the_command_runs_in_processes(local, capsys):
    assert main(["run", "my_tools:average", "--arg", "shift=2", "--workers", "2"]) == 0

    assert capsys.readouterr().out == "2 calls done.\n"
    assert mean_of(local) == [[3.5, 4.0, 5.0]]


def test_the_command_names_failures_and_exits_with_1(local, capsys):
    assert main(["run", "my_tools:fails", "--executor", "thread"]) == 1

    printed = capsys.readouterr()
    assert printed.out == "1 call done, 1 failed.\n"
    assert "TS_1/: ValueError: no fiducials" in printed.err


def test_the_command_prints_its_plan(local, capsys):
    main(["run", "my_tools:average", "TS_1/", "--executor", "thread"])
    capsys.readouterr()

    assert main(["run", "my_tools:average", "--if-needed", "--plan"]) == 0
    assert capsys.readouterr().out == "my_tools:average:\n  run TS_2/: it was never run\n  skip TS_1/: it is up to date\n"


def test_the_command_runs_on_dask(local, capsys):
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "copick_core", "run", "my_tools:average", "--executor", "dask", "--workers", "1"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout) == (0, "2 calls done.\n"), done.stderr
    assert mean_of(local) == [[2.5, 3.0, 4.0]]


@pytest.fixture
def cluster(tmp_path_factory, monkeypatch):
    """A SLURM cluster on loopback."""
    pytest.importorskip("submitit")
    if why := slurm.missing():
        pytest.skip(why)
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment


@pytest.mark.slow
def test_the_command_runs_on_slurm(local, cluster, capsys):
    assert main(["run", "my_tools:average", "--executor", "slurm", "--workers", "2", "--slurm", "time=5"]) == 0

    assert capsys.readouterr().out == "2 calls done.\n"
    assert mean_of(local, "TS_2") == [[2.5, 3.0, 4.0]]


@pytest.mark.slow
def test_a_job_that_scancel_kills_is_resumed_from_the_report(local, cluster, here):
    def command():
        words = ["run", "my_tools:slow", "--arg", f"folder={here}", "--executor", "slurm", "--report", "done.jsonl"]
        return [sys.executable, "-m", "copick_core", *words]

    first = subprocess.Popen(command(), stdout=subprocess.PIPE, text=True)
    killed = set()
    until = time.monotonic() + 120
    while first.poll() is None and time.monotonic() < until:
        for job in {path.name.rpartition("-")[2] for path in here.glob("began-TS_1-*")} - killed:
            subprocess.run(["scancel", job], check=True)
            killed.add(job)
        time.sleep(0.5)
    if first.poll() is None:
        first.kill()
    assert (first.communicate()[0], first.returncode) == ("1 call done, 1 failed.\n", 1)
    (here / "go").touch()

    second = subprocess.run(command(), capture_output=True, text=True, timeout=120, check=False)

    assert killed
    assert (second.returncode, second.stdout) == (0, "1 call done, 1 skipped.\n"), second.stderr
    assert mean_of(local) == [[2.5, 3.0, 4.0]]
    assert len([*here.glob("began-TS_2-*")]) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_a_run_that_was_killed_is_resumed_from_its_report(local, here):
    words = ["run", "my_tools:slow", "TS_2/", "TS_1/", "--arg", f"folder={here}", "--report", "done.jsonl", "--workers", "1"]
    command = [sys.executable, "-m", "copick_core", *words, "--executor", "thread"]
    first = subprocess.Popen(command)
    until = time.monotonic() + 60
    while not [*here.glob("began-TS_1-*")] and time.monotonic() < until:
        time.sleep(0.1)
    first.kill()
    first.wait()
    (here / "go").touch()

    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (second.returncode, second.stdout) == (0, "1 call done, 1 skipped.\n"), second.stderr
    assert len([*here.glob("began-TS_2-*")]) == 1
