"""What ``copick.backends`` finds: the backend of ``"config_type": "memory"``."""

from __future__ import annotations

from copick_core import plugins
from copick_core.hookspecs import hookimpl
from copick_core.layers import Layer, Layers

from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.layer import MemoryLayer, shared_place


def open_layers(config: CopickConfigMemory) -> Layers:
    """Open a memory overlay over the read-only layers of ``static``, if there are any."""
    below: list[Layer] = []
    if config.static is not None:
        backend = plugins.get(config.static.get("config_type", "filesystem"))
        below = backend.open_layers(backend.config_cls.model_validate(config.static)).all
        for layer in below:
            layer.read_only = True
    place = shared_place(config.place) if config.place else None
    return Layers(static=below, overlay=MemoryLayer("memory" if below else "overlay", place), overlay_field="config_type")


@hookimpl
def copick_backend() -> plugins.Backend:
    """Bring the memory backend."""
    return plugins.Backend(
        "memory",
        api_version=1,
        config_cls=CopickConfigMemory,
        open_layers=open_layers,
        summary="The memory of this process: for tests, notebooks and sandboxes",
    )
