"""Pictures of runs and tomograms as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from copick_core.errors import NotFoundError
from copick_core.tree.keys import RunKey, TomogramKey
from copick_view.server.volumes import find

if TYPE_CHECKING:
    from copick_core.overlay import CopickRootOverlay
    from copick_view.server.urls import Target

_SMALLEST, _LARGEST = 16, 2048


def picture_of(root: CopickRootOverlay, target: Target, size: int = 0) -> bytes:
    """The picture that ``copick-core render`` draws, as PNG.

    Args:
        root: The project.
        target: A run or a tomogram.
        size: Longest side in pixels, from 16 to 2048; 0 for the picture as it is drawn.

    Raises:
        NotFoundError: There is no such run or tomogram, or the run has no tomogram.
    """
    from copick_tools.pictures import picture

    image = picture(root, target.key.name if isinstance(target.key, RunKey) else _tomogram(root, target))
    if size:
        size = min(max(size, _SMALLEST), _LARGEST)
        image.thumbnail((size, size))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _tomogram(root: CopickRootOverlay, target: Target) -> Any:
    layer, key = find(root, target)
    run = root.get_run(key.run) if isinstance(key, TomogramKey) else None
    for spacing in run.voxel_spacings if run else ():
        for tomogram in spacing.tomograms:
            if (tomogram.key, tomogram.layer) == (key, layer.name):
                return tomogram
    raise NotFoundError(key=key, layer=layer.name)
