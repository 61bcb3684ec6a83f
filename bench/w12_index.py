"""W12: 10,000 runs of 24 entities on S3, 20 ms a request: open, table, counts and filters, with an index and without one.

With "update", an index lists the bucket anew, by a thousand objects with each request. The limit is one GET of a list of
everything. The reference has no index; it enumerates the picks of some runs, and its time and requests are those of all runs
at that rate. So are ours without an index.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed
from w3_s3 import count_from_here, opened, stub
from w14_by_address import timed_after

INDEXED, CHANGED, BARE = "with an index", "after 10 runs changed through it", "without an index"
RELISTED = "listed anew, as after changes by others"
USERS = 10
CHANGES = 10
PICKS = b'{"pickable_object_name": "ribosome", "user_id": "user0", "session_id": "1", "points": []}'


def objects(runs: int) -> dict[str, bytes]:
    """Keys and contents of the runs' objects."""
    made: dict[str, bytes] = {}
    for number in range(runs):
        run = f"many/ExperimentRuns/TS_{number:05}"
        made |= {f"{run}/Picks/user{user}_1_ribosome.json": PICKS for user in range(USERS)}
        made |= {f"{run}/Meshes/user{user}_1_ribosome.glb": b"" for user in range(3)}
        made |= {f"{run}/Segmentations/10.000_user{user}_1_ribosome.zarr/.zattrs": b"{}" for user in range(5)}
        made |= {f"{run}/VoxelSpacing10.000/tomogram{index}.zarr/.zattrs": b"{}" for index in range(4)}
    return made


def wrappers(index: Path, **options: Any) -> dict[str, Any]:
    objects = [{"name": "ribosome", "is_particle": True, "label": 1}]
    return {"wrappers": [{"name": "index", "path": str(index), **options}], "pickable_objects": objects}


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    from copick_layers.index.layer import IndexLayer

    with stub:
        made = objects(sizes["runs"])
        stub.put("lab", made)
        for name in ("some", "warm"):
            stub.put("lab", {key.replace("many/", f"{name}/"): value for key, value in objects(sizes["sample"]).items()})
        stub.put("lab", {"list.json": json.dumps([*made]).encode()})
        (folder / "url").write_text(stub.url)
        root = opened(Job(OURS, "", str(folder), sizes), "many", **wrappers(folder / "index.sqlite"))
        root.layers.overlay.unwrap(IndexLayer).update()
        stub.latency = sizes["milliseconds"] / 1000
        yield


def execute(job: Job) -> Numbers:
    stub.forget()
    numbers = in_fresh_process(job)
    scale = numbers.pop("scale", 1)
    return {**numbers, "requests": round(sum(stub.counts.values()) * scale)}


def library(job: Job) -> Numbers:
    if job.library == "copick" or job.case == BARE:

        def picks(name: str = "some") -> int:
            root = opened(job, name)
            if job.library != "copick":
                root.prefetch(["picks"])
            return sum(len(run.picks) for run in root.runs)

        def warm_up() -> None:
            picks("warm")
            count_from_here(job)

        scale = job.sizes["runs"] / job.sizes["sample"]
        found, numbers = timed(picks, warm_up)
        return {**numbers, "seconds": numbers["seconds"] * scale, "scale": scale, "check": round(found * scale)}
    with job.scratch() as folder:
        shutil.copy(Path(job.folder, "index.sqlite"), folder / "index.sqlite")
        if job.case == CHANGED:
            root = opened(job, "many", **wrappers(folder / "index.sqlite"))
            for number in range(CHANGES):
                run = root.get_run(f"TS_{number:05}")
                run.new_picks("ribosome", "2", "new", exist_ok=True).from_numpy([[1.0, 2.0, 3.0]])

        begun: list[float] = []

        def questions() -> int:
            begun[:] = [time.process_time()]
            freshness = "update" if job.case == RELISTED else "trust"
            root = opened(job, "many", **wrappers(folder / "index.sqlite", freshness=freshness))
            root.select("*/ribosome:user1").count()
            root.select("*/").count()
            count = len(root.table("picks")["run"])
            begun.append(time.process_time())
            return count

        found, numbers = timed_after(job, questions)
    numbers["processor s"] = round(begun[1] - begun[0], 2)
    return {**numbers, "check": found - (CHANGES if job.case == CHANGED else 0)}


def limit(job: Job) -> Numbers:
    import urllib.request

    url = Path(job.folder, "url").read_text()

    def read() -> int:
        keys = json.loads(urllib.request.urlopen(f"{url}/lab/list.json").read())
        return sum("/Picks/" in key for key in keys)

    found, numbers = timed_after(job, read)
    return {**numbers, "check": found}


if __name__ == "__main__":
    main(
        Workload(
            name="W12",
            title="{runs} runs of 24 entities on S3, {milliseconds} ms a request",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=[INDEXED, BARE, RELISTED, CHANGED],
            sizes={"runs": (10_000, 20), "sample": (50, 2), "milliseconds": (20, 0)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
