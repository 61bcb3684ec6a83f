"""What a layer of napari remembers of the entity that it was made of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The name, in the metadata of a layer.
KEY = "copick"


class Stored(NamedTuple):
    """What was stored of points, beside their places, when they were read: napari has nothing to show it with.

    Attributes:
        transforms: Of each point, (n, 4, 4).
        columns: Further columns by name, each (n,).
    """

    transforms: NDArray[np.float64]
    columns: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """The entity that a layer shows.

    Attributes:
        handle: Its handle; picks remember with it what was stored when they were read.
        config: Where the project was opened from.
        version: Identity of the volume that was read; None of files, and where the place cannot tell.
        stored: Of picks, what was stored with each point.
    """

    handle: Any
    config: str
    version: Hashable | None = None
    stored: Stored | None = None


def volume_version(handle: Any) -> Hashable | None:
    """The identity of the volume that is stored now."""
    layer = next(layer for layer in handle.run.root.layers.all if layer.name == handle.layer)
    version: Hashable | None = layer.volume_version(handle.key)
    return version


def source_of(meta: dict[str, Any]) -> Source | None:
    """What the metadata of a layer say of its source."""
    found = meta.get("metadata", {}).get(KEY)
    return found if isinstance(found, Source) else None
