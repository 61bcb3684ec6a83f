"""CryoET Data Portal backend of copick-core (``config_type: "cryoet_data_portal"``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from copick_backend_portal.config import CopickConfigCDP
    from copick_backend_portal.entities import (
        CopickPicksCDP,
        CopickRootCDP,
        CopickRunCDP,
        CopickSegmentationCDP,
        CopickTomogramCDP,
        CopickVoxelSpacingCDP,
    )
    from copick_backend_portal.errors import (
        PortalError,
        PortalFilesError,
        PortalQueryError,
        PortalUnreachableError,
        PortalWarning,
    )
    from copick_backend_portal.layer import PortalLayer

__all__ = [
    "CopickConfigCDP",
    "CopickPicksCDP",
    "CopickRootCDP",
    "CopickRunCDP",
    "CopickSegmentationCDP",
    "CopickTomogramCDP",
    "CopickVoxelSpacingCDP",
    "PortalError",
    "PortalFilesError",
    "PortalLayer",
    "PortalQueryError",
    "PortalUnreachableError",
    "PortalWarning",
    "__version__",
]

_HOMES = {
    "CopickConfigCDP": "config",
    "PortalLayer": "layer",
    "PortalError": "errors",
    "PortalFilesError": "errors",
    "PortalQueryError": "errors",
    "PortalUnreachableError": "errors",
    "PortalWarning": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'entities')}"), name)
