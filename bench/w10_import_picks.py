"""W10: import one STAR file of RELION 5, with optics groups, into picks of many runs.

The limit reads the file with gemmi alone, and stores ready arrays with our own writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from particles import CENTRE, LABELS, OBJECT, SESSION, USER, project_with_runs, run_names, write_star, write_tomograms
from projects import import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

STAR, TOMOGRAMS, WARM = "particles.star", "tomograms.star", "warm.star"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    from copick_core import import_picks

    runs = run_names(sizes)
    write_star(folder / STAR, runs, sizes["points"])
    write_star(folder / WARM, runs[:1], 10)
    write_tomograms(folder / TOMOGRAMS, runs)
    root = project_with_runs("copick_core", folder, runs)
    import_picks(root, folder / STAR, SESSION, OBJECT, USER, read_options={"tomograms": str(folder / TOMOGRAMS)})
    stored = {}
    for run in runs:
        picks = root.get_run(run).get_picks(OBJECT)[0]
        positions, transforms = picks.numpy()
        stored |= {f"{run}/positions": positions, f"{run}/transforms": transforms}
        stored |= {f"{run}/{name}": values for name, values in picks.columns.items()}
    np.savez(folder / "arrays.npz", **stored)
    yield


def numbers_of(job: Job, numbers: Numbers) -> Numbers:
    """With the size of the table, and how far memory rose above what the process held before."""
    size = Path(job.folder, STAR).stat().st_size / 2**20
    return {**numbers, "MiB of the file": round(size, 1), "MiB more": round(numbers["peak_mib"] - numbers["level_mib"], 1)}


def ours(job: Job) -> Numbers:
    from copick_core import import_picks

    import_now("gemmi", "copick_formats.relion", "copick_core.picks")
    options = {"tomograms": str(Path(job.folder, TOMOGRAMS))}
    with job.scratch() as folder, job.scratch() as other:
        root = project_with_runs(job.library, folder, run_names(job.sizes))
        warm = project_with_runs(job.library, other, run_names(job.sizes)[:1])
        report, numbers = timed(
            lambda: import_picks(root, Path(job.folder, STAR), SESSION, OBJECT, USER, read_options=options),
            lambda: import_picks(warm, Path(job.folder, WARM), SESSION, OBJECT, USER, read_options=options),
        )
        return {**numbers_of(job, numbers), "check": sum(row.count for row in report.rows if row.state == "done")}


def reference(job: Job) -> Numbers:
    from copick.ops.add import add_picks_grouped_from_file

    runs = run_names(job.sizes)
    centres = {run: tuple(CENTRE.tolist()) for run in runs}
    names = dict(enumerate(runs, 1))
    with job.scratch() as folder, job.scratch() as other:
        root, warm = project_with_runs(job.library, folder, runs), project_with_runs(job.library, other, runs[:1])
        given: dict[str, Any] = {"file_type": "star", "tomogram_centers": centres}
        found, numbers = timed(
            lambda: add_picks_grouped_from_file(
                root, str(Path(job.folder, STAR)), OBJECT, USER, SESSION, 10.0, names, **given
            ),
            lambda: add_picks_grouped_from_file(
                warm, str(Path(job.folder, WARM)), OBJECT, USER, SESSION, 10.0, names, **given
            ),
        )
        return {**numbers_of(job, numbers), "check": sum(len(picks.points) for picks in found.values())}


def limit(job: Job) -> Numbers:
    from gemmi import cif

    import_now("copick_core.picks", "copick_core.models.plausibility")
    arrays = dict(np.load(Path(job.folder, "arrays.npz")))
    further = ("rlnOpticsGroup", "rlnRandomSubset")
    with job.scratch() as folder:
        root = open_project(job.library, folder)
        runs = {run: root.new_run(run) for run in run_names(job.sizes)}

        def read_and_store() -> int:
            values = cif.read(str(Path(job.folder, STAR))).find_block("particles").find_loop(f"_{LABELS[0]}").get_loop().values
            for name, run in runs.items():
                run.new_picks(
                    OBJECT, SESSION, USER, positions=arrays[f"{name}/positions"], transforms=arrays[f"{name}/transforms"],
                    columns={column: arrays[f"{name}/{column}"] for column in further},
                )  # fmt: skip
            return len(values) // len(LABELS)

        rows, numbers = timed(read_and_store)
        return {**numbers_of(job, numbers), "check": rows}


if __name__ == "__main__":
    main(
        Workload(
            name="W10",
            title="import {points} particles in each of {runs} runs from one STAR file",
            systems={REFERENCE: reference, LIMIT: limit, OURS: ours},
            cases=["import"],
            sizes={"runs": (500, 3), "points": (2000, 50)},
            rounds=1,
            setup=setup,
        )
    )
