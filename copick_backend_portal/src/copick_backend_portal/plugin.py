"""What ``copick.backends`` finds: the backend of ``"config_type": "cryoet_data_portal"``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the CryoET Data Portal backend."""
    return Backend(
        "cryoet_data_portal",
        api_version=1,
        config_cls="copick_backend_portal.config:CopickConfigCDP",
        open_layers="copick_backend_portal.opening:open_layers",
        root_cls="copick_backend_portal.entities:CopickRootCDP",
        summary="Datasets of the CryoET Data Portal under your own overlay",
        new_config="copick_backend_portal.new_config:new_config",
    )
