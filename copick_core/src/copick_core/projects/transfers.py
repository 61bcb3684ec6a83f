"""What imports and exports of many files have in common: names of runs, frames of coordinates, new files, and the report."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from copick_core.callers import warn_caller
from copick_core.errors import AlreadyExistsError, CopickError, InvalidDataError, by_caller
from copick_core.plugins.format_functions import Frame
from copick_core.projects.runs import map_runs
from copick_core.tree.addresses import address_of

if TYPE_CHECKING:
    from copick_core.models import CopickRun, CopickTomogram
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.keys import Key

State = Literal["done", "planned", "skipped", "failed"]


@dataclass(frozen=True)
class Transfer:
    """One entity that was, or was not, brought from or to a file.

    Attributes:
        file: Path of the file.
        run: Name of the run in the project, or as the file has it if the project has none; None if that is not known.
        entity: Address of the entity; None if that is not known.
        state: ``"done"``, ``"planned"`` (by a dry run), ``"skipped"`` (it was there already, or the file is empty) or
            ``"failed"``.
        count: Number of points or voxels.
        error: What went wrong, or why an empty file was skipped.
        left_out: What an exported file lacks because its format cannot hold it: names of columns, ``"orientations"``, ….
    """

    file: str
    run: str | None
    entity: str | None
    state: State
    count: int = 0
    error: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass
class TransferReport:
    """What an import or export did: a row for each entity, and for each file that could not be read.

    Attributes:
        rows: In the order of the files.
    """

    rows: list[Transfer] = field(default_factory=list)

    @property
    def failed(self) -> list[Transfer]:
        """The rows that failed."""
        return [row for row in self.rows if row.state == "failed"]

    def count(self, state: State) -> int:
        """The number of rows in a state."""
        return sum(row.state == state for row in self.rows)


@dataclass(frozen=True)
class RunNames:
    """How runs are named: by what a file calls them, or else by the file's name without its suffix.

    Attributes:
        regex: Searched in that name; its first group (or all that matches) is the run.
        prefix: Put in front.
        names: Names of runs by that name; before ``regex``, and without ``prefix``.
    """

    regex: str | None = None
    prefix: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise InvalidDataError(
                    source="run_regex", reason=f"{self.regex!r} is not a regular expression: {error}"
                ) from error

    def of(self, name: str) -> str:
        """The run of a name.

        Raises:
            InvalidDataError: The regular expression does not match.
        """
        if name in self.names:
            return self.names[name]
        if self.regex is not None:
            match = re.search(self.regex, name)
            found = match and (match.group(1) if match.re.groups else match.group())
            if not found:
                raise InvalidDataError(source=name, reason=f"run_regex {self.regex!r} does not match this name")
            name = found
        return self.prefix + name


def stem_of(path: str) -> str:
    """A file's name without its suffix, nor that of a packed file."""
    name = os.path.basename(os.path.normpath(path))
    stem, suffix = os.path.splitext(name)
    return os.path.splitext(stem)[0] if suffix in (".gz", ".bz2") else stem


def find_run(root: CopickRootOverlay, name: str) -> CopickRun | None:
    """The run of a name; if there is none, that of the name without a suffix (``TS_1.tomostar``)."""
    stem = os.path.splitext(name)[0]
    found = root.get_run(name)
    return found if found is not None or stem == name else root.get_run(stem)


def frame_of(run: CopickRun, voxel_size: float | None = None, tomo_type: str | None = None) -> Frame | None:
    """The volume that coordinates of a run count in: its tomogram with the smallest voxels, or as given; None if it has none.

    Args:
        run: The run.
        voxel_size: Voxel size of the tomogram.
        tomo_type: Type of the tomogram.
    """
    spacings = sorted(run.voxel_spacings, key=lambda spacing: spacing.voxel_size)
    if voxel_size is not None:
        spacing = run.get_voxel_spacing(voxel_size)
        spacings = [] if spacing is None else [spacing]
    for spacing in spacings:
        tomograms: list[CopickTomogram] = spacing.tomograms if tomo_type is None else spacing.get_tomograms(tomo_type)
        for tomogram in tomograms:
            z, y, x = tomogram.shape[-3:]
            return Frame((z, y, x), spacing.voxel_size)
    return None


def described(error: BaseException) -> str:
    """An error as a row of a report has it."""
    return str(error) or type(error).__name__


def filled(path: str, fields: Mapping[str, str]) -> str:
    """A path with its ``{fields}`` replaced.

    Raises:
        InvalidDataError: It has others, or other braces.
    """
    try:
        return path.format(**fields)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        has = ", ".join(f"{{{name}}}" for name in fields)
        raise InvalidDataError(source=path, reason=f"a path may have {has}, and no other braces") from error


def export_each(
    write: Callable[..., list[Transfer]],
    root: CopickRootOverlay,
    targets: Mapping[str, Sequence[Any]],
    common: Mapping[str, Any],
    executor: str | Executor,
    workers: int | None,
    progress: Callable[[str, int, int], None] | None,
) -> TransferReport:
    """Write files, those of different runs at the same time; a file of several runs, or of none, is written here.

    Args:
        write: Called as ``write(run, files=…, **common)``, with entities by the path of their file; a module-level function.
            The run is any of theirs, None for objects, which belong to none.
        root: The project.
        targets: The entities of each file, by its path.
        common: The same arguments for all.
        executor: As :func:`~copick_core.map_runs` has it.
        workers: As :func:`~copick_core.map_runs` has it.
        progress: Called after each run, or each file of several runs, with its name, how many are finished, and how many there
            are.

    Returns:
        A row for each entity, in the order of the files.
    """
    by_run: dict[str, dict[str, Sequence[Any]]] = {}
    shared: dict[str, Sequence[Any]] = {}
    for target, entities in targets.items():
        runs: set[str | None] = {getattr(entity.key, "run", None) for entity in entities}
        run = runs.pop()
        if run is not None and not runs:
            by_run.setdefault(run, {})[target] = entities
        else:
            shared[target] = entities
    total = len(by_run) + len(shared)
    rows: list[Transfer] = []
    for done, (target, entities) in enumerate(shared.items(), 1):
        rows += write(getattr(entities[0], "run", None), files={target: entities}, **common)
        if progress is not None:
            progress(target, done, total)

    def told(name: str, done: int, _: int) -> None:
        if progress is not None:
            progress(name, len(shared) + done, total)

    handles = executor == "thread"  # what is edited in memory is exported as it is
    arguments = {
        run: {
            "files": files if handles else {t: [_Place(e.key, e.layer) for e in part] for t, part in files.items()},
            **common,
        }
        for run, files in by_run.items()
    }
    mapped = map_runs(
        write, root, [*by_run], executor=executor, workers=workers, run_args=arguments, collect=True, progress=told
    )
    for run, files in by_run.items():
        if run in mapped.results:
            rows += mapped.results[run]
            continue
        reason = described(mapped.errors[run].error)
        rows += [Transfer(t, run, str(address_of(e.key)), "failed", error=reason) for t, part in files.items() for e in part]
    order = {target: number for number, target in enumerate(targets)}
    report = TransferReport(sorted(rows, key=lambda row: order[row.file]))
    if lacking := [*dict.fromkeys(name for row in report.rows for name in row.left_out)]:
        files_lacking = [*dict.fromkeys(row.file for row in report.rows if row.left_out)]
        one = len(files_lacking) == 1
        which = f"{files_lacking[0]} lacks" if one else f"{files_lacking[0]} and {len(files_lacking) - 1} more lack"
        warn_caller(f"{which} {', '.join(lacking)}, which the format cannot hold.")
    return report


@dataclass(frozen=True)
class _Place:
    """What finds an entity again in another process."""

    key: Key
    layer: str | None


def entities_at(run: CopickRun | None, places: Sequence[Any]) -> list[Any]:
    """The entities that a function that `export_each` calls gets: handles, or the places of some."""
    root: Any = None if run is None else run.root
    return [
        root._find_handle(place.key, None if place.layer is None else root._layer(place.layer))
        if isinstance(place, _Place)
        else place
        for place in places
    ]


def state_before(target: str, overwrite: bool, resume: bool, dry_run: bool) -> tuple[State, str | None]:
    """What becomes of a file if nothing goes wrong, and why that is a failure where it is one."""
    exists = (resume or dry_run) and os.path.exists(target)
    if resume and exists:
        return "skipped", None
    if exists and not overwrite:
        return "failed", f"{target} exists; pass {_replacing()} to replace it"
    return ("planned" if dry_run else "done"), None


@contextmanager
def new_file(path: str, overwrite: bool, resume: bool = False) -> Iterator[str]:
    """Write a file that appears when it is whole, after the files that were written beside it.

    Args:
        path: Where it goes; missing folders are made.
        overwrite: Replace a file that is there, and files beside it.
        resume: Replace files beside it that an interrupted export left.

    Yields:
        The path to write to, with the same name in another folder; what else is written into that folder goes with it.

    Raises:
        AlreadyExistsError: There is such a file, and it is not to be replaced.
        InvalidDataError: A folder is in the way that is nothing of the kind that is written.
    """
    path = path.rstrip("/") or path
    _check_new(path, overwrite)
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    staging, own = tempfile.mkdtemp(prefix=".copick-", dir=folder), os.path.basename(path)
    try:
        yield os.path.join(staging, own)
        beside = {os.path.join(staging, name): os.path.join(folder, name) for name in os.listdir(staging) if name != own}
        for target in beside.values():
            _check_new(target, overwrite or resume)
        for staged, target in (*beside.items(), (os.path.join(staging, own), path)):
            if os.path.isdir(target):
                _check_replaceable(staged, target)
                shutil.rmtree(target)
            os.replace(staged, target)
    except CopickError as error:
        error.message = error.message.replace(os.path.join(staging, own), path)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replacing() -> str:
    return by_caller("overwrite=True", "--if-exists replace")


def _check_new(path: str, overwrite: bool) -> None:
    if os.path.exists(path) and not overwrite:
        raise AlreadyExistsError(key=path, way_out=f"Pass {_replacing()} to replace it.")


def _check_replaceable(new: str, folder: str) -> None:
    """A folder is replaced only by one of the same kind: somebody's other files must not go with it."""
    if not os.path.isdir(new):
        raise InvalidDataError(source=folder, reason="is a folder; add the name of a file")
    files = {entry.name for entry in os.scandir(new) if entry.is_file()}
    old = [entry.name for entry in os.scandir(folder)]
    if old and not files.intersection(old):
        reason = (
            f"is a folder that has none of the files {', '.join(sorted(files))}, so it is not replaced; choose another name"
        )
        raise InvalidDataError(source=folder, reason=reason)
