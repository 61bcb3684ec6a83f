"""A configuration for a folder, an archive or a URL that holds a project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from copick_backend_fs.layer import local_path, open_layer
from copick_core.errors import ConfigError, InvalidNameError
from copick_core.layers import Layer
from copick_core.tree import layout
from copick_core.tree.keys import ROOT, Kind, RunKey
from copick_core.tree.names import sanitize_name

#: Folders by which a project is recognised.
_FOLDERS = (layout.RUNS_FOLDER, layout.OBJECTS_FOLDER)

#: How many runs of a remote project are looked at for objects: each takes about four requests, many at once.
REMOTE_RUNS = 8


def guess(path: str) -> dict[str, Any] | None:
    """The content of a configuration for a project at a path or URL; None if there is none.

    Its objects are those that annotations are named after, and those with a map. All runs are listed for that, but of a remote
    project only a few: its description says so. An archive, and a folder that cannot be written to, are only read.
    """
    location = _location_of(path)
    if location is None:
        return None
    layer = open_layer("guess", location, read_only=True)
    if not any(layer.path_exists(folder, folder=True) for folder in _FOLDERS):
        return None
    root = "overlay_root" if _is_writable(location) else "static_root"
    runs = [key for key in layer.list(Kind.RUN, ROOT) if key.kind is Kind.RUN]
    looked_at = runs if local_path(location) is not None else _spread(runs, REMOTE_RUNS)
    description = "" if len(looked_at) == len(runs) else f"Objects are those of {len(looked_at)} of {len(runs)} runs."
    name = os.path.basename(path.rstrip("/"))
    return {root: location, "name": name or None, "description": description, "pickable_objects": _objects(layer, looked_at)}


def _location_of(path: str) -> str | None:
    """The location as the backend takes it; None for a local file that is not an archive, and where nothing is."""
    local = local_path(path)
    if local is None:
        return f"zip://::{path}" if path.lower().endswith(".zip") and "::" not in path else path
    if os.path.isdir(local):
        return local
    return _in_archive(local) if os.path.isfile(local) else None


def _in_archive(path: str) -> str | None:
    """The project in a zip file: at its top, or in the one folder that was packed."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [name.split("/") for name in archive.namelist()]
    folders = {"/".join(parts[: parts.index(f)]) for parts in names for f in _FOLDERS if f in parts[:2]}
    return f"zip://{folders.pop()}::{path}" if len(folders) == 1 else None


def _is_writable(location: str) -> bool:
    local = local_path(location)
    if local is not None:
        return os.access(local, os.W_OK)
    try:
        open_layer("guess", location)
    except ConfigError:
        return False
    return "::" not in location


def _spread(runs: Sequence[RunKey], count: int) -> Sequence[RunKey]:
    """At most so many runs, evenly spread, the first and the last one among them."""
    if len(runs) <= count:
        return runs
    return [runs[i * (len(runs) - 1) // (count - 1)] for i in range(count)]


def _objects(layer: Layer, runs: Sequence[RunKey]) -> list[dict[str, Any]]:
    """The objects that a project's files are named after, sorted; those with picks, filaments or a map are particles."""
    picks, filaments, meshes, segmentations = (
        [key for keys in layer.list_many(kind, runs).values() for key in keys]
        for kind in (Kind.PICKS, Kind.FILAMENTS, Kind.MESH, Kind.SEGMENTATION)
    )
    particles = {str(key.object_name) for key in picks if key.kind is Kind.PICKS}
    particles |= {str(key.object_name) for key in filaments if key.kind is Kind.FILAMENTS}
    particles |= {key.name for key in layer.list(Kind.OBJECT, ROOT) if key.kind is Kind.OBJECT}
    others = {str(key.object_name) for key in meshes if key.kind is Kind.MESH}
    others |= {k.name for k in segmentations if k.kind is Kind.SEGMENTATION and k.segmentation_type == "binary"}
    names = [name for name in sorted(particles | others) if _is_valid(name)]
    return [{"name": name, "is_particle": name in particles, "label": label} for label, name in enumerate(names, 1)]


def _is_valid(name: str) -> bool:
    """Whether an object can have a name: files of others may have any."""
    try:
        return sanitize_name(name, suppress_warnings=True) == name
    except InvalidNameError:
        return False
