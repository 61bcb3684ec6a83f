"""The commands of the framework itself, brought by the hook that plugins bring theirs with."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl

COMMANDS = (
    Command("plugins", 1, "copick_core.cli.plugins:plugins", "list the installed plugins of every kind, and what is broken"),
    Command("doctor", 1, "copick_core.cli.doctor:doctor", "look for everything that is wrong in a project"),
    Command("new-config", 1, "copick_core.cli.new_config:new_config", "write the configuration of a new project"),
    Command("new-plugin", 1, "copick_core.cli.new_plugin:new_plugin", "write the skeleton of a plugin, with its tests"),
)


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands of the framework."""
    return [*COMMANDS]
