"""The on-disk layout: the only place that knows a file name.

``path(key)`` says where an entity lies below a project's root; ``parse_all(kind, parent, names)`` reads the names of a listed
folder back, without those of foreign files, and ``parse`` reads one. ``path`` of what was read is the file that was read, so a
listing never shows an entity that cannot be opened and never a truncated name; any other name is foreign. New names have no
underscores; tomograms of copick before 2025 do (``denoised_isonet.zarr``), and are read under the names that they have. Old
names of objects (``alice_1_outer_membrane.json``) are read by :func:`parse_old`, which has to know the project's objects.
The layout is that of copick 1.x::

    ExperimentRuns/{run}/.meta
    ExperimentRuns/{run}/.{record}.json
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/.meta
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/{tomo_type}.zarr
    ExperimentRuns/{run}/VoxelSpacing{size:.3f}/{tomo_type}_{feature_type}_features.zarr
    ExperimentRuns/{run}/Picks/{user}_{session}_{object}.json
    ExperimentRuns/{run}/Meshes/{user}_{session}_{object}.glb
    ExperimentRuns/{run}/Filaments/{user}_{session}_{object}.json
    ExperimentRuns/{run}/Segmentations/{size:.3f}_{user}_{session}_{name}[-multilabel].zarr
    ExperimentRuns/{run}/InstanceSegmentations/{size:.3f}_{user}_{session}_{name}.zarr
    ExperimentRuns/{run}/PanopticSegmentations/{size:.3f}_{user}_{session}_{name}.zarr
    Objects/{object}.zarr
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

from copick_core.errors import InvalidNameError
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    KEY_CLASSES,
    ROOT,
    FeaturesKey,
    FileKey,
    Key,
    Kind,
    ObjectKey,
    ParentKey,
    RootKey,
    RunKey,
    SegmentationKey,
    SegmentationType,
    TomogramKey,
    VoxelSpacingKey,
)
from copick_core.tree.names import MAX_NAME_BYTES, has_control_characters, is_run_name

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
#: Folder of a run, and suffix, of the kinds that are one file each: ``{user}_{session}_{object}{suffix}``.
_FILES_IN_RUN: dict[Kind, tuple[str, str]] = {
    Kind.PICKS: ("Picks", ".json"),
    Kind.MESH: ("Meshes", ".glb"),
    Kind.FILAMENTS: ("Filaments", ".json"),
}
#: Folders that hold entities of a kind.
_FOLDERS_IN_PROJECT = {Kind.RUN: (RUNS_FOLDER,), Kind.OBJECT: (OBJECTS_FOLDER,)}
_FOLDERS_IN_RUN = {
    Kind.VOXEL_SPACING: ("",),
    **{kind: (f"/{folder}",) for kind, (folder, _) in _FILES_IN_RUN.items()},
    Kind.SEGMENTATION: tuple(f"/{name}" for name in dict.fromkeys(SEGMENTATION_FOLDERS.values())),
}
#: Classes of the parents of what lies in a voxel spacing's folder.
_PARENTS_AT_SPACING: dict[Kind, type[VoxelSpacingKey | TomogramKey]] = {
    Kind.TOMOGRAM: VoxelSpacingKey,
    Kind.FEATURES: TomogramKey,
}
#: Types of the folders that hold one type only.
_PLAIN_TYPES: dict[str, SegmentationType] = {
    SEGMENTATION_FOLDERS["instance"]: "instance",
    SEGMENTATION_FOLDERS["panoptic"]: "panoptic",
}
_MULTILABEL = "-multilabel"
_FEATURES = "_features.zarr"
_SPACING = "VoxelSpacing"
_SIZE = re.compile(r"\d+\.\d{3}")
#: How many names are remembered with what they say.
_KEPT_NAMES = 4096


def folders(kind: Kind, parent: ParentKey) -> Sequence[str]:
    """Folders that hold the entities of a kind below a parent, relative to the project's root."""
    if isinstance(parent, RunKey):
        here, names = f"{RUNS_FOLDER}/{parent.name}", _FOLDERS_IN_RUN.get(kind, ())
        return (here + names[0],) if len(names) == 1 else [here + name for name in names]
    if isinstance(parent, RootKey):
        return _FOLDERS_IN_PROJECT.get(kind, ())
    if isinstance(parent, _PARENTS_AT_SPACING.get(kind, ())):
        return (f"{RUNS_FOLDER}/{parent.run}/{_spacing_folder(parent.voxel_size)}",)
    return ()


def is_folder(kind: Kind) -> bool:
    """Whether entities of a kind are folders (containers and volumes) or files."""
    return kind not in FILE_KINDS


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden: markers and what is being staged, never an entity."""
    return name.startswith(".")


def record(run: RunKey, name: str) -> str:
    """Path of a record of a run: a small file that is not an entity, hidden from every listing, that of copick 1.x too."""
    return f"{path(run)}/.{name}.json"


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
        return f"{run}/{_spacing_folder(key.voxel_size)}/{name}"
    if isinstance(key, FileKey):
        return f"{run}/{_FILES_IN_RUN[key.kind][0]}/{name}"
    return f"{run}/{SEGMENTATION_FOLDERS[key.segmentation_type]}/{name}"


def file_name(key: Key) -> str:
    """Name of the file or folder that holds an entity.

    Raises:
        InvalidNameError: As for :func:`path`.
    """
    name = _file_name(key)
    if len(name) * 4 > MAX_NAME_BYTES and len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
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
        return _spacing_folder(key.voxel_size)
    if isinstance(key, TomogramKey):
        return f"{_tomogram_stem(key)}.zarr"
    if isinstance(key, FeaturesKey):
        return f"{_tomogram_stem(key)}_{key.feature_type}_features.zarr"
    if isinstance(key, FileKey):
        return f"{key.user_id}_{key.session_id}_{key.object_name}{_FILES_IN_RUN[key.kind][1]}"
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


@lru_cache(_KEPT_NAMES)
def _spacing_folder(voxel_size: float) -> str:
    return f"{_SPACING}{voxel_size:.3f}"


def _tomogram_stem(key: TomogramKey | FeaturesKey) -> str:
    """File stem of a tomogram; a variant keeps its own files, so that features of one never show up on its twin."""
    return f"{key.tomo_type}-{key.variant}" if key.variant else key.tomo_type


def parse(kind: Kind, parent: ParentKey, name: str, folder: str = "") -> Key | None:
    """Read the name of one file or folder back into a key, or give None; see :func:`parse_all`."""
    return next(iter(parse_all(kind, parent, {name: is_folder(kind)}, folder)), None)


def is_of_another_kind(kind: Kind, name: str) -> bool:
    """Whether a name is that of something else which lies beside the entities of a kind, and is none of them."""
    if kind is Kind.VOXEL_SPACING:
        return any(f"/{name}" in folders for folders in _FOLDERS_IN_RUN.values())
    return kind is Kind.FEATURES or (kind is Kind.TOMOGRAM and name.endswith(_FEATURES))


#: Kinds whose names have parts that an underscore separates: what a name ends in, and how many parts it has.
WITH_PARTS = {
    **{kind: (suffix, 3) for kind, (_, suffix) in _FILES_IN_RUN.items()},
    Kind.SEGMENTATION: (".zarr", 4),
    Kind.OBJECT: (".zarr", 1),
}


def is_doubtful(kind: Kind, name: str) -> bool:
    """Whether a name is one of a kind but for underscores in its parts: nobody knows where one part ends."""
    if is_hidden(name):
        return False
    if kind not in WITH_PARTS:
        return False
    suffix, parts = WITH_PARTS[kind]
    found = name.removesuffix(suffix).split("_")
    return name.endswith(suffix) and len(found) > parts and all(found)


def parse_old(kind: Kind, parent: ParentKey, name: str, folder: str, objects: Collection[str]) -> Key | None:
    """Read a name with underscores in that of its object, as old projects have, where it can only mean one thing.

    Args:
        kind: Kind of entity.
        parent: Its parent.
        name: The name.
        folder: The folder that holds it.
        objects: Names of the project's objects.

    Returns:
        The key under the object's name in the project; None for a name without doubt, and where none or more than one of the
        ways to split the name has an object of the project. :func:`path` of the key is another path.
    """
    if not is_doubtful(kind, name):
        return None
    suffix, parts = WITH_PARTS[kind]
    first, found = parts - 1, name.removesuffix(suffix).split("_")

    def is_object(name: str) -> bool:
        return name in objects or name.removesuffix(_MULTILABEL) in objects

    # A shorter object leaves more parts for user and session than there is one way to split.
    if [at for at in range(first, len(found)) if is_object("-".join(found[at:]))] != [first]:
        return None
    return parse(kind, parent, "_".join([*found[:first], "-".join(found[first:])]) + suffix, folder)


def old_path(key: Key) -> str | None:
    """Path that an entity most likely has in an old project: with underscores in the name of its object.

    Returns:
        None for other kinds, and for names of one part.
    """
    old: Key
    if isinstance(key, ObjectKey | SegmentationKey):
        old = key._replace(name=key.name.replace("-", "_"))
    elif isinstance(key, FileKey):
        old = key._replace(object_name=key.object_name.replace("-", "_"))
    else:
        return None
    return None if old == key else path(old)


def is_listable(key: Key) -> bool:
    """Whether a listing would show an entity under this key: :func:`parse` reads what :func:`path` writes."""
    try:
        folder, _, name = path(key).rpartition("/")
    except InvalidNameError:
        return False
    return not has_control_characters(name) and parse(key.kind, key.parent, name, folder) == key


def parse_all(kind: Kind, parent: ParentKey, listing: Mapping[str, bool], folder: str = "") -> list[Key]:
    """Read what was listed in one folder back into keys.

    Args:
        kind: Kind of entity that was listed.
        parent: Key whose children were listed.
        listing: The listed names, and whether each is a folder.
        folder: The listed folder; needed for segmentations, whose type it tells.

    Returns:
        Keys in the order of their names, without the names that :func:`path` does not write.
    """
    parent_cls, parser = _PARSERS[kind]
    return parser(parent, listing.items(), folder) if isinstance(parent, parent_cls) else []


#: Names, and whether each is a folder.
_Names = Iterable[tuple[str, bool]]


def _parse_runs(parent: ParentKey, names: _Names, folder: str) -> list[Key]:
    return [RunKey(name) for name, is_folder in names if is_folder and is_run_name(name)]


def _parse_objects(parent: ParentKey, names: _Names, folder: str) -> list[Key]:
    return [ObjectKey(stem) for name, is_folder in names if is_folder and (stem := _volume(name))]


def _parse_spacings(run: RunKey, names: _Names, folder: str) -> list[Key]:
    return [VoxelSpacingKey(run.name, size) for name, is_folder in names if is_folder and (size := _spacing(name))]


def _parse_tomograms(spacing: VoxelSpacingKey, names: _Names, folder: str) -> list[Key]:
    run, size, _ = spacing
    return [
        _new(TomogramKey, (run, size, stem, "", _TOMOGRAM))
        for name, is_folder in names
        if is_folder and (stem := _tomogram(name))
    ]


def _parse_features(tomogram: TomogramKey, names: _Names, folder: str) -> list[Key]:
    found = [fields for name, is_folder in names if is_folder and (fields := _features(name))]
    if not found:
        return []
    run, size, tomo_type, variant, _ = tomogram
    stem = _tomogram_stem(tomogram)
    first, rest = (run, size, tomo_type), (variant, _FEATURES_OF_TOMOGRAM)
    return [_new(FeaturesKey, (*first, feature_type, *rest)) for owner, feature_type in found if owner == stem]


def _parser_of_files(kind: Kind) -> Callable[[RunKey, _Names, str], list[Key]]:
    """What reads the names of a kind that is one file of a run."""
    key_cls: Any = KEY_CLASSES[kind]
    suffix = _FILES_IN_RUN[kind][1]

    @lru_cache(_KEPT_NAMES)
    def fields_of(name: str) -> tuple[str, str, str, Kind] | None:
        parts = name.removesuffix(suffix).split("_")
        if len(parts) != 3 or not all(parts) or not name.endswith(suffix) or is_hidden(name):
            return None
        user_id, session_id, object_name = map(intern, parts)
        return object_name, user_id, session_id, kind

    def parse(run: RunKey, names: _Names, folder: str) -> list[Key]:
        first = (run.name,)
        return [_new(key_cls, first + fields) for name, is_folder in names if not is_folder and (fields := fields_of(name))]

    return parse


def _parse_segmentations(run: RunKey, names: _Names, folder: str) -> list[Key]:
    first = (run.name,)
    plain = _PLAIN_TYPES.get(folder.rpartition("/")[2])
    return [
        _new(SegmentationKey, first + fields)
        for name, is_folder in names
        if is_folder and (fields := _segmentation(name, plain))
    ]


#: Makes a key of all its fields; a NamedTuple's own constructor is a Python function that does no more.
_new = tuple.__new__
_TOMOGRAM, _FEATURES_OF_TOMOGRAM = Kind.TOMOGRAM, Kind.FEATURES

# What single names say. Names repeat from run to run, so what they say is kept; that also keeps each text once.


@lru_cache(_KEPT_NAMES)
def _volume(name: str) -> str | None:
    """Stem of a volume whose stem is one name: an object."""
    return intern(name[:-5]) if name.endswith(".zarr") and "_" not in name and not is_hidden(name) else None


@lru_cache(_KEPT_NAMES)
def _tomogram(name: str) -> str | None:
    """Type of a tomogram, with underscores where it is an old one; what lies beside it has a suffix of its own."""
    return intern(name[:-5]) if name.endswith(".zarr") and not name.endswith(_FEATURES) and not is_hidden(name) else None


@lru_cache(_KEPT_NAMES)
def _features(name: str) -> tuple[str, str] | None:
    """Stem of the tomogram, and type of the features."""
    stem, _, feature_type = name.removesuffix(_FEATURES).rpartition("_")
    known = name.endswith(_FEATURES) and stem and feature_type and not is_hidden(name)
    return (stem, intern(feature_type)) if known else None


@lru_cache(_KEPT_NAMES)
def _spacing(name: str) -> float | None:
    """Voxel size of a spacing."""
    return _size(name.removeprefix(_SPACING)) if name.startswith(_SPACING) else None


@lru_cache(_KEPT_NAMES)
def _segmentation(name: str, plain: SegmentationType | None) -> tuple[float, str, str, str, SegmentationType, Kind] | None:
    """Voxel size, name, user, session and type of a segmentation in a folder that holds one type only, or (None) two."""
    parts = name.removesuffix(".zarr").split("_")
    if len(parts) != 4 or not name.endswith(".zarr"):
        return None
    segmentation_type = plain or "binary"
    if plain is None and parts[3].endswith(_MULTILABEL):
        segmentation_type, parts[3] = "multilabel", parts[3].removesuffix(_MULTILABEL)
    size = _size(parts[0])
    if size is None or not all(parts):
        return None
    user_id, session_id, label = map(intern, parts[1:])
    return size, label, user_id, session_id, segmentation_type, Kind.SEGMENTATION


@lru_cache(_KEPT_NAMES)
def _size(text: str) -> float | None:
    """The voxel size that a text of exactly three decimals says; None for any other text, and for zero."""
    if not _SIZE.fullmatch(text):
        return None
    size = float(text)
    return size if size > 0 and f"{size:.3f}" == text else None


#: Class of the parent, and what reads the names below it, for each kind.
_PARSERS: dict[Kind, tuple[type[ParentKey], Callable[[Any, _Names, str], list[Key]]]] = {
    Kind.RUN: (RootKey, _parse_runs),
    Kind.OBJECT: (RootKey, _parse_objects),
    Kind.VOXEL_SPACING: (RunKey, _parse_spacings),
    **{kind: (RunKey, _parser_of_files(kind)) for kind in _FILES_IN_RUN},
    Kind.SEGMENTATION: (RunKey, _parse_segmentations),
    Kind.TOMOGRAM: (VoxelSpacingKey, _parse_tomograms),
    Kind.FEATURES: (TomogramKey, _parse_features),
}


__all__ = [
    "MARKER",
    "MARKER_CONTENT",
    "ROOT",
    "WITH_PARTS",
    "file_name",
    "folders",
    "is_doubtful",
    "is_folder",
    "is_listable",
    "marker",
    "old_path",
    "parse",
    "parse_all",
    "parse_old",
    "path",
]
