"""What ``copick_core.commands`` finds: the commands of histories."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl

_MODULE = "copick_backend_icechunk.history_commands"


@hookimpl
def copick_command() -> list[Command]:
    """Bring the commands."""
    return [
        Command("log", 1, f"{_MODULE}:log", "list who changed what, and when, in a project with a history"),
        Command("diff", 1, f"{_MODULE}:diff", "list what differs between two moments of a project's history"),
        Command("restore", 1, f"{_MODULE}:restore", "return entities to an earlier state"),
        Command("tag", 1, f"{_MODULE}:tag", "list, make and delete tags of a project's history"),
        Command("branch", 1, f"{_MODULE}:branch", "list, make, delete and merge branches of a project's history"),
        Command("gc", 1, f"{_MODULE}:gc", "forget old commits of a project's history, and free their space"),
    ]
