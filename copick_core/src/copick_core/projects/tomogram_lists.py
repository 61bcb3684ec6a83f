"""Files that list tomograms, beside the tomograms themselves: which file goes to which run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from copick_core.plugins.choosing import format_that_lists, function_of
from copick_core.projects.transfers import RunNames, stem_of


@dataclass(frozen=True)
class TomogramFile:
    """A tomogram to import.

    Attributes:
        path: Its file.
        run: Name of the run in the project.
        options: What opens the file: ``voxel_size``, ``file_format`` and ``read_options``.
    """

    path: str
    run: str
    options: Mapping[str, Any] = field(default_factory=dict)


def tomogram_files(path: str, naming: RunNames, options: Mapping[str, Any]) -> Iterator[TomogramFile]:
    """The tomogram that a file is, or those that it lists.

    Args:
        path: A file.
        naming: Names runs, by the name that a list gives them, or else by the name of the tomogram's file.
        options: ``voxel_size`` goes before that of a list; ``file_format`` and ``read_options`` are those of ``path``.

    Raises:
        InvalidDataError: A list cannot be read, or a name of a run cannot be made.
        TypeError: The format of a list has no such option.
    """
    chosen = format_that_lists(path, options["file_format"])
    if chosen is None:
        yield TomogramFile(path, naming.of(stem_of(path)), options)
        return
    read = function_of(chosen, chosen.reads, "tomograms", options["read_options"])
    for item in read(path, **options["read_options"]):
        size = item.voxel_size if options["voxel_size"] is None else options["voxel_size"]
        own = {"voxel_size": size, "file_format": None, "read_options": {}}
        yield TomogramFile(item.path, naming.of(stem_of(item.path) if item.run is None else item.run), own)
