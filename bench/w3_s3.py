"""W3: an object store that takes 20 ms longer for each answer: enumerate 50 runs, their picks, a region, one picks file.

The server is `s3_stub.py`. The limit speaks HTTP to it without any storage library. A region and a picks file are read from
a handle that has been found already, and nothing has been read from before; the region lies in one chunk of 256 x 256 x 256
voxels, as the reference writes them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, import_now, new_tomogram, open_project, stored_tomogram
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed, with_extras
from s3_stub import S3Stub

from support import listing_project

EVERYTHING, PICKS, REGION, FILE = "enumerate everything", "picks of all runs", "first region", "one picks file"
POINTS = 1000
PICKS_FILE = f"data/ExperimentRuns/{RUN}/Picks/alice_1_ribosome.json"
#: Most requests of the limit at once.
CONCURRENCY = 64

#: What is imported when it is first needed.
_LATER = (
    "copick_backend_fs.entities", "zarr.storage", "copick_core.volumes.ome", "copick_core.picks",
    "copick_core.projects.listing", "copick_core.layers.partial", "copick_backend_fs.buckets", "copick_backend_fs.s3",
    "copick_backend_fs.object_store", "copick_backend_fs.volumes", "copick_backend_fs.leftovers", "fsspec.asyn",
    "fsspec.implementations.chained", "fsspec.implementations.local", "obstore.store", "multiprocessing.synchronize",
)  # fmt: skip

stub = S3Stub()


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    listing_project.make_listing_project(folder / "many", sizes["runs"])
    edge = sizes["edge"]
    root = open_project("copick_core", folder, chunks=[edge] * 3)
    new_tomogram(root).from_numpy(np.random.default_rng(0).normal(size=(edge,) * 3), levels=1)
    root.get_run(RUN).new_picks("ribosome", "1", "alice").from_numpy(np.random.default_rng(0).random((POINTS, 3)))
    with stub:
        for source, name in (("many", "many"), ("project", "data")):
            files = {f"{name}/{path.relative_to(folder / source)}": path for path in Path(folder, source).rglob("*")}
            stub.put("lab", {key: path.read_bytes() for key, path in files.items() if path.is_file()})
        stub.latency = sizes["milliseconds"] / 1000
        (folder / "url").write_text(stub.url)
        yield


def execute(job: Job) -> Numbers:
    stub.forget()
    numbers = in_fresh_process(job)
    numbers |= {"requests": sum(stub.counts.values()), "of these": _listed(stub.counts), "at once": stub.most_at_once}
    return {**numbers, "MiB": round(stub.sent / 2**20, 1)}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))


def opened(job: Job, name: str, **fields: Any) -> Any:
    """Open a project of the bucket."""
    url = Path(job.folder, "url").read_text()
    fs_args = {"key": "someone", "secret": "any", "client_kwargs": {"endpoint_url": url}}
    config = {"config_type": "filesystem", "name": "bench", "description": "", "version": "1", "pickable_objects": []}
    config |= {"overlay_root": f"s3://lab/{name}", "overlay_fs_args": fs_args, **fields}
    with job.scratch() as folder:
        (folder / "config.json").write_text(json.dumps(config))
        return importlib.import_module(job.library).from_file(str(folder / "config.json"))


def library(job: Job) -> Numbers:
    root = opened(job, "many" if job.case in (EVERYTHING, PICKS) else "data")
    import_now(*_LATER)
    ours = job.library == "copick_core"

    def everything() -> Any:
        if ours:
            root.prefetch()
        return listing_project.enumerate_project(root)

    def picks() -> Any:
        if ours:
            root.prefetch(["picks"])
        return sum(len(run.picks) for run in root.runs)

    if job.case == REGION:
        tomogram, side = stored_tomogram(root), slice(0, job.sizes["side"])
        count_from_here(job)
        read, numbers = timed(lambda: tomogram.numpy(x=side, y=side, z=side))
        check = float(read.sum(dtype=float))
    elif job.case == FILE:
        handle = root.get_run(RUN).get_picks("ribosome")[0]
        count_from_here(job)
        read, numbers = timed(handle.numpy)
        check = float(read[0].sum())
    else:
        check, numbers = timed(everything if job.case == EVERYTHING else picks)
    if ours:
        numbers["over"] = "obstore" if sys.modules.get("obstore") else "s3fs"
    return {**numbers, "check": check}


def count_from_here(job: Job) -> None:
    """Let the server count from zero."""
    url = Path(job.folder, "url").read_text()
    urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()


# ---------------------------------------------------------------------------------------------------------------- the limit

Get = Callable[[str], Awaitable[bytes]]


def limit(job: Job) -> Numbers:
    import aiohttp

    import_now("numcodecs.blosc", "multiprocessing.synchronize")
    work = {EVERYTHING: _limit_everything, PICKS: _limit_picks, REGION: _limit_region, FILE: _limit_file}[job.case]

    async def whole() -> Any:
        connections = aiohttp.TCPConnector(limit=CONCURRENCY)
        async with aiohttp.ClientSession(Path(job.folder, "url").read_text(), connector=connections) as session:

            async def get(path: str) -> bytes:
                async with session.get(path) as answer:
                    return await answer.read()

            return await work(get, job.sizes)

    check, numbers = timed(lambda: asyncio.run(whole()))
    return {**numbers, "check": check}


async def _limit_list(get: Get, prefix: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files below a prefix."""
    page = (await get(f"/lab?list-type=2&delimiter=/&prefix={prefix}")).decode()
    folders, files = re.findall(r"<Prefix>([^<]+)/</Prefix></Common", page), re.findall(r"<Key>([^<]+)</Key>", page)
    return [name[len(prefix) :] for name in folders], [name[len(prefix) :] for name in files]


async def _limit_everything(get: Get, sizes: Sizes) -> list[int]:
    runs, _ = await _limit_list(get, "many/ExperimentRuns/")

    async def names_of(run: str) -> list[str]:
        base = f"many/ExperimentRuns/{run}/"
        folders, _ = await _limit_list(get, base)
        found = await asyncio.gather(*(_limit_list(get, f"{base}{folder}/") for folder in folders))
        names = [run]
        for folder, (below, files) in zip(folders, found, strict=True):
            entries = [name.rsplit(".", 1)[0] for name in below + files if not name.startswith(".")]
            if folder.startswith("VoxelSpacing"):
                names += [folder.removeprefix("VoxelSpacing"), *entries]
            else:
                names += ["".join(entry.split("_")[folder == "Segmentations" :]) for entry in entries]
        return names

    names = [name for run in await asyncio.gather(*map(names_of, runs)) for name in run]
    return [len(names), sum(map(len, names))]


async def _limit_picks(get: Get, sizes: Sizes) -> int:
    runs, _ = await _limit_list(get, "many/ExperimentRuns/")
    found = await asyncio.gather(*(_limit_list(get, f"many/ExperimentRuns/{run}/Picks/") for run in runs))
    return sum(len(files) for _, files in found)


async def _limit_region(get: Get, sizes: Sizes) -> float:
    from numcodecs import Blosc

    base = f"/lab/data/ExperimentRuns/{RUN}/VoxelSpacing10.000/wbp.zarr/0"
    about, chunk = await asyncio.gather(get(f"{base}/.zarray"), get(f"{base}/0/0/0"))
    voxels = np.frombuffer(Blosc().decode(chunk), "<f4").reshape(json.loads(about)["chunks"])
    side = slice(0, sizes["side"])
    return float(voxels[side, side, side].sum(dtype=float))


async def _limit_file(get: Get, sizes: Sizes) -> float:
    points = json.loads(await get(f"/lab/{PICKS_FILE}"))["points"]
    return float(np.array([[point["location"][axis] for axis in "xyz"] for point in points]).sum())


if __name__ == "__main__":
    main(
        Workload(
            name="W3",
            title="an object store, {milliseconds} ms a request, {runs} runs",
            systems={REFERENCE: library, LIMIT: limit, OURS: library, **with_extras("obstore", library)},
            cases=[EVERYTHING, PICKS, REGION, FILE],
            sizes={"runs": (50, 3), "milliseconds": (20, 0), "edge": (256, 32), "side": (64, 8)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
