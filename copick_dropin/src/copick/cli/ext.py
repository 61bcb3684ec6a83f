"""Commands that other distributions bring."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

import click

PLUGIN_GROUPS = ["main", "inference", "training", "evaluation", "process", "convert", "logical", "setup", "download"]

#: Entry points that have been complained of.
_complained: set[EntryPoint] = set()


def load_plugin_commands(entry_point: str = "main") -> list[tuple[click.Command, str]]:
    """The commands that are registered for a group.

    One that cannot be imported, or is not a command, is left out with one line on standard error.

    Args:
        entry_point: One of :data:`PLUGIN_GROUPS`; others have no commands.

    Returns:
        Each command, with the name of its distribution.
    """
    if entry_point not in PLUGIN_GROUPS:
        return []
    group = "copick.commands" if entry_point == "main" else f"copick.{entry_point}.commands"
    found: list[tuple[click.Command, str]] = []
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        distribution = entry.dist.name if entry.dist is not None else "an unknown distribution"
        try:
            command = entry.load()
        except (Exception, SystemExit) as error:  # whatever a plugin raises must not harm the others
            _complain(entry, f"the command {entry.name!r} of {distribution} cannot be loaded: {type(error).__name__}: {error}")
            continue
        if not isinstance(command, click.Command):
            _complain(entry, f"the entry point {entry.name!r} of {distribution} is not a click command: {command!r}")
        elif not command.name:
            _complain(entry, f"the command {entry.name!r} of {distribution} has no name")
        else:
            found.append((command, distribution))
    return found


def get_plugin_command_sources() -> dict[tuple[str, ...], str]:
    """The distribution of each command of a plugin, by the words that call it."""
    return {
        (() if group == "main" else (group,)) + (str(command.name),): distribution
        for group in PLUGIN_GROUPS
        for command, distribution in load_plugin_commands(group)
    }


def _complain(entry: EntryPoint, text: str) -> None:
    if entry not in _complained:
        _complained.add(entry)
        sys.stderr.write(f"copick: {text}\n")
