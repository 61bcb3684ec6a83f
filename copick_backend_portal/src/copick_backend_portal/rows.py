"""From the portal's rows about one run to the entities of a project. Pure: nothing is asked here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from copick_backend_portal.index import RunRows
from copick_backend_portal.names import PORTAL_USER, tomo_type
from copick_backend_portal.queries import MASK_SHAPES, MESH_SHAPE, POINT_SHAPES, Row
from copick_core.tree.keys import MeshKey, PicksKey, SegmentationKey, TomogramKey, VoxelSpacingKey, voxel_size_key
from copick_core.tree.names import sanitize_name
from copick_core.tree.schema import PickableObject

#: Tells a user about a row that cannot be used: what it is, and why.
Complain = Callable[[str, str], None]


@dataclass(frozen=True)
class PortalTomogram:
    """A tomogram of the portal.

    Attributes:
        row: Its row.
        rank: Its place among the tomograms that share its type: visualization default, portal standard, id.
    """

    row: Row
    rank: int

    @property
    def path(self) -> str:
        """Where its OME-Zarr is."""
        return str(self.row["s3OmezarrDir"])


@dataclass(frozen=True)
class PortalAnnotation:
    """One annotation file of the portal.

    Attributes:
        file: Row of the file.
        shape: Row of its shape.
        annotation: Row of its annotation.
        spacing: Row of its voxel spacing; None for meshes without one.
    """

    file: Row
    shape: Row
    annotation: Row
    spacing: Row | None

    @property
    def path(self) -> str:
        """Where its file, or OME-Zarr, is."""
        return str(self.file["s3Path"])


def spacings(run: str, rows: RunRows, complain: Complain) -> dict[VoxelSpacingKey, Row]:
    """Voxel spacings of a run; sizes that are equal to three decimals are one spacing."""
    found: dict[VoxelSpacingKey, Row] = {}
    for row in rows["spacings"]:
        size = row["voxelSpacing"]
        if not _is_size(size):
            complain(f"voxel spacing {row['id']} of run {run}", f"its size is {size!r}")
            continue
        found.setdefault(VoxelSpacingKey(run, voxel_size_key(size)), row)
    return found


def tomograms(run: str, rows: RunRows, complain: Complain) -> dict[TomogramKey, PortalTomogram]:
    """Tomograms of a run.

    The first one of a type has the plain key, as in copick 1.x; the others are variants, named by their portal id.
    """
    sizes = {row["id"]: row["voxelSpacing"] for row in rows["spacings"]}
    groups: dict[TomogramKey, list[Row]] = {}
    for row in rows["tomograms"]:
        what = f"tomogram {row['id']} of run {run}"
        size = sizes.get(row["tomogramVoxelSpacingId"])
        if not row["s3OmezarrDir"]:
            complain(what, "the portal has no OME-Zarr of it")
        elif size is None or not _is_size(size):
            complain(what, "it has no voxel spacing")
        else:
            groups.setdefault(TomogramKey(run, voxel_size_key(size), tomo_type(row)), []).append(row)
    found = {}
    for key, twins in groups.items():
        twins.sort(key=lambda row: (not row["isVisualizationDefault"], not row["isPortalStandard"], row["id"]))
        for rank, row in enumerate(twins):
            variant = str(row["id"]) if rank else ""
            found[TomogramKey(key.run, key.voxel_size, key.tomo_type, variant)] = PortalTomogram(row, rank)
    return found


class Objects:
    """Which object of the configuration an annotation is of.

    Objects are matched by ``identifier``; where several have the same one, by name, else the first is taken.
    """

    def __init__(self, objects: Iterable[PickableObject]) -> None:
        self._by_identifier: dict[str, list[str]] = {}
        for obj in objects:
            if obj.identifier:
                self._by_identifier.setdefault(obj.identifier, []).append(obj.name)

    def name_of(self, annotation: Row) -> str | None:
        """Name of the object, None if the configuration does not list it."""
        names = self._by_identifier.get(annotation["objectId"])
        if names is None or len(names) == 1:
            return names[0] if names else None
        portal_name = sanitize_name(annotation["objectName"] or "-x", suppress_warnings=True).lower()
        return portal_name if portal_name in names else names[0]


def annotated(
    run: str, rows: RunRows, spacing_rows: Iterable[Row], objects: Objects, complain: Complain
) -> dict[PicksKey | MeshKey | SegmentationKey, PortalAnnotation]:
    """Picks, meshes and segmentations of a run: one for each annotation file."""
    sizes: Mapping[int, Row] = {row["id"]: row for row in spacing_rows}
    shapes = {row["id"]: row for row in rows["shapes"]}
    parents = {row["id"]: row for row in rows["annotations"]}
    found: dict[PicksKey | MeshKey | SegmentationKey, PortalAnnotation] = {}
    for file in rows["files"]:
        shape = shapes[file["annotationShapeId"]]
        annotation = parents[shape["annotationId"]]
        name = objects.name_of(annotation)
        if name is None or _is_twin(shape["shapeType"], file["format"]):
            continue
        spacing = sizes.get(file["tomogramVoxelSpacingId"])  # never the annotation's: that is of another of its files
        item = PortalAnnotation(file, shape, annotation, spacing)
        problem = _problem(item)
        if problem:
            complain(f"annotation file {file['id']} ({shape['shapeType']} of {name!r}) of run {run}", problem)
        else:
            found[_key(run, name, item)] = item
    return found


def _is_twin(shape: str, form: str) -> bool:
    """Whether a file is the MRC that the portal keeps beside each OME-Zarr mask."""
    return shape in MASK_SHAPES and form == "mrc"


def _problem(item: PortalAnnotation) -> str:
    shape, form = item.shape["shapeType"], item.file["format"]
    if not item.file["s3Path"]:
        return "the portal does not say where it is"
    if shape in POINT_SHAPES and form != "ndjson":
        return f"points in format {form!r} cannot be read"
    if shape in MASK_SHAPES and form != "zarr":
        return f"masks in format {form!r} cannot be read"
    if shape != MESH_SHAPE and (item.spacing is None or not _is_size(item.spacing["voxelSpacing"])):
        return "it has no voxel spacing, so that its voxels have no size"
    return ""


def _key(run: str, name: str, item: PortalAnnotation) -> PicksKey | MeshKey | SegmentationKey:
    shape, session = item.shape["shapeType"], str(item.file["id"])
    if shape in POINT_SHAPES:
        return PicksKey(run, name, PORTAL_USER, session)
    if shape == MESH_SHAPE or item.spacing is None:
        return MeshKey(run, name, PORTAL_USER, session)
    size = voxel_size_key(item.spacing["voxelSpacing"])
    return SegmentationKey(run, size, name, PORTAL_USER, session, MASK_SHAPES[shape])


def _is_size(size: object) -> bool:
    return isinstance(size, int | float) and math.isfinite(size) and round(size, 3) > 0
