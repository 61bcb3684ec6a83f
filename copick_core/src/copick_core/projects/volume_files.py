"""Tomograms of many runs from files, and volumes of many runs to files, of any installed format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core import __version__
from copick_core.errors import CopickError, InvalidDataError
from copick_core.layers.provenance import recording
from copick_core.plugins.choosing import declared, format_that_writes, function_of
from copick_core.projects.importing import import_tomogram
from copick_core.projects.runs import map_runs
from copick_core.projects.tomogram_lists import TomogramFile, tomogram_files
from copick_core.projects.transfers import (
    RunNames,
    State,
    Transfer,
    TransferReport,
    described,
    entities_at,
    export_each,
    filled,
    new_file,
    state_before,
)
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import Kind
from copick_core.tree.names import check_run_name
from copick_core.volumes.reading import opened_volume
from copick_core.volumes.sources import VolumeSource

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay
    from copick_core.volumes.level_view import LevelView


def import_tomograms(
    root: CopickRootOverlay,
    files: Iterable[str | os.PathLike[str]],
    tomo_type: str,
    *,
    run_regex: str | None = None,
    run_prefix: str = "",
    run_names: Mapping[str, str] | None = None,
    voxel_size: float | None = None,
    levels: int = 3,
    dtype: DTypeLike | None = "float32",
    exist_ok: bool = False,
    resume: bool = False,
    file_format: str | None = None,
    read_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    executor: str | Executor = "thread",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Import tomograms, one file for each run; runs and voxel spacings that are missing are made.

    Headers are read first, so a file that cannot be imported leaves no empty run. What fails is in the report, and the rest
    goes on.

    Args:
        root: The project.
        files: The files, or lists of them, such as a tomograms.star.
        tomo_type: Type of the tomograms.
        run_regex: Searched in the name that a list gives the run, or in a file's name without its suffix; the first group, or
            all that matches, is the run.
        run_prefix: Put in front of that.
        run_names: Names of runs by that name, before all rules.
        voxel_size: In angstrom, for files that do not tell it, or tell a wrong one; that of a list by default.
        levels: Number of resolution levels.
        dtype: Type to store; None for that of the file.
        exist_ok: Replace tomograms that exist.
        resume: Leave out tomograms that exist with the same shape.
        file_format: Name of the format; by content and suffix by default.
        read_options: Options of the format.
        dry_run: Only report what would be made.
        executor: As :func:`~copick_core.map_runs` has it.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run with its name, how many are finished, and how many there are.

    Returns:
        A row for each tomogram, in their order, and for each file that could not be read.

    Raises:
        ReadOnlyError: The project has no writable layer.
        InvalidDataError: ``run_regex`` is not a regular expression, or there is no such number of levels or type.
    """
    if levels < 1:
        raise InvalidDataError(source="levels", reason=f"{levels} is less than 1")
    try:
        np.dtype(dtype)
    except TypeError as error:
        raise InvalidDataError(source="dtype", reason=f"there is no type {dtype!r}, but float32, int8 and others") from error
    naming = RunNames(run_regex, run_prefix, run_names or {})
    given = {"voxel_size": voxel_size, "file_format": file_format, "read_options": dict(read_options or {})}
    rows: dict[tuple[str, str | None], Transfer] = {}
    by_run: dict[str, list[TomogramFile]] = {}
    for path in dict.fromkeys(os.fspath(path) for path in files):
        try:
            listed = [*tomogram_files(path, naming, given)]
        except (CopickError, OSError, TypeError) as error:
            rows[path, None] = Transfer(path, None, None, "failed", error=described(error))
            continue
        for file in listed:
            row = rows[file.path, file.run] = _planned(file, tomo_type)
            if row.state == "planned":
                by_run.setdefault(file.run, []).append(file)
    for run, several in [*by_run.items()]:
        if len(several) > 1:
            paths = [file.path for file in several]
            for path in paths:
                error_text = f"{' and '.join(paths)} have the same run {run!r}; name runs with run_regex or run_names"
                rows[path, run] = Transfer(path, run, None, "failed", error=error_text)
            del by_run[run]
    if dry_run:
        return TransferReport([*rows.values()])
    for run in by_run:
        root.new_run(run, exist_ok=True)
    common = {
        "tomo_type": tomo_type,
        "levels": levels,
        "dtype": dtype,
        "exist_ok": exist_ok,
        "resume": resume,
    }
    mapped = map_runs(
        _import, root, [*by_run], executor=executor, workers=workers, collect=True, progress=progress,
        run_args={run: {"path": file.path, "options": file.options, **common} for run, (file,) in by_run.items()},
    )  # fmt: skip
    for run, (file,) in by_run.items():
        path, planned = file.path, rows[file.path, run]
        if run in mapped.results:
            state, address = mapped.results[run]
            rows[path, run] = Transfer(path, run, address, state, planned.count)
        else:
            rows[path, run] = Transfer(path, run, None, "failed", planned.count, described(mapped.errors[run].error))
    return TransferReport([*rows.values()])


def _planned(file: TomogramFile, tomo_type: str) -> Transfer:
    """What would become of a file, by its header."""
    try:
        check_run_name(file.run)
        options = dict(file.options)
        with opened_volume(file.path, **options.pop("read_options"), **options) as volume:
            size, shape = volume.voxel_size, volume.shape
        if size is None:
            raise InvalidDataError(source=file.path, reason="does not tell its voxel size; give voxel_size (in angstrom)")
    except (CopickError, OSError, TypeError) as error:
        return Transfer(file.path, file.run, None, "failed", error=described(error))
    return Transfer(file.path, file.run, f"{file.run}/{tomo_type}@{size}", "planned", math.prod(shape))


def export_volumes(
    root: CopickRootOverlay,
    selection: str | Iterable[Any],
    path: str | os.PathLike[str],
    *,
    kind: Kind | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    file_format: str | None = None,
    write_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    executor: str | Executor = "thread",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Export tomograms, segmentations, features or maps of objects, each to files of its own, slab by slab.

    Args:
        root: The project.
        selection: Address of the volumes, such as ``"TS_*/wbp@10.0"``, or the volumes. Of several layers, the overlay's are
            exported.
        path: The new files, with ``{run}`` and what else sets them apart: ``{name}`` (of the segmentation, or the type of the
            tomogram), ``{user}``, ``{session}``, ``{voxel_size}``, ``{feature_type}``, and ``{channel}`` for volumes with
            channels (``label`` and ``instance`` of panoptic segmentations, else numbers).
        kind: Such as ``"segmentation"``, where the address can mean several kinds; ``"object"`` for maps of objects.
        overwrite: Replace files that exist.
        resume: Leave out files that exist.
        file_format: Name of the format; by the suffix by default.
        write_options: Options of the format.
        dry_run: Only report what would be written.
        executor: As :func:`~copick_core.map_runs` has it.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run with its name, how many are finished, and how many there are.

    Returns:
        A row for each file.

    Raises:
        UnknownFormatError: No installed format writes such a file.
        InvalidDataError: Nothing matches, the path has an unknown field, or several volumes would go to one file.
        AddressError: The address can mean several kinds, and there is no ``kind``.
    """
    volumes: Iterable[Any] = selection
    if isinstance(selection, str):
        selected = root.select(selection, kind)
        wanted = [k for k in selected.kinds if k in (Kind.TOMOGRAM, Kind.SEGMENTATION, Kind.FEATURES)]
        volumes = [v for k in wanted for v in root.select(selection, k)] if kind is None else selected
    by_key = {entity.key: entity for entity in volumes if entity.key.kind is not Kind.OBJECT or entity.zarr() is not None}
    if not by_key:
        raise InvalidDataError(source=str(selection), reason="no volumes match, so there is nothing to export")
    chosen = format_that_writes(os.fspath(path), "volume", file_format)
    function_of(chosen, chosen.writes, "volume", write_options or {})
    targets: dict[str, tuple[Any, int | None]] = {}
    for entity in by_key.values():
        channels: list[int | None] = [None]
        names = ["0"]
        if len(entity.shape) == 4:
            names = (
                ["label", "instance"]
                if getattr(entity.key, "segmentation_type", None) == "panoptic"
                else [*map(str, range(entity.shape[0]))]
            )
            channels = [*range(entity.shape[0])]
        for channel, name in zip(channels, names, strict=True):
            target = _target(os.fspath(path), entity, name)
            if target in targets:
                reason = f"both {address_of(targets[target][0].key)} and {address_of(entity.key)} would go to this file"
                way_out = "{channel}" if channel is not None and targets[target][0] is entity else "{run}, {name} or {session}"
                raise InvalidDataError(source=target, reason=f"{reason}; put {way_out} into the path")
            targets[target] = (entity, channel)
    common = {
        "file_format": chosen.name,
        "write_options": dict(write_options or {}),
        "channels": {target: channel for target, (_, channel) in targets.items()},
        "overwrite": overwrite,
        "resume": resume,
        "dry_run": dry_run,
    }
    files = {target: [entity] for target, (entity, _) in targets.items()}
    return export_each(_write, root, files, common, executor, workers, progress)


def _write(
    run: CopickRun | None,
    *,
    files: Mapping[str, Sequence[Any]],
    file_format: str,
    write_options: Mapping[str, Any],
    channels: Mapping[str, int | None],
    overwrite: bool,
    resume: bool,
    dry_run: bool,
) -> list[Transfer]:
    """Write the volumes of one run, or maps of objects."""
    chosen = format_that_writes("", "volume", file_format)
    write = function_of(chosen, chosen.writes, "volume", write_options)
    rows: list[Transfer] = []
    for target, places in files.items():
        (entity,) = entities_at(run, places)
        state, error = state_before(target, overwrite, resume, dry_run)
        try:
            if state == "done":
                context = {
                    "run": None if run is None else run.name,
                    "object_name": getattr(entity.key, "name", None),
                    "kind": entity.key.kind.value,
                }
                with new_file(target, overwrite, resume) as staged:
                    write(staged, _LevelSource(entity, channels[target]), **{**declared(write, context), **write_options})
        except (CopickError, OSError) as caught:
            state, error = "failed", described(caught)
        count = math.prod(entity.shape[-3:])
        rows.append(Transfer(target, None if run is None else run.name, str(address_of(entity.key)), state, count, error))
    return rows


class _LevelSource(VolumeSource):
    """The finest level of a volume in a project, or one of its channels."""

    sequential = True

    def __init__(self, entity: Any, channel: int | None) -> None:
        self._view: LevelView = entity.view()
        self._channel = channel
        super().__init__(str(entity.key), self._view.shape[-3:], self._view.dtype, (_voxel_size(entity),) * 3)

    def box(self, z: slice, y: slice, x: slice) -> NDArray[Any]:
        """Read a box."""
        region: list[Any] = [slice(part.start, part.stop, 1) for part in (z, y, x)]
        return np.asarray(self._view.read(region if self._channel is None else [self._channel, *region]))


def _import(
    run: CopickRun,
    *,
    path: str,
    tomo_type: str,
    levels: int,
    dtype: DTypeLike | None,
    exist_ok: bool,
    resume: bool,
    options: Mapping[str, Any],
) -> tuple[State, str]:
    """Import the tomogram of one run; returns the state and the address."""
    found = None
    if resume:
        with opened_volume(
            path, voxel_size=options["voxel_size"], file_format=options["file_format"], **options["read_options"]
        ) as volume:
            size, shape = volume.voxel_size, volume.shape
        spacing = None if size is None else run.get_voxel_spacing(size)
        found = next(iter(spacing.get_tomograms(tomo_type)), None) if spacing is not None else None
        if found is not None and tuple(found.shape) == shape:
            return "skipped", str(address_of(found.key))
    given = {name: value for name, value in options.items() if value}
    replace = exist_ok or found is not None
    with recording(
        "copick-core import",
        function="copick_core.projects.volume_files:import_tomograms",
        version=__version__,
        by=run.config.user_id,
        arguments={"levels": levels, **given},
        inputs=[{"file": os.path.abspath(path)}],
    ):
        tomogram = import_tomogram(run, path, tomo_type, levels, dtype, exist_ok=replace, **given)
    return "done", str(address_of(tomogram.key))


def _voxel_size(entity: Any) -> float:
    """In angstrom; of an object, that of its map."""
    return float(entity.voxel_size if entity.key.kind is Kind.OBJECT else entity.key.voxel_size)


def _target(path: str, entity: Any, channel: str) -> str:
    key = entity.key
    fields = {
        "run": getattr(key, "run", ""),
        "name": getattr(key, "name", "") or getattr(key, "tomo_type", ""),
        "user": getattr(key, "user_id", ""),
        "session": getattr(key, "session_id", ""),
        "voxel_size": f"{_voxel_size(entity):.3f}",
        "feature_type": getattr(key, "feature_type", ""),
        "channel": channel,
    }
    return filled(path, fields)
