"""From a configuration to layers."""

from __future__ import annotations

from copick_backend_portal.config import CopickConfigCDP
from copick_core.layers import Layers


def open_layers(config: CopickConfigCDP) -> Layers:
    """Open the portal under the overlay; nothing is asked, read or made by that."""
    from copick_backend_fs.layer import open_layer
    from copick_backend_portal.layer import PortalLayer

    overlay = open_layer("overlay", config.overlay_root, config.overlay_fs_args) if config.overlay_root else None
    return Layers(static=[PortalLayer(config)], overlay=overlay)
