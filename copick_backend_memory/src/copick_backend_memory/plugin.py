"""What ``copick.backends`` finds: the backend of ``"config_type": "memory"``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the memory backend."""
    return Backend(
        "memory",
        api_version=1,
        config_cls="copick_backend_memory.config:CopickConfigMemory",
        open_layers="copick_backend_memory.opening:open_layers",
        summary="The memory of this process: for tests, notebooks and sandboxes",
        new_config="copick_backend_memory.new_config:new_config",
    )
