"""Filesystem backend of copick-core: local folders, S3, SSH and everything else that fsspec reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from copick_backend_fs.config import CopickConfigFSSpec
    from copick_backend_fs.filesystem import CopickRootFSSpec
    from copick_backend_fs.layer import open_layer

__all__ = ["CopickConfigFSSpec", "CopickRootFSSpec", "open_layer"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    modules = {"CopickConfigFSSpec": "config", "CopickRootFSSpec": "filesystem", "open_layer": "opening"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{modules[name]}"), name)
