"""W7: import an MRC file of 2 GiB with three levels; reading the file, and doing nothing with it, is the limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from projects import RUN, TOMOGRAM, VOXEL_SIZE, import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

_BUFFER = 16 * 2**20


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    import mrcfile

    rng = np.random.default_rng(7)
    shape = (sizes["depth"], sizes["width"], sizes["width"])
    with mrcfile.new_mmap(folder / "volume.mrc", shape, mrc_mode=2) as mrc:
        mrc.voxel_size = VOXEL_SIZE
        for plane in mrc.data:
            plane[:] = rng.standard_normal(plane.shape, np.float32)
    yield


def reference(job: Job) -> Numbers:
    from copick.ops.add import add_tomogram_from_file

    path = str(Path(job.folder, "volume.mrc"))
    with job.scratch() as folder, job.scratch() as other:
        first, second = open_project(job.library, folder), open_project(job.library, other)
        return timed(
            lambda: add_tomogram_from_file(first, RUN, TOMOGRAM, path, voxel_spacing=VOXEL_SIZE),
            lambda: add_tomogram_from_file(second, RUN, TOMOGRAM, path, voxel_spacing=VOXEL_SIZE),
        )[1]


def ours(job: Job) -> Numbers:
    from copick_core import import_tomogram

    import_now("zarr.storage", "mrcfile", "copick_core.volumes.importing", "copick_formats.mrc")
    path = Path(job.folder, "volume.mrc")
    with job.scratch() as folder, job.scratch() as other:
        first, second = (open_project(job.library, place).new_run(RUN) for place in (folder, other))
        return timed(lambda: import_tomogram(first, path, TOMOGRAM), lambda: import_tomogram(second, path, TOMOGRAM))[1]


def limit(job: Job) -> Numbers:
    buffer = bytearray(_BUFFER)

    def read() -> None:
        with Path(job.folder, "volume.mrc").open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    return timed(read)[1]


if __name__ == "__main__":
    main(
        Workload(
            name="W7",
            title="import an MRC file of {depth} x {width} x {width} voxels of float32 with three levels",
            systems={REFERENCE: reference, LIMIT: limit, OURS: ours},
            cases=["import"],
            sizes={"depth": (500, 32), "width": (1024, 64)},
            rounds=2,
            setup=setup,
        )
    )
