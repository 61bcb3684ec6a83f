"""The files that a command of ``copick add`` names, and the run of each."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from typing import Any

import click


def run_of(path: str, run: str, run_regex: str, prefix: str) -> str:
    """The run of a file.

    Raises:
        click.BadParameter: The regular expression does not match.
    """
    name = run or re.sub(r"\.(mrc|rec|map|zarr|tiff?|em|star|tbl|csv)$", "", os.path.basename(path.rstrip("/")), flags=re.I)
    match = re.search(run_regex, name)
    if match is None:
        raise click.BadParameter(f"--run-regex {run_regex!r} does not match {name!r}")
    return prefix + (match[1] if match.groups() else match[0])


def for_each_file(path: str, run: str, run_regex: str, prefix: str, work: Callable[[str, str], Any]) -> None:
    """Call a function for each file and its run; one line for each that fails.

    Raises:
        click.ClickException: Nothing matches, two files have one run, or one or more failed.
    """
    files = sorted(glob.glob(path)) if any(c in path for c in "*?[") else [path]
    if not files or not all(map(os.path.exists, files)):
        raise click.ClickException(f"No files found matching pattern {path}.")
    runs: dict[str, str] = {}
    for file in files:
        name = run_of(file, run, run_regex, prefix)
        if name in runs:
            raise click.ClickException(f"{runs[name]} and {file} would both go to run {name!r}: change --run-regex.")
        runs[name] = file
    failed = []
    for name, file in runs.items():
        try:
            work(file, name)
        except Exception as error:  # the other files go on, and the exit code tells
            failed.append(f"{file}: {error}")
        else:
            click.echo(f"{file}: added to run {name}", err=True)
    if failed:
        raise click.ClickException("\n".join(failed))
