"""Commands of other programs of copick: plain click commands in the groups ``copick.commands`` and ``copick.….commands``.

They are hosted as what they are: listed under the names of their entry points, and imported when they are called.
"""

from __future__ import annotations

import click

from copick_core.errors import PluginError
from copick_core.plugins.discovery import entry_points_of

#: Groups of the command line of copick, by the entry-point groups that fill them.
GROUPS = {
    f"copick.{name}.commands": name
    for name in ("inference", "training", "evaluation", "process", "convert", "logical", "setup", "download")
}
_MAIN = "copick.commands"


def names() -> set[str]:
    """Names of the commands and groups that are installed; imports none."""
    filled = {name for group, name in GROUPS.items() if entry_points_of(group)}
    return filled | {*entry_points_of(_MAIN)}


def command(name: str) -> click.Command | None:
    """A command or a group of commands; None if there is none of that name.

    Raises:
        PluginError: It cannot be imported, is not a click command, or two distributions claim its name.
    """
    group = _group_of(name)
    if group is not None and entry_points_of(group):
        return _Group(name, group)
    return _loaded(_MAIN, name)


def extended(name: str, ours: click.Command) -> click.Command:
    """One of our commands; a group with the commands that others bring to a group of its name, which never replace ours."""
    group = _group_of(name)
    return (
        _Group(name, group, ours) if isinstance(ours, click.Group) and group is not None and entry_points_of(group) else ours
    )


def summary(name: str) -> str:
    """A line of help that needs no import: which distributions bring the command."""
    group = _group_of(name)
    points = entry_points_of(group) if group is not None else {}
    of = [point for claimants in (points.values() if points else [entry_points_of(_MAIN)[name]]) for point in claimants]
    return f"(from {', '.join(sorted({point.distribution.name for point in of}))})"


class _Group(click.Group):
    """A group whose commands are entry points, after those of one of our groups."""

    def __init__(self, name: str, group: str, ours: click.Group | None = None) -> None:
        text = f"Commands that other distributions bring to {name}." if ours is None else ours.help
        super().__init__(name, help=text, no_args_is_help=True)
        self._group = group
        self._ours = ours

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*(self._ours.list_commands(ctx) if self._ours else ()), *entry_points_of(self._group)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        ours = self._ours.get_command(ctx, cmd_name) if self._ours else None
        return _loaded(self._group, cmd_name) if ours is None else ours

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            ours = self._ours.get_command(ctx, name) if self._ours else None
            of = (
                f"(from {entry_points_of(self._group)[name][0].distribution.name})"
                if ours is None
                else ours.get_short_help_str()
            )
            rows.append((name, of))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _group_of(name: str) -> str | None:
    """The entry-point group that fills a group of the command line."""
    return next((group for group, known in GROUPS.items() if known == name), None)


def _loaded(group: str, name: str) -> click.Command | None:
    points = entry_points_of(group).get(name, [])
    if not points:
        return None
    distributions = sorted({point.distribution.name for point in points})
    if len(points) > 1:
        raise PluginError(kind="command", name=name, distributions=distributions, reason="several distributions bring it")
    try:
        found = points[0].load()
    except Exception as error:  # whatever the module of somebody else raises
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(kind="command", name=name, distributions=distributions, reason=reason) from error
    if not isinstance(found, click.Command):
        reason = f"{points[0].value} is not a click command, but a {type(found).__name__}"
        raise PluginError(kind="command", name=name, distributions=distributions, reason=reason)
    return found
