"""What both commands print, and how they read options of formats."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from copick_core.plugins import records
from copick_core.plugins.records import Format
from copick_formats.options import stacked

if TYPE_CHECKING:
    from copick_core.projects.transfers import TransferReport

options_argument = click.option(
    "-O",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the format, such as pixel_size=1.35; repeatable.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON list with a row for each entity.")
dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")
format_option = click.option("--format", "file_format", metavar="NAME", help="Format of the files; found out by default.")

workers_options = stacked(
    click.option(
        "--executor", type=click.Choice(["thread", "process"]), default="thread", show_default=True, help="Who does the work."
    ),
    click.option("--workers", type=int, help="How many runs are worked on at the same time."),
)


def show(context: click.Context, report: TransferReport, as_json: bool) -> None:
    """Print a report, and exit with 1 if something failed."""
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in report.rows], indent=2))
    else:
        for row in report.rows:
            where = row.entity or row.run or ""
            click.echo(
                _printable(f"{row.state:7}  {row.file}  {where}  {row.count}" + (f"  {row.error}" if row.error else ""))
            )
        states = [f"{n} {state}" for state in ("done", "planned", "skipped", "failed") if (n := report.count(state))]
        click.echo(", ".join(states) or "nothing to do", err=True)
    context.exit(1 if report.failed else 0)


def progress() -> Callable[[str, int, int], None] | None:
    """Tells how many are finished, on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        return None
    return lambda name, done, total: click.echo(f"\r{done}/{total} {_printable(name)[-60:]:60}", nl=done == total, err=True)


def format_options(record: Format, functions: Mapping[str, Any], kind: str, given: tuple[str, ...]) -> dict[str, Any]:
    """Options of a format as its function takes them.

    Args:
        record: The format.
        functions: What it reads, or writes.
        kind: Such as ``"picks"``.
        given: Texts such as ``"pixel_size=1.35"``.

    Raises:
        click.UsageError: There is no such option, or its value does not fit.
    """
    declared = getattr(records.resolved(functions[kind]), "__click_params__", [])
    by_name = {parameter.name: parameter for parameter in declared}
    found: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        parameter = by_name.get(name.replace("-", "_"))
        if parameter is None:
            has = ", ".join(sorted(by_name)) or "none"
            raise click.UsageError(f"The format {record.name!r} has no option {name!r} for {kind}; it has {has}.")
        values: Any = value.split(",") if parameter.nargs > 1 else value
        with click.Context(click.Command(record.name)) as context:
            found[parameter.name] = parameter.type_cast_value(context, values)
    return found


def _printable(text: str) -> str:
    """Text for a terminal: names of files are anybody's, and must neither break lines nor command it."""
    return "".join(c if c.isprintable() else "?" for c in text)
