"""The command ``copick``."""

from __future__ import annotations

import logging
import sys
from typing import TypeVar

import click

from copick._version import __version__
from copick.cli.ext import PLUGIN_GROUPS, load_plugin_commands
from copick.cli.grouped_cli import COMMAND_CATEGORIES, GroupedCommandGroup

__all__ = ["COMMAND_CATEGORIES", "add_core_commands", "add_plugin_commands", "cli", "main"]

G = TypeVar("G", bound=click.Group)


def _group(name: str, summary: str) -> click.Group:
    return click.Group(name, help=summary, no_args_is_help=True)


inference = _group("inference", "Run trained models.")
training = _group("training", "Train models.")
evaluation = _group("evaluation", "Evaluate results.")
process = _group("process", "Process entities of one kind.")
convert = _group("convert", "Convert entities of one kind to another.")
logical = _group("logical", "Combine entities with each other.")
setup = _group("setup", "Set up other programs.")
download = _group("download", "Download data.")

#: The groups that plugins fill; they are shown where one does.
_GROUPS = {
    "inference": inference,
    "training": training,
    "evaluation": evaluation,
    "process": process,
    "convert": convert,
    "logical": logical,
    "setup": setup,
    "download": download,
}


def add_core_commands(cmd: G) -> G:
    """Add the commands that copick has without plugins to a group; returns it."""
    from copick.cli.core import core_commands

    for command in core_commands():
        cmd.add_command(command)
    return cmd


def add_plugin_commands(cmd: G) -> G:
    """Add the commands of plugins to a group, and the groups that they fill; returns it."""
    for name in PLUGIN_GROUPS:
        commands = [command for command, _ in load_plugin_commands(name)]
        target: click.Group = cmd if name == "main" else _GROUPS[name]
        for command in commands:
            target.add_command(command)
        if target is not cmd and target.commands:
            cmd.add_command(target)
    return cmd


@click.group(cls=GroupedCommandGroup, no_args_is_help=True)
@click.version_option(
    __version__,
    prog_name="copick",
    message="%(prog)s %(version)s (the drop-in of copick-core; the released copick has no '+core')",
)
def _cli() -> None:
    """Projects of cryo-electron tomograms and their annotations."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


cli = add_plugin_commands(add_core_commands(_cli))


def main() -> None:
    """Run the command."""
    cli(prog_name="copick")


if __name__ == "__main__":
    main()
