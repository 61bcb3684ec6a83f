"""What entry points find: the command ``split``."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> Command:
    """Bring the command."""
    return Command("split", 1, "copick_train.commands:split", "divide the runs into training, validation and test splits")
