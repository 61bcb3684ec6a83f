"""Small deterministic content for checks, made without the product: keys, bytes and volumes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    KEY_CLASSES,
    ROOT,
    FeaturesKey,
    Key,
    Kind,
    ObjectKey,
    ParentKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    child_kinds,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.abc.store import Store

    from copick_core.layers import Layer

#: Run names that are legal and that careless code reads as patterns, paths, URLs, options or commands.
HOSTILE_RUNS = (
    "TS[1]",
    "TS*",
    "T?",
    "{a,b}",
    "run with spaces",
    " leading and trailing ",
    "100%",
    "%2F",
    "a#b",
    "a&b=c",
    "a+b",
    "a:b",
    "a;b|c",
    "$HOME",
    "~",
    "-rf",
    "'\"`",
    "a.zarr",
    "Picks",
    "ExperimentRuns",
    "VoxelSpacing10.000",
    "a_b_c",
    "trailing.",
    "Ünïcødé-Δ-名前",
    "🧊",
    "x" * 200,
)

#: Ids and names that sanitising leaves as they are.
HOSTILE_NAMES = (
    "0",
    "a.b",
    "a.json",
    "a.zarr",
    "10.000",
    "features",
    "wbp-features-denoised",
    "[ab]",
    "{a}",
    "100%",
    "a&b=c",
    "a#b",
    "a+b",
    "~",
    "$HOME",
    "'q'",
    "Δ-名",
    "x" * 60,
)

#: Names of files that other programs and people leave in a project: no entity of copick.
FOREIGN_FILES = (
    "ExperimentRuns/.DS_Store",
    "ExperimentRuns/notes.txt",
    "ExperimentRuns/TS_1/Picks/notes.json",
    "ExperimentRuns/TS_1/Picks/me_1_cyto_ribo.json",
    "ExperimentRuns/TS_1/Picks/.me_1_ribo.json",
    "ExperimentRuns/TS_1/Picks/me_1_ribo.json.bak",
    "ExperimentRuns/TS_1/Picks/me__ribo.json",
    "ExperimentRuns/TS_1/Meshes/readme.glb",
    "ExperimentRuns/TS_1/Filaments/notes.txt",
    "ExperimentRuns/TS_1/Filaments/me_1.json",
    "ExperimentRuns/TS_1/VoxelSpacing10.000_old/.meta",
    "ExperimentRuns/TS_1/VoxelSpacing10/.meta",
    "ExperimentRuns/TS_1/VoxelSpacing-1.000/.meta",
    "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr.tmp/.zgroup",
    "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.mrc",
    "ExperimentRuns/TS_1/Segmentations/10.000_me_1.zarr/.zgroup",
    "ExperimentRuns/TS_1/Segmentations/ten_me_1_ribo.zarr/.zgroup",
    "ExperimentRuns/TS_1/Segmentations/10.000_me_1_ribo.mrc",
    "ExperimentRuns/TS_1/InstanceSegmentations/10.00_me_1_ribo.zarr/.zgroup",
    "Objects/a_b.zarr/.zgroup",
    "Objects/ribo.mrc",
    "README.md",
)


def key(kind: Kind, run: str = "TS_1", name: str = "ribo") -> Key:
    """Give an example key of a kind.

    Args:
        kind: The kind.
        run: Run that it lies in.
        name: Its name: object, tomogram type, feature type or segmentation name.
    """
    if kind is Kind.RUN:
        return RunKey(run)
    if kind is Kind.VOXEL_SPACING:
        return VoxelSpacingKey(run, 10.0)
    if kind is Kind.TOMOGRAM:
        return TomogramKey(run, 10.0, name)
    if kind is Kind.FEATURES:
        return FeaturesKey(run, 10.0, "wbp", name)
    if kind in FILE_KINDS:
        return _file_key(kind, run, name, "me", "1")
    if kind is Kind.SEGMENTATION:
        return SegmentationKey(run, 10.0, name, "me", "1")
    return ObjectKey(name)


def _file_key(kind: Kind, *fields: str) -> Key:
    key_cls: Any = KEY_CLASSES[kind]
    return cast("Key", key_cls(*fields))


def siblings(kind: Kind) -> list[Key]:
    """Give keys of one kind and parent that careless code takes for each other."""
    if kind is Kind.RUN:
        return [RunKey(n) for n in ("TS_1", "TS_10", "TS_1.zarr", "TS")]
    if kind is Kind.VOXEL_SPACING:
        return [VoxelSpacingKey("TS_1", s) for s in (10.0, 1.0, 100.0, 10.012, 0.001)]
    if kind is Kind.TOMOGRAM:
        return [TomogramKey("TS_1", 10.0, t) for t in ("wbp", "wbp-denoised", "wb", "features")]
    if kind is Kind.FEATURES:
        return [FeaturesKey("TS_1", 10.0, "wbp", t) for t in ("sobel", "sobel-2", "features", "s")]
    if kind in FILE_KINDS:
        ids = [("ribo", "me", "1"), ("ribo", "me", "10"), ("ribo", "1", "me"), ("ribo-2", "me", "1"), ("me", "ribo", "0")]
        return [_file_key(kind, "TS_1", *i) for i in ids]
    if kind is Kind.SEGMENTATION:
        return [
            SegmentationKey("TS_1", 10.0, "ribo", "me", "1", "binary"),
            SegmentationKey("TS_1", 10.0, "ribo", "me", "1", "multilabel"),
            SegmentationKey("TS_1", 10.0, "ribo", "me", "1", "instance"),
            SegmentationKey("TS_1", 10.0, "ribo", "me", "1", "panoptic"),
            SegmentationKey("TS_1", 20.0, "ribo", "me", "1", "binary"),
            SegmentationKey("TS_1", 10.0, "ribo-2", "me", "1", "binary"),
        ]
    return [ObjectKey(n) for n in ("ribo", "ribo-2", "rib", "Objects")]


def parents(kind: Kind, run: str = "TS_1") -> ParentKey:
    """Give the parent of :func:`key`."""
    return key(kind, run).parent


def children(of: Key) -> list[Key]:
    """Give one key of each kind below an example container or tomogram."""
    if isinstance(of, RunKey):
        return [key(k, of.name) for k in Kind if k not in (Kind.RUN, Kind.OBJECT)]
    if isinstance(of, VoxelSpacingKey):
        tomogram = TomogramKey(of.run, of.voxel_size, "wbp")
        return [tomogram, FeaturesKey(of.run, of.voxel_size, "wbp", "sobel")]
    if isinstance(of, TomogramKey):
        return [FeaturesKey(of.run, of.voxel_size, of.tomo_type, "sobel")]
    return []


#: A parent of each kind that no storage holds.
UNKNOWN_PARENTS: dict[Kind, ParentKey] = {
    **dict.fromkeys(child_kinds(None), ROOT),
    **dict.fromkeys(child_kinds(Kind.RUN), RunKey("nowhere")),
    Kind.TOMOGRAM: VoxelSpacingKey("nowhere", 7.0),
    Kind.FEATURES: TomogramKey("nowhere", 7.0, "wbp"),
}


def picks_json(seed: int = 0, run: str = "TS_1", points: int = 2) -> bytes:
    """Make a picks file, as copick 1.x writes it."""
    identity = [[float(i == j) for j in range(4)] for i in range(4)]
    rows = [
        {
            "location": {"x": float(seed), "y": float(n), "z": 0.5},
            "transformation_": identity,
            "instance_id": n,
            "score": 1.0,
        }
        for n in range(points)
    ]
    content = {
        "pickable_object_name": "ribo",
        "user_id": "me",
        "session_id": "1",
        "run_name": run,
        "voxel_spacing": 10.0,
        "unit": "angstrom",
        "points": rows,
        "trust_orientation": True,
    }
    return json.dumps(content, indent=4).encode()


def mesh_glb(seed: int = 0) -> bytes:
    """Make a GLB file (glTF 2.0, binary) that holds one triangle."""
    vertices = np.array([[0, 0, 0], [1 + seed, 0, 0], [0, 1, 0]], "<f4")
    data = vertices.tobytes() + np.array([0, 1, 2, 0], "<u2").tobytes()
    gltf = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [float(1 + seed), 1, 0],
            },
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def filaments_json(seed: int = 0, run: str = "TS_1") -> bytes:
    """Make a filaments file, as copick 1.28 and later write it."""
    filament = {
        "instance_id": 1,
        "points": [[float(seed), 0.0, 0.5], [float(seed), 40.0, 0.5]],
        "polarity_known": False,
        "score": 1.0,
        "radius": 125.0,
        "metadata": {},
        "curve": None,
    }
    content = {
        "pickable_object_name": "ribo",
        "user_id": "me",
        "session_id": "1",
        "run_name": run,
        "voxel_spacing": 10.0,
        "unit": "angstrom",
        "version": 1,
        "filaments": [filament],
    }
    return json.dumps(content, indent=4).encode()


#: What makes the content of a file of each kind.
_FILES: dict[Kind, Callable[[int], bytes]] = {
    Kind.PICKS: picks_json,
    Kind.MESH: mesh_glb,
    Kind.FILAMENTS: filaments_json,
}


def file_bytes(kind: Kind, seed: int = 0) -> bytes:
    """Make the content of a file of a kind."""
    return _FILES[kind](seed)


def volume(seed: int = 0, shape: tuple[int, ...] = (4, 4, 4)) -> NDArray[np.float32]:
    """Make a small volume, (z, y, x); no voxel is 0, so that a missing chunk shows."""
    return (np.arange(np.prod(shape), dtype=np.float32) + 1 + 1000 * seed).reshape(shape)


def format_of(store: Store) -> Literal[2, 3]:
    """The zarr format to write into a store: 3 where its ``zarr_formats`` says that it takes nothing else."""
    inner: Any = store
    while hasattr(inner, "_store") and not hasattr(inner, "zarr_formats"):  # zarr's WrapperStore
        inner = inner._store
    return 3 if getattr(inner, "zarr_formats", (2, 3)) == (3,) else 2


def write_volume(store: Store, data: NDArray[np.float32], zarr_format: Literal[2, 3] | None = None, name: str = "0") -> None:
    """Write an array into a store with plain zarr: a group that holds it as its first level."""
    import zarr

    zarr_format = zarr_format or format_of(store)

    group = zarr.open_group(store, mode="a", zarr_format=zarr_format)
    group.create_array(name, data=data, chunks=(2,) * data.ndim, compressors=None, overwrite=True)


def read_volume(store: Store, name: str = "0") -> NDArray[np.float32]:
    """Read an array from a store with plain zarr."""
    import zarr

    return np.asarray(zarr.open_array(store, path=name, mode="r")[...])


def fill(layer: Layer, of: Key, seed: int = 0) -> None:
    """Store an entity with deterministic content."""
    if of.kind in CONTAINER_KINDS:
        layer.ensure(of)
    elif of.kind in FILE_KINDS:
        layer.write(of, file_bytes(of.kind, seed))
    else:
        with layer.replace_zarr(of) as store:
            write_volume(store, volume(seed))


def holds(layer: Layer, of: Key, seed: int = 0) -> bool:
    """Whether an entity is stored with the content of :func:`fill`."""
    if not layer.exists(of):
        return False
    if of.kind in CONTAINER_KINDS:
        return True
    if of.kind in FILE_KINDS:
        return layer.read(of) == file_bytes(of.kind, seed)
    return np.array_equal(read_volume(layer.zarr(of)), volume(seed))
