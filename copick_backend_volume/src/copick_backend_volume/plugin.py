"""What ``copick.backends`` finds: the backend of ``"config_type": "compose_volume"``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the compose-volume backend."""
    return Backend(
        "compose_volume",
        api_version=1,
        config_cls="copick_backend_volume.config:CopickConfigVolume",
        open_layers="copick_backend_volume.opening:open_layers",
        root_cls="copick_backend_volume.root:CopickRootVolume",
        summary="The shared volume of a segmentation web app, under an overlay of any backend",
        guess="copick_backend_volume.guess:guess",
        new_config="copick_backend_volume.new_config:new_config",
    )
