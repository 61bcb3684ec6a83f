"""W5: write a tomogram and a segmentation with three levels; NumPy and numcodecs on all cores are the limit.

The tomogram is noise in float32, which compresses as badly as tomograms do. The segmentation holds some balls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, VOXEL_SIZE, import_now, new_tomogram, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

TOMOGRAM, SEGMENTATION = "tomogram", "segmentation"
LEVELS = 3


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    rng = np.random.default_rng(5)
    shape = (sizes["depth"], sizes["width"], sizes["width"])
    np.save(folder / f"{TOMOGRAM}.npy", rng.standard_normal(shape, np.float32))
    labels = np.zeros(shape, np.uint8)
    radius = shape[0] // 8
    ball = np.sum((np.indices([2 * radius] * 3) - radius) ** 2, axis=0) < radius**2
    for corner in rng.integers(0, np.array(shape) - 2 * radius, (40, 3)):
        labels[tuple(slice(n, n + 2 * radius) for n in corner)][ball] = 1 + corner[0] % 5
    np.save(folder / f"{SEGMENTATION}.npy", labels)
    yield


def library(job: Job) -> Numbers:
    def handle(folder: Path) -> Any:
        root = open_project(job.library, folder)
        if job.case == TOMOGRAM:
            return new_tomogram(root)
        return root.new_run(RUN).new_segmentation(VOXEL_SIZE, "membrane", "1", is_multilabel=False, user_id="alice")

    import_now("zarr.storage", "copick_core.volumes.ome")
    data = np.load(Path(job.folder, f"{job.case}.npy"))
    with job.scratch() as folder, job.scratch() as other:
        first, second = handle(folder), handle(other)
        _, numbers = timed(lambda: first.from_numpy(data, levels=LEVELS), lambda: second.from_numpy(data, levels=LEVELS))
        return {**numbers, **_sizes(folder / "project")}


def limit(job: Job) -> Numbers:
    from raw_volumes import write_pyramid

    data = np.load(Path(job.folder, f"{job.case}.npy"))
    with job.scratch() as folder, job.scratch() as other:
        mean = job.case == TOMOGRAM
        _, numbers = timed(
            lambda: write_pyramid(folder, data, LEVELS, mean=mean), lambda: write_pyramid(other, data, LEVELS, mean=mean)
        )
        return {**numbers, **_sizes(folder)}


def _sizes(folder: Path) -> dict[str, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "MiB": round(sum(sizes) / 2**20)}


if __name__ == "__main__":
    main(
        Workload(
            name="W5",
            title="write {depth} x {width} x {width} voxels with three levels",
            systems={REFERENCE: library, LIMIT: limit, OURS: library},
            cases=[TOMOGRAM, SEGMENTATION],
            sizes={"depth": (256, 32), "width": (512, 64)},
            rounds=5,
            setup=setup,
            warm_up=True,
        )
    )
