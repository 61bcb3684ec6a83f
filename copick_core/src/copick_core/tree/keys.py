"""Keys: the typed, frozen, hashable addresses of entities.

A key says which entity is meant, and nothing about where it is stored: layers translate keys to their own places. Every
key knows the key of its parent. Voxel sizes in keys are rounded to three decimals (:func:`voxel_size_key`), which is what
the on-disk layout keeps; two sizes with one rounded value are one spacing.

Keys are tuples: a project has a hundred thousand of them, and Python makes, hashes and compares nothing faster. Their last
item is the kind, so that picks and a mesh of the same names are two keys. As tuples they unpack where one is expected:
``"%s" % (key,)``, not ``"%s" % key``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import Any, Literal, NamedTuple, SupportsFloat

from copick_core.errors import InvalidDataError

SegmentationType = Literal["binary", "multilabel", "instance", "panoptic"]

#: Decimals of a voxel size that identify a spacing: what ``VoxelSpacing10.000`` can hold.
VOXEL_SIZE_DECIMALS = 3


class Kind(Enum):
    """The kinds of entities below the root.

    What is done once for each entity or listing has the member that it needs in a global of its file: Python 3.11 takes
    0.2 µs to look up ``Kind.RUN``.
    """

    RUN = "run"
    VOXEL_SPACING = "voxel spacing"
    TOMOGRAM = "tomogram"
    FEATURES = "features"
    PICKS = "picks"
    MESH = "mesh"
    FILAMENTS = "filaments"
    SEGMENTATION = "segmentation"
    OBJECT = "object"

    # Members are singletons; Enum's own hash is that of the name, computed in Python at every look-up.
    __hash__ = object.__hash__


def voxel_size_key(value: SupportsFloat) -> float:
    """Round a voxel size to the decimals that identify a spacing.

    Args:
        value: Voxel size in angstrom; an int, a float or a NumPy scalar.

    Raises:
        InvalidDataError: The size is not a finite number above 0 (as rounded).
    """
    try:
        size = round(float(value), VOXEL_SIZE_DECIMALS)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidDataError(source="voxel size", reason=f"{value!r} is not a number of angstroms") from error
    if not math.isfinite(size) or size <= 0:
        raise InvalidDataError(source="voxel size", reason=f"{value!r} must be finite and at least 0.001 angstrom")
    return size


@dataclass(frozen=True, slots=True)
class RootKey:
    """The project itself: the parent of runs and objects."""

    def __str__(self) -> str:
        return "the project"


ROOT = RootKey()


class RunKey(NamedTuple):
    """Address of a run."""

    name: str
    kind: Literal[Kind.RUN] = Kind.RUN

    @property
    def parent(self) -> RootKey:
        """Key of the project."""
        return ROOT

    def __str__(self) -> str:
        return f"run {self.name!r}"


class VoxelSpacingKey(NamedTuple):
    """Address of a voxel spacing; ``voxel_size`` in angstrom, as :func:`voxel_size_key` rounds it."""

    run: str
    voxel_size: float
    kind: Literal[Kind.VOXEL_SPACING] = Kind.VOXEL_SPACING

    @property
    def parent(self) -> RunKey:
        """Key of the run."""
        return RunKey(self.run)

    def __str__(self) -> str:
        return f"voxel spacing {self.voxel_size:.3f} of run {self.run!r}"


class TomogramKey(NamedTuple):
    """Address of a tomogram.

    ``variant`` tells apart tomograms that share a type in one place, such as two depositions on the CryoET Data Portal;
    it is empty wherever the type alone identifies a tomogram.
    """

    run: str
    voxel_size: float
    tomo_type: str
    variant: str = ""
    kind: Literal[Kind.TOMOGRAM] = Kind.TOMOGRAM

    @property
    def parent(self) -> VoxelSpacingKey:
        """Key of the voxel spacing."""
        return VoxelSpacingKey(self.run, self.voxel_size)

    def __str__(self) -> str:
        variant = f" ({self.variant})" if self.variant else ""
        return f"tomogram {self.tomo_type!r}{variant} at {self.voxel_size:.3f} of run {self.run!r}"


class FeaturesKey(NamedTuple):
    """Address of a feature map; the first four fields are those of its tomogram."""

    run: str
    voxel_size: float
    tomo_type: str
    feature_type: str
    variant: str = ""
    kind: Literal[Kind.FEATURES] = Kind.FEATURES

    @property
    def parent(self) -> TomogramKey:
        """Key of the tomogram."""
        return TomogramKey(self.run, self.voxel_size, self.tomo_type, self.variant)

    def __str__(self) -> str:
        return f"features {self.feature_type!r} of {self.parent}"


class PicksKey(NamedTuple):
    """Address of picks."""

    run: str
    object_name: str
    user_id: str
    session_id: str
    kind: Literal[Kind.PICKS] = Kind.PICKS

    @property
    def parent(self) -> RunKey:
        """Key of the run."""
        return RunKey(self.run)

    def __str__(self) -> str:
        return f"picks {self.object_name!r} of {self.user_id}/{self.session_id} in run {self.run!r}"


class MeshKey(NamedTuple):
    """Address of a mesh."""

    run: str
    object_name: str
    user_id: str
    session_id: str
    kind: Literal[Kind.MESH] = Kind.MESH

    @property
    def parent(self) -> RunKey:
        """Key of the run."""
        return RunKey(self.run)

    def __str__(self) -> str:
        return f"mesh {self.object_name!r} of {self.user_id}/{self.session_id} in run {self.run!r}"


class FilamentsKey(NamedTuple):
    """Address of filaments."""

    run: str
    object_name: str
    user_id: str
    session_id: str
    kind: Literal[Kind.FILAMENTS] = Kind.FILAMENTS

    @property
    def parent(self) -> RunKey:
        """Key of the run."""
        return RunKey(self.run)

    def __str__(self) -> str:
        return f"filaments {self.object_name!r} of {self.user_id}/{self.session_id} in run {self.run!r}"


class SegmentationKey(NamedTuple):
    """Address of a segmentation; ``voxel_size`` in angstrom, as :func:`voxel_size_key` rounds it."""

    run: str
    voxel_size: float
    name: str
    user_id: str
    session_id: str
    segmentation_type: SegmentationType = "binary"
    kind: Literal[Kind.SEGMENTATION] = Kind.SEGMENTATION

    @property
    def parent(self) -> RunKey:
        """Key of the run."""
        return RunKey(self.run)

    def __str__(self) -> str:
        return (
            f"{self.segmentation_type} segmentation {self.name!r} of {self.user_id}/{self.session_id} "
            f"at {self.voxel_size:.3f} in run {self.run!r}"
        )


class ObjectKey(NamedTuple):
    """Address of an object's density map."""

    name: str
    kind: Literal[Kind.OBJECT] = Kind.OBJECT

    @property
    def parent(self) -> RootKey:
        """Key of the project."""
        return ROOT

    def __str__(self) -> str:
        return f"object {self.name!r}"


Key = RunKey | VoxelSpacingKey | TomogramKey | FeaturesKey | PicksKey | MeshKey | FilamentsKey | SegmentationKey | ObjectKey
ParentKey = RootKey | RunKey | VoxelSpacingKey | TomogramKey

#: Keys of what is one file of a run.
FileKey = PicksKey | MeshKey | FilamentsKey
#: Keys of what somebody made in a run: all of them have a ``user_id`` and a ``session_id``.
AnnotationKey = FileKey | SegmentationKey


class KindFacts(NamedTuple):
    """What tells the kinds of entities apart."""

    #: Class of the keys.
    key: type[Key]
    #: Kind of the parent; None is the project.
    parent: Kind | None
    #: Name of the list that a parent has of its children.
    plural: str
    #: What is stored: one file, one volume (an OME-Zarr store), or nothing but the entities below.
    content: Literal["file", "volume", "children"]
    #: Whether most parents lack some or all folders of this kind: only those are listed that the parent's folder shows.
    sparse: bool = False


#: The table of kinds: everything that is the same for all kinds reads it.
KINDS: dict[Kind, KindFacts] = {
    Kind.RUN: KindFacts(RunKey, None, "runs", "children"),
    Kind.OBJECT: KindFacts(ObjectKey, None, "pickable_objects", "volume"),
    Kind.VOXEL_SPACING: KindFacts(VoxelSpacingKey, Kind.RUN, "voxel_spacings", "children"),
    Kind.PICKS: KindFacts(PicksKey, Kind.RUN, "picks", "file"),
    Kind.MESH: KindFacts(MeshKey, Kind.RUN, "meshes", "file"),
    Kind.FILAMENTS: KindFacts(FilamentsKey, Kind.RUN, "filaments", "file", sparse=True),
    Kind.SEGMENTATION: KindFacts(SegmentationKey, Kind.RUN, "segmentations", "volume", sparse=True),
    Kind.TOMOGRAM: KindFacts(TomogramKey, Kind.VOXEL_SPACING, "tomograms", "volume"),
    Kind.FEATURES: KindFacts(FeaturesKey, Kind.TOMOGRAM, "features", "volume"),
}

#: Kinds whose content is one volume (an OME-Zarr store).
VOLUME_KINDS = frozenset(kind for kind, facts in KINDS.items() if facts.content == "volume")
#: Kinds whose content is one file.
FILE_KINDS = frozenset(kind for kind, facts in KINDS.items() if facts.content == "file")
#: Kinds that only hold other entities.
CONTAINER_KINDS = frozenset(kind for kind, facts in KINDS.items() if facts.content == "children")
#: Kind of the parent of each kind; ``None`` is the project.
PARENT_KIND: dict[Kind, Kind | None] = {kind: facts.parent for kind, facts in KINDS.items()}
#: Class of the keys of each kind.
KEY_CLASSES: dict[Kind, type[Key]] = {kind: facts.key for kind, facts in KINDS.items()}


def child_kinds(parent: Kind | None) -> list[Kind]:
    """Kinds of the children of a kind, in the order of the table; of the project where ``parent`` is None."""
    return [kind for kind, facts in KINDS.items() if facts.parent is parent]


def field_names(kind: Kind) -> list[str]:
    """Names of the fields of the keys of a kind, in order."""
    return [*KEY_CLASSES[kind]._fields[:-1]]


def as_columns(kind: Kind, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Keys of one kind, or rows that begin with their fields, as one column for each field."""
    # Faster than zip(*rows), which makes an iterator for each row.
    return [[*map(itemgetter(number), rows)] for number in range(len(field_names(kind)))]


def key_fields(key: Key) -> dict[str, Any]:
    """Give the fields of a key by name, in order."""
    return dict(zip(field_names(key.kind), key[:-1], strict=True))
