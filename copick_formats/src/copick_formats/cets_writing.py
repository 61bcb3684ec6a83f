"""CETS 0.1 (experimental) written: points and splines, as the models of 2026 have them.

Each run is a region with one tomogram, whose angstrom begin in its centre as in the examples of the standard; annotations
are in these. The standard's package of models is in no registry, so files are made without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click
import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import FilamentsTable, Frame, PicksTable
from copick_formats.cells import Frames, left_out
from copick_formats.cets import ROTATIONS
from copick_formats.cets_places import centre_of
from copick_formats.polylines import fields_left_out, metadata_columns
from copick_formats.rotations import Floats, rotations_in, transforms_of

_ARRAY = {
    "name": "array",
    "axes": [{"name": axis, "axis_unit": "voxel", "axis_type": "array"} for axis in "xyz"],
}
_PHYSICAL = {
    "name": "physical",
    "axes": [{"name": axis, "axis_unit": "angstrom", "axis_type": "space"} for axis in "xyz"],
}


@click.option("--rotation", type=click.Choice(ROTATIONS), help="What the rotation matrices of points turn into what.")
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
        InvalidDataError: The size of a run's tomogram is not known, a transform is no rotation, or there are orientations and
            ``rotation`` does not say how to write them.
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
        regions.add(table, "point_matrix_set_3D" if fields else "point_set_3D", places, fields)
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
            regions.add(table, "spline_3D", np.asarray(polyline, float), {})
        columns, others = metadata_columns(table)
        lacking += [*columns, *others]
        if any(score != 1 for score in table.scores or ()):
            lacking.append("scores")
        if table.instance_ids is not None and [*table.instance_ids] != [*range(1, len(table.polylines) + 1)]:
            lacking.append("instance_ids")
    regions.write()
    return [*dict.fromkeys(lacking)]


class _Regions:
    """The regions of a file, in the order in which they appear."""

    def __init__(self, path: str, frame: Frames) -> None:
        self._path, self._frame = path, frame
        self._regions: dict[str, dict[str, Any]] = {}

    def add(self, table: PicksTable | FilamentsTable, kind: str, points: Floats, fields: dict[str, Any]) -> None:
        run = table.run
        if not run:
            raise InvalidDataError(source=self._path, reason="points of no run have no region")
        centre = centre_of(self._path, self._frame, run)
        region = self._regions.setdefault(run, {"id": run, "tomograms": [_tomogram(run, self._frame(run))], "annotations": []})
        annotations = region["annotations"]
        annotation = {
            "id": f"{table.object_name or kind}-{len(annotations) + 1}",
            "annotation_type": kind,
            "source_tomogram_id": run,
            **({"name": table.object_name} if table.object_name else {}),
            **({"origin3D": (points - centre).tolist()} if len(points) else {}),
            **fields,
            "coordinate_systems": [_PHYSICAL],
            "coordinate_transformations": [
                {
                    "transformation_type": "identity",
                    "name": "annotation_to_tomogram",
                    "input": "physical",
                    "output": "physical",
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
