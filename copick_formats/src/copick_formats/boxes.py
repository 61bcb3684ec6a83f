"""Boxes of crYOLO (``.cbox``) and the info files of EMAN2 (``.json``), read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import PicksTable
from copick_formats.cells import Frames, bad_cell, numbers, texts, voxel_size_of
from copick_formats.json_files import json_object
from copick_formats.star import columns_with

_CBOX = ["CoordinateX", "CoordinateY", "CoordinateZ", "Width", "Height"]
_MISSING = {"<NA>", "nan", "NaN", ""}


def is_cbox(path: str, head: bytes) -> bool:
    """Whether a file is a CBOX: its block of boxes, or its version."""
    return b"_cbox_format_version" in head or b"data_cryolo" in head


@click.option("--voxel-size", type=float, help="Voxel size that coordinates refer to, in angstrom; the tomogram's by default.")
def read_cbox(path: str, *, frame: Frames, voxel_size: float | None = None) -> Iterator[PicksTable]:
    """Read boxes of a tomogram: their corners in x and y plus half their size, and their centres in z.

    ``Confidence`` are the scores, where all boxes have one; other columns are kept.

    Args:
        path: The file.
        frame: Returns the frame of the run, if ``voxel_size`` is not given.
        voxel_size: Angstrom per voxel.

    Raises:
        InvalidDataError: It has no boxes in three dimensions, or a cell cannot be read.
    """
    columns = columns_with(path, "CoordinateX")
    if missing := [name for name in _CBOX if name not in columns]:
        raise InvalidDataError(source=path, reason=f"holds no boxes of a tomogram: it has no column {missing[0]}")
    if columns["CoordinateZ"] and {*columns["CoordinateZ"]} <= _MISSING:
        raise InvalidDataError(source=path, reason="holds boxes of a micrograph: CoordinateZ is empty")
    x, y, z, width, height = (numbers(path, name, columns[name]) for name in _CBOX)
    confidence = columns.get("Confidence", [""])
    has_scores = not {*confidence} & _MISSING
    places = np.stack([x + width / 2, y + height / 2, z], 1)
    everything = slice(0, len(places))
    interpreted = {*_CBOX[:3], *(["Confidence"] if has_scores else [])}
    yield PicksTable(
        places * voxel_size_of(path, frame, None, voxel_size),
        scores=numbers(path, "Confidence", confidence) if has_scores else None,
        columns={name: texts(cells, everything) for name, cells in columns.items() if name not in interpreted},
    )


def is_eman2(path: str, head: bytes) -> bool:
    """Whether a file is an info file of EMAN2 with boxes."""
    return head.lstrip()[:1] == b"{" and (b'"boxes_3d"' in head or b'"apix_unbin"' in head or b'"class_list"' in head)


@click.option("--class-number", type=int, help="Number of the class of particles; all by default.")
def read_eman2(path: str, *, frame: Frames, class_number: int | None = None) -> Iterator[PicksTable]:
    """Read boxes of an EMAN2 tomogram, a table for each class of particles.

    EMAN2 keeps them in unbinned pixels of ``apix_unbin`` angstrom, from the centre of the tomogram (voxel ``size // 2``).
    Older files, which count in voxels of some tomogram, are refused; so are lists of boxes (``.box``), which have no z.

    Args:
        path: The file.
        frame: Returns the frame of the run.
        class_number: The class to read; all by default.

    Raises:
        InvalidDataError: It holds no such boxes, none of that class, or the run's tomogram is not known.
    """
    if path.lower().endswith(".box"):
        reason = "is a list of boxes in a micrograph (x, y, width, height), which have no z; "
        raise InvalidDataError(source=path, reason=f"{reason}import the info file that EMAN2 writes of a tomogram (.json)")
    content = json_object(path)
    boxes = content.get("boxes_3d")
    if not isinstance(boxes, list):
        raise InvalidDataError(source=path, reason="holds no boxes: it has no boxes_3d")
    pixel: Any = content.get("apix_unbin")
    if not _is_finite(pixel) or not pixel > 0:
        reason = "has no apix_unbin, so what its coordinates count in is not certain; save the boxes again with a newer EMAN2"
        raise InvalidDataError(source=path, reason=reason)
    known = frame(None)
    if known is None:
        raise InvalidDataError(source=path, reason="coordinates count from the centre of the tomogram, which is not known")
    centre = (np.array(known.shape[::-1]) // 2) * known.voxel_size
    listed = content.get("class_list", {})
    by_class: dict[int, list[list[float]]] = {}
    for row, box in enumerate(boxes, 1):
        if not isinstance(box, list) or len(box) < 3:
            raise InvalidDataError(source=path, reason=f"row {row}: {box!r:.60} is not a box", index=row - 1)
        for name, value in zip("xyz", box, strict=False):
            if not _is_finite(value):
                raise bad_cell(path, row, name, str(value))
        number = box[5] if len(box) > 5 and type(box[5]) is int else 0
        score = box[4] if len(box) > 4 and _is_finite(box[4]) else 0.0
        by_class.setdefault(number, []).append([*map(float, box[:3]), float(score)])
    if class_number is not None and class_number not in by_class:
        has = ", ".join(map(str, sorted(by_class))) or "none"
        raise InvalidDataError(source=path, reason=f"has no boxes of class {class_number}; its classes are {has}")
    for number, rows in by_class.items():
        if class_number not in (None, number):
            continue
        values = np.array(rows)
        named = listed.get(str(number), {}) if isinstance(listed, dict) else {}
        label = named.get("name") if isinstance(named, dict) else None
        yield PicksTable(
            values[:, :3] * pixel + centre, scores=values[:, 3], object_name=label if type(label) is str else None
        )


def _is_finite(value: Any) -> bool:
    """Whether a value of JSON is a number that a float can hold."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:
        return False
