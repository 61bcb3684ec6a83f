"""What a project has, as JSON: the project with its objects and runs, and a run with all that is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copick_core.errors import NotFoundError
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import KINDS, PARENT_KIND, ROOT, Key, Kind, ObjectKey, RunKey, child_kinds, key_fields
from copick_view.server.urls import path_of

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay


def project_document(root: CopickRootOverlay) -> dict[str, Any]:
    """The project: its name, layers, objects and runs; all layers are listed anew.

    Args:
        root: The project.
    """
    runs: dict[str, None] = {}
    maps: dict[str, str] = {}
    for layer in root.layers.all:
        layer.forget(ROOT)
        runs.update((key.name, None) for key in layer.list(Kind.RUN, ROOT) if isinstance(key, RunKey))
        maps.update((key.name, layer.name) for key in layer.list(Kind.OBJECT, ROOT) if isinstance(key, ObjectKey))
    objects = []
    for meta in root.config.pickable_objects:
        described = {
            "name": meta.name,
            "label": meta.label,
            "color": meta.color,
            "radius": meta.radius,
            "is_particle": meta.is_particle,
            "identifier": meta.identifier,
        }
        if meta.name in maps:
            described["map"] = path_of(ObjectKey(meta.name), maps[meta.name])
        objects.append(described)
    return {
        "name": root.config.name,
        "description": root.config.description,
        "layers": [{"name": layer.name, "read_only": layer.read_only} for layer in root.layers.all],
        "objects": objects,
        "runs": [{"name": name, "url": path_of(RunKey(name)), "picture": picture_path(RunKey(name))} for name in sorted(runs)],
    }


def run_document(root: CopickRootOverlay, run: RunKey) -> dict[str, Any]:
    """Everything in a run, of all layers, listed anew.

    Args:
        root: The project.
        run: The run.

    Returns:
        ``name``, and a list for each kind (``tomograms``, ``features``, ``picks``, …). Each entry has the fields of the
        entity's key, its ``address``, the ``layer`` it is in, whether it is ``read_only``, and its ``url``, relative to the
        address of the server.

    Raises:
        NotFoundError: No layer has the run.
    """
    found: dict[Kind, list[dict[str, Any]]] = {kind: [] for kind in Kind if _is_in_run(kind)}
    missing = True
    for layer in root.layers.all:
        layer.forget(run)
        missing = missing and not layer.exists(run)
        for key in _below(layer, run):
            if key.kind in found:
                found[key.kind].append(_entry(key, layer))
    if missing and not any(found.values()):
        raise NotFoundError(key=run, layer=", ".join(layer.name for layer in root.layers.all))
    lists = {KINDS[kind].plural: sorted(entries, key=lambda e: e["address"]) for kind, entries in found.items()}
    return {"name": run.name, "picture": picture_path(run), **lists}


def picture_path(key: Key) -> str:
    """The path of the picture of a run or tomogram."""
    return f"picture/{path_of(key)}".rstrip("/")


def _is_in_run(kind: Kind) -> bool:
    return kind not in (Kind.RUN, Kind.VOXEL_SPACING, Kind.OBJECT)


def _below(layer: Layer, parent: Any) -> list[Key]:
    """All that a layer has below a parent."""
    keys: list[Key] = []
    for kind in child_kinds(parent.kind):
        for key in layer.list(kind, parent):
            keys += [key, *(_below(layer, key) if kind in _PARENTS else ())]
    return keys


_PARENTS = frozenset(kind for kind in PARENT_KIND.values() if kind is not None)


def _entry(key: Key, layer: Layer) -> dict[str, Any]:
    fields = {name: value for name, value in key_fields(key).items() if name != "run" and value != ""}
    entry = {"address": str(address_of(key)), "layer": layer.name, "read_only": layer.read_only, **fields}
    entry["url"] = path_of(key, layer.name)
    if key.kind is Kind.TOMOGRAM:
        entry["picture"] = picture_path(key)
    return entry
