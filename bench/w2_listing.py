"""W2: enumerate every entity of a local project; one scandir for each directory is the limit.

Importing and opening (W1) come before the time is taken. System calls are counted by strace, in runs that are not timed.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed

from support import listing_project
from support.description import write_config
from support.tracing import can_trace, count_system_calls


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    listing_project.make_listing_project(folder / "project", sizes["runs"])
    write_config(folder / "config.json", folder / "project")
    yield


def library(job: Job) -> Numbers:
    root = importlib.import_module(job.library).from_file(str(Path(job.folder, "config.json")))
    if job.system == OURS:
        listing_project.import_later()
    return _checked(job, *timed(lambda: listing_project.enumerate_project(root)))


def limit(job: Job) -> Numbers:
    return _checked(job, *timed(lambda: listing_project.scan_project(str(Path(job.folder, "project")))))


def _checked(job: Job, found: tuple[int, int], numbers: Numbers) -> Numbers:
    if found[0] != job.sizes["runs"] * listing_project.ENTITIES_PER_RUN:
        raise SystemExit(f"{job.system} found {found[0]} entities")
    return {**numbers, "check": found}


def execute(job: Job) -> Numbers:
    return {**in_fresh_process(job), **_system_calls(job.system, job.python, job.folder, job.sizes["runs"])}


@functools.cache
def _system_calls(system: str, python: str, folder: str, runs: int) -> dict[str, Any]:
    """Calls a run that enumeration makes: those of the process less those of opening alone."""
    if not can_trace():
        return {}
    name = {REFERENCE: "copick", OURS: "copick_core"}.get(system, "limit")
    command = [python, listing_project.__file__, name, f"{folder}/config.json", f"{folder}/project"]
    total = sum(count_system_calls(command).values())
    opening = sum(count_system_calls([*command[:2], f"{name}-open", *command[3:]]).values())
    return {"system calls a run": round((total - opening) / runs, 1)}


if __name__ == "__main__":
    main(
        Workload(
            name="W2",
            title="enumerate {runs} runs in a local folder",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=["enumerate"],
            sizes={"runs": (500, 10)},
            rounds=5,
            setup=setup,
            warm_up=True,
            execute=execute,
        )
    )
