"""From a configuration to layers."""

from __future__ import annotations

from copick_backend_memory.config import CopickConfigMemory
from copick_backend_memory.layer import MemoryLayer, shared_place
from copick_core.layers import Layers


def open_layers(config: CopickConfigMemory) -> Layers:
    """Open the one writable layer of a project in memory."""
    return Layers(overlay=MemoryLayer(place=shared_place(config.place) if config.place else None))
