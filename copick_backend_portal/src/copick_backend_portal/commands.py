"""What ``copick_core.commands`` finds: the command ``portal-cache``."""

from __future__ import annotations

from copick_core.plugins import Command, hookimpl


@hookimpl
def copick_command() -> Command:
    """Bring the command."""
    return Command(
        "portal-cache",
        api_version=1,
        command="copick_backend_portal.cache_command:portal_cache",
        summary="show or delete the portal data that a project keeps on disk",
    )
