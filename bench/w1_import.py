"""W1: import the library, open a filesystem config, and maybe read one voxel, from a fresh process.

`pass` is the limit, or the same voxel by NumPy and numcodecs. The whole process is timed, so the one that is timed runs
nothing else; modules and memory are those of another one.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from projects import RUN, new_tomogram, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, environment, main, run

OPEN, VOXEL = "import and open", "import, open and read a voxel"
FACTS = """
import json, sys
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:", 1)[1].split()[0]) / 1024
print(json.dumps({"peak_mib": round(peak, 1), "modules": len(sys.modules)}))
"""


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    new_tomogram(open_project("copick_core", folder)).from_numpy(np.ones((8, 8, 8)), levels=1)
    yield


def code(job: Job) -> str:
    config = str(Path(job.folder, "config.json"))
    if job.system == LIMIT:
        chunk = f"{job.folder}/project/ExperimentRuns/{RUN}/VoxelSpacing10.000/wbp.zarr/0/0/0/0"
        read = (
            f"import numpy; from numcodecs.blosc import Blosc; numpy.frombuffer(Blosc().decode(open({chunk!r}, 'rb').read()))"
        )
        return "pass" if job.case == OPEN else read
    opened = f"import {job.library}; root = {job.library}.from_file({config!r})"
    voxel = f"root.get_run({RUN!r}).get_voxel_spacing(10.0).get_tomogram('wbp').numpy(x=slice(1), y=slice(1), z=slice(1))"
    return opened if job.case == OPEN else f"{opened}; {voxel}"


def execute(job: Job) -> Numbers:
    if job.profile:
        return {"profile": slowest_imports(job)}
    start = time.perf_counter()
    _python(job, code(job) + "\nprint()")
    return {"seconds": time.perf_counter() - start, **_facts(job.system, job.python, code(job))}


def _python(job: Job, program: str) -> str:
    return run([job.python, "-c", program], python_path=job.library != "copick")


@functools.cache
def _facts(system: str, python: str, program: str) -> dict[str, Any]:
    return dict(json.loads(run([python, "-c", program + FACTS], python_path=system != REFERENCE)))


def slowest_imports(job: Job) -> dict[str, float]:
    """Share of the packages in the time of all imports."""
    command = [job.python, "-X", "importtime", "-c", code(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    shares: dict[str, float] = {}
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", done.stderr):
        package = name.split(".")[0]
        shares[package] = shares.get(package, 0) + int(own)
    total = sum(shares.values())
    return {f"import {name}": round(shares[name] / total, 3) for name in sorted(shares, key=lambda n: -shares[n])[:6]}


def side(job: Job) -> Numbers:
    """Nothing is done inside this script: see `execute`."""
    raise NotImplementedError


if __name__ == "__main__":
    main(
        Workload(
            name="W1",
            title="import the library and open a filesystem project",
            systems=dict.fromkeys((REFERENCE, LIMIT, OURS), side),
            cases=[OPEN, VOXEL],
            sizes={},
            rounds=9,
            setup=setup,
            warm_up=True,
            execute=execute,
        )
    )
