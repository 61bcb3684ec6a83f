"""Training from projects of copick-core: patches with targets, and splits."""

from __future__ import annotations

from copick_train.patches import Patch, Patches
from copick_train.targets import HeatMap, Labels

__version__ = "0.1.0"

__all__ = ["HeatMap", "Labels", "Patch", "Patches"]
