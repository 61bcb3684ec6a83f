"""W17: the command line: `--help`, a listing of runs, and the installed plugins, each from a fresh process.

The limit is an interpreter that does nothing. Copick has no command that lists, so its listing is the shortest program that
prints the runs; its `info` lists the plugins. The whole process is timed; modules and memory are those of another one.
"""

from __future__ import annotations

import functools
import json
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projects import open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, environment, main, run
from w1_import import FACTS

HELP, LIST, PLUGINS = "--help", "ls", "plugins"
_LIST_OF_REFERENCE = "import copick; print(*(run.name for run in copick.from_file({config!r}).runs), sep='\\n')"
#: What the script that pip installs does.
_SCRIPT = "import sys; from {module} import main; sys.exit(main())"
#: The same in a process that says afterwards what it took.
_WATCHED = """
import sys
sys.argv = {words!r}
try:
    {script}
except SystemExit:
    pass
"""


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    root = open_project("copick_core", folder)
    for number in range(sizes["runs"]):
        root.new_run(f"TS_{number:04}")
    yield


def command(job: Job) -> list[str]:
    """The program that is timed, and its arguments."""
    config = f"{job.folder}/config.json"
    if job.system == LIMIT:
        return ["pass"]
    if job.system == OURS:
        return [_SCRIPT.format(module="copick_core.__main__"), job.case, *(["-c", config] if job.case == LIST else [])]
    if job.case == LIST:
        return [_LIST_OF_REFERENCE.format(config=config)]
    return [_SCRIPT.format(module="copick.cli.cli"), "info" if job.case == PLUGINS else job.case]


def execute(job: Job) -> Numbers:
    program, *arguments = command(job)
    before, start = _processor_seconds(), time.perf_counter()
    command_line = [job.python, "-c", program, *arguments]
    variables = environment(python_path=job.system != REFERENCE)
    done = subprocess.run(command_line, capture_output=True, text=True, check=True, env=variables)
    numbers: Numbers = {"seconds": time.perf_counter() - start, "processor s": round(_processor_seconds() - before, 3)}
    numbers |= _facts(job.python, program, *arguments)
    listed = [line.rstrip("/") for line in done.stdout.splitlines() if line.startswith("TS_")]
    return {**numbers, "check": listed} if listed else numbers


def _processor_seconds() -> float:
    """What processes that have ended took of processors, which a busy machine hardly changes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@functools.cache
def _facts(python: str, program: str, *arguments: str) -> Numbers:
    watched = _WATCHED.format(words=["-c", *arguments], script=program)
    return dict(json.loads(run([python, "-c", watched + FACTS], python_path=False)))


def side(job: Job) -> Numbers:
    """Nothing is done inside this script: see `execute`."""
    raise NotImplementedError


if __name__ == "__main__":
    main(
        Workload(
            name="W17",
            title="the command line, with {runs} runs",
            systems=dict.fromkeys((REFERENCE, LIMIT, OURS), side),
            cases=[HELP, LIST, PLUGINS],
            sizes={"runs": (500, 5)},
            rounds=9,
            setup=setup,
            warm_up=True,
            execute=execute,
        )
    )
