"""From a configuration to its layers."""

from __future__ import annotations

import os

from copick_backend_fs.config import CopickConfigFSSpec, Limits
from copick_backend_fs.layer import open_layer, place_of
from copick_backend_fs.local import LocalLayer
from copick_core.errors import ConfigError
from copick_core.layers import Layers


def open_layers(config: CopickConfigFSSpec) -> Layers:
    """Open the layers ``static`` and ``overlay`` of a project; one writable layer if both are at one location."""
    overlay = None
    if config.overlay_root:
        overlay = open_layer(
            "overlay",
            config.overlay_root,
            config.overlay_fs_args,
            obstore=config.obstore,
            limits=_limits(config, "overlay_root"),
        )
    if not config.static_root:
        return Layers(overlay=overlay)
    static = open_layer(
        "static",
        config.static_root,
        config.static_fs_args,
        read_only=True,
        obstore=config.obstore,
        limits=_limits(config, "static_root"),
    )
    if overlay is not None and place_of(static) == place_of(overlay):
        return Layers(overlay=overlay)
    if isinstance(static, LocalLayer) and isinstance(overlay, LocalLayer):
        _check_apart(static.root, overlay.root)
        overlay.protected = [os.path.realpath(static.root)]
    if isinstance(static, LocalLayer) and not os.path.isdir(static.root):
        import logging

        logging.getLogger(__name__).warning("static_root %s does not exist: nothing will be listed from it", static.root)
    return Layers(static=[static], overlay=overlay)


def _limits(config: CopickConfigFSSpec, field: str) -> Limits:
    return Limits(config.timeout_seconds, config.offline_seconds, field)


def _check_apart(static: str, overlay: str) -> None:
    """Refuse two roots of which one lies in the other: what is written to the overlay would change the reference.

    Raises:
        ConfigError: They do.
    """
    outer, inner = os.path.realpath(static), os.path.realpath(overlay)
    for field, above, below in (("overlay_root", outer, inner), ("static_root", inner, outer)):
        if below.startswith(above.rstrip(os.sep) + os.sep):
            raise ConfigError(source=below, reason=f"{field} lies inside of {above}; choose two folders that lie apart")
