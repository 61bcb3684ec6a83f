"""From locations to layers."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from copick_backend_fs.layer.local import LocalLayer
from copick_core.errors import ConfigError
from copick_core.layers import Layers

if TYPE_CHECKING:
    from copick_backend_fs.config import CopickConfigFSSpec
    from copick_backend_fs.layer.remote import FsspecLayer

logger = logging.getLogger(__name__)


def open_layers(config: CopickConfigFSSpec) -> Layers:
    """Open the layers ``static`` and ``overlay`` of a project; one writable layer if both are at one location."""
    overlay = None
    if config.overlay_root:
        overlay = open_layer("overlay", config.overlay_root, config.overlay_fs_args, obstore=config.obstore)
    if not config.static_root:
        return Layers(overlay=overlay)
    static = open_layer("static", config.static_root, config.static_fs_args, read_only=True, obstore=config.obstore)
    if overlay is not None and place_of(static) == place_of(overlay):
        return Layers(overlay=overlay)
    if isinstance(static, LocalLayer) and isinstance(overlay, LocalLayer):
        _check_apart(static.root, overlay.root)
        overlay.protected = [os.path.realpath(static.root)]
    if isinstance(static, LocalLayer) and not os.path.isdir(static.root):
        logger.warning("static_root %s does not exist: nothing will be listed from it", static.root)
    return Layers(static=[static], overlay=overlay)


def _check_apart(static: str, overlay: str) -> None:
    """Refuse two roots of which one lies in the other: what is written to the overlay would change the reference.

    Raises:
        ConfigError: They do.
    """
    outer, inner = os.path.realpath(static), os.path.realpath(overlay)
    for field, above, below in (("overlay_root", outer, inner), ("static_root", inner, outer)):
        if below.startswith(above.rstrip(os.sep) + os.sep):
            raise ConfigError(source=below, reason=f"{field} lies inside of {above}; choose two folders that lie apart")


def open_layer(
    name: str,
    location: str,
    fs_args: Mapping[str, Any] | None = None,
    *,
    read_only: bool = False,
    obstore: bool = True,
) -> LocalLayer | FsspecLayer:
    """Open one location as a layer. Nothing is connected to, read or made before the first call.

    Args:
        name: Name of the layer.
        location: Local path or URL.
        fs_args: Arguments of the fsspec filesystem.
        read_only: Refuse writes.
        obstore: Go over obstore where it is installed and the arguments can be translated for it.

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
    from copick_backend_fs.layer.remote import open_remote

    return open_remote(name, location, fs_args or {}, read_only=read_only, obstore=obstore)


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
