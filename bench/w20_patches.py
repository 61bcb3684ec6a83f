"""W20: patches for training, each with its labels: from the local disk, and over S3 with 20 ms a request, with a cache.

The limit reads the same regions with zarr alone, in as many threads: from the local disk, and for the first epoch over S3 from
there. It knows where everything is and keeps nothing, so the second epoch over S3, which the cache answers, is compared with
zarr on the local disk. The reference reads the regions with `numpy`; it has no cache.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import TOMOGRAM, VOXEL_SIZE, import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, in_fresh_process, main, timed
from w3_s3 import count_from_here, opened, stub

LOCAL, S3_FIRST, S3_AGAIN = "local disk", "S3, first epoch", "S3, second epoch"
WORKERS = (1, 2)
CASES = [f"{place}, {workers} worker{'s' * (workers > 1)}" for place in (LOCAL, S3_FIRST, S3_AGAIN) for workers in WORKERS]
LABELS = "membrane"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    root = open_project("copick_core", folder)
    edge = sizes["edge"]
    for number in range(sizes["runs"]):
        run = root.new_run(f"TS_{number:04}")
        density = np.random.default_rng(number).standard_normal((edge,) * 3, np.float32)
        run.new_voxel_spacing(VOXEL_SIZE).new_tomogram(TOMOGRAM).from_numpy(density, levels=1)
        labels = (density[::8, ::8, ::8] > 0).astype("u1").repeat(8, 0).repeat(8, 1).repeat(8, 2)
        run.new_segmentation(VOXEL_SIZE, LABELS, "1", user_id="alice").from_numpy(labels[:edge, :edge, :edge], levels=1)
    places = [(patch.run, patch.origin) for patch in patches(root, sizes).epoch(1)]
    (folder / "places.json").write_text(json.dumps(places))
    with stub:
        files = {f"data/{path.relative_to(folder / 'project')}": path for path in Path(folder, "project").rglob("*")}
        stub.put("lab", {key: path.read_bytes() for key, path in files.items() if path.is_file()})
        stub.latency = sizes["milliseconds"] / 1000
        (folder / "url").write_text(stub.url)
        yield


def patches(root: Any, sizes: Sizes) -> Any:
    from copick_train import Labels, Patches

    target = Labels(f"*/{LABELS}:alice/1@10.0")
    return Patches(root, "*/wbp@10.0", (sizes["side"],) * 3, target=target, count=sizes["patches"], seed=1)


def execute(job: Job) -> Numbers:
    stub.forget()
    numbers = in_fresh_process(job)
    return {**numbers, "requests": sum(stub.counts.values())}


def _is_remote(job: Job) -> bool:
    return job.case.startswith("S3") and not (job.system == LIMIT and job.case.startswith(S3_AGAIN))


def _project(job: Job, **fields: Any) -> Any:
    """The project, on S3 or on the local disk."""
    if _is_remote(job):
        return opened(job, "data", **fields)
    return importlib.import_module(job.library).from_file(str(Path(job.folder, "config.json")))


def _workers(job: Job) -> int:
    return int(job.case.split(", ")[-1].split()[0])


def library(job: Job) -> Numbers:
    if job.library == "copick":
        root = _project(job)
        found = {
            run.name: (run.get_voxel_spacing(VOXEL_SIZE).get_tomogram(TOMOGRAM), run.segmentations[0]) for run in root.runs
        }

        def read(entity: Any, region: tuple[slice, ...]) -> Any:
            return entity.numpy(x=region[2], y=region[1], z=region[0])

        return _regions(job, found, read)
    import_now("zarr.storage", "copick_core.volumes.ome", "encodings.ascii")
    made = patches(_cached(job), job.sizes)
    epoch = 1 if job.case.startswith(S3_AGAIN) else 0

    def warm_up() -> None:
        for number, patch in enumerate(made.epoch(epoch, workers=_workers(job))):
            if number > 1 and epoch == 0:
                break
            _sum(patch.volume, patch.target)
        count_from_here(job)

    def read() -> list[float]:
        return [_sum(patch.volume, patch.target) for patch in made.epoch(1, workers=_workers(job))]

    if job.case.startswith(S3_FIRST):
        warm_up()
        made = patches(_cached(job), job.sizes)  # whose cache is empty
        sums, numbers = timed(read, lambda: count_from_here(job))
    else:
        sums, numbers = timed(read, warm_up)
    return {**numbers, "check": sums}


def _cached(job: Job) -> Any:
    """The project, with an empty cache in front of S3."""
    cache = {"name": "cache", "path": tempfile.mkdtemp(dir=job.folder), "revalidate": "never"}
    return _project(job, **({"wrappers": [cache]} if _is_remote(job) else {}))


def _sum(volume: Any, labels: Any) -> float:
    return round(float(volume.sum(dtype=float)) + float(labels.sum(dtype=float)), 2)


def _regions(job: Job, found: dict[str, Any], read: Callable[[Any, tuple[slice, ...]], Any]) -> Numbers:
    """Read the regions of all patches in threads, as many as there are workers."""
    side = job.sizes["side"]

    def one(place: Any) -> float:
        run, origin = place
        region = tuple(slice(start, start + side) for start in origin)
        return _sum(*(read(volume, region) for volume in found[run]))

    places = json.loads(Path(job.folder, "places.json").read_text())
    with ThreadPoolExecutor(_workers(job)) as pool:
        sums, numbers = timed(lambda: [*pool.map(one, places)], lambda: (one(places[0]), count_from_here(job)))
    return {**numbers, "check": sums}


def limit(job: Job) -> Numbers:
    import zarr

    def array(path: str) -> Any:
        if not _is_remote(job):
            return zarr.open_array(str(Path(job.folder, "project", path)), mode="r")
        url = Path(job.folder, "url").read_text()
        options = {"key": "someone", "secret": "any", "client_kwargs": {"endpoint_url": url}}
        return zarr.open_array(f"s3://lab/data/{path}", mode="r", storage_options=options)

    found = {}
    for number in range(job.sizes["runs"]):
        run = f"TS_{number:04}"
        folder = f"ExperimentRuns/{run}"
        labels = f"{folder}/Segmentations/10.000_alice_1_{LABELS}.zarr/0"
        found[run] = (array(f"{folder}/VoxelSpacing10.000/{TOMOGRAM}.zarr/0"), array(labels))
    return _regions(job, found, lambda volume, region: volume[region])


if __name__ == "__main__":
    main(
        Workload(
            name="W20",
            title="{patches} patches of {side} x {side} x {side} voxels with labels, {milliseconds} ms a request to S3",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=CASES,
            sizes={"runs": (3, 2), "edge": (256, 32), "side": (64, 8), "patches": (48, 4), "milliseconds": (20, 0)},
            rounds=3,
            setup=setup,
            execute=execute,
        )
    )
