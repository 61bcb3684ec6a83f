"""CETS 0.1 (experimental) written: points and splines, and references to meshes and masks, as the models of 2026 have them.

Each run is a region with one tomogram, whose angstrom begin in its centre as in the examples of the standard; points are in
these. A mesh or a mask is a file of its own beside the JSON. The standard's package of models is in no registry, so files are
made without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, Frame, PicksTable
from copick_formats.cells import Frames, left_out
from copick_formats.cets import ROTATIONS
from copick_formats.cets_places import centre_of
from copick_formats.polylines import fields_left_out, metadata_columns
from copick_formats.rotations import Floats, rotations_in, transforms_of

if TYPE_CHECKING:
    from trimesh.parent import Geometry

    from copick_core.volumes.sources import VolumeSource

Json = dict[str, Any]

_ARRAY = {
    "name": "array",
    "axes": [{"name": axis, "axis_unit": "voxel", "axis_type": "array"} for axis in "xyz"],
}
_ANGSTROM = [{"name": axis, "axis_unit": "angstrom", "axis_type": "space"} for axis in "xyz"]
_PHYSICAL = {"name": "physical", "axes": _ANGSTROM}
_VERTICES = {"name": "vertices", "axes": _ANGSTROM}
_MESH_FORMATS = ["obj", "ply", "stl", "glb"]
_MASK_SUFFIXES = {"mrc": ".mrc", "ome-zarr": ".zarr"}


@click.option("--rotation", type=click.Choice(ROTATIONS), help="Direction of the rotation matrices of points.")
def write_cets(path: str, tables: Iterable[PicksTable], *, frame: Frames, rotation: str | None = None) -> list[str]:
    """Write sets of points, with shifts applied.

    Args:
        path: The new file.
        tables: The points, each set with the name of its run.
        frame: Returns the frame of a run.
        rotation: ``"object-to-tomogram"`` or ``"tomogram-to-object"``; needed where points have orientations.

    Returns:
        What CETS has no place for.

    Raises:
        InvalidDataError: The size of a run's tomogram is not known, a transform is not a rotation, or there are orientations
            and ``rotation`` does not say how to write them.
    """
    tables = [*tables]
    regions = _Regions(path, frame)
    lacking = left_out(tables, [])
    for table in tables:
        n = len(table.positions)
        transforms = transforms_of(None, None, n) if table.transforms is None else np.asarray(table.transforms, float)
        turned = rotations_in(f"{path}: {table.run}", transforms, n)
        places = np.asarray(table.positions, float) + transforms[:, :3, 3]
        fields: dict[str, Any] = {}
        if not np.array_equal(turned, np.broadcast_to(np.eye(3), (n, 3, 3))):
            if rotation not in ROTATIONS:
                reason = "points have orientations, and CETS does not say what its matrices turn into what; "
                raise InvalidDataError(source=path, reason=f"{reason}give rotation ({' or '.join(ROTATIONS)})")
            written = turned if rotation == ROTATIONS[0] else np.swapaxes(turned, 1, 2)
            fields["matrix3D"] = written.tolist()
        regions.add_points(table, "point_matrix_set_3D" if fields else "point_set_3D", places, fields)
        if table.scores is not None and np.any(np.asarray(table.scores) != 1):
            lacking.append("scores")
    regions.write()
    return [*dict.fromkeys(lacking)]


def write_cets_filaments(path: str, tables: Iterable[FilamentsTable], *, frame: Frames) -> list[str]:
    """Write a spline for each filament: its points are the vertices.

    Args:
        path: The new file.
        tables: The filaments, each set with the name of its run.
        frame: As for points.

    Returns:
        What CETS has no place for.

    Raises:
        InvalidDataError: The size of a run's tomogram is not known.
    """
    tables = [*tables]
    regions = _Regions(path, frame)
    lacking = fields_left_out(tables)
    for table in tables:
        for polyline in table.polylines:
            regions.add_points(table, "spline_3D", np.asarray(polyline, float), {})
        columns, others = metadata_columns(table)
        lacking += [*columns, *others]
        if any(score != 1 for score in table.scores or ()):
            lacking.append("scores")
        if table.instance_ids is not None and [*table.instance_ids] != [*range(1, len(table.polylines) + 1)]:
            lacking.append("instance_ids")
    regions.write()
    return [*dict.fromkeys(lacking)]


@click.option("--mesh-format", type=click.Choice(_MESH_FORMATS), default="obj", help="Format of the mesh's file.")
def write_cets_mesh(
    path: str,
    mesh: Geometry,
    *,
    frame: Frames,
    run: str | None = None,
    object_name: str | None = None,
    mesh_format: str = "obj",
) -> None:
    """Write a mesh to a file of its own, ``NAME.mesh.obj`` beside ``NAME.cets.json``, which refers to it.

    Args:
        path: The new JSON file.
        mesh: Vertices x, y, z in angstrom from the centre of the first voxel; the mesh's file has the same numbers.
        frame: Returns the frame of a run.
        run: The region.
        object_name: Name of the annotation.
        mesh_format: Format of the mesh's file.

    Raises:
        InvalidDataError: The size of the run's tomogram is not known, there is no run, or the mesh cannot be written.
    """
    from copick_formats.mesh_files import write_mesh

    regions = _Regions(path, frame)
    centre = regions.centre(run)
    file = _beside(path, f".mesh.{mesh_format}")
    step = {"transformation_type": "translation", "translation": (-centre).tolist()}
    regions.add(run, object_name, "tri_mesh", {"path": os.path.basename(file)}, _VERTICES, "physical", step)
    write_mesh(file, mesh, mesh_format, 1.0)
    regions.write()


@click.option("--mask-format", type=click.Choice([*_MASK_SUFFIXES]), default="mrc", help="Format of the mask's file.")
def write_cets_volume(
    path: str,
    volume: VolumeSource,
    *,
    run: str | None = None,
    object_name: str | None = None,
    kind: str | None = None,
    mask_format: str = "mrc",
) -> None:
    """Write a segmentation to a file of its own, ``NAME.mask.mrc`` beside ``NAME.cets.json``, which refers to it.

    Labels are a segmentation mask, fractions a probability map. The tomogram of the region has the size of the mask.

    Args:
        path: The new JSON file.
        volume: The mask.
        run: The region.
        object_name: Name of the annotation.
        kind: What the volume is; only segmentations are written.
        mask_format: ``"mrc"``, or ``"ome-zarr"``, which holds labels of every type.

    Raises:
        InvalidDataError: It is not a segmentation, there is no run, the voxel size is not known, or no type of the mask's
            format holds the values without change.
    """
    from copick_formats.volume_writing import write_mrc, write_ome_zarr

    if kind not in (None, "segmentation"):
        reason = f"CETS refers to segmentations, and this is of the kind {kind!r}; export it to another format, such as MRC"
        raise InvalidDataError(source=path, reason=reason)
    size = volume.voxel_size
    if size is None:
        raise InvalidDataError(source=volume.name, reason="does not tell its voxel size, which CETS needs")
    z, y, x = volume.shape
    file = _beside(path, f".mask{_MASK_SUFFIXES[mask_format]}")
    regions = _Regions(path, lambda _: Frame((z, y, x), size))
    labels = volume.dtype.kind in "biu"
    fields = {"path": os.path.basename(file), "width": x, "height": y, "depth": z}
    regions.add(run, object_name, "segmentation_mask_3D" if labels else "probability_map_3D", fields, _ARRAY, "array")
    (write_mrc if mask_format == "mrc" else write_ome_zarr)(file, volume)
    regions.write()


def _beside(path: str, suffix: str) -> str:
    """The path of a file beside a JSON file, with its name."""
    stem = path.removesuffix(".json").removesuffix(".cets")
    return stem + suffix


class _Regions:
    """The regions of a file, in the order in which they appear."""

    def __init__(self, path: str, frame: Frames) -> None:
        self._path, self._frame = path, frame
        self._regions: dict[str, Json] = {}

    def centre(self, run: str | None) -> Floats:
        """The centre of a run's tomogram as x, y, z in angstrom."""
        return centre_of(self._path, self._frame, run)

    def add_points(self, table: PicksTable | FilamentsTable, kind: str, points: Floats, fields: Json) -> None:
        """Add an annotation of points (n, 3) as x, y, z in angstrom from the first voxel."""
        centred = (points - self.centre(table.run)).tolist() if table.run else []
        own = {"origin3D": centred} if centred else {}
        self.add(table.run, table.object_name, kind, {**own, **fields}, _PHYSICAL, "physical")

    def add(
        self, run: str | None, name: str | None, kind: str, fields: Json, system: Json, output: str, step: Json | None = None
    ) -> None:
        """Add an annotation, with its coordinate system and what leads from there to a system of the tomogram."""
        if not run:
            raise InvalidDataError(source=self._path, reason="what belongs to no run has no region")
        region = self._regions.get(run)
        if region is None:
            tomogram = _tomogram(run, self._frame(run))
            region = self._regions[run] = {"id": run, "tomograms": [tomogram], "annotations": []}
        annotations = region["annotations"]
        annotation = {
            "id": f"{name or kind}-{len(annotations) + 1}",
            "annotation_type": kind,
            "source_tomogram_id": run,
            **({"name": name} if name else {}),
            **fields,
            "coordinate_systems": [system],
            "coordinate_transformations": [
                {
                    "transformation_type": "identity",
                    **(step or {}),
                    "name": "annotation_to_tomogram",
                    "input": system["name"],
                    "output": output,
                }
            ],
        }
        annotations.append(annotation)

    def write(self) -> None:
        with open(self._path, "w", encoding="utf-8", newline="\n") as file:
            json.dump({"regions": [*self._regions.values()]}, file, indent=1)
            file.write("\n")


def _tomogram(run: str, frame: Frame | None) -> dict[str, Any]:
    """The tomogram of a region: its size, and how its voxels become angstrom from its centre."""
    if frame is None:
        raise InvalidDataError(source=run, reason="the size of the tomogram is not known")
    z, y, x = frame.shape
    return {
        "id": run,
        "width": x,
        "height": y,
        "depth": z,
        "coordinate_systems": [_ARRAY, _PHYSICAL],
        "coordinate_transformations": [
            {
                "transformation_type": "sequence",
                "name": "array_to_physical",
                "input": "array",
                "output": "physical",
                "sequence": [
                    {"transformation_type": "translation", "translation": [-x / 2, -y / 2, -z / 2]},
                    {"transformation_type": "scale", "scale": [frame.voxel_size] * 3},
                ],
            }
        ],
    }
