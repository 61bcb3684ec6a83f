"""What ``copick.backends`` finds: the backend of ``"config_type": "memory"``."""

from __future__ import annotations

from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.layer import MemoryLayer, shared_place
from copick_core.layers import Layers
from copick_core.plugins import Backend, hookimpl


def open_layers(config: CopickConfigMemory) -> Layers:
    """Open the one writable layer of a project in memory."""
    return Layers(overlay=MemoryLayer(place=shared_place(config.place) if config.place else None))


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
