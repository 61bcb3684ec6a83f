"""From a location to the layer that serves it: of local folders, or of everything that fsspec reaches."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from copick_backend_fs.local import LocalLayer
from copick_core.errors import ConfigError

if TYPE_CHECKING:
    from copick_backend_fs.config import Limits
    from copick_backend_fs.remote import FsspecLayer


def open_layer(
    name: str,
    location: str,
    fs_args: Mapping[str, Any] | None = None,
    *,
    read_only: bool = False,
    obstore: bool = True,
    limits: Limits | None = None,
) -> LocalLayer | FsspecLayer:
    """Open one location as a layer. Nothing is connected to, read or made before the first call.

    Args:
        name: Name of the layer.
        location: Local path or URL.
        fs_args: Arguments of the fsspec filesystem.
        read_only: Refuse writes.
        obstore: Go over obstore where it is installed and the arguments can be translated for it.
        limits: How long to wait for a server; by default, as long as the configuration's defaults say.

    Raises:
        MissingDependencyError: The URL's protocol needs a package that is not installed.
        ConfigError: The location is a local file, or its protocol is unknown, or cannot be written to although it should.
    """
    path = local_path(location)
    if path is not None:
        if os.path.isfile(path):  # it would be listed as empty
            archive = f". For what is in an archive, write zip://::{path} as static_root" if path.endswith(".zip") else ""
            raise ConfigError(source=path, reason=f"it is a file, not a folder{archive}")
        return LocalLayer(name, path, read_only=read_only)
    from copick_backend_fs.remote import open_remote

    return open_remote(name, location, fs_args or {}, read_only=read_only, obstore=obstore, limits=limits)


def local_path(location: str) -> str | None:
    """The local path that a location means, or None if it is a URL of anything else."""
    for scheme in ("local://", "file://"):
        if location.startswith(scheme) and "::" not in location:
            location = location[len(scheme) :]
            break
    else:
        if "://" in location or "::" in location:
            return None
    return os.path.abspath(os.path.expanduser(location))


def place_of(layer: LocalLayer | FsspecLayer) -> Hashable:
    """What is equal for two layers that keep their entities in the same place, whoever they connect as."""
    return ("local", os.path.realpath(layer.root)) if isinstance(layer, LocalLayer) else layer.place
