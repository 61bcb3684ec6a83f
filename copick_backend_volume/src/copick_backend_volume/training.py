"""Training pairs: an annotated slice and its mask, as PNG files."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from copick_backend_volume.places import Volume, entries
from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IMAGE = re.compile(r"img(\d+)(?:-z(\d+))?\.png")
_MASK = re.compile(r"seg(\d+)(?:-z(\d+))?\.png")


@dataclass(frozen=True)
class TrainingPair:
    """An annotated slice and its mask.

    Attributes:
        job: The job.
        id: What its file names have in common: time of annotation, and slice if several were annotated at once.
        timestamp: When it was annotated, seconds since the epoch.
        z: Slice in the volume, where that is known.
        image_path: The image, 8-bit display values.
        mask_path: The mask.
        meta: What the app knows of it; None for those of 2024, whose place in the volume is not known.
    """

    job: str
    id: str
    timestamp: int
    z: int | None
    image_path: str
    mask_path: str
    meta: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def image(self) -> NDArray[np.uint8]:
        """The image, (y, x), as it was displayed: not the raw values.

        Raises:
            InvalidDataError: It cannot be read; likewise for the mask.
        """
        return _red(self.image_path)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The mask, (y, x): values of classes, 0 where nothing is annotated."""
        return _red(self.mask_path)

    @property
    def place_zyx(self) -> tuple[int, slice, slice] | None:
        """Index of the annotated slice in the tomogram, None where it is not known; padding is not part of it."""
        place = self._place()
        return None if place is None else place[0]

    @property
    def region_yx(self) -> tuple[slice, slice] | None:
        """The part of image and mask that is at :attr:`place_zyx`; the rest is padding."""
        place = self._place()
        return None if place is None else place[1]

    def _place(self) -> tuple[tuple[int, slice, slice], tuple[slice, slice]] | None:
        meta = self.meta or {}
        try:
            x, y, _ = (int(n) for n in meta["cutout_origin_xyz"])
            width, height, _ = (int(n) for n in meta["cutout_shape_xyz"])
            left, top, _ = (int(n) for n in meta.get("padding_before_xyz", (0, 0, 0)))
            z = int(meta["annotated_global_z_index"])
        except (KeyError, TypeError, ValueError):
            return None
        inside = slice(top, top + height), slice(left, left + width)
        return (z, slice(y, y + height), slice(x, x + width)), inside


def training_pairs(volume: Volume, job: str) -> list[TrainingPair]:
    """All complete pairs of a job, in order of time; an image without a mask, or the reverse, is none."""
    names = _names(volume, job)
    folder = volume.folder("training", job)
    pairs = []
    for name in names:
        match = _IMAGE.fullmatch(name)
        mask = f"seg{name[3:]}"
        if not match or mask not in names:
            continue
        stem = name[3 : -len(".png")]
        meta = _meta(folder, names, stem, match[1])
        z = int(match[2]) if match[2] else (meta or {}).get("annotated_global_z_index")
        pairs.append(
            TrainingPair(
                job=job,
                id=stem,
                timestamp=int(match[1]),
                z=z if isinstance(z, int) else None,
                image_path=os.path.join(folder, name),
                mask_path=os.path.join(folder, mask),
                meta=meta,
            )
        )
    return sorted(pairs, key=lambda pair: (pair.timestamp, -1 if pair.z is None else pair.z, pair.id))


def unpaired(volume: Volume, job: str) -> list[str]:
    """Names of images without a mask, and of masks without an image."""
    names = _names(volume, job)
    other = {"img": "seg", "seg": "img"}
    return sorted(n for n in names if (_IMAGE.fullmatch(n) or _MASK.fullmatch(n)) and f"{other[n[:3]]}{n[3:]}" not in names)


def mask_values(pairs: list[TrainingPair]) -> list[int]:
    """Values of classes in the masks of some pairs, but zero; masks that cannot be read tell none."""
    import numpy as np

    found: set[int] = set()
    for pair in pairs:
        with contextlib.suppress(InvalidDataError):
            found.update(np.unique(pair.mask).tolist())
    return sorted(found - {0})


def _names(volume: Volume, job: str) -> set[str]:
    if not volume.has("training", job):
        return set()
    return {name for name, is_folder in entries(volume.folder("training", job)) if not is_folder}


def _meta(folder: str, names: set[str], stem: str, timestamp: str) -> Mapping[str, Any] | None:
    name = next((n for n in (f"meta{stem}.json", f"meta{timestamp}.json") if n in names), None)
    if name is None:
        return None
    try:
        with open(os.path.join(folder, name), "rb") as file:
            meta = json.load(file)
    except (ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None


def _red(path: str) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except Exception as error:  # a damaged file makes decoders raise whatever they like
        raise InvalidDataError(source=path, reason=f"it is not a readable image ({error})") from error
    return np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 else pixels).astype(np.uint8, copy=False)
