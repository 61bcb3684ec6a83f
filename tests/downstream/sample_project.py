"""A stand-in for the sample project of copick's own suite, which is on Zenodo and not in its source distribution.

Written with plain tools from what the suite asserts: names, counts, shapes and sums. The suite finds its archive through
``COPICK_TEST_DATA_CACHE`` and ``COPICK_TEST_DATA_DIGEST``. As a program, ``sample_project.py SUITE CACHE`` makes the archive
in the folder CACHE and prints the digest.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
import zarr
from zarr.storage import LocalStore

ARCHIVE = "sample_project.zip"
RUNS = ("TS_001", "TS_002", "TS_003")
EDGE = 64  # voxels of each axis of every tomogram, at 10 Å
MAP_SHAPE = (42, 36, 36)
OBJECTS: tuple[dict[str, Any], ...] = (
    {
        "name": "proteasome",
        "is_particle": True,
        "label": 1,
        "color": [255, 0, 0, 255],
        "radius": 60,
        "map_threshold": 0.0418,
        "pdb_id": "3J9I",
        "emdb_id": "EMD-6271",
    },
    {"name": "ribosome", "is_particle": True, "label": 2, "color": [0, 255, 0, 255], "radius": 150, "map_threshold": 0.02},
    {"name": "membrane", "is_particle": False, "label": 3, "color": [0, 0, 255, 255]},
)
#: User, session and object of the picks and meshes of the first run.
PICKS = (
    ("ArtiaX", "19", "proteasome"),
    ("gapstop", "0", "ribosome"),
    ("pytom", "0", "proteasome"),
    ("test.user", "1234", "proteasome"),
    ("test.user", "1234", "ribosome"),
)
MESHES = (("membrain", "0", "membrane"), ("gapstop", "0", "ribosome"), ("user.test", "321", "proteasome"))
#: Multilabel segmentations of the first run.
SEGMENTATIONS = ("10.000_cellcanvas_0_prediction-multilabel", "10.000_test.user_123_painting-multilabel")

Box = tuple[slice, slice, slice]


def volume(shape: tuple[int, ...], inside: Box, sum_inside: float, total: float, dtype: str) -> np.ndarray:
    """A volume, (z, y, x), with given sums in a box and altogether: ones as far as whole numbers go, or two voxels."""
    data = np.zeros(shape, dtype=dtype)
    box = data[inside]
    at = tuple(0 if part.start else -1 for part in inside)
    if float(sum_inside).is_integer() and float(total).is_integer():
        box[np.unravel_index(np.arange(int(sum_inside)), box.shape)] = 1
        outside = np.ones(shape, dtype=bool)
        outside[inside] = False
        chosen = np.argwhere(outside)[: int(total - sum_inside)]
        data[tuple(chosen.T)] = 1
    else:
        box[0, 0, 0] = sum_inside
        data[at] = total - sum_inside
    return data


def write_volume(path: Path, levels: Iterable[tuple[float, np.ndarray]]) -> None:
    """An OME-Zarr 0.4 image in zarr 2, each level with its voxel size in angstrom; 4D data are a panoptic segmentation."""
    levels = [*levels]
    group = zarr.open_group(LocalStore(path), mode="w", zarr_format=2)
    axes: list[dict[str, str]] = [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "zyx"]
    multiscale: dict[str, Any] = {"version": "0.4", "name": "/", "axes": axes}
    if levels[0][1].ndim == 4:
        axes.insert(0, {"name": "c", "type": "channel"})
        multiscale["metadata"] = {"copick": {"channels": ["label", "instance"]}}
    datasets = []
    for number, (size, data) in enumerate(levels):
        scale = [1.0] * (data.ndim - 3) + [size] * 3
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        array = group.create_array(
            str(number),
            shape=data.shape,
            dtype=data.dtype,
            chunks=(1,) * (data.ndim - 3) + (32, 32, 32),
            chunk_key_encoding={"name": "v2", "separator": "/"},
            fill_value=0,
        )
        array[...] = data
    group.attrs["multiscales"] = [multiscale | {"datasets": datasets}]


def pyramid(data: np.ndarray, size: float) -> list[tuple[float, np.ndarray]]:
    return [(size * 2**level, data[tuple(slice(None, None, 2**level) for _ in data.shape)]) for level in range(3)]


def asserted(suite: Path, fixture: str) -> list[Any]:
    """The table of numbers that a fixture of the suite returns as an array."""
    tree = ast.parse((suite / "test_filesystem.py").read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == fixture]
    (returned,) = [node for node in function.body if isinstance(node, ast.Return)]
    assert isinstance(returned.value, ast.Call)
    table: list[Any] = ast.literal_eval(returned.value.args[0])
    return table


def write_picks(path: Path, run: str, who: tuple[str, str, str], points: list[Any], transforms: list[Any]) -> None:
    user, session, name = who
    document = {
        "pickable_object_name": name,
        "user_id": user,
        "session_id": session,
        "run_name": run,
        "voxel_spacing": 10,
        "unit": "angstrom",
        "trust_orientation": True,
        "points": [
            {
                "location": dict(zip("xyz", point, strict=True)),
                "transformation_": transform,
                "instance_id": 0,
                "score": 1.0,
            }
            for point, transform in zip(points, transforms, strict=True)
        ],
    }
    path.mkdir(parents=True, exist_ok=True)
    (path / f"{user}_{session}_{name}.json").write_text(json.dumps(document, indent=4))


def write_run(folder: Path, suite: Path) -> None:
    """The first run, of which the suite asserts what it has."""
    points = asserted(suite, "ts_001_ribosome_gapstop_points")
    transforms = asserted(suite, "ts_001_ribosome_gapstop_transformations")
    for who in PICKS:
        write_picks(folder / "Picks", folder.name, who, points, transforms)
    (folder / "Meshes").mkdir()
    for user, session, name in MESHES:
        trimesh.Scene(trimesh.creation.icosphere(1, 100.0)).export(folder / "Meshes" / f"{user}_{session}_{name}.glb")
    labels = np.zeros((EDGE,) * 3, dtype=np.uint8)
    labels[10:20], labels[30:40] = 1, 2
    for name in SEGMENTATIONS:
        write_volume(folder / "Segmentations" / f"{name}.zarr", [(10.0, labels)])
    membrane = volume((EDGE,) * 3, (slice(20, 40),) * 3, 426, 24576, "uint8")
    write_volume(folder / "Segmentations" / "20.000_membrain_0_membrane.zarr", [(20.0, membrane)])

    spacing = folder / "VoxelSpacing10.000"
    denoised = volume((EDGE,) * 3, (slice(10, 40), slice(50, 60), slice(0, 30)), 30, 8192, "float32")
    gradient = np.linspace(-1, 1, EDGE**3, dtype="float32").reshape((EDGE,) * 3)
    sobel = volume((EDGE,) * 3, (slice(20, 40),) * 3, 563.36730957, 20619.8125, "float32")
    write_volume(spacing / "denoised.zarr", pyramid(denoised, 10.0))
    write_volume(spacing / "wbp.zarr", pyramid(gradient, 10.0))
    write_volume(spacing / "wbp_sobel_features.zarr", [(10.0, sobel)])
    write_volume(spacing / "wbp_edge_features.zarr", [(10.0, np.abs(gradient))])
    write_volume(folder / "VoxelSpacing20.000" / "wbp.zarr", pyramid(gradient[::2, ::2, ::2], 20.0))


def write_other_run(folder: Path) -> None:
    """One of the other runs: something of each kind."""
    identity = np.eye(4).tolist()
    write_picks(folder / "Picks", folder.name, PICKS[1], [[100.0, 200.0, 300.0], [110.0, 90.0, 80.0]], [identity] * 2)
    data = np.zeros((EDGE,) * 3, dtype="float32")
    data[8:16, 8:16, 8:16] = 1
    write_volume(folder / "VoxelSpacing10.000" / "wbp.zarr", pyramid(data, 10.0))


def write_project(folder: Path, suite: Path) -> None:
    """Write the project, an empty overlay and their configurations into a folder.

    Args:
        folder: Where.
        suite: Folder of the suite's tests, for the tables of numbers that they compare with.
    """
    project = folder / "sample_project"
    runs = project / "ExperimentRuns"
    write_run(runs / RUNS[0], suite)
    for name in RUNS[1:]:
        write_other_run(runs / name)
    instances = np.zeros((EDGE,) * 3, dtype=np.uint16)
    instances[4:12, 4:12, 4:12], instances[20:28, 4:12, 4:12], instances[40:48, 4:12, 4:12] = 1, 2, 3
    labels = np.where(instances > 0, np.uint16(2), np.uint16(0))
    labels[:, 40:44] = 3  # a membrane, which has no instances
    labels[4:8, 20:24, 4:8] = 1
    ids = instances.copy()
    ids[4:8, 20:24, 4:8] = 1
    panoptic = np.stack([labels, ids])
    write_volume(runs / "TS_002" / "InstanceSegmentations" / "10.000_annotator_1_ribosome.zarr", [(10.0, instances)])
    write_volume(runs / "TS_002" / "PanopticSegmentations" / "10.000_annotator_1_cell.zarr", [(10.0, panoptic)])
    density = volume(MAP_SHAPE, (slice(10, 20),) * 3, 168.116912842, 1029.2904052734375, "float32")
    write_volume(project / "Objects" / "proteasome.zarr", [(10.0, density)])
    (folder / "sample_overlay" / "ExperimentRuns").mkdir(parents=True)
    config = {
        "config_type": "filesystem",
        "name": "test",
        "description": "A test project.",
        "version": "1.0.0",
        "pickable_objects": [*OBJECTS],
        "overlay_root": "local:///nowhere/sample_overlay",
        "overlay_fs_args": {"auto_mkdir": True},
    }
    (folder / "filesystem_overlay_only.json").write_text(json.dumps(config, indent=4))
    static = {"static_root": "local:///nowhere/sample_project", "static_fs_args": {"auto_mkdir": False}}
    (folder / "filesystem.json").write_text(json.dumps(config | static, indent=4))


def archive(folder: Path, cache: Path) -> str:
    """Pack a project as the suite expects it.

    Returns:
        What ``COPICK_TEST_DATA_DIGEST`` must be.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ARCHIVE).write_bytes(content.getvalue())
    return "md5:" + hashlib.md5(content.getvalue(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        write_project(Path(made), Path(sys.argv[1]))
        sys.stdout.write(f"{archive(Path(made), Path(sys.argv[2]))}\n")
