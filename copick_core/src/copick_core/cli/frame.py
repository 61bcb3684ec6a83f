"""The frame of the command line: a click group whose commands are those of the framework and of all installed plugins.

Plain click commands that other programs of copick bring (``cli/foreign.py``) follow under their own names.
A command's module is imported when the command is called. Only the plugin module with its summary is imported for ``--help``.
"""

from __future__ import annotations

from typing import Any

import click

from copick_core import __version__
from copick_core.cli import foreign
from copick_core.cli.own import COMMANDS
from copick_core.errors import PluginError, at_command_line, closest
from copick_core.plugins import commands, install_line, known

#: The commands of the framework. No plugin can take their place, or break them by claiming their names.
OWN = {command.name: command for command in COMMANDS}


class CommandLine(click.Group):
    """A group that finds its commands in the registry of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted; imports none."""
        return sorted({*OWN, *commands.names(), *foreign.names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command.

        Raises:
            PluginError: It is broken; with the cause.
        """
        if cmd_name not in OWN and cmd_name not in commands.names():
            return foreign.command(cmd_name)
        target = (OWN.get(cmd_name) or commands.get(cmd_name)).command
        command = commands.resolve(cmd_name, target)
        if not isinstance(command, click.Command):
            raise commands.unusable(cmd_name, f"{target} is not a click command, but a {type(command).__name__}")
        return foreign.extended(cmd_name, command)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments; one that is missing names its install line, or the closest spelling."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            if install := install_line("commands", name):
                raise click.UsageError(f"The command {name!r} is not installed. Install it with: {install}")
            names = {*self.list_commands(ctx), *known()["commands"]}
            raise click.UsageError(f"There is no command {name!r}.{closest(name, names)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors and warnings name commands and options meanwhile."""
        with at_command_line():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries; a broken one is listed with the cause."""
        rows = [(name, _summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _summary(name: str) -> str:
    if name not in OWN and name not in commands.names():
        return foreign.summary(name)
    try:
        return (OWN.get(name) or commands.get(name)).summary
    except PluginError as error:
        return f"(broken: {error.reason})"


@click.group(cls=CommandLine, name="copick-core", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="copick-core", message="%(prog)s %(version)s")
def command_line() -> None:
    """Storage for collaborative cryoET annotation."""
