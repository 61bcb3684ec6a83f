"""W19: a project with a history of 1,000 commits of one picks file each, beside the same project without a history.

The limit is our filesystem backend, and the reference does what it can: the same, without a history. A file of the history is
read as of its 500th commit too, where the others read the file that there is.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

COMMIT, LIST, NEWEST, PAST = "commit", "open and list", "open and read the newest", "open and read as of the middle"
FILES_IN_RUN = 10


def with_history(folder: Path) -> Any:
    """Open the project with a history in a folder."""
    import copick_core

    open_project("copick_core", folder)
    described = json.loads((folder / "config.json").read_text())
    fields = {name: described[name] for name in ("pickable_objects", "user_id", "session_id") if name in described}
    return copick_core.open({**fields, "config_type": "icechunk", "overlay_root": str(folder / "history")})


def opened(job: Job, folder: Path) -> Any:
    """Open the project of a system."""
    return with_history(folder) if job.system == OURS else open_project(job.library, folder)


def positions(number: int, sizes: Sizes) -> Any:
    """The points of a file."""
    return np.random.default_rng(number).uniform(0, 5000, (sizes["points"], 3))


def write(root: Any, number: int, sizes: Sizes) -> None:
    """Write one file."""
    name = f"TS_{number // FILES_IN_RUN:04}"
    run = root.get_run(name) or root.new_run(name)
    points = positions(number, sizes)
    if type(root).__module__.startswith("copick."):
        run.new_picks("ribosome", str(number % FILES_IN_RUN), "alice").from_numpy(points)
    else:
        run.new_picks("ribosome", str(number % FILES_IN_RUN), "alice", positions=points)


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    for root in (open_project("copick_core", folder), with_history(folder)):
        for number in range(sizes["commits"]):
            write(root, number, sizes)
    yield


def library(job: Job) -> Numbers:
    import_now("copick_core.picks", "zarr", "icechunk", "numcodecs")
    source, sizes = Path(job.folder), job.sizes
    last = sizes["commits"] - 1
    if job.case == COMMIT:
        return _commits(job)
    if job.case == LIST:
        found, numbers = timed(lambda: sum(len(run.picks) for run in opened(job, source).runs))
        return {**numbers, "check": found, "MB": round(_size(source / _place(job)) / 1e6, 2)}
    past = job.case == PAST
    number = last // 2 if past else last

    def read() -> Any:
        root = opened(job, source)
        if past and job.system == OURS:
            root = root.as_of(_middle(root))
        (picks,) = root.get_run(f"TS_{number // FILES_IN_RUN:04}").get_picks("ribosome", session_id=str(number % FILES_IN_RUN))
        return picks.numpy()[0]

    points, numbers = timed(read)
    return {**numbers, "check": round(float(np.sum(points)), 3)}


def _middle(root: Any) -> str:
    """The commit that wrote the file in the middle; noted beside the project, as a tag would be."""
    place = Path(root.history_layer.location(None)).parent / "middle"
    if not place.exists():
        commits = [c for c in root.history() if any(change.key.kind.value == "picks" for change in c.changes)]
        place.write_text(commits[len(commits) // 2].id)
    return place.read_text()


def _commits(job: Job) -> Numbers:
    """The median of some commits to a copy of the project."""
    with job.scratch() as folder:
        for name in ("project", "history"):
            shutil.copytree(Path(job.folder, name), folder / name)
        root = opened(job, folder)
        first = job.sizes["commits"]
        write(root, first, job.sizes)  # the run is made, and all is imported
        seconds = []

        def one(number: int) -> None:
            run = root.get_run(f"TS_{first // FILES_IN_RUN:04}")
            picks = run.new_picks("ribosome", str(number), "alice")
            points = positions(number, job.sizes)
            start = time.perf_counter()
            picks.from_numpy(points)
            seconds.append(time.perf_counter() - start)

        _, numbers = timed(lambda: [one(number) for number in range(1, 1 + job.sizes["repeats"])])
    return {**numbers, "seconds": statistics.median(seconds)}


def _place(job: Job) -> str:
    return "history" if job.system == OURS else "project"


def _size(folder: Path) -> int:
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    main(
        Workload(
            name="W19",
            title="a history of {commits} commits of {points} points each",
            systems={REFERENCE: library, LIMIT: library, OURS: library},
            cases=[COMMIT, LIST, NEWEST, PAST],
            sizes={"commits": (1000, 20), "points": (200, 10), "repeats": (50, 2)},
            rounds=3,
            setup=setup,
            warm_up=True,
        )
    )
