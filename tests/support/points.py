"""Points for tests of formats: reading and writing through the installed format, and how far apart rotations are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.plugins.discovery import formats
from copick_core.plugins.format_functions import Frame, PicksTable

FRAME = Frame((100, 400, 300), 7.84)


def known(run: str | None) -> Frame:
    return FRAME


def unknown(run: str | None) -> None:
    return None


def read(path: Path, frame=known, name: str | None = None, kind: str = "picks", **options) -> list:
    chosen = format_that_reads(str(path), kind, name)
    return [*function_of(chosen, chosen.reads, kind, options)(str(path), frame=frame, **options)]


def write(path: Path, tables, name: str, frame=known, kind: str = "picks", **options) -> Path:
    lacking(path, tables, name, frame, kind, **options)
    return path


def lacking(path: Path, tables, name: str, frame=known, kind: str = "picks", **options) -> list[str]:
    """Write, and return what the format could not hold."""
    chosen = formats.get(name)
    return [*(function_of(chosen, chosen.writes, kind, options)(str(path), tables, frame=frame, **options) or ())]


def table(n: int = 20, run: str | None = "TS_1", seed: int = 0, **fields) -> PicksTable:
    """Random points with rotations, and shifts unless ``shifts=0``."""
    random = np.random.default_rng(seed)
    transforms = np.tile(np.eye(4), (n, 1, 1))
    transforms[:, :3, :3] = Rotation.random(n, random_state=seed).as_matrix()
    transforms[:, :3, 3] = random.normal(size=(n, 3)) * fields.pop("shifts", 5)
    return PicksTable(random.uniform(0, 2000, (n, 3)), transforms, run=run, **fields)


def centres(points: PicksTable):
    return points.positions if points.transforms is None else points.positions + points.transforms[:, :3, 3]


def apart(a, b) -> float:
    """The largest element of R R'ᵀ - 1."""
    a, b = np.asarray(a)[:, :3, :3], np.asarray(b)[:, :3, :3]
    return float(np.abs(a @ np.swapaxes(b, 1, 2) - np.eye(3)).max())
