"""What ``copick.backends`` finds: the backend of ``"config_type": "icechunk"``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the backend."""
    return Backend(
        "icechunk",
        api_version=1,
        config_cls="copick_backend_icechunk.config:CopickConfigIcechunk",
        open_layers="copick_backend_icechunk.opening:open_layers",
        root_cls="copick_backend_icechunk.root:CopickRootIcechunk",
        summary="Projects with a history (commits, branches, tags) on local disk and S3",
        guess="copick_backend_icechunk.guess:guess",
        new_config="copick_backend_icechunk.new_config:new_config",
    )
