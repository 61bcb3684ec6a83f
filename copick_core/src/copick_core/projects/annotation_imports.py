"""Annotations of many runs from files: a file is read and checked as a whole, then the part of each run is stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from copick_core import __version__
from copick_core.errors import (
    AlreadyExistsError,
    CopickError,
    InvalidDataError,
    InvalidNameError,
    UnknownObjectError,
    by_caller,
    no_user,
)
from copick_core.layers.provenance import recording
from copick_core.plugins.choosing import format_that_reads, function_of
from copick_core.plugins.format_functions import Frame
from copick_core.projects.annotation_contents import CONTENTS, Content
from copick_core.projects.runs import map_runs
from copick_core.projects.transfers import (
    RunNames,
    Transfer,
    TransferReport,
    described,
    find_run,
    frame_of,
    stem_of,
)
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import KINDS, Kind
from copick_core.tree.names import check_run_name, checked_name

if TYPE_CHECKING:
    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay


class ImportOptions(TypedDict, total=False):
    """How files become annotations; :func:`~copick_core.import_picks` describes each."""

    run_regex: str | None
    run_prefix: str
    run_names: Mapping[str, str] | None
    create_runs: bool
    exist_ok: bool
    resume: bool
    voxel_size: float | None
    tomo_type: str | None
    file_format: str | None
    read_options: Mapping[str, Any] | None
    dry_run: bool
    executor: str | Executor
    workers: int | None
    progress: Callable[[str, int, int], None] | None


@dataclass
class _Item:
    """A table of a file, and the annotation that it becomes; the table is dropped once it is stored."""

    file: str
    run: str
    object_name: str
    table: Any
    size: int


def import_annotations(
    name: str,
    root: CopickRootOverlay,
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    made_by: tuple[str, str | None],
    object_name: str | None,
    options: ImportOptions,
) -> TransferReport:
    """Import annotations of one kind.

    Args:
        name: The kind, as `CONTENTS` has it.
        root: The project.
        files: One file or several.
        made_by: Session and user of the new annotations.
        object_name: Object of the imported entities; by default, the one that the files name.
        options: The other arguments of :func:`~copick_core.import_picks`.

    Raises:
        ReadOnlyError: The project has no writable layer.
        InvalidDataError: ``run_regex`` is not a regular expression.
        InvalidNameError: There is no user, or a name cannot be stored.
    """
    content = CONTENTS[name]
    session_id, user_id = made_by
    naming = RunNames(options.get("run_regex"), options.get("run_prefix", ""), options.get("run_names") or {})
    user_id = user_id or root.config.user_id
    if not user_id:
        raise InvalidNameError(what="user_id", name="", reason=no_user())
    user = checked_name("user_id", user_id)
    session_id = checked_name("session_id", session_id)
    paths = [os.fspath(files)] if isinstance(files, str | os.PathLike) else [os.fspath(path) for path in files]
    report = TransferReport()
    items = _items(content, root, paths, naming, object_name, options, report)
    if options.get("dry_run"):
        report.rows += [_planned(content, root, item, session_id, user, options) for item in items]
        return report
    by_run: dict[str, list[_Item]] = {}
    for item in items:
        by_run.setdefault(item.run, []).append(item)
    if options.get("create_runs"):
        for run in by_run:
            if root.get_run(run) is None:
                root.new_run(run)
    given: dict[str, Any] = {name: options.get(name) for name in ("voxel_size", "tomo_type", "file_format")}
    given |= {
        name: v if isinstance(v, str | int | float) else str(v) for name, v in (options.get("read_options") or {}).items()
    }
    given = {name: value for name, value in given.items() if value is not None}
    common: dict[str, Any] = {"name": name, "names": (session_id, user), "arguments": given}
    common |= {k: options.get(k, False) for k in ("exist_ok", "resume")}
    mapped = map_runs(
        _store, root, [*by_run], executor=options.get("executor", "thread"), workers=options.get("workers"), collect=True,
        progress=options.get("progress"), run_args={run: {"items": part, **common} for run, part in by_run.items()},
    )  # fmt: skip
    for run, part in by_run.items():
        if run in mapped.results:
            report.rows += mapped.results[run]
        else:
            reason = described(mapped.errors[run].error)
            report.rows += [Transfer(i.file, run, None, "failed", i.size, reason) for i in part]
    return report


def _items(
    content: Content,
    root: CopickRootOverlay,
    paths: list[str],
    naming: RunNames,
    object_name: str | None,
    options: ImportOptions,
    report: TransferReport,
) -> list[_Item]:
    """What the files become; what cannot become anything is a row of the report."""
    items: list[_Item] = []
    taken: dict[tuple[str, str], str] = {}
    frames: dict[str, Frame | None] = {}
    for path in paths:
        try:
            tables = _read(content, root, path, naming, options, frames)
        except (CopickError, OSError, TypeError) as error:
            report.rows.append(Transfer(path, None, None, "failed", error=described(error)))
            continue
        if not tables:
            report.rows.append(Transfer(path, None, None, "skipped", error=f"{path}: holds no {content.parts}"))
        found: dict[tuple[str, str], list[_Item]] = {}
        for table in tables:
            try:
                item = _item(content, root, path, table, naming, object_name, bool(options.get("create_runs")))
            except CopickError as error:
                report.rows.append(Transfer(path, table.run, None, "failed", content.size(table), described(error)))
                continue
            found.setdefault((item.run, item.object_name), []).append(item)
        for (run, name), several in found.items():
            reason = f"{path}: holds {content.parts} of {name!r} in run {run!r}"
            if len(several) > 1:
                reason = f"{path}: holds {len(several)} sets of {content.parts} for {name!r} in run {run!r}"
                reason = f"{reason}; name their objects in the file, or choose one by an option of the format"
            elif (run, name) in taken:
                reason = f"{reason}, as {taken[run, name]} does"
            else:
                taken[run, name] = path
                items += several
                continue
            report.rows += [Transfer(path, run, None, "failed", item.size, reason) for item in several]
    return items


def _read(
    content: Content,
    root: CopickRootOverlay,
    path: str,
    naming: RunNames,
    options: ImportOptions,
    frames: dict[str, Frame | None],
) -> list[Any]:
    """All tables of a file; none if one of them cannot be read."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}")
    read_options = options.get("read_options") or {}
    chosen = format_that_reads(path, content.name, options.get("file_format"))
    read = function_of(chosen, chosen.reads, content.name, read_options)

    def frame(name: str | None) -> Frame | None:
        named = naming.of(stem_of(path) if name is None else name)
        if named not in frames:
            run = find_run(root, named)
            frames[named] = None if run is None else frame_of(run, options.get("voxel_size"), options.get("tomo_type"))
        return frames[named]

    return content.read(read, path, frame, read_options)


def _item(
    content: Content,
    root: CopickRootOverlay,
    path: str,
    table: Any,
    naming: RunNames,
    object_name: str | None,
    create_runs: bool,
) -> _Item:
    """Where a table goes.

    Raises:
        InvalidDataError: There is no such run, or the file names no object.
        UnknownObjectError: The project has no such object.
    """
    name = naming.of(stem_of(path) if table.run is None else table.run)
    run = find_run(root, name)
    if run is None and not create_runs:
        reason = f"its {content.size(table)} {content.parts} belong to run {name!r}, which the project does not have"
        way_out = by_caller(
            "name runs with run_regex or run_names, or pass create_runs=True",
            "name runs with --run-regex or --run-name, or pass --create-runs",
        )
        raise InvalidDataError(source=path, reason=f"{reason}; {way_out}")
    if run is None:
        check_run_name(name)
    wanted = object_name or table.object_name
    if not wanted:
        raise InvalidDataError(source=path, reason=f"names no object; pass {by_caller('object_name', '--object')}")
    if root.get_object(wanted) is None:
        raise UnknownObjectError(name=wanted, known=[obj.name for obj in root.pickable_objects])
    return _Item(path, name if run is None else run.name, wanted, table, content.size(table))


def _replacing() -> str:
    return by_caller("exist_ok=True", "--if-exists replace")


def _planned(
    content: Content, root: CopickRootOverlay, item: _Item, session_id: str, user: str, options: ImportOptions
) -> Transfer:
    """What would become of an item."""
    n = item.size
    entity = f"{item.run}/{item.object_name}:{user}/{session_id}"
    run = root.get_run(item.run)
    found = [] if run is None else content.find(run, item.object_name, user, session_id)
    if found and options.get("resume") and content.size(content.table(found[-1])) == n:
        return Transfer(item.file, item.run, entity, "skipped", n)
    if found and not options.get("resume") and not options.get("exist_ok"):
        return Transfer(item.file, item.run, entity, "failed", n, f"exists already; pass {_replacing()} to replace it")
    return Transfer(item.file, item.run, entity, "planned", n)


def _store(
    run: CopickRun,
    *,
    name: str,
    items: list[_Item],
    names: tuple[str, str],
    arguments: dict[str, Any],
    exist_ok: bool,
    resume: bool,
) -> list[Transfer]:
    """Store the tables of one run."""
    content = CONTENTS[name]
    session_id, user = names
    rows = []
    for item in items:
        n = item.size
        try:
            found = content.find(run, item.object_name, user, session_id) if resume else []
            if found and content.size(content.table(found[-1])) == n:
                rows.append(Transfer(item.file, run.name, str(address_of(found[-1].key)), "skipped", n))
                continue
            replace = exist_ok or bool(found)
            with recording(
                "copick-core import",
                function=f"copick_core.projects.annotation_files:import_{KINDS[Kind(content.kind)].plural}",
                version=__version__,
                by=run.config.user_id,
                arguments=arguments,
                inputs=[{"file": os.path.abspath(item.file)}],
            ):
                entity = content.store(run, (item.object_name, session_id, user, replace), item.table)
        except AlreadyExistsError as error:
            reason = str(AlreadyExistsError(key=error.key, layer=error.layer, way_out=f"Pass {_replacing()} to replace it."))
            rows.append(Transfer(item.file, run.name, None, "failed", n, reason))
            continue
        except (CopickError, OSError) as error:
            rows.append(Transfer(item.file, run.name, None, "failed", n, described(error)))
            continue
        entity.refresh()  # neither the handle nor the item keeps what is stored: files may be large
        item.table = None
        rows.append(Transfer(item.file, run.name, str(address_of(entity.key)), "done", n))
    return rows
