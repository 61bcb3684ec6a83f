"""W16: import many MRC files into one project.

The limit compresses and writes the chunks of all levels that ours writes, in as many threads as there are cores, and reads
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from projects import TOMOGRAM, VOXEL_SIZE, import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    import mrcfile

    rng = np.random.default_rng(16)
    shape = (sizes["depth"], sizes["width"], sizes["width"])
    for number in range(sizes["files"]):
        with mrcfile.new(folder / f"TS_{number:03}.mrc", rng.standard_normal(shape, np.float32)) as mrc:
            mrc.voxel_size = VOXEL_SIZE
    yield


def _files(job: Job) -> list[Path]:
    return sorted(Path(job.folder).glob("TS_*.mrc"))


def ours(job: Job) -> Numbers:
    from copick_core import import_tomograms

    import_now("zarr.storage", "mrcfile", "copick_core.volumes.importing", "copick_formats.mrc")
    with job.scratch() as folder, job.scratch() as other:
        root, warm = open_project(job.library, folder), open_project(job.library, other)
        report, numbers = timed(
            lambda: import_tomograms(root, _files(job), TOMOGRAM),
            lambda: import_tomograms(warm, _files(job)[:1], TOMOGRAM),
        )
        return {**numbers, "check": report.count("done")}


def reference(job: Job) -> Numbers:
    from copick.ops.add import add_tomogram_from_file

    with job.scratch() as folder, job.scratch() as other:
        root, warm = open_project(job.library, folder), open_project(job.library, other)

        def add(root: object, files: list[Path]) -> int:
            for path in files:
                add_tomogram_from_file(root, path.stem, TOMOGRAM, str(path), voxel_spacing=VOXEL_SIZE)
            return len(files)

        done, numbers = timed(lambda: add(root, _files(job)), lambda: add(warm, _files(job)[:1]))
        return {**numbers, "check": done}


def limit(job: Job) -> Numbers:
    from numcodecs import Blosc

    import_now("multiprocessing.synchronize")

    codec = Blosc()
    rng = np.random.default_rng(16)
    shape = (job.sizes["depth"], job.sizes["width"], job.sizes["width"])
    finest = rng.standard_normal(shape, np.float32)
    levels = [finest, finest[::2, ::2, ::2].copy(), finest[::4, ::4, ::4].copy()]
    side = 256
    chunks = []
    for level in levels:
        for z in range(0, level.shape[0], side):
            for y in range(0, level.shape[1], side):
                for x in range(0, level.shape[2], side):
                    chunk = np.zeros((side, side, side), np.float32)
                    part = level[z : z + side, y : y + side, x : x + side]
                    chunk[tuple(slice(n) for n in part.shape)] = part
                    chunks.append(chunk)
    with job.scratch() as folder:

        def write(number: int) -> None:
            (folder / str(number)).write_bytes(codec.encode(chunks[number % len(chunks)]))

        def all_of_them() -> int:
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                list(pool.map(write, range(job.sizes["files"] * len(chunks))))
            return job.sizes["files"]

        done, numbers = timed(all_of_them)
        return {**numbers, "check": done}


if __name__ == "__main__":
    main(
        Workload(
            name="W16",
            title="import {files} MRC files of {depth} x {width} x {width} voxels of float32 with three levels",
            systems={REFERENCE: reference, LIMIT: limit, OURS: ours},
            cases=["import"],
            sizes={"files": (20, 2), "depth": (256, 16), "width": (512, 32)},
            rounds=1,
            setup=setup,
        )
    )
