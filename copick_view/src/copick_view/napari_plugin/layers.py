"""Entities of a project as layers of napari.

All layers are in angstrom, axes (z, y, x): volumes by their scale, everything else by its coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from copick_core.tree.addresses import address_of
from copick_core.tree.keys import Kind
from copick_view.napari_plugin.source import KEY, Source, Stored, volume_version

#: Data, what is set of the layer, and its kind: as napari's readers return them.
LayerData = tuple[Any, dict[str, Any], str]

#: Labels of up to this many bytes are read into memory, where napari can paint them; larger ones are shown as they lie.
IN_MEMORY = 2**28
#: Angstrom, where an object has no radius.
_RADIUS = 50.0
_COLOR = (120, 190, 255, 255)
_AXES = ("z", "y", "x")
#: What a point has that somebody adds; ``row`` is the stored point that a point was.
NEW_POINT = {"row": -1, "instance_id": 0, "score": 1.0}


def layers_of(handle: Any, config: str) -> list[LayerData]:
    """The layers that show an entity.

    Args:
        handle: A tomogram, features, a segmentation, an object, picks, filaments or a mesh.
        config: Where its project was opened from.
    """
    return _MAKERS[handle.key.kind](handle, config)


def _tomogram(handle: Any, config: str) -> list[LayerData]:
    size = handle.key.voxel_size
    low, high = _contrast(handle)
    return [
        (
            [handle.dask(level) for level in handle.levels],
            {**_volume(handle, config, size), "contrast_limits": (low, high), "multiscale": True, "colormap": "gray"},
            "image",
        )
    ]


def _contrast(handle: Any) -> tuple[float, float]:
    """Limits that show the density: percentiles of the middle of the coarsest level."""
    view = handle.view(handle.levels[-1])
    middle = np.asarray(view[view.shape[0] // 2])
    low, high = (float(value) for value in np.nanpercentile(middle.astype(np.float32), [1, 99]))
    return (low, high) if high > low else (low, low + 1)


def _features(handle: Any, config: str) -> list[LayerData]:
    data = handle.dask("0")
    size = [handle.key.voxel_size] * 3
    about = _about(handle, config, None, data.ndim) | {"scale": [1.0] * (data.ndim - 3) + size, "visible": False}
    return [(data, about, "image")]


def _object(handle: Any, config: str) -> list[LayerData]:
    if handle.zarr() is None:
        return []
    levels = [handle.dask(level) for level in handle.levels]
    return [(levels, {**_volume(handle, config, handle.voxel_size or 1.0), "multiscale": True}, "image")]


def _segmentation(handle: Any, config: str) -> list[LayerData]:
    about = _volume(handle, config, handle.voxel_size, volume_version(handle)) | {"opacity": 0.5}
    view = handle.view("0")
    if handle.is_panoptic:  # channels label and instance: they are stored together, so neither is painted alone
        levels = [handle.dask(level) for level in handle.levels]
        names = ("labels", "instances")
        return [
            ([level[channel] for level in levels], {**about, "name": f"{about['name']} {name}", "metadata": {}}, "labels")
            for channel, name in enumerate(names)
        ]
    colors = _label_colors(handle)
    if colors is not None:
        about["colormap"] = colors
    if int(np.prod(view.shape)) * view.dtype.itemsize <= IN_MEMORY:
        return [(handle.numpy("0"), about, "labels")]
    return [([handle.dask(level) for level in handle.levels], {**about, "multiscale": True}, "labels")]


def _label_colors(handle: Any) -> dict[int | None, Any] | None:
    """The colour of each label; None for instances, which napari tells apart by colours of its own."""
    objects = handle.run.root.pickable_objects
    if handle.is_multilabel:
        named = {o.label: _rgba(o.color) for o in objects if o.label is not None}
        return {None: _rgba(_COLOR), 0: (0.0, 0.0, 0.0, 0.0), **named}
    if handle.is_instance:
        return None
    return {None: _color(handle, handle.name), 0: (0.0, 0.0, 0.0, 0.0)}


def _picks(handle: Any, config: str) -> list[LayerData]:
    positions, transforms = handle.numpy()
    radius = _radius(handle)
    color = _color(handle, handle.pickable_object_name)
    points = positions[:, ::-1].copy()
    features = {
        "row": np.arange(len(points)),
        "instance_id": handle.instance_ids(),
        "score": handle.scores(),
    }
    stored = Stored(transforms, handle.columns)
    about = {**_axes(), "name": str(address_of(handle.key)), "metadata": {KEY: Source(handle, config, None, stored)}}
    layers: list[LayerData] = [
        (
            points,
            {
                **about,
                "ndim": 3,
                "size": 2 * radius,
                "face_color": [color],
                "border_width": 0.02,
                "features": features,
                "feature_defaults": {name: [value] for name, value in NEW_POINT.items()},
                "out_of_slice_display": True,
            },
            "points",
        )
    ]
    turned = len(points) and not np.allclose(transforms[:, :3, :3], np.eye(3))
    if turned and handle.trust_orientation:
        axes = transforms[:, :3, 2][:, ::-1] * 2 * radius
        vectors = np.stack([points, axes], axis=1)
        about = {**_axes(), "name": f"{about['name']} orientation", "edge_color": [color]}
        layers.append((vectors, {**about, "edge_width": radius / 8, "out_of_slice_display": True}, "vectors"))
    return layers


def _filaments(handle: Any, config: str) -> list[LayerData]:
    paths = [points[:, ::-1].copy() for points in handle.numpy()]
    if not paths:
        return []
    color = _color(handle, handle.pickable_object_name)
    about = _about(handle, config) | {"edge_color": [color], "face_color": "transparent"}
    return [(paths, {**about, "shape_type": "path", "edge_width": _radius(handle) / 4, "ndim": 3}, "shapes")]


def _mesh(handle: Any, config: str) -> list[LayerData]:
    mesh = handle.mesh
    if hasattr(mesh, "to_geometry"):
        if not mesh.geometry:
            return []
        mesh = mesh.to_geometry()
    vertices = np.asarray(mesh.vertices)[:, ::-1].copy()
    # Reversed axes turn the space inside out, and so do reversed corners: the faces look outwards in (z, y, x) too.
    faces = np.asarray(mesh.faces)[:, ::-1].copy()
    colors = np.tile(np.asarray(_color(handle, handle.pickable_object_name), np.float32), (len(vertices), 1))
    return [((vertices, faces), {**_about(handle, config), "vertex_colors": colors, "opacity": 0.6}, "surface")]


def _volume(handle: Any, config: str, size: float, version: Any = None) -> dict[str, Any]:
    return {**_about(handle, config, version), "scale": [float(size)] * 3}


def _about(handle: Any, config: str, version: Any = None, ndim: int = 3) -> dict[str, Any]:
    name = str(address_of(handle.key))
    return {**_axes(ndim), "name": name, "metadata": {KEY: Source(handle, config, version)}}


def _axes(ndim: int = 3) -> dict[str, Any]:
    """Names and units of axes; what stands before z, y and x are channels."""
    more = ndim - len(_AXES)
    return {"axis_labels": ("channel",) * more + _AXES, "units": ("pixel",) * more + ("angstrom",) * len(_AXES)}


def _radius(handle: Any) -> float:
    found = handle.run.root.get_object(handle.pickable_object_name)
    return float(found.radius) if found is not None and found.radius else _RADIUS


def _color(handle: Any, name: str) -> tuple[float, ...]:
    found = handle.run.root.get_object(name)
    return _rgba(found.color if found is not None and found.color else _COLOR)


def _rgba(color: Sequence[int] | None) -> tuple[float, ...]:
    return tuple(value / 255 for value in color or _COLOR)


_MAKERS: dict[Kind, Callable[[Any, str], list[LayerData]]] = {
    Kind.TOMOGRAM: _tomogram,
    Kind.FEATURES: _features,
    Kind.OBJECT: _object,
    Kind.SEGMENTATION: _segmentation,
    Kind.PICKS: _picks,
    Kind.MESH: _mesh,
    Kind.FILAMENTS: _filaments,
}
#: Kinds that have layers.
DRAWN = frozenset(_MAKERS)
