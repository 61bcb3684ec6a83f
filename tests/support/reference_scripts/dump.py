"""Writes down everything that a library reads of a project: ``dump.py LIBRARY CONFIG OUT``.

LIBRARY is ``copick`` or ``copick_core``: the two have the same public names, so one program reads with
both. OUT becomes a folder with ``records.json`` (identity and values of every entity) and ``arrays.npz``
(every level of every volume, every mesh, the arrays of every picks file).
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import zarr

OBJECT_FIELDS = (
    "name",
    "is_particle",
    "label",
    "color",
    "emdb_id",
    "pdb_id",
    "identifier",
    "go_id",
    "map_threshold",
    "radius",
    "metadata",
)
PICKS_FIELDS = (
    "pickable_object_name",
    "user_id",
    "session_id",
    "run_name",
    "voxel_spacing",
    "unit",
    "trust_orientation",
)
SEGMENTATION_FIELDS = (
    "user_id",
    "session_id",
    "name",
    "voxel_size",
    "is_multilabel",
    "is_instance",
    "is_panoptic",
)


class Dump:
    """The records and arrays of one project, by the entity's path in the tree."""

    def __init__(self):
        self.records = {}
        self.arrays = {}

    def add(self, path, record):
        """Record an entity; a second one at the same path (static and overlay twins) gets the next number."""
        number = 0
        while f"{path}#{number}" in self.records:
            number += 1
        key = f"{path}#{number}"
        self.records[key] = record
        return key

    def add_volume(self, key, entity):
        """Record the levels, the OME metadata and the default array of a volume."""
        group = zarr.open_group(entity.zarr(), mode="r")
        self.records[key]["attributes"] = dict(group.attrs)
        self.records[key]["levels"] = {}
        for name, array in sorted(group.arrays()):
            self.records[key]["levels"][name] = [list(array.shape), str(array.dtype)]
            self.arrays[f"{key}/levels/{name}"] = array[...]
        self.arrays[f"{key}/numpy"] = entity.numpy()

    def save(self, folder):
        """Write ``records.json`` and ``arrays.npz``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "records.json").write_text(json.dumps(self.records, indent=1, sort_keys=True))
        np.savez(folder / "arrays.npz", **self.arrays)

    @classmethod
    def load(cls, folder):
        """Read what `save` wrote."""
        dump = cls()
        dump.records = json.loads((folder / "records.json").read_text())
        with np.load(folder / "arrays.npz") as arrays:
            dump.arrays = dict(arrays)
        return dump


def dump_project(root):
    """Read a whole project through its root."""
    dump = Dump()
    dump.add("project", {"name": root.config.name, "user_id": root.user_id, "session_id": root.session_id})
    for entity in root.pickable_objects:
        _dump_object(dump, entity)
    for run in root.runs:
        dump.add(f"runs/{run.name}", {})
        for spacing in run.voxel_spacings:
            _dump_voxel_spacing(dump, f"runs/{run.name}/spacings/{spacing.voxel_size:.3f}", spacing)
        for picks in run.picks:
            _dump_picks(dump, f"runs/{run.name}/picks", picks)
        for mesh in run.meshes:
            _dump_mesh(dump, f"runs/{run.name}/meshes", mesh)
        for segmentation in run.get_segmentations(is_multilabel=None, is_instance=None, is_panoptic=None):
            _dump_segmentation(dump, f"runs/{run.name}/segmentations", segmentation)
        _dump_queries(dump, f"runs/{run.name}/queries", run)
    return dump


def _annotation(entity):
    return f"{entity.user_id}/{entity.session_id}/{entity.pickable_object_name}"


def _dump_object(dump, entity):
    record = {field: _plain(getattr(entity.meta, field)) for field in OBJECT_FIELDS}
    key = dump.add(f"objects/{entity.name}", {**record, "read_only": entity.read_only, "map": False})
    store = entity.zarr() if entity.is_particle else None
    if store is None:
        return
    try:  # the reference makes an empty store for a particle that has no map
        zarr.open_group(store, mode="r")["0"]
    except (KeyError, OSError, ValueError):
        return
    dump.records[key]["map"] = True
    dump.add_volume(key, entity)


def _dump_voxel_spacing(dump, path, spacing):
    dump.add(path, {"voxel_size": float(spacing.voxel_size)})
    for tomogram in spacing.tomograms:
        key = dump.add(f"{path}/tomograms/{tomogram.tomo_type}", {"read_only": tomogram.read_only})
        dump.add_volume(key, tomogram)
        for features in tomogram.features:
            record = {"read_only": features.read_only, "tomo_type": features.tomo_type}
            dump.add_volume(dump.add(f"{key}/features/{features.feature_type}", record), features)


def _dump_picks(dump, path, picks):
    identity = _annotation(picks)
    record = {
        "read_only": picks.read_only,
        "from_tool": picks.from_tool,
        "from_user": picks.from_user,
        "color": _plain(picks.color),
    }
    picks.load()
    record |= {field: _plain(getattr(picks.meta, field)) for field in PICKS_FIELDS}
    record["points"] = [
        {
            "location": [point.location.x, point.location.y, point.location.z],
            "transformation": point.transformation.tolist(),
            "instance_id": point.instance_id,
            "score": point.score,
        }
        for point in picks.points
    ]
    key = dump.add(f"{path}/{identity}", record)
    positions, transforms = picks.numpy()
    dump.arrays[f"{key}/positions"] = positions
    dump.arrays[f"{key}/transforms"] = transforms
    dump.arrays[f"{key}/instance_ids"] = picks.instance_ids()
    dump.arrays[f"{key}/scores"] = picks.scores()
    dump.arrays[f"{key}/full_positions"] = picks.full_positions()


def _dump_mesh(dump, path, mesh):
    record = {
        "read_only": mesh.read_only,
        "from_tool": mesh.from_tool,
        "from_user": mesh.from_user,
        "color": _plain(mesh.color),
        "geometries": {},
        "placement": {},
    }
    key = dump.add(f"{path}/{_annotation(mesh)}", record)
    scene = mesh.mesh
    record["type"] = type(scene).__name__
    for name, geometry in sorted(scene.geometry.items()):
        record["geometries"][name] = [list(geometry.vertices.shape), list(geometry.faces.shape)]
        dump.arrays[f"{key}/{name}/vertices"] = np.array(geometry.vertices)
        dump.arrays[f"{key}/{name}/faces"] = np.array(geometry.faces)
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        record["placement"][node] = [name, np.asarray(transform).tolist()]


def _dump_segmentation(dump, path, segmentation):
    record = {field: _plain(getattr(segmentation, field)) for field in SEGMENTATION_FIELDS}
    record["read_only"] = segmentation.read_only
    record["segmentation_type"] = str(segmentation.segmentation_type)
    record["color"] = _plain(segmentation.color)
    key = dump.add(f"{path}/{_segmentation(segmentation)}", record)
    dump.add_volume(key, segmentation)


def _dump_queries(dump, path, run):
    """Record which entities the getters choose."""
    chosen = {
        "tool_picks": [_annotation(picks) for picks in run.tool_picks()],
        "tool_meshes": [_annotation(mesh) for mesh in run.tool_meshes()],
        "segmentations": [_segmentation(found) for found in run.get_segmentations()],
        "binary": [_segmentation(found) for found in run.get_segmentations(is_multilabel=False)],
        "multilabel": [_segmentation(found) for found in run.get_segmentations(is_multilabel=True)],
        "instance": [_segmentation(found) for found in run.get_segmentations(is_multilabel=None, is_instance=True)],
        "panoptic": [_segmentation(found) for found in run.get_segmentations(is_multilabel=None, is_panoptic=True)],
    }
    for entity in run.picks:
        of_user = run.get_picks(user_id=entity.user_id)
        of_object = run.get_picks(object_name=[entity.pickable_object_name], session_id=entity.session_id)
        chosen[f"picks of {entity.user_id}"] = [_annotation(picks) for picks in of_user]
        chosen[f"picks of {_annotation(entity)}"] = [_annotation(picks) for picks in of_object]
    dump.add(path, {name: sorted(found) for name, found in chosen.items()})


def _segmentation(found):
    return f"{found.segmentation_type} {found.voxel_size:.3f}/{found.user_id}/{found.session_id}/{found.name}"


def _plain(value):
    """Return a value as JSON would hold it."""
    return list(value) if isinstance(value, tuple) else value


def main():
    """Dump the project that the command line names."""
    library, config, out = sys.argv[1:]
    dump_project(importlib.import_module(library).from_file(config)).save(Path(out))


if __name__ == "__main__":
    main()
