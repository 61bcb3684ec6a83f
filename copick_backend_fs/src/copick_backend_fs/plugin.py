"""What ``copick.backends`` finds: the backend of ``"config_type": "filesystem"``."""

from __future__ import annotations

from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.filesystem import CopickRootFSSpec
from copick_backend_fs.opening import open_layers
from copick_core.plugins import Backend, hookimpl


@hookimpl
def copick_backend() -> Backend:
    """Bring the filesystem backend."""
    return Backend(
        "filesystem",
        api_version=1,
        config_cls=CopickConfigFSSpec,
        open_layers=open_layers,
        root_cls=CopickRootFSSpec,
        summary="Local folders, S3, SSH and everything else that fsspec reaches",
        guess="copick_backend_fs.guess:guess",
        new_config="copick_backend_fs.new_config:new_config",
    )
