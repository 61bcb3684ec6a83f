"""What ``copick_core.commands`` finds: the commands of this distribution."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands."""
    return [
        Command("copy", 1, "copick_tools.copy:copy", "copy a project into another one, of any backend"),
        Command("demo", 1, "copick_tools.demo.command:demo", "make an example project, edit it in an overlay, and draw it"),
        Command("tree", 1, "copick_tools.tree:tree", "print a project as a tree, with the layer that holds each entity"),
    ]
