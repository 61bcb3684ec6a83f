"""What imports and exports of many files have in common: names of runs, frames of coordinates, new files, and the report."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from copick_core.errors import AlreadyExistsError, InvalidDataError
from copick_core.plugins.format_functions import Frame

if TYPE_CHECKING:
    from copick_core.models import CopickRun, CopickTomogram
    from copick_core.overlay import CopickRootOverlay

State = Literal["done", "planned", "skipped", "failed"]


@dataclass(frozen=True)
class Transfer:
    """One entity that was, or was not, brought from or to a file.

    Attributes:
        file: Path of the file.
        run: Name of the run in the project, or as the file has it if the project has none; None if that is not known.
        entity: Address of the entity; None if that is not known.
        state: ``"done"``, ``"planned"`` (by a dry run), ``"skipped"`` (it was there already) or ``"failed"``.
        count: Number of points or voxels.
        error: What went wrong.
    """

    file: str
    run: str | None
    entity: str | None
    state: State
    count: int = 0
    error: str | None = None


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
                    source="run_regex", reason=f"{self.regex!r} is no regular expression: {error}"
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


@contextmanager
def new_file(path: str, overwrite: bool) -> Iterator[str]:
    """Write a file that appears when it is whole.

    Args:
        path: Where it goes; missing folders are made.
        overwrite: Replace a file that is there.

    Yields:
        The path to write to, with the same name in another folder.

    Raises:
        AlreadyExistsError: There is a file, and not ``overwrite``.
    """
    if os.path.exists(path) and not overwrite:
        raise AlreadyExistsError(key=path, way_out="Pass overwrite=True to replace it.")
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=".copick-", dir=folder)
    try:
        staged = os.path.join(staging, os.path.basename(path))
        yield staged
        if os.path.isdir(staged) and os.path.isdir(path):
            shutil.rmtree(path)
        os.replace(staged, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
