"""From a configuration to layers."""

from __future__ import annotations

from copick_backend_icechunk.config import CopickConfigIcechunk
from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.places import Place
from copick_core.layers import Layers


def open_layers(config: CopickConfigIcechunk) -> Layers:
    """Open the one layer of a project with a history; nothing is read yet."""
    place = Place(config.overlay_root, config.storage_args)
    layer = IcechunkLayer(place, branch=config.branch, as_of=config.as_of, author=config.user_id)
    if config.as_of is not None:
        return Layers(static=[layer])
    return Layers(overlay=layer)
