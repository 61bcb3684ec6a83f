"""Picks of many runs from and to files of any installed format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from copick_core import __version__
from copick_core.errors import CopickError, InvalidDataError, UnknownObjectError
from copick_core.layers.provenance import recording
from copick_core.plugins.choosing import format_that_reads, format_that_writes, function_of
from copick_core.plugins.format_functions import Frame, PicksTable
from copick_core.projects.runs import map_runs
from copick_core.projects.transfers import (
    RunNames,
    State,
    Transfer,
    TransferReport,
    described,
    find_run,
    frame_of,
    new_file,
    stem_of,
)
from copick_core.tree.names import check_run_name

if TYPE_CHECKING:
    from copick_core.models import CopickPicks, CopickRun
    from copick_core.overlay import CopickRootOverlay


@dataclass(frozen=True)
class _Item:
    """A table of a file, and the picks that it becomes."""

    file: str
    run: str
    object_name: str
    table: PicksTable


def import_picks(
    root: CopickRootOverlay,
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    session_id: str,
    object_name: str | None = None,
    user_id: str | None = None,
    *,
    run_regex: str | None = None,
    run_prefix: str = "",
    run_names: Mapping[str, str] | None = None,
    create_runs: bool = False,
    exist_ok: bool = False,
    resume: bool = False,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    file_format: str | None = None,
    read_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    executor: str | Executor = "thread",
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Import picks from files, each of which may hold points of many runs and objects. Each file is read once.

    A file is checked as a whole before any of its points is stored. What fails is in the report, and the rest goes on.

    Args:
        root: The project.
        files: One file or several.
        session_id: Session of the new picks.
        object_name: Object of all points; what the files name by default.
        user_id: User of the new picks; that of the configuration by default.
        run_regex: Searched in the name that a file gives the run (or in the file's name without suffix, where it gives
            none); the first group, or all that matches, is the run.
        run_prefix: Put in front of that.
        run_names: Names of runs by the name that the file gives them, before all rules.
        create_runs: Make runs that the project does not have, instead of reporting them as failed.
        exist_ok: Replace picks that exist.
        resume: Leave out picks that exist with as many points.
        voxel_size: Voxel size of the tomograms that coordinates in voxels count in; the smallest of the run by default.
        tomo_type: Type of these tomograms.
        file_format: Name of the format; by content and suffix by default.
        read_options: Options of the format.
        dry_run: Only report what would be made.
        executor: As :func:`~copick_core.map_runs` has it.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run with its name, how many are finished, and how many there are.

    Returns:
        A row for each picks, and for each file that could not be read.

    Raises:
        ReadOnlyError: The project has no writable layer.
        InvalidDataError: ``run_regex`` is no regular expression.

    Example:
        >>> report = copick_core.import_picks(root, "run_data.star", "1", "ribosome", "relion")  # doctest: +SKIP
        >>> report.failed  # doctest: +SKIP
        []
    """
    naming = RunNames(run_regex, run_prefix, run_names or {})
    paths = [os.fspath(files)] if isinstance(files, str | os.PathLike) else [os.fspath(path) for path in files]
    report = TransferReport()
    items: list[_Item] = []
    taken: dict[tuple[str, str], str] = {}
    frames: dict[str, Frame | None] = {}
    for path in paths:
        try:
            tables = _read(root, path, naming, file_format, read_options or {}, (voxel_size, tomo_type), frames)
        except (CopickError, OSError, TypeError) as error:
            report.rows.append(Transfer(path, None, None, "failed", error=described(error)))
            continue
        for table in tables:
            try:
                item = _item(root, path, table, naming, object_name, create_runs)
                if (item.run, item.object_name) in taken:
                    first = taken[item.run, item.object_name]
                    reason = f"holds points of {item.object_name!r} in run {item.run!r}, as {first} does"
                    raise InvalidDataError(source=path, reason=reason)
            except CopickError as error:
                report.rows.append(Transfer(path, table.run, None, "failed", len(table.positions), described(error)))
                continue
            taken[item.run, item.object_name] = path
            items.append(item)
    if dry_run:
        user = user_id or root.config.user_id or ""
        report.rows += [
            Transfer(i.file, i.run, f"{i.run}/{i.object_name}:{user}/{session_id}", "planned", len(i.table.positions))
            for i in items
        ]
        return report
    by_run: dict[str, list[_Item]] = {}
    for item in items:
        by_run.setdefault(item.run, []).append(item)
    options = {"session_id": session_id, "user_id": user_id, "exist_ok": exist_ok, "resume": resume}
    for run in by_run:
        if create_runs and root.get_run(run) is None:
            root.new_run(run)
    mapped = map_runs(
        _store, root, [*by_run], executor=executor, workers=workers, collect=True, progress=progress,
        run_args={run: {"items": part, **options} for run, part in by_run.items()},
    )  # fmt: skip
    for run, part in by_run.items():
        if run in mapped.results:
            report.rows += mapped.results[run]
        else:
            reason = described(mapped.errors[run].error)
            report.rows += [Transfer(i.file, run, None, "failed", len(i.table.positions), reason) for i in part]
    return report


def export_picks(
    root: CopickRootOverlay,
    selection: str | Iterable[CopickPicks],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    merge: bool = False,
    voxel_size: float | None = None,
    tomo_type: str | None = None,
    file_format: str | None = None,
    write_options: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> TransferReport:
    """Export picks to one file, or to one for each run.

    Args:
        root: The project.
        selection: Address of the picks, such as ``"TS_*/ribosome:alice/1"``, or the picks. Of several layers, the overlay's
            are exported.
        path: The new file; ``{run}``, ``{object}``, ``{user}`` and ``{session}`` in it make several.
        overwrite: Replace files that exist.
        resume: Leave out files that exist.
        merge: Write picks of several objects, users or sessions into one file, which most formats cannot tell apart.
        voxel_size: Voxel size of the tomograms that coordinates in voxels count in; the smallest of the run by default.
        tomo_type: Type of these tomograms.
        file_format: Name of the format; by the suffix by default.
        write_options: Options of the format.
        dry_run: Only report what would be written.
        progress: Called after each file with its path, how many are finished, and how many there are.

    Returns:
        A row for each picks.

    Raises:
        UnknownFormatError: No installed format writes such a file.
        AddressError: The address cannot mean picks.
        InvalidDataError: Nothing matches, the path has an unknown field, or a file would mix picks, and not ``merge``.

    Example:
        >>> copick_core.export_picks(root, "*/ribosome:alice/1", "ribosomes.star")  # doctest: +SKIP
    """
    picks: Iterable[Any] = root.select(selection, kind="picks") if isinstance(selection, str) else selection
    by_key = {entity.key: entity for entity in picks}
    if not by_key:
        raise InvalidDataError(source=str(selection), reason="no picks match, so there is nothing to export")
    chosen = format_that_writes(os.fspath(path), "picks", file_format)
    write = function_of(chosen, chosen.writes, "picks", write_options or {})
    groups: dict[str, list[CopickPicks]] = {}
    for entity in by_key.values():
        groups.setdefault(_target(os.fspath(path), entity), []).append(entity)
    for target, part in groups.items():
        kinds = {(entity.pickable_object_name, entity.user_id, entity.session_id): entity for entity in part}
        if len(kinds) > 1 and not merge:
            shown = " and ".join(_address(entity) for entity in [*kinds.values()][:2])
            reason = f"would mix {shown}; put {{object}}, {{user}} or {{session}} into the path, or pass merge=True"
            raise InvalidDataError(source=target, reason=reason)
    frames: dict[str | None, Frame | None] = {}

    def frame(name: str | None) -> Frame | None:
        if name not in frames:
            run = root.get_run(name) if name is not None else None
            frames[name] = None if run is None else frame_of(run, voxel_size, tomo_type)
        return frames[name]

    report = TransferReport()
    for done, (target, part) in enumerate(groups.items(), 1):
        state: State = "planned" if dry_run else "done"
        error = None
        if resume and os.path.exists(target):
            state = "skipped"
        elif not dry_run:
            try:
                with new_file(target, overwrite) as staged:
                    write(staged, [_table(entity) for entity in part], frame=frame, **(write_options or {}))
            except (CopickError, OSError) as caught:
                state, error = "failed", described(caught)
        report.rows += [Transfer(target, p.run.name, _address(p), state, _length(p), error) for p in part]
        if progress is not None:
            progress(target, done, len(groups))
    return report


def _read(
    root: CopickRootOverlay,
    path: str,
    naming: RunNames,
    file_format: str | None,
    options: Mapping[str, Any],
    tomogram: tuple[float | None, str | None],
    frames: dict[str, Frame | None],
) -> list[PicksTable]:
    """All tables of a file; none if one of them cannot be read."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}")
    chosen = format_that_reads(path, "picks", file_format)
    read = function_of(chosen, chosen.reads, "picks", options)

    def frame(name: str | None) -> Frame | None:
        named = naming.of(stem_of(path) if name is None else name)
        if named not in frames:
            run = find_run(root, named)
            frames[named] = None if run is None else frame_of(run, *tomogram)
        return frames[named]

    return [*read(path, frame=frame, **options)]


def _item(
    root: CopickRootOverlay, path: str, table: PicksTable, naming: RunNames, object_name: str | None, create_runs: bool
) -> _Item:
    """Where a table goes.

    Raises:
        InvalidDataError: There is no such run, or the file names no object.
        UnknownObjectError: The project has no such object.
    """
    name = naming.of(stem_of(path) if table.run is None else table.run)
    run = find_run(root, name)
    if run is None and not create_runs:
        reason = f"its {len(table.positions)} points belong to run {name!r}, which the project does not have"
        raise InvalidDataError(
            source=path, reason=f"{reason}; name runs with run_regex or run_names, or pass create_runs=True"
        )
    if run is None:
        check_run_name(name)
    wanted = object_name or table.object_name
    if not wanted:
        raise InvalidDataError(source=path, reason="names no object; pass object_name")
    if root.get_object(wanted) is None:
        raise UnknownObjectError(name=wanted, known=[obj.name for obj in root.pickable_objects])
    return _Item(path, name if run is None else run.name, wanted, table)


def _store(
    run: CopickRun, *, items: list[_Item], session_id: str, user_id: str | None, exist_ok: bool, resume: bool
) -> list[Transfer]:
    """Store the tables of one run."""
    rows = []
    for item in items:
        table = item.table
        n = len(table.positions)
        try:
            user = user_id or run.config.user_id
            found = run.get_picks(item.object_name, user, session_id) if user else []
            if resume and found and _length(found[-1]) == n:
                rows.append(Transfer(item.file, run.name, _address(found[-1]), "skipped", n))
                continue
            picks = run.new_picks(item.object_name, session_id, user_id, exist_ok=exist_ok or (resume and bool(found)))
            with recording(
                "copick-core import",
                function="copick_core.projects.picks_files:import_picks",
                version=__version__,
                by=run.config.user_id,
                inputs=[{"file": os.path.abspath(item.file)}],
            ):
                picks.from_numpy(table.positions, table.transforms, table.instance_ids, table.scores, table.columns)
        except (CopickError, OSError) as error:
            rows.append(Transfer(item.file, run.name, None, "failed", n, described(error)))
            continue
        rows.append(Transfer(item.file, run.name, _address(picks), "done", n))
    return rows


def _table(picks: CopickPicks) -> PicksTable:
    arrays = picks._as_arrays()
    return PicksTable(
        arrays.positions,
        arrays.transforms,
        arrays.instance_ids,
        arrays.scores,
        picks.run.name,
        picks.pickable_object_name,
        arrays.columns,
    )


def _length(picks: CopickPicks) -> int:
    return len(picks._as_arrays())


def _address(picks: CopickPicks) -> str:
    from copick_core.tree.addresses import address_of

    return str(address_of(picks.key))


def _target(path: str, picks: CopickPicks) -> str:
    fields = {"run": picks.run.name, "object": picks.pickable_object_name, "user": picks.user_id, "session": picks.session_id}
    try:
        return path.format(**fields)
    except (KeyError, IndexError, ValueError) as error:
        has = ", ".join(f"{{{name}}}" for name in fields)
        raise InvalidDataError(source=path, reason=f"a path may have {has}, and no other braces") from error
