"""Neutral descriptions of projects: plain JSON and arrays, made from a seed, that no library has touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RUNS = ("TS_001", "grid 7.tilt-3")
OBJECTS = [
    {
        "name": "ribosome",
        "is_particle": True,
        "label": 1,
        "color": [0, 117, 220, 255],
        "emdb_id": "EMD-3883",
        "pdb_id": "6QZP",
        "go_id": "GO:0022626",
        "map_threshold": 0.037,
        "radius": 150.0,
        "metadata": {"aliases": ["80S"], "mass": {"kDa": 3200.5}},
    },
    {"name": "membrane", "is_particle": False, "label": 2, "color": [153, 63, 0, 255]},
    {"name": "proteasome", "is_particle": True, "label": 7, "color": [255, 204, 0, 128], "radius": 60.25},
]
NEW_OBJECTS = [
    {
        "name": "apoferritin",
        "is_particle": True,
        "label": 9,
        "color": [20, 30, 40, 255],
        "emdb_id": "EMD-20026",
        "radius": 65.0,
    },
    {"name": "actin", "is_particle": False},
]
# Doubles that a careless text format changes.
HARD_DOUBLES = [0.1 + 0.2, 1 / 3, 5e-324, 2.2250738585072014e-308, 1e22, 123456789.12345679, -0.0, 5e-5, 1e16]


def write_config(path: Path, overlay: Path, *, static: Path | None = None, user_id: str = "alice") -> Path:
    """Write a filesystem config with `OBJECTS`, whose roots are absolute."""
    config: dict[str, Any] = {
        "config_type": "filesystem",
        "name": "interoperability",
        "description": "Written and read by two libraries",
        "version": "1.31.0",
        "user_id": user_id,
        "session_id": "1",
        "pickable_objects": OBJECTS,
        "overlay_root": f"local://{overlay}",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    if static is not None:
        config["static_root"] = f"local://{static}"
        config["static_fs_args"] = {"auto_mkdir": True}
    path.write_text(json.dumps(config, indent=2))
    return path


def write_description(folder: Path, *, seed: int, runs: tuple[str, ...] = RUNS) -> Path:
    """Write ``description.json`` and ``arrays.npz``: all that a project can hold, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {"map": rng.normal(size=(9, 8, 7)).astype(np.float32)}
    description = {
        "new_objects": NEW_OBJECTS,
        "maps": [{"name": "ribosome", "array": "map", "voxel_size": 6.531}],
        "runs": [_run(rng, arrays, name) for name in runs],
    }
    folder.mkdir(parents=True)
    (folder / "description.json").write_text(json.dumps(description, indent=1))
    np.savez(folder / "arrays.npz", **arrays)
    return folder


def _run(rng: np.random.Generator, arrays: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    return {
        "name": name,
        "voxel_spacings": [
            _voxel_spacing(rng, arrays, name, 10.0, (13, 17, 11), ["wbp", "denoised-2"]),
            _voxel_spacing(rng, arrays, name, 7.841, (8, 12, 16), ["wbp"]),
        ],
        "picks": _picks(rng, arrays, name),
        "meshes": [
            _mesh(rng, arrays, name, "membrane", "alice", "1", count=1),
            _mesh(rng, arrays, name, "membrane", "membrain", "0", count=1),
            _mesh(rng, arrays, name, "ribosome", "bob", "2", count=2),
            _mesh(rng, arrays, name, "proteasome", "bob", "3", count=0),
        ],
        "segmentations": _segmentations(rng, arrays, name),
    }


def _voxel_spacing(
    rng: np.random.Generator,
    arrays: dict[str, np.ndarray],
    run: str,
    voxel_size: float,
    shape: tuple[int, int, int],
    types: list[str],
) -> dict[str, Any]:
    tomograms = []
    for tomo_type in types:
        array = f"{run}/{voxel_size}/{tomo_type}"
        arrays[array] = rng.normal(scale=100, size=shape).astype(np.float32)
        arrays[f"{array}/sobel"] = rng.normal(size=(3, *shape)).astype(np.float32)
        arrays[f"{array}/mask"] = rng.integers(0, 2, size=shape, dtype=np.uint8)
        features = [{"feature_type": kind, "array": f"{array}/{kind}"} for kind in ("sobel", "mask")]
        tomograms.append({"tomo_type": tomo_type, "array": array, "levels": 3, "features": features})
    return {"voxel_size": voxel_size, "tomograms": tomograms}


def _picks(rng: np.random.Generator, arrays: dict[str, np.ndarray], run: str) -> list[dict[str, Any]]:
    kinds = [
        ("ribosome", "alice", "1", "points", False, 10.0),
        ("ribosome", "bob", "2", "points", True, None),
        ("proteasome", "pytom", "0", "arrays", True, None),
        ("membrane", "alice", "3", "emptied", True, 7.841),
        ("proteasome", "alice", "1", "new", True, None),
    ]
    entries = []
    for object_name, user_id, session_id, how, trust_orientation, voxel_spacing in kinds:
        array = f"{run}/picks/{object_name}/{user_id}"
        count = 12
        positions = rng.uniform(0, 4000, size=(count, 3))
        positions[: len(HARD_DOUBLES) // 3] = np.reshape(HARD_DOUBLES, (-1, 3))
        transforms = np.tile(np.eye(4), (count, 1, 1))
        transforms[1:, :3, :3] = np.linalg.qr(rng.normal(size=(count - 1, 3, 3)))[0]
        transforms[1:, :3, 3] = rng.normal(size=(count - 1, 3))
        arrays[f"{array}/positions"] = positions
        arrays[f"{array}/transforms"] = transforms
        arrays[f"{array}/instance_ids"] = rng.integers(0, 100_000, size=count)
        arrays[f"{array}/scores"] = rng.uniform(-1, 1, size=count)
        entries.append(
            {
                "object_name": object_name,
                "user_id": user_id,
                "session_id": session_id,
                "how": how,
                "trust_orientation": trust_orientation,
                "voxel_spacing": voxel_spacing,
                "array": array,
            }
        )
    return entries


def _mesh(
    rng: np.random.Generator,
    arrays: dict[str, np.ndarray],
    run: str,
    object_name: str,
    user_id: str,
    session_id: str,
    *,
    count: int,
) -> dict[str, Any]:
    names = [f"{run}/meshes/{object_name}/{user_id}/{number}" for number in range(count)]
    for name in names:
        # GLB holds vertices as 32-bit floats
        arrays[f"{name}/vertices"] = rng.uniform(0, 4000, size=(20, 3)).astype(np.float32)
        arrays[f"{name}/faces"] = np.array([rng.permutation(20)[:3] for _ in range(30)])
    return {"object_name": object_name, "user_id": user_id, "session_id": session_id, "arrays": names}


def _segmentations(rng: np.random.Generator, arrays: dict[str, np.ndarray], run: str) -> list[dict[str, Any]]:
    shape = (13, 17, 11)
    labels = np.array([0, 1, 2, 7])[rng.integers(0, 4, size=shape)]
    instances = np.where(labels, rng.integers(0, 900, size=shape), 0)
    values = {
        ("binary", "membrane", "alice", "1"): rng.integers(0, 2, size=shape),
        ("binary", "membrane", "membrain", "0"): rng.integers(0, 2, size=shape).astype(np.uint8),
        ("multilabel", "all-organelles", "alice", "1"): rng.integers(0, 300, size=shape),
        ("instance", "ribosome", "bob", "5"): rng.integers(0, 70_000, size=shape),
        ("panoptic", "scene", "tool", "0"): np.stack([labels, instances]),
    }
    entries = []
    for (kind, name, user_id, session_id), array in values.items():
        for voxel_size, levels in ((10.0, 2), (7.841, 1)):
            key = f"{run}/segmentations/{kind}/{user_id}/{voxel_size}"
            arrays[key] = array
            entries.append(
                {
                    "type": kind,
                    "name": name,
                    "user_id": user_id,
                    "session_id": session_id,
                    "voxel_size": voxel_size,
                    "levels": levels,
                    "array": key,
                }
            )
    return entries
