"""tomograms.star of RELION 4 and 5: the size and pixel size of each tilt series' tomogram, in unbinned pixels."""

from __future__ import annotations

from collections.abc import Mapping

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame
from copick_formats.cells import numbers
from copick_formats.star import read_star

_SIZES = ("rlnTomoSizeZ", "rlnTomoSizeY", "rlnTomoSizeX")
_PIXEL_SIZE = "rlnTomoTiltSeriesPixelSize"


def read_tomograms(path: str) -> Mapping[str, Frame]:
    """Read the frames in which coordinates of particles count, by tomogram.

    The pixel size is that of the tilt series (``rlnTomoTiltSeriesPixelSize``), which the sizes count in; RELION 5 also
    writes that of the camera, and a binning, which have nothing to do with coordinates.

    Raises:
        InvalidDataError: It is no tomograms.star, or a cell is no positive number.
    """
    for block in read_star(path):
        if "rlnTomoName" not in block.columns or _SIZES[0] not in block.columns:
            continue
        if missing := [label for label in (*_SIZES, _PIXEL_SIZE) if label not in block.columns]:
            raise InvalidDataError(source=path, reason=f"the block data_{block.name} has no column {missing[0]}")
        columns = [numbers(path, label, block.columns[label]) for label in (*_SIZES, _PIXEL_SIZE)]
        frames: dict[str, Frame] = {}
        for index, (name, *values) in enumerate(zip(block.columns["rlnTomoName"], *columns, strict=True)):
            z, y, x, size = (float(value) for value in values)
            if min(z, y, x, size) <= 0:
                raise InvalidDataError(source=path, reason=f"row {index + 1}: a size of {name} is not positive", index=index)
            frames[name] = Frame((int(z), int(y), int(x)), size)
        return frames
    raise InvalidDataError(source=path, reason="has no block with rlnTomoName and rlnTomoSizeX, so it is no tomograms.star")
