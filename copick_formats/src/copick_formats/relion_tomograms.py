"""tomograms.star of RELION 4 and 5: sizes and pixel sizes of tomograms, in unbinned pixels, and their files."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from copick_core.errors import InvalidDataError
from copick_core.plugins.format_functions import Frame, ListedTomogram
from copick_formats.cells import numbers
from copick_formats.star import read_star
from copick_formats.units import six_digits

_SIZES = ("rlnTomoSizeZ", "rlnTomoSizeY", "rlnTomoSizeX")
_PIXEL_SIZE = "rlnTomoTiltSeriesPixelSize"
#: That of the camera: the tilt series', in files that have no other.
_CAMERA_SIZE = "rlnMicrographOriginalPixelSize"
_BINNING = "rlnTomoTomogramBinning"
_FILES = {
    "full": "rlnTomoReconstructedTomogram",
    "half1": "rlnTomoReconstructedTomogramHalf1",
    "half2": "rlnTomoReconstructedTomogramHalf2",
    "denoised": "rlnTomoReconstructedTomogramDenoised",
}


def read_tomograms(path: str) -> Mapping[str, Frame]:
    """Read the frames in which coordinates of particles count, by tomogram.

    The pixel size is that of the tilt series (``rlnTomoTiltSeriesPixelSize``), which the sizes count in; RELION 5 also
    writes that of the camera, and a binning, which have nothing to do with coordinates.

    Raises:
        InvalidDataError: It is not a tomograms.star, or a cell is not a positive number.
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
    raise InvalidDataError(source=path, reason="has no block with rlnTomoName and rlnTomoSizeX, so it is not a tomograms.star")


@click.option("--tomogram", type=click.Choice([*_FILES]), help="Which of the tomograms of a tilt series.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="Where paths count from: RELION's project.")
def read_listed_tomograms(path: str, *, tomogram: str | None = None, folder: str | None = None) -> list[ListedTomogram]:
    """Read the reconstructed tomograms of a tomograms.star.

    The voxel size is the pixel size of the tilt series times the binning; where only the camera's is there, that one counts.

    Args:
        path: The file.
        tomogram: ``"full"``, ``"half1"``, ``"half2"`` or ``"denoised"``; the only ones that there are by default.
        folder: Where paths count from; by default the nearest folder above the file that has the first tomogram.

    Raises:
        InvalidDataError: It names no tomograms, names several of each tilt series and ``tomogram`` does not choose, a cell is
            no positive number, or no folder above has the first tomogram.
    """
    for block in read_star(path):
        columns = block.columns
        found = [name for name, label in _FILES.items() if label in columns and any(map(_is_path, columns[label]))]
        if "rlnTomoName" not in columns or not found:
            continue
        chosen = tomogram or (found[0] if len(found) == 1 else None)
        if chosen not in found:
            reason = f"names the tomograms {', '.join(found)}; give tomogram ({' or '.join(found)})"
            raise InvalidDataError(source=path, reason=reason)
        sizes = None
        pixel = next((label for label in (_PIXEL_SIZE, _CAMERA_SIZE) if label in columns), None)
        if pixel is not None and _BINNING in columns:
            sizes = numbers(path, pixel, columns[pixel]) * numbers(path, _BINNING, columns[_BINNING])
            if not (sizes > 0).all():
                raise InvalidDataError(source=path, reason=f"{pixel} x {_BINNING} is not positive in every row")
        rows = [(run, file) for run, file in zip(columns["rlnTomoName"], columns[_FILES[chosen]], strict=True)]
        if missing := [run for run, file in rows if not _is_path(file)]:
            raise InvalidDataError(source=path, reason=f"{missing[0]} has no {_FILES[chosen]}")
        base = folder or _folder_of(path, rows[0][1])
        return [
            ListedTomogram(os.path.join(base, file), run, None if sizes is None else six_digits(float(sizes[row])))
            for row, (run, file) in enumerate(rows)
        ]
    raise InvalidDataError(
        source=path, reason=f"names no reconstructed tomograms: it has none of {', '.join(_FILES.values())}"
    )


def _is_path(cell: str) -> bool:
    return cell not in ("", "None", "none", "?", ".")


def _folder_of(path: str, file: str) -> str:
    """The nearest folder above a list that has a file."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(os.path.join(folder, file)):
        above = os.path.dirname(folder)
        if above == folder:
            reason = f"there is no {file} in its folder or in one above; give folder (RELION's project)"
            raise InvalidDataError(source=path, reason=reason)
        folder = above
    return folder
