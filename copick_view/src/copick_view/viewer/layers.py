"""Layers and the state of the viewer, as the JSON that neuroglancer reads.

The unit of all coordinates of a state is the voxel of the tomogram that is shown, so that one step of the mouse wheel is one
slice; annotations are in angstrom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from copick_view.viewer.placement import Level

Json = dict[str, Any]
Color = Sequence[int]

_ANGSTROM = [1e-10, "m"]
_IMAGE_SHADER = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }\n"
#: Spheres hide nothing of the density in a slice, and are solid in 3D.
_PICKS_SHADER = """void main() {
  setEllipsoidFillColor(vec4(defaultColor(), PROJECTION_VIEW ? 1.0 : 0.35));
  setPointMarkerColor(vec4(defaultColor(), 1.0));
  setPointMarkerBorderColor(vec4(0.0, 0.0, 0.0, 0.6));
  setPointMarkerSize(9.0);
}
"""
_LINES_SHADER = """void main() {
  setColor(defaultColor());
  setLineWidth(3.0);
  setEndpointMarkerSize(0.0, 0.0);
}
"""
#: How much of the density is seen through labels.
_LABELS_ALPHA = 0.45
#: Pixels of the longest side of a tomogram at first: all of it is seen in a window of 1100 x 700, and what is read for the
#: first picture is bounded, since the viewer asks for no level of more than twice as many voxels.
_WHOLE = 256


def hex_color(color: Color) -> str:
    """A color (red, green, blue, …) as ``"#rrggbb"``."""
    return "#" + "".join(f"{value:02x}" for value in color[:3])


def image_layer(name: str, url: str, black_white: tuple[float, float]) -> Json:
    """A tomogram.

    Args:
        name: Of the layer.
        url: Of its zarr store, with its format.
        black_white: Values that are drawn black and white.
    """
    return {
        "type": "image",
        "name": name,
        "source": url,
        "shader": _IMAGE_SHADER,
        "shaderControls": {"normalized": {"range": [*black_white]}},
        "opacity": 1.0,
        "tab": "rendering",
    }


def labels_layer(name: str, url: str, names_url: str | None, colors: Mapping[int, str], default: str | None) -> Json:
    """A segmentation.

    Args:
        name: Of the layer.
        url: Of its zarr store, with its format.
        names_url: Of the document that names the labels; None if they have no names.
        colors: Colors of labels; others get the default.
        default: Color of all others; None: each gets one of its own.
    """
    layer: Json = {
        "type": "segmentation",
        "name": name,
        "source": [url, *([f"precomputed://{names_url}"] if names_url else [])],
        "segments": [str(label) for label in colors],
        "segmentColors": {str(label): color for label, color in colors.items()},
        "selectedAlpha": _LABELS_ALPHA,
        "notSelectedAlpha": 0.0,
        "hideSegmentZero": True,
        "tab": "segments",
    }
    if default is not None:
        layer["segmentDefaultColor"] = default
    return layer


def mesh_layer(name: str, url: str, color: str) -> Json:
    """A mesh, which is drawn in 3D only."""
    return {
        "type": "segmentation",
        "name": name,
        "source": f"precomputed://{url}",
        "segments": ["1"],
        "segmentColors": {"1": color},
        "tab": "segments",
    }


def points_layer(name: str, color: str, annotations: Sequence[Json], *, editable: bool) -> Json:
    """Picks whose points can be changed with the mouse.

    Args:
        name: Of the layer.
        color: Of the object.
        annotations: The points.
        editable: Whether clicks add points to it while it is the selected layer.
    """
    layer: Json = {
        "type": "annotation",
        "name": name,
        "source": {"url": "local://annotations", "transform": {"outputDimensions": dict.fromkeys("xyz", _ANGSTROM)}},
        "annotations": [*annotations],
        "annotationColor": color,
        "shader": _PICKS_SHADER,
        "tab": "annotations",
    }
    if editable:
        layer["tool"] = "annotatePoint"
    return layer


def shapes_layer(name: str, color: str, url: str, *, lines: bool) -> Json:
    """Lines, or spheres, that are only looked at."""
    return {
        "type": "annotation",
        "name": name,
        "source": f"precomputed://{url}",
        "annotationColor": color,
        "shader": _LINES_SHADER if lines else _PICKS_SHADER,
        "tab": "rendering",
    }


def state(layers: Sequence[Json], finest: Level) -> Json:
    """The state in which a run is shown at first: its middle, in slices and in 3D.

    Args:
        layers: The layers.
        finest: Where the voxels of the tomogram lie; its voxels are the unit of coordinates.
    """
    longest = max(finest.shape)
    return {
        "dimensions": {axis: [size * 1e-10, "m"] for axis, size in zip("xyz", finest.scale[::-1], strict=True)},
        "position": [(n - 1) / 2 + o / s for n, o, s in zip(*(values[::-1] for values in _place(finest)), strict=True)],
        "crossSectionScale": longest / _WHOLE,
        "projectionScale": longest * 1.4,
        "showAxisLines": False,
        "layers": [*layers],
        "layout": "4panel-alt",
        "selectedLayer": {"visible": False},
        "crossSectionBackgroundColor": "#000000",
        "projectionBackgroundColor": "#000000",
    }


def _place(level: Level) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    return level.shape, level.origin, level.scale
