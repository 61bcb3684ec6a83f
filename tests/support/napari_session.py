"""A session of napari without a window: opens, edits and saves layers as it is told, prints JSON.

Arguments: the folder of napari's packages, which come behind those of this interpreter, and a JSON list of steps. Each step
is a list: what is done, and its arguments. What each did, or the error that it raised, is printed.
"""

import json
import os
import sys
import warnings
from pathlib import Path

sys.path.append(sys.argv[1])
os.environ["NAPARI_CONFIG"] = ""  # no settings of whoever runs it
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402 - napari is found since the line above
from napari.components import ViewerModel  # noqa: E402
from npe2 import PluginManager  # noqa: E402

PluginManager.instance().discover()  # as its window does
viewer = ViewerModel()


def open_(path):
    """Open a path, and describe the layers that it gave."""
    return [described(layer) for layer in viewer.open(path, plugin="copick-view")]


def described(layer):
    """What a test compares of a layer."""
    kind = layer._type_string
    about = {
        "kind": kind,
        "name": layer.name,
        "scale": [float(s) for s in layer.scale],
        "units": [str(unit) for unit in layer.units],
        "extent": np.asarray(layer.extent.world).tolist(),
    }
    if kind in ("image", "labels"):
        levels = layer.data if layer.multiscale else [layer.data]
        about["shapes"] = [list(level.shape) for level in levels]
        about["sum"] = float(np.asarray(levels[0]).astype(float).sum())
    if kind == "labels":
        about["color of 1"] = [round(float(c), 3) for c in layer.get_color(1)]
        about["painted"] = isinstance(layer.data, np.ndarray)
    if kind == "points":
        about["data"] = layer.data.tolist()
        about["size"] = [float(s) for s in layer.size]
        about["features"] = {name: layer.features[name].tolist() for name in layer.features}
    if kind in ("vectors", "shapes"):
        about["data"] = [np.asarray(one).tolist() for one in layer.data]
    if kind == "surface":
        about["vertices"], about["faces"] = len(layer.data[0]), len(layer.data[1])
        corners = layer.data[0][layer.data[1]]
        about["volume"] = float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)
    return about


def add_point(layer, point):
    """Add a point as a click does."""
    viewer.layers[layer].add(point)


def move_point(layer, index, point):
    """Move a point."""
    data = viewer.layers[layer].data.copy()
    data[index] = point
    viewer.layers[layer].data = data


def delete_point(layer, index):
    """Delete a point as the key does."""
    viewer.layers[layer].selected_data = {index}
    viewer.layers[layer].remove_selected()


def paint(layer, place, label):
    """Paint one voxel."""
    viewer.layers[layer].brush_size = 1
    viewer.layers[layer].data_setitem(tuple(np.array([i]) for i in place), label)


def new_points(data, scale):
    """Add a layer of points as the button does."""
    viewer.add_points(np.array(data, dtype=float), name="new", ndim=3, scale=scale)


def new_labels(shape, scale):
    """Add a layer of labels whose first plane is 1."""
    data = np.zeros(shape, np.uint8)
    data[0] = 1
    viewer.add_labels(data, name="new", scale=scale)


def save(path, *layers):
    """Save some layers."""
    viewer.layers.selection = {viewer.layers[name] for name in layers}
    return viewer.layers.save(path, selected=True, plugin="copick-view")


def write(path, content):
    """Write a file, for a test that something else happens meanwhile."""
    Path(path).write_text(content)


STEPS = {
    "open": open_,
    "add point": add_point,
    "move point": move_point,
    "delete point": delete_point,
    "paint": paint,
    "new points": new_points,
    "new labels": new_labels,
    "save": save,
    "write": write,
}


def outcome(step, arguments):
    """What a step did, or the error that it raised."""
    try:
        return STEPS[step](*arguments)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


output, sys.stdout = sys.stdout, sys.stderr
json.dump([outcome(step, arguments) for step, *arguments in json.loads(sys.argv[2])], output)
