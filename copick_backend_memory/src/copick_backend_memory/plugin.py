"""What ``copick.backends`` finds: the backend of ``"config_type": "memory"``."""

from __future__ import annotations

from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.opening import open_layers
from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the memory backend."""
    return Backend(
        "memory",
        api_version=1,
        config_cls=CopickConfigMemory,
        open_layers=open_layers,
        summary="The memory of this process: for tests, notebooks and sandboxes",
        new_config="copick_backend_memory.new_config:new_config",
    )
