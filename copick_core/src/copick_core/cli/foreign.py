"""Commands of other programs of copick: plain click commands in the groups ``copick.commands`` and ``copick.….commands``.

They are hosted as what they are: listed under the names of their entry points, and imported when they are called.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint

import click

from copick_core.errors import PluginError

#: Groups of the command line of copick, by the entry-point groups that fill them.
GROUPS = {
    f"copick.{name}.commands": name
    for name in ("inference", "training", "evaluation", "process", "convert", "logical", "setup", "download")
}
_MAIN = "copick.commands"


def names() -> set[str]:
    """Names of the commands and groups that are installed; imports none."""
    filled = {name for group, name in GROUPS.items() if _points(group)}
    return filled | {*_points(_MAIN)}


def command(name: str) -> click.Command | None:
    """A command or a group of commands; None if there is none of that name.

    Raises:
        PluginError: It cannot be imported, is no click command, or two distributions claim its name.
    """
    group = next((group for group, known in GROUPS.items() if known == name), None)
    if group is not None and _points(group):
        return _Group(name, group)
    return _loaded(_MAIN, name)


def summary(name: str) -> str:
    """A line of help that needs no import: which distributions bring the command."""
    group = next((group for group, known in GROUPS.items() if known == name), None)
    points = _points(group) if group is not None else {}
    of = [point for claimants in (points.values() if points else [_points(_MAIN)[name]]) for point in claimants]
    return f"(from {', '.join(sorted({_distribution(point) for point in of}))})"


class _Group(click.Group):
    """A group whose commands are entry points."""

    def __init__(self, name: str, group: str) -> None:
        super().__init__(name, help=f"Commands that other distributions bring to {name}.", no_args_is_help=True)
        self._group = group

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_points(self._group))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _loaded(self._group, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, f"(from {_distribution(points[0])})") for name, points in sorted(_points(self._group).items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _points(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points of a group by their names; those of one distribution once."""
    from copick_core.plugins.discovery import all_entry_points

    found: dict[str, dict[str, EntryPoint]] = {}
    for point in all_entry_points().select(group=group):
        found.setdefault(point.name, {}).setdefault(f"{point.value} {_distribution(point)}", point)
    return {name: [*points.values()] for name, points in found.items()}


def _loaded(group: str, name: str) -> click.Command | None:
    points = _points(group).get(name, [])
    if not points:
        return None
    distributions = sorted({_distribution(point) for point in points})
    if len(points) > 1:
        raise PluginError(kind="command", name=name, distributions=distributions, reason="several distributions bring it")
    try:
        found = points[0].load()
    except Exception as error:  # whatever the module of somebody else raises
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(kind="command", name=name, distributions=distributions, reason=reason) from error
    if not isinstance(found, click.Command):
        reason = f"{points[0].value} is no click command, but a {type(found).__name__}"
        raise PluginError(kind="command", name=name, distributions=distributions, reason=reason)
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"
