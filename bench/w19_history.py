"""W19: a project with a history of 1,000 commits of one picks file each, beside the same project without a history.

The limit is our filesystem backend, and the reference does what it can: the same, without a history. A file of the history is
read as of its 500th commit too, where the others read the file that there is. Icechunk alone reads and commits the same arrays
in the same repository, with nothing of ours around it.
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

from support.description import OBJECTS

#: What Icechunk itself takes for it.
BARE = "Icechunk alone"
COMMIT, LIST, NEWEST, PAST = "commit", "open and list", "open and read the newest", "open and read as of the middle"
FILES_IN_RUN = 10


def with_history(folder: Path) -> Any:
    """Open the project with a history in a folder; makes it if there is none."""
    import copick_core

    config = folder / "history.json"
    if not config.exists():
        fields = {"config_type": "icechunk", "overlay_root": "history", "user_id": "alice", "pickable_objects": OBJECTS}
        config.write_text(json.dumps(fields))
    return copick_core.from_file(config)


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
    _middle(with_history(folder))
    yield


def library(job: Job) -> Numbers:
    import_now("copick_core.picks", "zarr", "icechunk", "numcodecs")
    source, sizes = Path(job.folder), job.sizes
    last = sizes["commits"] - 1
    if job.case == COMMIT:
        return _commits(job)
    if job.case == LIST:

        def list_all() -> int:
            return sum(len(run.picks) for run in opened(job, source).runs)

        found, numbers = timed(list_all, list_all)
        return {**numbers, "check": found, "MB": round(_size(source / _place(job)) / 1e6, 2)}
    past = job.case == PAST
    number = last // 2 if past else last

    def read() -> Any:
        root = opened(job, source)
        if past and job.system == OURS:
            root = root.as_of(_middle(root))
        (picks,) = root.get_run(f"TS_{number // FILES_IN_RUN:04}").get_picks("ribosome", session_id=str(number % FILES_IN_RUN))
        return picks.numpy()[0]

    points, numbers = timed(read, read)
    return {**numbers, "check": round(float(np.sum(points)), 3)}


def _middle(root: Any) -> str:
    """The commit that wrote the file in the middle; noted beside the project, as a tag would be."""
    place = Path(root.history_layer.location(None)).parent / "middle"
    if not place.exists():
        commits = [c for c in root.history() if any(change.key.kind.value == "picks" for change in c.changes)]
        place.write_text(commits[len(commits) // 2].id)
    return place.read_text()


def bare(job: Job) -> Numbers:
    """What Icechunk takes for the same arrays, without anything around it."""
    import icechunk
    import zarr

    import_now("numcodecs")
    sizes = job.sizes

    def repository(folder: Path) -> Any:
        return icechunk.Repository.open(icechunk.local_filesystem_storage(str(folder / "history")))

    if job.case == COMMIT:
        with job.scratch() as folder:
            shutil.copytree(Path(job.folder, "history"), folder / "history")
            opened = repository(folder)
            seconds = []

            def one(number: int) -> None:
                data = _json(number, sizes)
                start = time.perf_counter()
                session = opened.writable_session("main")
                zarr.create_array(session.store, name=_path(number), data=np.frombuffer(data, "uint8"), chunks=(len(data),))
                session.commit("bare")
                seconds.append(time.perf_counter() - start)

            first = sizes["commits"] + 1
            one(first)
            _, numbers = timed(lambda: [one(first + n) for n in range(1, 1 + sizes["repeats"])])
        return {**numbers, "seconds": statistics.median(seconds)}
    source = Path(job.folder)
    if job.case == LIST:

        def listed() -> int:
            opened = repository(source)
            nodes = json.loads(opened.inspect_snapshot(opened.lookup_branch("main")))["nodes"]
            return sum(node["node_type"] == "array" and "/Picks/" in node["path"] for node in nodes)

        found, numbers = timed(listed)
        return {**numbers, "check": found}
    past = job.case == PAST
    number = (sizes["commits"] - 1) // 2 if past else sizes["commits"] - 1

    def read() -> Any:
        when = {"snapshot_id": (source / "middle").read_text()} if past else {"branch": "main"}
        store = repository(source).readonly_session(**when).store
        content = json.loads(zarr.open_array(store, path=_path(number), mode="r")[:].tobytes())
        return np.array([list(point["location"].values()) for point in content["points"]])

    points, numbers = timed(read)
    return {**numbers, "check": round(float(np.sum(points)), 3)}


def _path(number: int) -> str:
    return f"ExperimentRuns/TS_{number // FILES_IN_RUN:04}/Picks/alice_{number % FILES_IN_RUN}_ribosome.json"


def _json(number: int, sizes: Sizes) -> bytes:
    """The like of a picks file."""
    locations = [dict(zip("xyz", map(float, point), strict=True)) for point in positions(number, sizes)]
    identity = np.eye(4).tolist()
    points = [{"location": at, "transformation_": identity, "instance_id": 0, "score": 1.0} for at in locations]
    return json.dumps({"pickable_object_name": "ribosome", "points": points}, indent=4).encode()


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
            systems={REFERENCE: library, LIMIT: library, OURS: library, BARE: bare},
            cases=[COMMIT, LIST, NEWEST, PAST],
            sizes={"commits": (1000, 20), "points": (200, 10), "repeats": (50, 2)},
            rounds=3,
            setup=setup,
            warm_up=True,
        )
    )
