"""What ``copick.backends`` finds: the backend of ``"config_type": "filesystem"``."""

from __future__ import annotations

from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the filesystem backend."""
    return Backend(
        "filesystem",
        api_version=1,
        config_cls="copick_backend_fs.config:CopickConfigFSSpec",
        open_layers="copick_backend_fs.opening:open_layers",
        root_cls="copick_backend_fs.filesystem:CopickRootFSSpec",
        summary="Local folders, S3, SSH and everything else that fsspec reaches",
        guess="copick_backend_fs.guess:guess",
        new_config="copick_backend_fs.new_config:new_config",
    )
