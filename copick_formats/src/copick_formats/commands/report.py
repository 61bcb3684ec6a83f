"""What both commands print, and how they read options of formats."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click

from copick_core.errors import CopickError
from copick_core.plugins import records
from copick_core.plugins.discovery import formats
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
    help="Option of the format, such as pixel_size=1.35; repeatable. --formats lists them.",
)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON list with a row for each entity.")
dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")
format_option = click.option("--format", "file_format", metavar="NAME", help="Format of the files; detected by default.")

workers_options = stacked(
    click.option(
        "--executor",
        type=click.Choice(["thread", "process"]),
        default="thread",
        show_default=True,
        help="Work in threads or in processes.",
    ),
    click.option("--workers", type=int, help="Number of runs to work on at the same time."),
)


#: How arguments that errors name are given on the command line.
_IN_OPTIONS = [
    (r"\brun_regex or run_names\b", "--run-regex or --run-name"),
    (r"(?<!-)\brun_regex\b", "--run-regex"),
]


def formats_option(kind: str, does: Literal["reads", "writes"], *others: str) -> Callable[[Any], Any]:
    """``--formats``: list the formats for a kind, with their options, and exit.

    Args:
        kind: Such as ``"picks"``.
        does: What the formats must do with it.
        *others: Further kinds, for formats that do not have the first.
    """

    def listed(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if not value or context.resilient_parsing:
            return
        for record in formats.usable():
            functions = getattr(record, does)
            found = next((one for one in (kind, *others) if one in functions), None)
            if found is None:
                continue
            click.echo(f"{record.name:14} {' '.join(record.suffixes):22} {record.summary}")
            try:
                options = _options(functions[found])
            except Exception as error:  # one broken format must not hide the others
                click.echo(f"    cannot be used: {error}")
                continue
            for option in options:
                click.echo(f"    -O {option.name}={option.make_metavar(context)}  {option.help or ''}".rstrip())
        context.exit()

    return click.option(
        "--formats", is_flag=True, is_eager=True, expose_value=False, callback=listed, help="List formats and their options."
    )


@contextmanager
def in_options(kind: str) -> Iterator[None]:
    """Name the options of the command in errors that name arguments of its function."""
    try:
        yield
    except CopickError as error:
        error.message = _told(error.message, kind)
        raise


def _told(text: str, kind: str) -> str:
    for pattern, option in _IN_OPTIONS:
        text = re.sub(pattern, option, text)
    if kind == "volume":
        text = text.replace("give voxel_size (", "give --voxel-size (")
    return re.sub(r"\b(?:give|Give|or) (\w+)(?= \(|$)", lambda found: _as_option(found, kind), text)


def _as_option(found: re.Match[str], kind: str) -> str:
    """The name of an argument as an option of a format, if one has it."""
    kinds = [kind, "tomograms"] if kind == "volume" else [kind]
    functions = [
        f for record in formats.usable() for one in kinds for does in (record.reads, record.writes) if (f := does.get(one))
    ]
    name = found[1]
    for function in functions:
        try:
            if any(option.name == name for option in _options(function)):
                return found[0].removesuffix(name) + f"-O {name}=…"
        except Exception:  # noqa: S112 - a broken format has no options
            continue
    return found[0]


def show(context: click.Context, report: TransferReport, as_json: bool, kind: str) -> None:
    """Print a report, and exit with 1 if something failed."""
    rows = [dataclasses.replace(row, error=row.error and _told(row.error, kind)) for row in report.rows]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        for row in rows:
            file = "" if row.error and row.error.startswith(row.file) else row.file
            parts = [f"{row.state:7}", file, row.entity or row.run, str(row.count or ""), row.error]
            click.echo(_printable("  ".join(part for part in parts if part)))
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
    by_name = {option.name: option for option in _options(functions[kind])}
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        option = by_name.get(name.replace("-", "_"))
        if option is None:
            has = ", ".join(sorted(map(str, by_name))) or "none"
            raise click.UsageError(
                f"The format {record.name!r} has no option {name!r} for {kind}; it has {has}. --formats says what they mean."
            )
        if not equals:
            raise click.UsageError(f"-O is {text!r}; write it as NAME=VALUE")
        values: Any = value.split(",") if option.nargs > 1 else value
        try:
            with click.Context(click.Command(record.name)) as context:
                found[str(option.name)] = option.type_cast_value(context, values)
        except click.BadParameter as error:
            raise click.UsageError(f"-O {text}: {error.message}") from error
    return found


def _options(function: Any) -> list[click.Option]:
    """The options that a format's function declares."""
    return [o for o in getattr(records.resolved(function), "__click_params__", [])[::-1] if isinstance(o, click.Option)]


def _printable(text: str) -> str:
    """Text for a terminal: names of files are anybody's, and must neither break lines nor command it."""
    return "".join(c if c.isprintable() else "?" for c in text)
