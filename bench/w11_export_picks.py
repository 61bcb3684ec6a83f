"""W11: export the picks of many runs to one STAR file, and to one for each run.

The limit formats and writes tables that are in memory already, with pandas alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from particles import CENTRE, LABELS, OBJECT, SESSION, USER, project_with_picks, run_names, write_tomograms
from projects import import_now, open_project
from rounds import LIMIT, OURS, REFERENCE, Job, Numbers, Sizes, Workload, main, timed

ONE, MANY = "to one file", "to a file for each run"
TOMOGRAMS = "tomograms.star"


@contextmanager
def setup(folder: Path, sizes: Sizes) -> Iterator[None]:
    runs = run_names(sizes)
    project_with_picks(folder, runs, sizes["points"])
    (folder / "warm").mkdir()
    project_with_picks(folder / "warm", runs[:1], 10)
    write_tomograms(folder / TOMOGRAMS, runs)
    yield


def _written(folder: Path) -> int:
    """Rows with a particle in all files of a folder."""
    return sum(line.startswith(b"TS_") for path in folder.glob("*.star") for line in path.open("rb"))


def ours(job: Job) -> Numbers:
    from copick_core import export_picks

    import_now("copick_formats.relion_writing", "copick_core.picks")
    options = {"tomograms": str(Path(job.folder, TOMOGRAMS))}
    name = "all.star" if job.case == ONE else "{run}.star"
    with job.scratch() as folder, job.scratch() as other:
        root, warm = open_project(job.library, Path(job.folder)), open_project(job.library, Path(job.folder, "warm"))
        _, numbers = timed(
            lambda: export_picks(root, OBJECT, folder / name, write_options=options),
            lambda: export_picks(warm, OBJECT, other / name, write_options=options),
        )
        return {**numbers, "check": _written(folder)}


def reference(job: Job) -> Numbers:
    from copick.ops.export import export_picks, export_relion_particles

    runs = run_names(job.sizes)
    centres = {run: tuple(CENTRE.tolist()) for run in runs}

    def export(root: Any, folder: Path) -> None:
        if job.case == ONE:
            export_relion_particles(
                root, f"{OBJECT}:{USER}/{SESSION}", str(folder / "all.star"), tomogram_centers=centres, voxel_spacing=10.0
            )
            return
        for run in root.runs:
            export_picks(
                run.get_picks(OBJECT)[0], str(folder / f"{run.name}.star"), "star", 10.0,
                tomograms_star=str(Path(job.folder, TOMOGRAMS)),
            )  # fmt: skip

    with job.scratch() as folder, job.scratch() as other:
        root, warm = open_project(job.library, Path(job.folder)), open_project(job.library, Path(job.folder, "warm"))
        _, numbers = timed(lambda: export(root, folder), lambda: export(warm, other))
        return {**numbers, "check": _written(folder)}


def limit(job: Job) -> Numbers:
    import pandas as pd

    import_now("pandas.io.formats.csvs")
    rng = np.random.default_rng(12)
    frames = []
    for run in run_names(job.sizes):
        values = rng.uniform(-1000, 1000, (job.sizes["points"], 9))
        frame = pd.DataFrame(values, columns=LABELS[1:10])
        frame.insert(0, LABELS[0], run)
        frame["rlnOpticsGroup"] = 1
        frame["rlnAutopickFigureOfMerit"] = rng.random(len(frame))
        frames.append(frame)
    if job.case == ONE:
        frames = [pd.concat(frames)]
    with job.scratch() as folder:

        def write() -> None:
            for number, frame in enumerate(frames):
                frame.to_csv(folder / f"{number}.star", sep="\t", index=False, header=False, float_format="%.6f")

        _, numbers = timed(write)
        return {**numbers, "check": _written(folder)}


if __name__ == "__main__":
    main(
        Workload(
            name="W11",
            title="export {points} particles of each of {runs} runs to STAR files",
            systems={REFERENCE: reference, LIMIT: limit, OURS: ours},
            cases=[ONE, MANY],
            sizes={"runs": (500, 3), "points": (2000, 50)},
            rounds=1,
            setup=setup,
        )
    )
