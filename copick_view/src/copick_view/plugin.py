"""What ``copick_core.commands`` finds: the commands of this distribution."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands."""
    return [
        Command("serve", 1, "copick_view.server.command:serve", "serve a project over HTTP to other viewers and programs"),
        Command("view", 1, "copick_view.viewer.command:view", "see a project in the browser, and edit its picks"),
    ]
