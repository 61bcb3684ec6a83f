"""What ``copick.backends`` finds: the backend of ``"config_type": "cryoet_data_portal"``."""

from __future__ import annotations

from copick_backend_portal.config import CopickConfigCDP
from copick_backend_portal.entities import CopickRootCDP
from copick_core.layers import Layers
from copick_core.plugins import Backend, hookimpl


def open_layers(config: CopickConfigCDP) -> Layers:
    """Open the portal under the overlay; nothing is asked, read or made by that."""
    from copick_backend_fs.opening import open_layer
    from copick_backend_portal.layer import PortalLayer

    overlay = open_layer("overlay", config.overlay_root, config.overlay_fs_args) if config.overlay_root else None
    return Layers(static=[PortalLayer(config)], overlay=overlay)


@hookimpl
def copick_backend() -> Backend:
    """Bring the CryoET Data Portal backend."""
    return Backend(
        "cryoet_data_portal",
        api_version=1,
        config_cls=CopickConfigCDP,
        open_layers=open_layers,
        root_cls=CopickRootCDP,
        summary="Datasets of the CryoET Data Portal under an overlay of yours",
        new_config="copick_backend_portal.new_config:new_config",
    )
