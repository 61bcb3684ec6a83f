"""What a store says of its image: axes, levels and voxel sizes, in every version of OME-NGFF.

`Image` is read from the multiscales metadata (https://ngff.openmicroscopy.org): in ``.zattrs`` up to version 0.4, under
``ome`` in ``zarr.json`` from 0.5 on, with coordinate systems from 0.6 on, and one group further down where bioformats2raw
wrote it. Names and order of levels and axes are never assumed; a transformation that is more than a scale and a
translation is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from copick_core.errors import InvalidDataError

_OLD_AXES = "tczyx"
"""The axes of versions 0.1 and 0.2, which name none; arrays with fewer axes have the last of them."""


@dataclass(frozen=True)
class Axis:
    """An axis of an image.

    Attributes:
        name: Its name, such as ``"z"``.
        type: ``"space"``, ``"time"``, ``"channel"`` or what else the metadata say; None if nothing.
        unit: Name of the unit, such as ``"angstrom"``; None if it has none.
    """

    name: str
    type: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A resolution level of an image.

    Attributes:
        path: Of its array in the store.
        scale: Size of a voxel along each stored axis, in the axis' unit; None if the metadata give none.
        translation: Position of the first voxel along each stored axis; None if the metadata give none.
        problem: Why its scale makes no sense; None if it does. Its voxels can be read all the same.
    """

    path: str
    scale: tuple[float, ...] | None = None
    translation: tuple[float, ...] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Image:
    """The multiscale image of a store.

    Attributes:
        version: Of OME-NGFF, such as ``"0.4"``; None if the metadata give none.
        axes: In stored order; None for versions that name none (see `axes_of`).
        datasets: Finest first.
    """

    version: str | None
    axes: tuple[Axis, ...] | None
    datasets: tuple[Dataset, ...]

    @property
    def paths(self) -> list[str]:
        """Paths of the levels, finest first."""
        return [dataset.path for dataset in self.datasets]

    def path(self, level: str | int) -> str | None:
        """The path of a level: the n-th one, or the one of that name; None if there is none.

        ``"0"`` is always the finest. Another number in a string is a name if a level has it, and else counts levels.
        """
        name = str(level).strip("/")
        if name != "0" and not isinstance(level, int) and name in self.paths:
            return name
        if name.isascii() and name.isdigit() and int(name) < len(self.datasets):
            return self.datasets[int(name)].path
        return None

    def axes_of(self, ndim: int) -> tuple[Axis, ...] | None:
        """The axes of an array of this image; None if the metadata do not fit it."""
        if self.axes is None:
            return tuple(Axis(name, "space" if name in "zyx" else None) for name in _OLD_AXES[-ndim:])
        return self.axes if len(self.axes) == ndim else None


def spatial(axes: Sequence[Axis]) -> tuple[int, int, int] | None:
    """Where z, y and x are among some axes: by name, else the three of type space; None if there are no three."""
    names = [axis.name.lower() for axis in axes]
    if all(names.count(name) == 1 for name in "zyx"):
        return names.index("z"), names.index("y"), names.index("x")
    space = [i for i, axis in enumerate(axes) if axis.type == "space"]
    if len(space) != 3 or {"z", "y", "x"} & {names[i] for i in space}:
        return None  # some are named, but not all: their order is anybody's guess
    return space[0], space[1], space[2]


def parse_image(attributes: Mapping[str, Any] | None, source: str, prefix: str = "") -> Image | None:
    """Read an image's metadata.

    Args:
        attributes: Of its group; those of zarr v3 have them under ``ome``.
        source: What the store holds, for messages.
        prefix: Path of the group in the store, ending with "/" unless empty.

    Returns:
        The image; None if the attributes describe none.

    Raises:
        ValueError: (`InvalidDataError`) If they are malformed, or have a transformation that is neither scale nor
            translation.
    """
    ome = (attributes or {}).get("ome")
    holder = ome if isinstance(ome, dict) and "multiscales" in ome else attributes or {}
    images = holder.get("multiscales")
    if not (isinstance(images, list) and images and isinstance(images[0], dict)):
        return None
    image = images[0]
    try:
        systems = image.get("coordinateSystems")
        axes = _axes(image.get("axes"))
        items = [_described(item) for item in image.get("datasets") or []]
        common = [] if systems else image.get("coordinateTransformations") or []
        if systems and items:
            axes = _axes(_system(systems, items[0].get("coordinateTransformations") or [])["axes"])
        datasets = [_dataset(item, prefix, common, None if axes is None else len(axes), source) for item in items]
        version = image.get("version") or holder.get("version")
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        reason = f"its multiscales metadata are malformed ({type(error).__name__}: {error})"
        raise InvalidDataError(source=source, reason=reason) from error
    return Image(None if version is None else str(version), axes, tuple(datasets))


def _described(item: Any) -> Mapping[str, Any]:
    """A dataset; of one that is nothing but a name, the array can be found and the scale cannot."""
    return {"path": item, "coordinateTransformations": [item]} if isinstance(item, str) else item


def _dataset(item: Mapping[str, Any], prefix: str, common: Sequence[Any], axes: int | None, source: str) -> Dataset:
    path = prefix + str(item["path"]).strip("/")
    try:
        scale, translation = _compose([*(item.get("coordinateTransformations") or []), *common], source)
    except (AttributeError, KeyError, TypeError) as error:
        return Dataset(path, problem=f"malformed coordinateTransformations ({type(error).__name__}: {error})")
    if scale is not None and axes not in (None, len(scale)):
        return Dataset(path, problem=f"a scale of {len(scale)} numbers for {axes} axes")
    return Dataset(path, scale, translation)


def _axes(described: Any) -> tuple[Axis, ...] | None:
    if not described:
        return None
    return tuple(
        Axis(axis) if isinstance(axis, str) else Axis(str(axis["name"]), axis.get("type"), axis.get("unit"))
        for axis in described
    )


def _system(systems: Sequence[Mapping[str, Any]], transforms: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The coordinate system (0.6) that a level's transformation leads to; the first one if it names none."""
    output = transforms[-1].get("output") if transforms else None
    name = output.get("name") if isinstance(output, dict) else output
    return next((system for system in systems if system.get("name") == name), systems[0])


def _compose(
    transforms: Sequence[Mapping[str, Any]], source: str
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """One scale and one translation that do what some transformations do one after another."""
    scale: tuple[float, ...] | None = None
    shift: tuple[float, ...] | None = None
    for transform in transforms:
        kind = transform.get("type")
        if kind == "sequence":
            inner_scale, inner_shift = _compose(transform["transformations"], source)
        elif kind == "scale" and "scale" in transform:
            inner_scale, inner_shift = _numbers(transform["scale"]), None
        elif kind == "translation" and "translation" in transform:
            inner_scale, inner_shift = None, _numbers(transform["translation"])
        elif kind == "identity":
            continue
        else:
            held = f"a {kind} that a file holds" if kind in ("scale", "translation") else f"the transformation {kind!r}"
            reason = f"its metadata have {held}; only scale, translation, sequence and identity are understood"
            raise InvalidDataError(source=source, reason=reason)
        if inner_scale is not None:
            scale = inner_scale if scale is None else _each(math.prod, scale, inner_scale)
            shift = None if shift is None else _each(math.prod, shift, inner_scale)
        if inner_shift is not None:
            shift = inner_shift if shift is None else _each(math.fsum, shift, inner_shift)
    return scale, shift


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)
    except ValueError as error:
        raise TypeError(str(error)) from error


def _each(function: Any, first: Sequence[float], second: Sequence[float]) -> tuple[float, ...]:
    if len(first) != len(second):
        raise TypeError(f"{len(first)} and {len(second)} numbers for the same axes")
    return tuple(function(pair) for pair in zip(first, second, strict=True))
