"""The reader of napari: an address of a project as layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from copick_core.errors import InvalidDataError, NotFoundError
from copick_core.tree.keys import Kind
from copick_view.napari_plugin.layers import DRAWN, LayerData, layers_of
from copick_view.napari_plugin.paths import SCHEME, Place, place_of

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay

#: Largest file that may be a configuration, in bytes.
_LARGEST = 2**24


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Give napari the function that reads a path, or None if it is none of a project.

    Args:
        path: ``copick://CONFIG#ADDRESS``, or a file of a configuration.
    """
    first = path if isinstance(path, str) else path[0]
    return read if first.startswith(SCHEME) or _is_config(first) else None


def read(path: str | list[str]) -> list[LayerData]:
    """Read what paths name as layers; images lie below all others, points above.

    Args:
        path: One path, or several. Without an address it is the only run of the project.

    Returns:
        Layers in angstrom, axes (z, y, x).

    Raises:
        NotFoundError: The address matches nothing.
        AddressError: It is not an address.
        InvalidDataError: There is no address, and the project has not one run only.
    """
    from copick_core import opening

    found: list[LayerData] = []
    for text in [path] if isinstance(path, str) else path:
        place = place_of(text)
        root = opening.open(place.config)
        found += [layer for handle in _handles(root, place) for layer in layers_of(handle, place.config)]
    order = ["image", "labels", "surface", "shapes", "vectors", "points"]
    return sorted(found, key=lambda layer: order.index(layer[2]))


def _handles(root: CopickRootOverlay, place: Place) -> list[Any]:
    """The entities that are drawn, of what an address matches."""
    address = place.address
    if address is None:
        names = [run.name for run in root.runs]
        if len(names) != 1:
            reason = f"it has {len(names)} runs; name one, such as {Place(place.config, 'RUN/')}"
            raise InvalidDataError(source=place.config, reason=reason)
        runs, handles = [root.runs[0]], []
    else:
        matched = [*root.select(address)]
        runs = [handle for handle in matched if handle.key.kind is Kind.RUN]
        handles = [handle for handle in matched if handle.key.kind in DRAWN]
    for run in runs:
        tomograms = [tomogram for spacing in run.voxel_spacings for tomogram in spacing.tomograms]
        handles += [*tomograms, *run.segmentations, *run.meshes, *run.filaments, *run.picks]
    if not handles:
        raise NotFoundError(key=address or place.config, layer=", ".join(layer.name for layer in root.layers.all))
    return handles


def _is_config(path: str) -> bool:
    """Whether a file is a configuration: other plugins read other JSON."""
    import os

    if not path.lower().endswith(".json") or not os.path.isfile(path) or os.path.getsize(path) > _LARGEST:
        return False
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except ValueError:
        return False
    return isinstance(content, dict) and bool({"pickable_objects", "config_type"} & content.keys())
