"""Writes a described project through a library's API: ``write.py LIBRARY CONFIG DESCRIPTION``.

LIBRARY is ``copick`` or ``copick_core``. DESCRIPTION is a folder that `support.description` made:
``description.json`` and the arrays that it names in ``arrays.npz``.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import trimesh
import zarr


def write_project(library, config, folder):
    """Write the description in `folder` into the project of the file `config`."""
    module = importlib.import_module(library)
    models = importlib.import_module(f"{library}.models")
    description = json.loads((folder / "description.json").read_text())
    with np.load(folder / "arrays.npz") as file:
        arrays = dict(file)

    root = module.from_file(str(config))
    for definition in description["new_objects"]:
        root.new_object(**definition)
    if description["new_objects"]:
        root.save_config(str(config))
    for entry in description["maps"]:
        root.get_object(entry["name"]).from_numpy(arrays[entry["array"]], entry["voxel_size"])
    for entry in description["runs"]:
        run = root.new_run(entry["name"])
        for spacing in entry["voxel_spacings"]:
            _write_voxel_spacing(run, spacing, arrays)
        for picks in entry["picks"]:
            _write_picks(models, run, picks, arrays)
        for mesh in entry["meshes"]:
            _write_mesh(run, mesh, arrays)
        for segmentation in entry["segmentations"]:
            _write_segmentation(run, segmentation, arrays)


def _write_voxel_spacing(run, entry, arrays):
    spacing = run.new_voxel_spacing(entry["voxel_size"])
    for volume in entry["tomograms"]:
        tomogram = spacing.new_tomogram(volume["tomo_type"])
        tomogram.from_numpy(arrays[volume["array"]], levels=volume["levels"])
        for volume_features in volume["features"]:
            features = tomogram.new_features(volume_features["feature_type"])
            _write_features(features, arrays[volume_features["array"]])


def _write_features(features, data):
    if hasattr(features, "from_numpy"):
        features.from_numpy(data)
    else:  # the reference leaves this to its caller
        zarr.open_group(features.zarr(), mode="a")["0"] = data


def _write_picks(models, run, entry, arrays):
    picks = run.new_picks(entry["object_name"], entry["session_id"], entry["user_id"])
    if entry["how"] == "new":
        return
    picks.meta.trust_orientation = entry["trust_orientation"]
    picks.meta.voxel_spacing = entry["voxel_spacing"]
    names = ("positions", "transforms", "instance_ids", "scores")
    values = [arrays[f"{entry['array']}/{name}"] for name in names]
    if entry["how"] == "arrays":
        picks.from_numpy(*values)
        return
    picks.points = [_point(models, *of_point) for of_point in zip(*values, strict=True)]
    picks.store()
    if entry["how"] == "emptied":
        picks.points = []
        picks.store()


def _point(models, position, transform, instance_id, score):
    x, y, z = position.tolist()
    return models.CopickPoint(
        location=models.CopickLocation(x=x, y=y, z=z),
        transformation_=transform.tolist(),
        instance_id=int(instance_id),
        score=float(score),
    )


def _write_mesh(run, entry, arrays):
    mesh = run.new_mesh(entry["object_name"], entry["session_id"], entry["user_id"])
    if not entry["arrays"]:
        return
    geometries = [
        trimesh.Trimesh(arrays[f"{array}/vertices"], arrays[f"{array}/faces"], process=False) for array in entry["arrays"]
    ]
    mesh.mesh = geometries[0] if len(geometries) == 1 else trimesh.Scene(geometries)
    mesh.store()


def _write_segmentation(run, entry, arrays):
    segmentation = run.new_segmentation(
        entry["voxel_size"],
        entry["name"],
        entry["session_id"],
        entry["type"] == "multilabel",
        entry["user_id"],
        is_instance=entry["type"] == "instance",
        is_panoptic=entry["type"] == "panoptic",
    )
    segmentation.from_numpy(arrays[entry["array"]], levels=entry["levels"])


def main():
    """Write the project that the command line names."""
    warnings.filterwarnings("ignore", ".*Check the data")  # extreme values are what is compared
    library, config, description = sys.argv[1:]
    write_project(library, Path(config), Path(description))


if __name__ == "__main__":
    main()
