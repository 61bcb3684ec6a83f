"""The on-disk layout: the only place that knows a file name.

``path(key)`` says where an entity lies below a project's root; ``parse(kind, parent, name)`` reads a listed name back, or
gives ``None`` for a foreign file. The two are exact inverses: a name that ``path`` would not write is foreign, so a listing
never shows an entity that cannot be opened and never a truncated name. The layout is that of copick 1.x::

    ExperimentRuns/{run}/.meta
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/.meta
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/{tomo_type}.zarr
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/{tomo_type}_{feature_type}_features.zarr
    ExperimentRuns/{run}/Picks/{user}_{session}_{object}.json
    ExperimentRuns/{run}/Meshes/{user}_{session}_{object}.glb
    ExperimentRuns/{run}/Segmentations/{size:.3f}_{user}_{session}_{name}[-multilabel].zarr
    ExperimentRuns/{run}/InstanceSegmentations/{size:.3f}_{user}_{session}_{name}.zarr
    ExperimentRuns/{run}/PanopticSegmentations/{size:.3f}_{user}_{session}_{name}.zarr
    Objects/{object}.zarr
"""

from __future__ import annotations

import re

from copick_core.errors import InvalidNameError
from copick_core.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    ROOT,
    FeaturesKey,
    Key,
    Kind,
    MeshKey,
    ObjectKey,
    ParentKey,
    PicksKey,
    RootKey,
    RunKey,
    SegmentationKey,
    SegmentationType,
    TomogramKey,
    VoxelSpacingKey,
)
from copick_core.names import MAX_NAME_BYTES, is_run_name

#: File that marks the folder of a run or voxel spacing, and its content.
MARKER = ".meta"
MARKER_CONTENT = b"meta"

RUNS_FOLDER = "ExperimentRuns"
OBJECTS_FOLDER = "Objects"
#: Folders of a run, by segmentation type.
SEGMENTATION_FOLDERS: dict[SegmentationType, str] = {
    "binary": "Segmentations",
    "multilabel": "Segmentations",
    "instance": "InstanceSegmentations",
    "panoptic": "PanopticSegmentations",
}
_MULTILABEL = "-multilabel"
_SPACING_NAME = re.compile(r"VoxelSpacing(\d+\.\d{3})")
_SIZE = re.compile(r"\d+\.\d{3}")


def folders(kind: Kind, parent: ParentKey) -> list[str]:
    """Folders that hold the entities of a kind below a parent, relative to the project's root."""
    if isinstance(parent, RootKey):
        return [RUNS_FOLDER if kind is Kind.RUN else OBJECTS_FOLDER]
    if kind is Kind.FEATURES:
        return [path(parent.parent)] if isinstance(parent, TomogramKey) else []
    here = path(parent)
    if kind in (Kind.VOXEL_SPACING, Kind.TOMOGRAM):
        return [here]
    if kind is Kind.PICKS:
        return [f"{here}/Picks"]
    if kind is Kind.MESH:
        return [f"{here}/Meshes"]
    return [f"{here}/{name}" for name in dict.fromkeys(SEGMENTATION_FOLDERS.values())]


def is_folder(kind: Kind) -> bool:
    """Whether entities of a kind are folders (containers and volumes) or files."""
    return kind not in FILE_KINDS


def marker(key: Key) -> str | None:
    """Path of the file that marks a container, or None for other kinds."""
    return f"{path(key)}/{MARKER}" if key.kind in CONTAINER_KINDS else None


def path(key: Key) -> str:
    """Path of an entity below the project's root, "/"-joined.

    Raises:
        InvalidNameError: The file name would be longer than file systems allow, or ambiguous.
    """
    if isinstance(key, RunKey):
        return f"{RUNS_FOLDER}/{key.name}"
    name = file_name(key)
    if isinstance(key, ObjectKey):
        return f"{OBJECTS_FOLDER}/{name}"
    run = f"{RUNS_FOLDER}/{key.run}"
    if isinstance(key, VoxelSpacingKey):
        return f"{run}/{name}"
    if isinstance(key, TomogramKey | FeaturesKey):
        return f"{run}/VoxelSpacing{key.voxel_size:.3f}/{name}"
    if isinstance(key, PicksKey):
        return f"{run}/Picks/{name}"
    if isinstance(key, MeshKey):
        return f"{run}/Meshes/{name}"
    return f"{run}/{SEGMENTATION_FOLDERS[key.segmentation_type]}/{name}"


def file_name(key: Key) -> str:
    """Name of the file or folder that holds an entity.

    Raises:
        InvalidNameError: As for :func:`path`.
    """
    name = _file_name(key)
    if len(name) * 4 > MAX_NAME_BYTES and len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidNameError(
            what="file name",
            name=name,
            reason=f"it takes more than {MAX_NAME_BYTES} bytes; use shorter names",
        )
    return name


def _file_name(key: Key) -> str:
    if isinstance(key, RunKey):
        return key.name
    if isinstance(key, VoxelSpacingKey):
        return f"VoxelSpacing{key.voxel_size:.3f}"
    if isinstance(key, TomogramKey):
        return f"{_tomogram_stem(key)}.zarr"
    if isinstance(key, FeaturesKey):
        return f"{_tomogram_stem(key)}_{key.feature_type}_features.zarr"
    if isinstance(key, PicksKey):
        return f"{key.user_id}_{key.session_id}_{key.object_name}.json"
    if isinstance(key, MeshKey):
        return f"{key.user_id}_{key.session_id}_{key.object_name}.glb"
    if isinstance(key, ObjectKey):
        return f"{key.name}.zarr"
    multilabel = key.segmentation_type == "multilabel"
    if key.segmentation_type == "binary" and key.name.endswith(_MULTILABEL):
        raise InvalidNameError(
            what="segmentation name",
            name=key.name,
            reason=f"a binary segmentation whose name ends in {_MULTILABEL!r} would be read as multilabel",
        )
    return f"{key.voxel_size:.3f}_{key.user_id}_{key.session_id}_{key.name}{_MULTILABEL if multilabel else ''}.zarr"


def _tomogram_stem(key: TomogramKey | FeaturesKey) -> str:
    """File stem of a tomogram; a variant keeps its own files, so that features of one never show up on its twin."""
    return f"{key.tomo_type}-{key.variant}" if key.variant else key.tomo_type


def parse(kind: Kind, parent: ParentKey, name: str, folder: str = "") -> Key | None:
    """Read the name of a file or folder back into a key.

    Args:
        kind: Kind of entity that was listed.
        parent: Key whose children were listed.
        name: The listed name.
        folder: Name of the listed folder; needed for segmentations, whose type it tells.

    Returns:
        The key, or None where the name is not one that :func:`path` writes.
    """
    if name.startswith("."):
        return None
    if kind is Kind.RUN:
        return RunKey(name) if is_run_name(name) else None
    if kind is Kind.OBJECT:
        stem = _stem(name, ".zarr")
        return ObjectKey(stem) if stem and "_" not in stem else None
    if isinstance(parent, RunKey):
        return _parse_in_run(kind, parent.name, name, folder)
    if isinstance(parent, VoxelSpacingKey):
        stem = _stem(name, ".zarr")
        return TomogramKey(parent.run, parent.voxel_size, stem) if stem and "_" not in stem else None
    if isinstance(parent, TomogramKey):
        parts = _stem(name, ".zarr").split("_")
        if len(parts) != 3 or parts[0] != _tomogram_stem(parent) or parts[2] != "features" or not parts[1]:
            return None
        return FeaturesKey(parent.run, parent.voxel_size, parent.tomo_type, parts[1], parent.variant)
    return None


def _parse_in_run(kind: Kind, run: str, name: str, folder: str) -> Key | None:
    if kind is Kind.VOXEL_SPACING:
        match = _SPACING_NAME.fullmatch(name)
        key = VoxelSpacingKey(run, float(match[1])) if match else None
        return key if key and key.voxel_size > 0 and _file_name(key) == name else None
    if kind is Kind.PICKS or kind is Kind.MESH:
        parts = _stem(name, ".json" if kind is Kind.PICKS else ".glb").split("_")
        if len(parts) != 3 or not all(parts):
            return None
        return (PicksKey if kind is Kind.PICKS else MeshKey)(run, parts[2], parts[0], parts[1])
    parts = _stem(name, ".zarr").split("_")
    if len(parts) != 4 or not all(parts) or not _SIZE.fullmatch(parts[0]):
        return None
    size, user_id, session_id, label = float(parts[0]), parts[1], parts[2], parts[3]
    if size <= 0 or f"{size:.3f}" != parts[0]:
        return None
    if folder == SEGMENTATION_FOLDERS["instance"]:
        return SegmentationKey(run, size, label, user_id, session_id, "instance")
    if folder == SEGMENTATION_FOLDERS["panoptic"]:
        return SegmentationKey(run, size, label, user_id, session_id, "panoptic")
    if label.endswith(_MULTILABEL):
        label = label[: -len(_MULTILABEL)]
        return SegmentationKey(run, size, label, user_id, session_id, "multilabel") if label else None
    return SegmentationKey(run, size, label, user_id, session_id, "binary")


def _stem(name: str, suffix: str) -> str:
    """The name without its suffix, or nothing where it has another one."""
    return name[: -len(suffix)] if name.endswith(suffix) else ""


__all__ = ["MARKER", "MARKER_CONTENT", "ROOT", "file_name", "folders", "is_folder", "marker", "parse", "path"]
