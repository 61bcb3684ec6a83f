"""W13: a region, a picks file and a mesh of S3 with 20 ms a request, read again: in the same process, and in the next one.

The limit reads the same files from the local disk. The reference has no cache, and asks each time.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, new_tomogram, open_project, stored_tomogram
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed
from w3_s3 import count_from_here, opened, stub

FIRST, AGAIN, NEXT = "first time", "again in this process", "in the next process"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    import trimesh

    root = open_project("copick_core", folder, chunks=[sizes["edge"]] * 3)
    new_tomogram(root).from_numpy(np.random.default_rng(0).normal(size=(sizes["edge"],) * 3), levels=1)
    run = root.get_run(RUN)
    run.new_picks("ribosome", "1", "alice").from_numpy(np.random.default_rng(0).random((1000, 3)))
    mesh = run.new_mesh("membrane", "1", "alice")
    mesh.mesh = trimesh.creation.icosphere(3)
    mesh.store()
    with stub:
        files = {f"data/{path.relative_to(folder / 'project')}": path for path in Path(folder, "project").rglob("*")}
        stub.put("lab", {key: path.read_bytes() for key, path in files.items() if path.is_file()})
        stub.latency = sizes["milliseconds"] / 1000
        (folder / "url").write_text(stub.url)
        in_fresh_process(Job(OURS, NEXT, str(folder), sizes))  # fills the cache
        yield


def execute(job: Job) -> Numbers:
    stub.forget()
    numbers = in_fresh_process(job)
    return {**numbers, "requests": sum(stub.counts.values())}


def library(job: Job) -> Numbers:
    side = slice(0, job.sizes["side"])

    def handles(place: Path) -> tuple[Any, Any, Any]:
        if job.system == LIMIT:
            root = importlib.import_module(job.library).from_file(str(Path(job.folder, "config.json")))
        elif job.system == REFERENCE:
            root = opened(job, "data")
        else:
            root = opened(job, "data", wrappers=[{"name": "cache", "path": str(place), "revalidate": "never"}])
        run = root.get_run(RUN)
        return stored_tomogram(root), run.get_picks("ribosome")[0], run.get_meshes("membrane")[0]

    def read(found: tuple[Any, Any, Any]) -> float:
        tomogram, picks, mesh = found
        region = tomogram.numpy(x=side, y=side, z=side)
        return float(region.sum(dtype=float)) + float(picks.numpy()[0].sum()) + float(mesh.mesh.area)

    def warm_up() -> None:
        read(handles(cache if job.case == AGAIN else _new(job)))
        found.append(handles(cache))
        count_from_here(job)

    cache = _new(job) if job.case == FIRST else Path(job.folder, "cache")
    found: list[Any] = []
    check, numbers = timed(lambda: read(found[0]), warm_up)
    return {**numbers, "check": round(check, 3)}


def _new(job: Job) -> Path:
    """The folder of a cache that is still empty."""
    return Path(tempfile.mkdtemp(dir=job.folder))


if __name__ == "__main__":
    main(
        Workload(
            name="W13",
            title="a region, a picks file and a mesh of S3 read again, {milliseconds} ms a request",
            systems={REFERENCE: library, LIMIT: library, OURS: library},
            cases=[FIRST, AGAIN, NEXT],
            sizes={"milliseconds": (20, 0), "edge": (256, 32), "side": (64, 8)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
