"""A project in a folder, with its config file beside the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import copick_core


def project_in(folder: Path, objects: Sequence[dict[str, Any]]) -> Any:
    """Open a new project of user ana; its config is ``config.json``, its data are in ``data``."""
    path = folder / "config.json"
    fields = {"config_type": "filesystem", "overlay_root": str(folder / "data"), "user_id": "ana"}
    path.write_text(json.dumps({**fields, "pickable_objects": objects}))
    return copick_core.open(path)
