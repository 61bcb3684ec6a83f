"""Projects on the loopback portal."""

from __future__ import annotations

from typing import Any

import copick_core
from support.portal_loopback import LoopbackPortal
from support.portal_loopback.content import FERRITIN, MEMBRANE, RIBOSOME

OBJECTS = [
    {"name": "ribosome", "is_particle": True, "label": 1, "identifier": RIBOSOME, "radius": 150},
    {"name": "membrane", "is_particle": False, "label": 2, "identifier": MEMBRANE},
    {"name": "ferritin", "is_particle": True, "label": 3, "identifier": FERRITIN},
    {"name": "unidentified", "is_particle": True, "label": 4},
]


def open_project(portal: LoopbackPortal, overlay: Any, *datasets: int, **fields: Any) -> Any:
    """Open a project on datasets of the portal, by default those without odd rows."""
    config = portal.config(*(datasets or (10001, 10002)), pickable_objects=OBJECTS, user_id="ana", **fields)
    if overlay is not None:
        config["overlay_root"] = str(overlay)
    return copick_core.open(config)
