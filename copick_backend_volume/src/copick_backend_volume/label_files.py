"""Labels in files of any installed format, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_core.volumes.sources import VolumeSource


class LabelFile:
    """Labels (z, y, x) of a volume file, by slicing; real numbers that are whole, as masks in MRC often are, are integers.

    Args:
        source: The open volume.

    Attributes:
        shape: (z, y, x).
        dtype: An integer or bool type.
    """

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape = source.shape
        self.dtype = np.dtype(np.int64) if source.dtype.kind == "f" else source.dtype

    def __getitem__(self, box: tuple[slice, slice, slice]) -> NDArray[Any]:
        """Read a box.

        Raises:
            InvalidDataError: It holds numbers that are not whole.
        """
        z, y, x = (slice(*part.indices(length)[:2]) for part, length in zip(box, self.shape, strict=True))
        found = self._source.box(z, y, x)
        return _whole(found, self._source.name) if found.dtype.kind == "f" else found


@contextmanager
def opened_labels(path: str) -> Iterator[LabelFile]:
    """Open the labels in a file.

    Raises:
        FileNotFoundError: There is no such file.
        InvalidDataError: It is damaged.
        UnknownFormatError: No installed format reads it.
    """
    from copick_core.volumes.reading import opened_volume

    with opened_volume(path) as source:
        yield LabelFile(source)


def _whole(found: NDArray[Any], name: str) -> NDArray[np.int64]:
    labels = np.where(np.isfinite(found), found, 0.5)
    whole = labels.astype(np.int64)
    if (whole != labels).any():
        raise InvalidDataError(source=name, reason="labels are whole numbers, and it holds others")
    return whole
