"""A function mapped over the runs of a project, by whichever library this program is run with.

As a program, ``mapping_project.py SYSTEM CONFIG MILLISECONDS`` prints, as JSON, the seconds from the call to the last
result, and how many results there were. SYSTEM is ``copick-thread``, ``copick-process``, ``limit-process``,
``copick_core-thread``, ``copick_core-process`` or ``copick_core-dask``.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from pathlib import Path

WORKERS = 2


def make_mapping_project(folder: Path, runs: int) -> None:
    """Make empty runs."""
    for number in range(runs):
        (folder / "ExperimentRuns" / f"TS_{number:04}").mkdir(parents=True)


def burn(run, milliseconds):
    """Keep one core busy for a time that does not depend on other processes."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass
    return 1


def burn_many(names, milliseconds):
    """The same for several runs."""
    return [burn(name, milliseconds) for name in names]


def main() -> None:
    """Measure what the command line names."""
    system, config, milliseconds = sys.argv[1:]
    library, _, mode = system.partition("-")
    seconds, results = _MEASURE[library](config, mode, float(milliseconds))
    sys.stdout.write(json.dumps({"seconds": seconds, "results": results}) + "\n")


def _reference(config, mode, milliseconds):
    import copick
    from copick.ops.run import map_runs

    root = copick.from_file(config)
    names = [run.name for run in root.runs]
    start = time.perf_counter()
    results = map_runs(burn, root, names, workers=WORKERS, parallelism=mode, show_progress=False, milliseconds=milliseconds)
    return time.perf_counter() - start, sum(results.values())


def _limit(config, mode, milliseconds):
    from concurrent.futures import ProcessPoolExecutor

    root = json.loads(Path(config).read_text())["overlay_root"].removeprefix("local://")
    names = sorted(path.name for path in Path(root, "ExperimentRuns").iterdir())
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(burn_many, [["warm"]] * WORKERS, [1] * WORKERS))
        start = time.perf_counter()
        shares = [names[number::WORKERS] for number in range(WORKERS)]
        results = list(pool.map(burn_many, shares, [milliseconds] * WORKERS))
        return time.perf_counter() - start, sum(map(sum, results))


def _ours(config, mode, milliseconds):
    copick_core = importlib.import_module("copick_core")
    root = copick_core.open(config)
    names = [run.name for run in root.runs]
    job = functools.partial(burn, milliseconds=milliseconds)
    start = time.perf_counter()
    if mode == "dask":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            start = time.perf_counter()
            report = copick_core.map_runs(job, root, names, executor=client)
            return time.perf_counter() - start, sum(report.results.values())
    report = copick_core.map_runs(job, root, names, executor=mode, workers=WORKERS)
    return time.perf_counter() - start, sum(report.results.values())


_MEASURE = {"copick": _reference, "limit": _limit, "copick_core": _ours}


if __name__ == "__main__":
    main()
