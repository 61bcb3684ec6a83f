"""``copick-core doctor CONFIG``: look for everything that is wrong in a project."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from copick_core.cli.parameters import examples, json_option, project_argument
from copick_core.cli.words import count, printable

if TYPE_CHECKING:
    from copick_core.projects.doctor import Found


@examples(
    "copick-core doctor config.json",
    "copick-core doctor config.json --contents --repair",
)
@click.command
@project_argument
@json_option
@click.option("--contents", is_flag=True, help="Read annotations and segmentations too, which may take long.")
@click.option("--repair", "mend", is_flag=True, help="Repair what can be repaired, after asking.")
@click.option("-y", "--yes", is_flag=True, help="With --repair: do not ask.")
@click.pass_context
def doctor(context: click.Context, config: str, as_json: bool, contents: bool, mend: bool, yes: bool) -> None:
    """Look for everything that is wrong in the project CONFIG: a config file, or a folder, an archive or a URL without one.

    Changes nothing without --repair, which makes only safe changes. The exit code is 1 if problems remain.
    """
    from copick_core.opening import open as open_project
    from copick_core.projects.doctor import doctor as examine

    found = examine(open_project(config), contents=contents)
    if not as_json:
        _show(found)
    if mend:
        left = mended(found, yes=yes)
        if left is not found and not as_json:
            _show(left)
        found = left
    if as_json:
        click.echo(json.dumps([found_as_json(item) for item in found], indent=2))
    elif not found:
        click.echo("nothing is wrong")
    context.exit(1 if found else 0)


def mended(found: list[Found], *, yes: bool) -> list[Found]:
    """Make the repairs of what was found, after asking on standard error; gives what is left.

    Args:
        found: What was found.
        yes: Do not ask.

    Raises:
        click.UsageError: Nobody can be asked.
    """
    from copick_core.projects.doctor import repair

    repairs = [item.problem.repair for item in found if item.problem.repair is not None]
    if not repairs:
        return found
    if not yes:
        for planned in repairs:
            click.echo(f"will {printable(planned.description)}", err=True)
        try:
            yes = click.confirm(f"Make {count(len(repairs), 'repair')}?", err=True)
        except click.Abort:
            if sys.stdin.isatty():
                raise
            raise click.UsageError("nothing was repaired: pass --yes where there is no terminal to ask in") from None
    if not yes:
        return found
    found = repair(found)
    click.echo(f"{count(len(found), 'problem')} left", err=True)
    return found


def _show(found: list[Found]) -> None:
    for item in found:
        problem = item.problem
        mark = " (--repair mends it)" if problem.repair else ""
        click.echo(printable(f"{problem.severity:7}  {problem.id}: {problem.place}: {problem.message}{mark}"))


def found_as_json(item: Found) -> dict[str, str | None]:
    """What was found, as fields for JSON."""
    problem = item.problem
    return {
        "layer": item.layer,
        "id": problem.id,
        "key": None if problem.key is None else str(problem.key),
        "place": problem.place,
        "severity": problem.severity,
        "message": problem.message,
        "repair": problem.repair.description if problem.repair else None,
    }
