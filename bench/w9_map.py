"""W9: call a function for each run of a project with two workers; warm processes with one batch each are the limit.

The time is from the call to the last result: starting and stopping of our workers and the reference's is part of it, that of
a dask cluster, which is there already, is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, run

from support import mapping_project
from support.description import write_config

IDLE, BUSY = "tasks that do nothing", "tasks that take processor time"
SYSTEMS = {
    REFERENCE: "copick-process",
    LIMIT: "limit-process",
    OURS: "copick_core-process",
    f"{REFERENCE}, threads": "copick-thread",
    f"{OURS}, threads": "copick_core-thread",
    f"{OURS}, dask": "copick_core-dask",
}


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    mapping_project.make_mapping_project(folder / "project", sizes["runs"])
    write_config(folder / "config.json", folder / "project")
    yield


def execute(job: Job) -> Numbers:
    if job.profile:
        return {}  # the time is that of other processes
    milliseconds = job.sizes["milliseconds"] if job.case == BUSY else 0
    arguments = [SYSTEMS[job.system], f"{job.folder}/config.json", str(milliseconds)]
    numbers = json.loads(run([job.python, mapping_project.__file__, *arguments], python_path=job.library != "copick"))
    return {"seconds": numbers["seconds"], "check": numbers["results"]}


def side(job: Job) -> Numbers:
    """Nothing is done inside this script: see `execute`."""
    raise NotImplementedError


if __name__ == "__main__":
    main(
        Workload(
            name="W9",
            title="a function for each of {runs} runs, {milliseconds} ms each if it does something, 2 workers",
            systems=dict.fromkeys(SYSTEMS, side),
            cases=[IDLE, BUSY],
            sizes={"runs": (200, 8), "milliseconds": (50, 2)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
