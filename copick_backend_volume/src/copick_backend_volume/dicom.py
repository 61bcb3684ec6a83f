"""DICOM slices: their stored values, and where each belongs. This module needs the extra ``dicom``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from copick_core.errors import MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREAMBLE = 128
#: Relative difference up to which spacings along the axes count as one.
_ISOTROPIC = 1e-3


@dataclass(frozen=True)
class DicomHeader:
    """What tells where a slice belongs.

    Attributes:
        series: SeriesInstanceUID.
        z: Third coordinate of ImagePositionPatient.
        number: InstanceNumber.
        spacing: Spacing of the voxels along (z, y, x) in millimetres, where all three are told: SpacingBetweenSlices, else
            SliceThickness, and PixelSpacing.
    """

    series: str
    z: float | None
    number: int | None
    spacing: tuple[float, float, float] | None

    @property
    def is_isotropic(self) -> bool:
        """Whether its voxels are cubes."""
        return self.spacing is not None and cube(self.spacing) is not None


def cube(spacing: tuple[float, float, float]) -> float | None:
    """The voxel size, where it is the same along (z, y, x) and positive; None otherwise."""
    if min(spacing) <= 0 or max(spacing) - min(spacing) > _ISOTROPIC * max(spacing):
        return None
    return spacing[1]


def is_dicom(file: BinaryIO, name: str) -> bool:
    """Whether a file is DICOM, by its name or by the mark behind its preamble."""
    if name.lower().endswith((".dcm", ".dicom")):
        return True
    file.seek(_PREAMBLE)
    mark = file.read(4)
    file.seek(0)
    return mark == b"DICM"


def read_header(file: BinaryIO) -> DicomHeader:
    """Read the header of a file, and not its pixels.

    Raises:
        MissingDependencyError: pydicom is not installed.
    """
    return _header(library().dcmread(file, stop_before_pixels=True))


def read_pixels(file: BinaryIO) -> tuple[NDArray[Any], int, DicomHeader]:
    """Read stored values, (y, x) or (y, x, channel), not rescaled; with the number of frames and the header.

    Raises:
        MissingDependencyError: pydicom is not installed.
    """
    dataset = library().dcmread(file)
    frames = int(dataset.get("NumberOfFrames") or 1)
    pixels = dataset.pixel_array
    return (pixels[0] if frames > 1 else pixels), frames, _header(dataset)


def in_order(headers: Sequence[DicomHeader]) -> list[int] | None:
    """Indices of slices in the order of their positions, else of their numbers; None where not all have either."""
    for attribute in ("z", "number"):
        places = [getattr(header, attribute) for header in headers]
        if None not in places:
            return sorted(range(len(places)), key=places.__getitem__)
    return None


def largest_series(headers: Sequence[DicomHeader]) -> str:
    """The series that has the most slices; of equals the first."""
    return Counter(header.series for header in headers).most_common(1)[0][0]


def _header(dataset: Any) -> DicomHeader:
    position, pixel_spacing = dataset.get("ImagePositionPatient"), dataset.get("PixelSpacing")
    between = dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness")
    number = dataset.get("InstanceNumber")
    return DicomHeader(
        series=str(dataset.get("SeriesInstanceUID", "")),
        z=float(position[2]) if position else None,
        number=None if number is None else int(number),
        spacing=(float(between), float(pixel_spacing[0]), float(pixel_spacing[1])) if between and pixel_spacing else None,
    )


def library() -> Any:
    """The package pydicom.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import pydicom  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(
            feature="Reading DICOM slices", install='pip install "copick-backend-volume[dicom]"'
        ) from error
    return pydicom
