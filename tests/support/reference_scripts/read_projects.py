"""Reads all entities of all projects below a folder with the released copick: ``read_projects.py FOLDER OUT``.

OUT becomes a JSON file with the numbers of projects and entities, and what could not be read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import zarr

import copick


def projects(folder):
    """File system projects whose overlay exists: their place, and their configuration.

    Where no test leaves a configuration, one is made up for every folder of a project.
    """
    found = False
    for path in sorted(folder.rglob("*.json")):
        if any(part.endswith(".zarr") for part in path.parts) or "Picks" in path.parts:
            continue
        try:
            config = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if not isinstance(config, dict) or config.get("config_type") not in ("filesystem", None):
            continue
        overlay = str(config.get("overlay_root", ""))
        place = Path(overlay.removeprefix("local://").removeprefix("file://"))
        if overlay and "://" not in str(place) and place.is_absolute() and place.is_dir():
            found = True
            yield path, path.read_text()
    for runs in [] if found else sorted(folder.rglob("ExperimentRuns")):
        config = {"config_type": "filesystem", "pickable_objects": [], "overlay_root": f"local://{runs.parent.resolve()}"}
        yield runs.parent, json.dumps(config | {"overlay_fs_args": {}})


def has_map(entity):
    """Whether a particle has a density map: copick makes an empty store for one that has none."""
    try:
        zarr.open_group(entity.zarr(), mode="r")["0"]
    except (KeyError, OSError, TypeError, ValueError):
        return False
    return True


def entities(root):
    """Every entity of a project, with what reads it."""
    for entity in root.pickable_objects:
        if entity.is_particle and has_map(entity):
            yield f"object {entity.name}", entity.numpy
    for run in root.runs:
        for spacing in run.voxel_spacings:
            for tomogram in spacing.tomograms:
                name = f"{run.name} {tomogram.tomo_type}@{spacing.voxel_size}"
                yield name, tomogram.numpy
                for features in tomogram.features:
                    yield f"{name}:{features.feature_type}", features.numpy
        for kind, method in (("picks", "numpy"), ("meshes", "load"), ("filaments", "numpy")):
            for one in getattr(run, kind):
                yield f"{run.name} {kind} {one.pickable_object_name}:{one.user_id}/{one.session_id}", getattr(one, method)
        for one in run.get_segmentations(is_multilabel=None, is_instance=None, is_panoptic=None):
            yield f"{run.name} segmentation {one.name}:{one.user_id}/{one.session_id}@{one.voxel_size}", one.numpy


def main(folder, out):
    found = {"projects": 0, "entities": 0, "failures": []}
    for path, config in projects(folder):
        where = str(path.relative_to(folder))
        try:
            for name, read in entities(copick.from_string(config)):
                found["entities"] += 1
                try:
                    read()
                except Exception as error:
                    found["failures"].append(f"{where}: {name}: {type(error).__name__}: {error}")
        except Exception as error:
            found["failures"].append(f"{where}: {type(error).__name__}: {error}")
        found["projects"] += 1
    out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
