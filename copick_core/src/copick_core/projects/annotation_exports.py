"""Annotations of many runs to files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypedDict

from copick_core.errors import CopickError, InvalidDataError, by_caller
from copick_core.plugins.choosing import format_that_writes, function_of
from copick_core.plugins.format_functions import Frame
from copick_core.projects.annotation_contents import CONTENTS
from copick_core.projects.transfers import (
    Transfer,
    TransferReport,
    described,
    entities_at,
    export_each,
    filled,
    frame_of,
    new_file,
    state_before,
)
from copick_core.tree.addresses import address_of

if TYPE_CHECKING:
    from copick_core.models import CopickRun
    from copick_core.overlay import CopickRootOverlay


class ExportOptions(TypedDict, total=False):
    """How annotations become files; :func:`~copick_core.export_picks` describes each."""

    overwrite: bool
    resume: bool
    merge: bool
    voxel_size: float | None
    tomo_type: str | None
    file_format: str | None
    write_options: Mapping[str, Any] | None
    dry_run: bool
    executor: str | Executor
    workers: int | None
    progress: Callable[[str, int, int], None] | None


def export_annotations(
    name: str,
    root: CopickRootOverlay,
    selection: str | Iterable[Any],
    path: str | os.PathLike[str],
    options: ExportOptions,
) -> TransferReport:
    """Export annotations of one kind.

    Args:
        name: The kind, as `CONTENTS` has it.
        root: The project.
        selection: Address of the annotations, or the annotations.
        path: The new file, with fields for several.
        options: The other arguments of :func:`~copick_core.export_picks`.

    Raises:
        UnknownFormatError: No installed format writes such a file.
        AddressError: The address cannot mean annotations of this kind.
        InvalidDataError: Nothing matches, the path has an unknown field, or a file would mix annotations, and not ``merge``.
    """
    content = CONTENTS[name]
    entities: Iterable[Any] = root.select(selection, kind=content.kind) if isinstance(selection, str) else selection
    by_key = {entity.key: entity for entity in entities}
    if not by_key:
        raise InvalidDataError(source=str(selection), reason=f"no {content.kind} match, so there is nothing to export")
    file_format = options.get("file_format")
    write_options = dict(options.get("write_options") or {})
    chosen = format_that_writes(os.fspath(path), name, file_format)
    function_of(chosen, chosen.writes, name, write_options)
    targets: dict[str, list[Any]] = {}
    for entity in by_key.values():
        targets.setdefault(_target(os.fspath(path), entity), []).append(entity)
    for target, part in targets.items():
        kinds = {(entity.pickable_object_name, entity.user_id, entity.session_id): entity for entity in part}
        mixed = [*kinds.values()] if len(kinds) > 1 else part
        if len(mixed) > 1 and (name == "mesh" or (len(kinds) > 1 and not options.get("merge"))):
            shown = " and ".join(str(address_of(entity.key)) for entity in mixed[:2])
            way_out = "" if name == "mesh" else f", or pass {by_caller('merge=True', '--merge')}"
            field = "{run}, {object}" if name == "mesh" else "{object}"
            reason = f"would mix {shown}; put {field}, {{user}} or {{session}} into the path{way_out}"
            raise InvalidDataError(source=target, reason=reason)
    common = {
        "name": name,
        "file_format": chosen.name,
        "write_options": write_options,
        "tomogram": (options.get("voxel_size"), options.get("tomo_type")),
        **{flag: bool(options.get(flag)) for flag in ("overwrite", "resume", "dry_run")},
    }
    return export_each(
        _write, root, targets, common, options.get("executor", "thread"), options.get("workers"), options.get("progress")
    )


def _write(
    run: CopickRun,
    *,
    name: str,
    files: Mapping[str, Sequence[Any]],
    file_format: str,
    write_options: Mapping[str, Any],
    tomogram: tuple[float | None, str | None],
    overwrite: bool,
    resume: bool,
    dry_run: bool,
) -> list[Transfer]:
    """Write some files; the run is any of theirs."""
    content = CONTENTS[name]
    chosen = format_that_writes("", name, file_format)
    function = function_of(chosen, chosen.writes, name, write_options)
    frames: dict[str | None, Frame | None] = {}

    def frame(of: str | None) -> Frame | None:
        if of not in frames:
            found = run if of == run.name else run.root.get_run(of) if of is not None else None
            frames[of] = None if found is None else frame_of(found, *tomogram)
        return frames[of]

    rows: list[Transfer] = []
    for target, places in files.items():
        state, error = state_before(target, overwrite, resume, dry_run)
        left_out: list[str] = []
        entities = entities_at(run, places)
        sizes = [0] * len(entities)
        try:
            tables = [content.table(entity) for entity in entities]
            sizes = [content.size(table) for table in tables]
            if state in ("done", "planned"):
                left_out = [*dict.fromkeys(lost for entity in entities for lost in content.beyond(entity))]
            if state == "done":
                with new_file(target, overwrite, resume) as staged:
                    left_out += content.write(function, staged, tables, frame, write_options) or ()
        except (CopickError, OSError) as caught:
            state, error, left_out = "failed", described(caught), []
        rows += [
            Transfer(target, entity.run.name, str(address_of(entity.key)), state, size, error, tuple(left_out))
            for entity, size in zip(entities, sizes, strict=True)
        ]
    return rows


def _target(path: str, entity: Any) -> str:
    return filled(
        path,
        {
            "run": entity.run.name,
            "object": entity.pickable_object_name,
            "user": entity.user_id,
            "session": entity.session_id,
        },
    )
