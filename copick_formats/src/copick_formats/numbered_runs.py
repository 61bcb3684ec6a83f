"""Runs of formats that only number them: Dynamo tables and motive lists, and the list of names beside (``.doc``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import ListedTomogram, PicksTable


def read_names(path: str) -> dict[int, str]:
    """Read a list of tomograms: the run is the file's name without its suffix.

    Raises:
        InvalidDataError: As for the files.
    """
    return {number: PurePosixPath(name.replace("\\", "/")).stem for number, name in _files(path).items()}


def read_listed_tomograms(path: str) -> list[ListedTomogram]:
    """Read the tomograms of a list; files count from its folder.

    Raises:
        InvalidDataError: A line has no number or no name, a number occurs twice, or it is not text.
    """
    try:
        files = [*_files(path).values()]
    except UnicodeDecodeError as error:
        raise InvalidDataError(source=path, reason=f"is not a list of tomograms: {error}") from error
    if not files:
        raise InvalidDataError(source=path, reason="lists no tomograms")
    return [ListedTomogram(os.path.join(os.path.dirname(path), file)) for file in files]


def _files(path: str) -> dict[int, str]:
    """A line for each tomogram: its number and its file."""
    names: dict[int, str] = {}
    with open(path, encoding="utf-8") as file:
        for row, line in enumerate(file, 1):
            number, _, name = line.strip().partition("\t" if "\t" in line else " ")
            if not line.strip():
                continue
            if not number.isdigit() or not name.strip() or int(number) in names:
                raise InvalidDataError(
                    source=path, reason=f"line {row}: {line.strip()!r:.60} is not a new number and name", index=row - 1
                )
            names[int(number)] = name.strip()
    return names


def names_beside(path: str, doc: str | None) -> dict[int, str]:
    """The names in ``doc``, or in the file of the same name with suffix ``.doc``, if there is one."""
    if doc is None:
        beside = os.path.splitext(path)[0] + ".doc"
        return read_names(beside) if os.path.isfile(beside) else {}
    return read_names(doc)


def numbers_of(path: str, tables: Sequence[PicksTable], doc: str | None) -> list[int]:
    """The number of each table's run.

    Those of an existing ``doc``; runs that are named by numbers keep them. A ``doc`` that does not exist is made, with numbers
    from 1. Without it, a file of one run has number 1.

    Raises:
        InvalidDataError: A run has no number.
    """
    runs = [table.run or "" for table in tables]
    if doc is not None and os.path.exists(doc):
        numbers = {name: number for number, name in read_names(doc).items()}
        if missing := [run for run in runs if run not in numbers]:
            raise InvalidDataError(source=doc, reason=f"has no number for the run {missing[0]!r}")
        return [numbers[run] for run in runs]
    if all(run.isdigit() and str(int(run)) == run for run in runs):
        return [int(run) for run in runs]
    distinct = [*dict.fromkeys(runs)]
    if doc is None and len(distinct) > 1:
        reason = f"runs have numbers in this format, and {distinct[0]!r} is none; give doc, a file for the list of names"
        raise InvalidDataError(source=path, reason=reason)
    if doc is not None:
        with open(doc, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{number}\t{run}.mrc\n" for number, run in enumerate(distinct, 1))
    return [distinct.index(run) + 1 for run in runs]
