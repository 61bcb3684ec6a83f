"""W6: read a tomogram, all of it, and 64 regions of 64 x 64 x 64 voxels anywhere.

Both libraries read what the reference writes, chunks of 256 x 256 x 256 voxels, and ours also what it writes itself, chunks
of 128 x 128 x 128. The cache holds 512 MiB of decoded chunks. NumPy and numcodecs on all cores are the limit; it decodes
what it reads each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, import_now, new_tomogram, open_project, stored_tomogram
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

FULL, REGIONS = "full", "regions"
OWN = ", own chunks"
CACHED = f"{OURS}, with a cache of chunks"
_CACHE_BYTES = 512 * 2**20
SIDE = 64


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    data = np.random.default_rng(6).standard_normal(_shape(sizes), np.float32)
    for chunk in (256, 128):
        (folder / str(chunk)).mkdir()
        root = open_project("copick_core", folder / str(chunk), chunks=[chunk] * 3)
        new_tomogram(root).from_numpy(data, levels=1)
    yield


def _shape(sizes: Sizes) -> tuple[int, int, int]:
    return sizes["depth"], sizes["width"], sizes["width"]


def _regions(job: Job) -> list[tuple[slice, ...]]:
    if job.case == FULL:
        return [tuple(slice(0, n) for n in _shape(job.sizes))]
    corners = np.random.default_rng(7).integers(0, np.array(_shape(job.sizes)) - SIDE + 1, (job.sizes["regions"], 3))
    return [tuple(slice(int(n), int(n) + SIDE) for n in corner) for corner in corners]


def _measured(job: Job, read: Any, warm_up: Callable[[], Any]) -> Numbers:
    """Read all regions, keeping none; one number from each shows that they are the same for all systems."""
    regions = _regions(job)
    corners, numbers = timed(lambda: [float(read(region)[-1, -1, -1]) for region in regions], warm_up)
    return {**numbers, "check": corners}


def _read_another(job: Job) -> None:
    """Write and read another volume."""
    with job.scratch() as other:
        fields = {"chunk_cache_bytes": _CACHE_BYTES} if job.system == CACHED else {}
        tomogram = new_tomogram(open_project(job.library, other, **fields))
        tomogram.from_numpy(np.ones((8, 8, 8), np.float32), levels=1)  # chunks of zeros are not stored
        tomogram.numpy(z=slice(0, 4))


def _chunk(job: Job) -> int:
    return 128 if job.system.endswith(OWN) else 256


def library(job: Job) -> Numbers:
    import_now("zarr.storage", "copick_core.volumes.ome", "encodings.ascii")
    fields = {"chunk_cache_bytes": _CACHE_BYTES} if job.system == CACHED else {}
    tomogram = stored_tomogram(open_project(job.library, Path(job.folder, str(_chunk(job))), **fields))
    return _measured(job, lambda region: tomogram.numpy(z=region[0], y=region[1], x=region[2]), lambda: _read_another(job))


def limit(job: Job) -> Numbers:
    from raw_volumes import read

    level = Path(job.folder, str(_chunk(job)), f"project/ExperimentRuns/{RUN}/VoxelSpacing10.000/wbp.zarr/0")
    return _measured(job, lambda region: read(level, region), lambda: read(level, (slice(0, 1),) * 3))


if __name__ == "__main__":
    main(
        Workload(
            name="W6",
            title="read {depth} x {width} x {width} voxels of float32, and {regions} regions of 64 x 64 x 64",
            systems={
                REFERENCE: library,
                LIMIT: limit,
                OURS: library,
                CACHED: library,
                LIMIT + OWN: limit,
                OURS + OWN: library,
            },
            cases=[FULL, REGIONS],
            sizes={"depth": (256, 64), "width": (512, 300), "regions": (64, 3)},
            rounds=3,
            setup=setup,
        )
    )
