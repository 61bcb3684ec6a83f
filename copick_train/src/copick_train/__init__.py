"""Training from projects of copick-core: patches with targets, and splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core import deferred

if TYPE_CHECKING:
    from copick_train.patches import Patch, Patches
    from copick_train.targets import HeatMap, Labels

__version__ = "0.1.0"

__all__ = ["HeatMap", "Labels", "Patch", "Patches"]

#: What the help of the command line needs nothing of is imported when it is used.
_HOMES = {
    "HeatMap": "copick_train.targets",
    "Labels": "copick_train.targets",
    "Patch": "copick_train.patches",
    "Patches": "copick_train.patches",
}


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)
