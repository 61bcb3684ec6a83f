"""W18: write a new volume to an object store, and replace one that is there, each request taking 20 ms longer.

The server is `s3_stub.py`. The limit sends the same objects, encoded already, over HTTP without any storage library: a PUT for
each object of a new volume, a PUT to another place and a COPY for each of one that is replaced. The reference writes over
what is there, so that a reader may meet parts of both.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, TOMOGRAM, VOXEL_SIZE, import_now, new_tomogram, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed, with_extras
from s3_stub import S3Stub
from w3_s3 import CONCURRENCY, _listed, count_from_here

NEW, REPLACE = "a new volume", "a volume that is there"
LEVELS = 3
#: Below the bucket: what each system writes, once before it is measured and once then.
WARM, FIRST = "warm", "first"

stub = S3Stub()


def volume(sizes: Sizes, seed: int) -> Any:
    """Noise in float32."""
    return np.random.default_rng(seed).standard_normal((sizes["edge"],) * 3, np.float32)


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    new_tomogram(open_project("copick_core", folder, chunks=[sizes["chunk"]] * 3)).from_numpy(volume(sizes, 18), levels=LEVELS)
    with stub:
        stub.latency = sizes["milliseconds"] / 1000
        (folder / "url").write_text(stub.url)
        yield


def execute(job: Job) -> Numbers:
    stub.clear("lab")
    stub.forget()
    numbers = in_fresh_process(job)
    objects = sum(f"{FIRST}/" in key and f"{TOMOGRAM}.zarr/" in key for key in stub.keys("lab"))
    needed = objects * (2 if job.case == REPLACE else 1)
    more = sum(stub.counts.values()) - needed
    return {
        **numbers,
        "objects": objects,
        "of these": _listed(stub.counts),
        "more than needed": more,
        "at once": stub.most_at_once,
    }


def library(job: Job) -> Numbers:
    import_now("zarr.storage", "copick_core.volumes.ome")
    url = Path(job.folder, "url").read_text()
    fs_args = {"key": "someone", "secret": "any", "client_kwargs": {"endpoint_url": url}}

    def tomogram(place: str) -> Any:
        with job.scratch() as folder:
            config = {"config_type": "filesystem", "name": "bench", "description": "", "version": "1", "pickable_objects": []}
            config |= {"overlay_root": f"s3://lab/{place}", "overlay_fs_args": fs_args}
            if job.library == "copick_core":
                config["chunks"] = [job.sizes["chunk"]] * 3
            (folder / "config.json").write_text(json.dumps(config))
            root = importlib.import_module(job.library).from_file(str(folder / "config.json"))
        handle = new_tomogram(root)
        if job.case == REPLACE:
            handle.from_numpy(volume(job.sizes, 1), levels=LEVELS)
        return handle

    warm, first, data = tomogram(WARM), tomogram(FIRST), volume(job.sizes, 18)
    warm.from_numpy(data, levels=LEVELS)
    count_from_here(job)
    _, numbers = timed(lambda: first.from_numpy(data, levels=LEVELS))
    return numbers


def limit(job: Job) -> Numbers:
    import aiohttp

    url = Path(job.folder, "url").read_text()
    source = Path(job.folder, "project", "ExperimentRuns", RUN, f"VoxelSpacing{VOXEL_SIZE:.3f}")
    objects = {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}

    async def whole() -> None:
        connections = aiohttp.TCPConnector(limit=CONCURRENCY)
        async with aiohttp.ClientSession(connector=connections) as session:

            async def send(key: str, content: bytes, headers: dict[str, str]) -> None:
                async with session.put(f"{url}/lab/{key}", data=content, headers=headers) as answer:
                    answer.raise_for_status()

            places = [f"{FIRST}/{name}" for name in objects]
            if job.case == NEW:
                await asyncio.gather(
                    *(send(place, content, {}) for place, content in zip(places, objects.values(), strict=True))
                )
                return
            await asyncio.gather(*(send(f"staged/{name}", content, {}) for name, content in objects.items()))
            copies = [(f"{FIRST}/{name}", {"x-amz-copy-source": f"/lab/staged/{name}"}) for name in objects]
            await asyncio.gather(*(send(place, b"", headers) for place, headers in copies))

    return timed(lambda: asyncio.run(whole()))[1]


if __name__ == "__main__":
    main(
        Workload(
            name="W18",
            title="an object store, {milliseconds} ms a request: write {edge} x {edge} x {edge} voxels with three levels",
            systems={REFERENCE: library, LIMIT: limit, OURS: library, **with_extras("obstore", library)},
            cases=[NEW, REPLACE],
            sizes={"edge": (256, 32), "chunk": (32, 8), "milliseconds": (20, 0)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
