"""The layout that new volumes get."""

from __future__ import annotations

import os


def preset() -> str:
    """The preset that the variable ``COPICK_FORMAT`` names; ``"copick-2"``, what copick 2.0 writes, if it is not set."""
    return os.environ.get("COPICK_FORMAT") or "copick-2"
