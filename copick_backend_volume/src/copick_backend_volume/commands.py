"""What ``copick_core.commands`` finds: the command ``volume``."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> Command:
    """Bring the command."""
    return Command(
        "volume",
        api_version=1,
        command="copick_backend_volume.cli:volume",
        summary="examine, convert and mesh the shared volume of a segmentation web app",
    )
