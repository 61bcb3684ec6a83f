"""What ``copick.backends`` finds of the framework itself: stacks. To list it imports nothing of ``opening``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring stacks."""
    return Backend(
        "stack",
        api_version=1,
        config_cls="copick_core.opening.stack:CopickConfigStack",
        open_layers="copick_core.opening.stack:open_layers",
        summary="An overlay of any backend over static layers of any backends",
        new_config="copick_core.cli.stack_config:new_config",
    )
