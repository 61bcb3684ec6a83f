"""Works on a project of the portal with the drop-in, and writes what it sees as JSON: ``dropin_portal.py CONFIG OUT``.

Run with the interpreter of the drop-in.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import copick
from copick import models
from copick.impl.cryoet_data_portal import CopickRootCDP

#: Members that copick-web deletes, to be an older copick.
DELETED = (
    (models.CopickRun, "get_filaments"),
    (models.CopickSegmentation, "segmentation_type"),
    (models.CopickPicks, "full_positions"),
    (models.PickableObject, "filament"),
)


def written(root: Any) -> None:
    """One new entity of each kind, in the overlay."""
    import numpy as np
    import trimesh

    run = root.get_run("501")
    run.new_picks("ribosome", "1", "ana").from_numpy([[1.0, 2.0, 3.0]])
    mesh = run.new_mesh("membrane", "1", "ana")
    mesh.mesh = trimesh.Scene(trimesh.creation.box())
    mesh.store()
    run.new_segmentation(7.84, "membrane", "1", False, user_id="ana").from_numpy(np.ones((4, 4, 4), "u1"), levels=1)
    run.new_filaments("ribosome", "1", "ana", polylines=[[[0.0, 0, 0], [1.0, 0, 0]]])
    tomogram = run.get_voxel_spacing(7.84).get_tomograms("wbp-raw")[0]
    tomogram.new_features("sobel").from_numpy(np.ones((4, 4, 4), "f4"))


def entities(root: Any) -> dict[str, Any]:
    """One entity of each kind."""
    run = root.get_run("501")
    spacing = run.get_voxel_spacing(7.84)
    tomogram = spacing.get_tomograms("wbp-raw")[0]
    return {
        "root": root,
        "run": run,
        "voxel_spacing": spacing,
        "tomogram": tomogram,
        "features": tomogram.features[0],
        "picks": run.get_picks(user_id="ana")[0],
        "mesh": run.get_meshes(user_id="ana")[0],
        "filaments": run.filaments[0],
        "segmentation": run.get_segmentations(user_id="ana")[0],
        "object": root.get_object("ribosome"),
    }


def paths(found: dict[str, Any]) -> dict[str, Any]:
    """Where entities lie, and whether that is there."""
    tomogram, run = found["tomogram"], found["run"]
    (picks,) = run.get_picks("ribosome", "data-portal", "1001")
    meshes = [found["mesh"], *run.get_meshes(user_id="data-portal")]
    return {
        "run": run.overlay_path,
        "voxel_spacing": found["voxel_spacing"].overlay_path,
        "tomogram": tomogram.overlay_path,
        "segmentation": found["segmentation"].path,
        "features": found["features"].path,
        "tomogram in the overlay": tomogram.fs_overlay.exists(tomogram.overlay_path),
        "tomogram on the portal": tomogram.fs_static.exists(tomogram.static_path),
        "meshes": [mesh.fs.open(mesh.path, "rb").read(4).decode() for mesh in meshes],
        "points of the portal": picks.fs.open(picks.path, "rb").read().count(b"\n"),
        "filename": found["picks"].filename,
        "directory": found["picks"].directory,
    }


def kept_lists(config: str) -> dict[str, Any]:
    """What one project sees of what another one writes."""
    one, other = copick.from_file(config), copick.from_file(config)
    run = one.get_run("501")
    before = run._picks
    listed = [*run.picks]
    other.get_run("501").new_picks("ribosome", "9", "bob").store()
    number = len(run.picks)
    same = all(a is b for a, b in zip(listed, run.picks, strict=True)) and run is one.get_run("501")
    run.refresh()
    return {"before": before, "same": same, "seen": number - len(listed), "after refresh": len(run.picks) - len(listed)}


def deleted(found: dict[str, Any]) -> list[list[bool]]:
    """For each member: whether the class itself has it; and whether objects of the portal have it, before and after."""
    objects = (found["run"], found["segmentation"], found["picks"], found["object"].meta)
    seen = []
    for (cls, name), entity in zip(DELETED, objects, strict=True):
        own, kept = name in cls.__dict__, cls.__dict__[name]
        had = hasattr(type(entity), name)
        delattr(cls, name)
        seen.append([own, had, hasattr(type(entity), name)])
        setattr(cls, name, kept)
    return seen


def filters(run: Any) -> dict[str, Any]:
    """Getters with the portal's filters, and with one that there is not."""
    spacing = run.get_voxel_spacing(7.84)
    try:
        run.get_picks(user="ana")
    except TypeError as error:
        refused = str(error)
    return {
        "picks": [p.session_id for p in run.get_picks(portal_meta_query={"object_name": "Cytosolic Ribosome"})],
        "segmentations": len(run.get_segmentations(portal_meta_query={"method_type": "manual"})),
        "tomograms": len(spacing.get_tomograms(portal_meta_query={"is_portal_standard": True})),
        "authors": len(spacing.get_tomograms(portal_author_query=["Bob Builder"])),
        "refused": refused,
    }


def main(config: str, out: str) -> None:
    root: Any = copick.from_file(config)
    written(root)
    root = copick.from_file(config)
    found = entities(root)
    run, tomogram = found["run"], found["tomogram"]
    found["run"].mine = "an attribute of mine"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found["voxel_spacing"].get_tomogram("wbp-raw")
    spacing_cls, spacing_meta = run._voxel_spacing_factory()
    made = spacing_cls(run=run, meta=spacing_meta(voxel_size=20.0))
    config_again = json.loads(json.dumps(root.config.model_dump(mode="json")))
    reopened = copick.from_string(json.dumps(config_again))
    seen: dict[str, Any] = {
        "classes": {kind: type(entity).__name__ for kind, entity in found.items()},
        "types": {kind: [c.__name__ for c in copick.COPICK_TYPES if isinstance(e, c)] for kind, e in found.items()},
        "ids": [run.portal_run_id, tomogram.meta.portal_tomo_id, found["voxel_spacing"].portal_vs_id],
        "annotation": run.get_picks(session_id="1001")[0].meta.portal_annotation_id,
        "read_only": {kind: entity.read_only for kind, entity in found.items() if kind != "root"},
        "paths": paths(found),
        "lists": kept_lists(config),
        "deleted": deleted(found),
        "filters": filters(run),
        "user_picks": [p.user_id for p in run.user_picks()],
        "warned": [w.category.__name__ for w in caught],
        "voxel_spacing": [type(made).__name__, made.voxel_size],
        "reopened": [type(reopened).__name__, reopened.get_object("ribosome").meta == root.get_object("ribosome").meta],
    }
    objects = root.config.pickable_objects
    root.config.pickable_objects = objects[:1]
    root._objects = None
    seen["objects"] = [o.name for o in root.pickable_objects]
    Path(out).write_text(json.dumps(seen))


def from_datasets(url: str, bucket: str, out: str) -> None:
    """Make a project from datasets, with a location that starts at the working folder."""
    root = copick.from_czcdp_datasets(
        [10001],
        "mine",
        {"auto_mkdir": True},
        "ana",
        output_path="configs/portal.json",
        graphql_url=url,
        s3_endpoint_url=bucket,
    )
    again: Any = copick.from_file("configs/portal.json")
    again.get_run("501").new_picks(again.pickable_objects[0].name, "1").store()
    seen = {
        "class": type(again).__name__,
        "is": isinstance(root, CopickRootCDP),
        "written": sorted(str(path) for path in Path().rglob("*.json")),
        "config": json.loads(Path("configs/portal.json").read_text()),
        "version": copick.__version__,
    }
    Path(out).write_text(json.dumps(seen))


if __name__ == "__main__":
    from_datasets(*sys.argv[2:]) if sys.argv[1] == "datasets" else main(*sys.argv[1:])
