"""Lists over many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from copick.models import CopickRoot, CopickRun
from copick.ops.open import from_file
from copick_core.errors import InvalidDataError
from copick_core.tree.keys import Kind

Runs = str | CopickRun | Sequence[str | CopickRun] | None


def get_runs(root: CopickRoot | str, names: str | Sequence[str] | None = None) -> list[Any]:
    """Runs of a project.

    Args:
        root: The project, or its configuration file.
        names: Name or names; all runs by default.

    Returns:
        The runs; None in the place of those that are missing.
    """
    project = _opened(root)
    if names is None:
        return [*project.runs]
    return [project.get_run(name) for name in ([names] if isinstance(names, str) else names)]


def get_picks(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    object_name: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> list[Any]:
    """Picks of some runs that pass all filters.

    Args:
        root: The project, or its configuration file.
        runs: Runs or their names; all by default.
        user_id: User or users; all by default, as for the next two.
        session_id: Session or sessions.
        object_name: Object or objects.
        parallel: Has no effect: the lists of all runs are loaded together.
        workers: Has no effect.
        show_progress: Has no effect.

    Raises:
        ValueError: A run is missing.
    """
    return [p for run in _runs(root, runs, Kind.PICKS) for p in run.get_picks(object_name, user_id, session_id)]


def get_meshes(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    object_name: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> list[Any]:
    """Meshes of some runs that pass all filters; see :func:`get_picks`."""
    return [m for run in _runs(root, runs, Kind.MESH) for m in run.get_meshes(object_name, user_id, session_id)]


def get_segmentations(
    root: CopickRoot | str,
    runs: Runs = None,
    user_id: Any = None,
    session_id: Any = None,
    is_multilabel: bool | None = None,
    name: Any = None,
    voxel_size: Any = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
    is_instance: bool | None = False,
    is_panoptic: bool | None = False,
) -> list[Any]:
    """Segmentations of some runs that pass all filters, binary and multilabel ones by default; see :func:`get_picks`."""
    types = {"is_instance": is_instance, "is_panoptic": is_panoptic}
    return [
        s
        for run in _runs(root, runs, Kind.SEGMENTATION)
        for s in run.get_segmentations(user_id, session_id, is_multilabel, name, voxel_size, **types)
    ]


def get_voxelspacings(
    root: CopickRoot | str,
    runs: Runs = None,
    voxel_size: float | None = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> list[Any]:
    """Voxel spacings of some runs, of one size in angstrom or all; see :func:`get_picks`."""
    return _spacings(root, runs, voxel_size, Kind.VOXEL_SPACING)


def get_tomograms(
    root: CopickRoot | str,
    runs: Runs = None,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> list[Any]:
    """Tomograms of some runs, of one voxel size in angstrom and type or all; see :func:`get_picks`."""
    return _tomograms(root, runs, voxel_size, tomo_type, Kind.TOMOGRAM)


def get_features(
    root: CopickRoot | str,
    runs: Runs = None,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    feature_type: str | None = None,
    parallel: bool = False,
    workers: int = 8,
    show_progress: bool = True,
) -> list[Any]:
    """Feature maps of some runs that pass all filters; see :func:`get_picks`."""
    tomograms = _tomograms(root, runs, voxel_size, tomo_type, Kind.FEATURES)
    return [f for t in tomograms for f in t.features if feature_type is None or f.feature_type == feature_type]


def _spacings(root: CopickRoot | str, runs: Runs, voxel_size: float | None, kind: Kind) -> list[Any]:
    found = [s for run in _runs(root, runs, kind) for s in run.voxel_spacings]
    return [s for s in found if voxel_size is None or abs(s.voxel_size - voxel_size) < 1e-3]


def _tomograms(root: CopickRoot | str, runs: Runs, voxel_size: float | None, tomo_type: str | None, kind: Kind) -> list[Any]:
    spacings = _spacings(root, runs, voxel_size, kind)
    return [t for s in spacings for t in s.tomograms if tomo_type is None or t.tomo_type == tomo_type]


def _opened(root: CopickRoot | str) -> CopickRoot:
    return from_file(root) if isinstance(root, str) else root


def _runs(root: CopickRoot | str, runs: Runs, kind: Kind) -> list[Any]:
    """The runs that are meant; where that is all, their lists of a kind are loaded together.

    Raises:
        ValueError: One is missing.
    """
    project: Any = _opened(root)
    if runs is None:
        project.prefetch([kind])
        return [*project.runs]
    wanted = [runs] if isinstance(runs, str | CopickRun) else runs
    found: list[Any] = []
    for run in wanted:
        handle = project.get_run(run) if isinstance(run, str) else run
        if handle is None:
            raise InvalidDataError(source=f"run {run!r}", reason="the project has no such run")
        found.append(handle)
    return found
