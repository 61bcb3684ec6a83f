"""Particles in many runs, as W10 and W11 have them: in a STAR file of RELION 5, and as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from projects import open_project
from rounds import Sizes

OBJECT, USER, SESSION = "ribosome", "alice", "1"
PIXEL, SHAPE = 1.35, (2000, 4000, 4000)
"""Pixel size of the tilt series in angstrom, and the tomogram's shape (z, y, x) in its pixels."""
CENTRE = np.array(SHAPE[::-1]) / 2 * PIXEL
LABELS = (
    "rlnTomoName", "rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateYAngst", "rlnCenteredCoordinateZAngst",
    "rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi",
    "rlnOpticsGroup", "rlnRandomSubset",
)  # fmt: skip


def run_names(sizes: Sizes) -> list[str]:
    """Names of the runs."""
    return [f"TS_{number:04}" for number in range(1, sizes["runs"] + 1)]


def write_star(path: Path, runs: list[str], points: int) -> None:
    """Write a STAR file with optics groups."""
    rng = np.random.default_rng(10)
    with path.open("w") as file:
        file.write("data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n_rlnTomoTiltSeriesPixelSize\n")
        file.writelines(f"{number}\topticsGroup{number}\t{PIXEL}\n" for number in range(1, len(runs) + 1))
        file.write("\ndata_particles\n\nloop_\n" + "".join(f"_{label} #{n}\n" for n, label in enumerate(LABELS, 1)))
        for number, run in enumerate(runs, 1):
            centred = rng.uniform(-1000, 1000, (points, 3))
            origins = rng.normal(size=(points, 3))
            angles = rng.uniform(0, 180, (points, 3))
            rows = np.concatenate([centred, origins, angles], 1).tolist()
            line = f"{run}\t" + "\t".join(["%.6f"] * 9) + f"\t{number}\t%d\n"
            file.writelines(line % (*row, index % 2 + 1) for index, row in enumerate(rows))
        file.write("\n")


def write_tomograms(path: Path, runs: list[str]) -> None:
    """Write a tomograms.star."""
    labels = ("rlnTomoName", "rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ", "rlnTomoTiltSeriesPixelSize")
    with path.open("w") as file:
        file.write("data_global\n\nloop_\n" + "".join(f"_{label} #{n}\n" for n, label in enumerate(labels, 1)))
        z, y, x = SHAPE
        file.writelines(f"{run}\t{x}\t{y}\t{z}\t{PIXEL}\n" for run in runs)


def project_with_runs(library: str, folder: Path, runs: list[str]) -> Any:
    """A project with empty runs."""
    root = open_project(library, folder)
    for run in runs:
        root.new_run(run)
    return root


def project_with_picks(folder: Path, runs: list[str], points: int) -> None:
    """A project with as many points in each run."""
    rng = np.random.default_rng(11)
    root = open_project("copick_core", folder)
    angle = rng.uniform(0, np.pi, points)
    transforms = np.tile(np.eye(4), (points, 1, 1))
    transforms[:, 0, 0] = transforms[:, 1, 1] = np.cos(angle)
    transforms[:, 0, 1], transforms[:, 1, 0] = -np.sin(angle), np.sin(angle)
    for run in runs:
        positions = rng.uniform(0, 2000, (points, 3))
        root.new_run(run).new_picks(
            OBJECT, SESSION, USER, positions=positions, transforms=transforms, scores=rng.random(points)
        )
