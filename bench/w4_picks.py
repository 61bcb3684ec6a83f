"""W4: picks, JSON to arrays and back, through the project; the file that is read is indented, as the reference writes it.

The limit of loading is reading the file and parsing it (by orjson where that is installed), without arrays; that of storing
is writing ready bytes.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed, with_extras

LOAD, STORE = "load", "store"
FILE = f"ExperimentRuns/{RUN}/Picks/alice_1_ribosome.json"


def arrays(points: int) -> tuple[Any, ...]:
    """Positions (n, 3), rigid transforms (n, 4, 4), instance ids and scores."""
    rng = np.random.default_rng(4)
    transforms = np.zeros((points, 4, 4))
    transforms[:, 3, 3] = 1
    transforms[:, :3, 3] = rng.normal(size=(points, 3))
    w, x, y, z = (q := rng.normal(size=(4, points))) / np.linalg.norm(q, axis=0)
    transforms[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1)
    transforms[:, 1, :3] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1)
    transforms[:, 2, :3] = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1)
    return rng.uniform(0, 5000, (points, 3)), transforms, np.arange(points), rng.random(points)


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    picks = open_project("copick_core", folder).new_run(RUN).new_picks("ribosome", "1", "alice")
    picks.from_numpy(*arrays(sizes["points"]))
    file = folder / "project" / FILE
    (folder / "compact.json").write_bytes(file.read_bytes())
    with file.open("r+") as stream:
        document = json.load(stream)
        stream.seek(0)
        json.dump(document, stream, indent=4)
    yield


def library(job: Job) -> Numbers:
    import_now("copick_core.picks", "copick_backend_fs.local_reading", "hashlib")
    if job.case == LOAD:
        picks = open_project(job.library, Path(job.folder)).get_run(RUN).get_picks("ribosome")[0]
        (positions, transforms, *_), numbers = timed(picks.numpy)
        return {**numbers, "check": [len(positions), float(positions.sum()), float(transforms.sum())]}
    with job.scratch() as folder:
        picks = open_project(job.library, folder).new_run(RUN).new_picks("ribosome", "1", "alice")
        values = arrays(job.sizes["points"])
        _, numbers = timed(lambda: picks.from_numpy(*values))
        return {**numbers, "MB": round((folder / "project" / FILE).stat().st_size / 1e6, 1)}


def limit(job: Job) -> Numbers:
    try:
        from orjson import loads
    except ImportError:
        from json import loads

    if job.case == LOAD:
        gc.disable()
        return timed(lambda: loads(Path(job.folder, "project", FILE).read_bytes()))[1]
    content = Path(job.folder, "compact.json").read_bytes()
    with job.scratch() as folder:
        _, numbers = timed(lambda: (folder / "written").write_bytes(content))
    return {**numbers, "MB": round(len(content) / 1e6, 1)}


if __name__ == "__main__":
    main(
        Workload(
            name="W4",
            title="{points} picks",
            systems={REFERENCE: library, LIMIT: limit, OURS: library, **with_extras("orjson", library)},
            cases=[LOAD, STORE],
            sizes={"points": (100_000, 100)},
            rounds=3,
            setup=setup,
        )
    )
