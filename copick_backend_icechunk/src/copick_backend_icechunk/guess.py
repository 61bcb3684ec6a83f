"""A configuration for a folder or URL that holds a project with a history."""

from __future__ import annotations

import os
from typing import Any

from copick_backend_icechunk.layer import IcechunkLayer
from copick_backend_icechunk.places import Place


def guess(path: str) -> dict[str, Any] | None:
    """The content of a configuration for a repository of this backend; None if there is none."""
    place = Place(path)
    if place.folder is not None and not os.path.isdir(os.path.join(place.folder, "refs")):
        return None
    if place.folder is None and not place.is_bucket:
        return None
    layer = IcechunkLayer(place, read_only=True)
    if not layer.is_project():
        return None
    names = sorted(set(layer.object_names()))
    objects = [{"name": name, "is_particle": True, "label": label} for label, name in enumerate(names, 1)]
    return {"overlay_root": path if place.folder is None else place.folder, "pickable_objects": objects}
