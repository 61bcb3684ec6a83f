"""W14: by address, over S3 with 20 ms a request, from opening the project: one picks file, a first region, a later one.

The server, the project and the limit are those of W3: the limit knows where everything is. The reference has no addresses,
and asks for the run, the voxel spacing and the tomogram.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projects import RUN, stored_tomogram
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Workload, main, timed
from w3_s3 import FILE, REGION, count_from_here, execute, opened, setup
from w3_s3 import limit as limit_of_w3

PICKS, FIRST, LATER = "open and read picks", "open and read a region", "a later region"


def library(job: Job) -> Numbers:
    ours = job.library == "copick_core"
    side = slice(0, job.sizes["side"])

    def tomogram() -> Any:
        root = opened(job, "data")
        return root.entity(f"{RUN}/wbp@10.0", kind="tomogram") if ours else stored_tomogram(root)

    def picks() -> Any:
        root = opened(job, "data")
        if ours:
            return root.entity(f"{RUN}/ribosome:alice/1", kind="picks").numpy()[0]
        return root.get_run(RUN).get_picks("ribosome")[0].numpy()[0]

    def region() -> Any:
        return tomogram().numpy(x=side, y=side, z=side)

    def later() -> Any:
        return handle.numpy(x=side, y=side, z=side)

    handle = tomogram()
    beside = slice(job.sizes["side"] // 2, job.sizes["side"] + job.sizes["side"] // 2)
    handle.numpy(x=beside, y=side, z=side)
    read, numbers = timed_after(job, {PICKS: picks, FIRST: region, LATER: later}[job.case])
    return {**numbers, "check": round(float(read.sum(dtype=float)), 3)}


def timed_after(job: Job, action: Callable[[], Any]) -> tuple[Any, Numbers]:
    """Do it once, so that all is imported, and count and time it the second time."""

    def first() -> None:
        action()
        count_from_here(job)

    return timed(action, first)


def limit(job: Job) -> Numbers:
    numbers = limit_of_w3(Job(job.system, FILE if job.case == PICKS else REGION, job.folder, job.sizes))
    return {**numbers, "check": round(numbers["check"], 3)}


if __name__ == "__main__":
    main(
        Workload(
            name="W14",
            title="by address over S3, {milliseconds} ms a request",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=[PICKS, FIRST, LATER],
            sizes={"runs": (3, 3), "milliseconds": (20, 0), "edge": (256, 32), "side": (64, 8)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
