"""Uploads: the source slices of a job, and what conversion would make of them.

The app sorts slices by plain text order of their file names, also those in zips, casts them to the type of the first one,
takes the first channel of colours, and puts a plane of zeros where it cannot read one. Of a stack that is wholly DICOM it
takes the largest series, by position or number. The report tells before that happens.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from copick_backend_volume.dicom import (
    DicomHeader,
    in_order,
    is_dicom,
    largest_series,
    library,
    read_header,
    read_pixels,
)
from copick_backend_volume.places import Volume
from copick_backend_volume.sources import Opener, Source, natural_order, sources
from copick_core.errors import InvalidDataError, MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Severity = Literal["error", "warning"]
#: Code of the finding that there are DICOM slices and nothing to read them with.
NO_DICOM_READER = "no-dicom-reader"
_MILLIMETRE = 1e7


@dataclass(frozen=True)
class Finding:
    """Something that a report or the doctor found.

    Attributes:
        code: What it is, in one word; stable.
        severity: ``"error"``: the result would be wrong or missing. ``"warning"``: look at it.
        message: What it is, where, and what to do.
        job: The job, if it concerns one.
        files: The files.
    """

    code: str
    severity: Severity
    message: str
    job: str | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upload:
    """One uploaded file.

    Attributes:
        name: Its name; of a file in a zip, with the zip and the folders in it.
        path: Where it lies.
        member: Its path inside the zip at ``path``; None for a file.
        size: Its bytes.
        shape_yx: Its shape, None if it cannot be read.
        dtype: Type of its pixels.
        channels: Number of channels, 1 for grey.
        pages: Number of pages.
        problem: Why it cannot be read.
        dicom: Where it belongs, for a DICOM slice.
        digest: Hash of its pixels, None where all are equal, which says nothing.
    """

    name: str
    path: str
    size: int
    shape_yx: tuple[int, int] | None = None
    dtype: str | None = None
    channels: int = 1
    pages: int = 1
    problem: str | None = None
    member: str | None = None
    dicom: DicomHeader | None = field(default=None, repr=False)
    digest: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class UploadReport:
    """The uploads of a job in the order of conversion, and what is wrong with them.

    Attributes:
        job: The job.
        slices: The files that become slices, z = 0 first.
        ignored: Names of files that are left out.
        findings: What was found; empty if conversion gives just what was uploaded.
    """

    job: str
    slices: tuple[Upload, ...] = field(repr=False)
    ignored: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether conversion would lose nothing."""
        return not any(f.severity == "error" for f in self.findings)

    @property
    def source_type(self) -> str:
        """What the slices are, in the app's words: ``"dicom"`` or ``"image_stack"``."""
        return "dicom" if self.slices and all(s.dicom for s in self.slices) else "image_stack"

    @property
    def shape_zyx(self) -> tuple[int, int, int] | None:
        """Shape of the image that conversion would make."""
        first = next(iter(self.slices), None)
        return None if first is None or first.shape_yx is None else (len(self.slices), *first.shape_yx)

    @property
    def spacing_zyx(self) -> tuple[float, float, float] | None:
        """Voxel size in angstrom that the slices tell, which DICOM does."""
        return in_angstrom(self.slices[0].dicom) if self.slices else None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of the image that conversion would make: that of the first slice."""
        first = next(iter(self.slices), None)
        return None if first is None or first.dtype is None else np.dtype(first.dtype)

    def check(self) -> None:
        """Refuse uploads that conversion would spoil.

        Raises:
            InvalidDataError: Tells all errors.
            MissingDependencyError: There are DICOM slices, and the extra that reads them is not installed.
        """
        if any(f.code == NO_DICOM_READER for f in self.findings):
            library()
        self.check_errors()

    def check_errors(self) -> None:
        """Refuse uploads that the app's conversion would spoil; what needs a reader that is missing here is left to it.

        Raises:
            InvalidDataError: Tells all errors.
        """
        errors = [f.message for f in self.findings if f.severity == "error"]
        if errors:
            raise InvalidDataError(source=f"uploads of job {self.job!r}", reason="; ".join(errors))


def preflight(volume: Volume, job: str) -> UploadReport:
    """Read every uploaded file once, one at a time, and report."""
    folder = volume.folder("uploads", job)
    found, broken_zips = sources([os.path.join(folder, name) for name in volume.upload_names(job)])
    with Opener() as opener:
        uploads = [_inspect(opener, source) for source in found if not source.is_junk]
    slices, left_out = _stacked(uploads)
    findings = _Findings(job)
    findings.of_files(slices, [s.name for s in found if s.is_junk], broken_zips)
    findings.of_kinds(slices, left_out)
    ignored = [*(s.name for s in found if s.is_junk), *left_out]
    return UploadReport(job, tuple(slices), tuple(ignored), tuple(findings.found))


def _stacked(uploads: list[Upload]) -> tuple[list[Upload], list[str]]:
    """Slices in the order of conversion, and the names of those that are of another DICOM series."""
    headers = [u.dicom for u in uploads if u.dicom]
    if not headers or len(headers) < len(uploads):
        return uploads, []
    series = largest_series(headers)
    kept = [u for u in uploads if u.dicom and u.dicom.series == series]
    order = in_order([u.dicom for u in kept if u.dicom])
    return [kept[i] for i in order] if order else kept, [u.name for u in uploads if u not in kept]


def dicom_spacing(volume: Volume, job: str) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x) in angstrom that the first upload tells, if that is DICOM; None otherwise.

    Raises:
        MissingDependencyError: It is DICOM, and the extra that reads it is not installed.
    """
    folder = volume.folder("uploads", job)
    found, _ = sources([os.path.join(folder, name) for name in volume.upload_names(job)])
    first = next((s for s in found if not s.is_junk and not s.problem), None)
    if first is None:
        return None
    try:
        with Opener() as opener, opener.open(first.path, first.member) as file:
            return in_angstrom(read_header(file)) if is_dicom(file, first.base_name) else None
    except MissingDependencyError:
        raise
    except Exception:  # whatever a damaged file makes the reader raise: the size is not known
        return None


def in_angstrom(header: DicomHeader | None) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x) in angstrom that a DICOM header tells."""
    if header is None or header.spacing is None or min(header.spacing) <= 0:
        return None
    z, y, x = (size * _MILLIMETRE for size in header.spacing)
    return z, y, x


class _Findings:
    """Collects what is wrong with the uploads of a job."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.found: list[Finding] = []

    def add(self, code: str, severity: Severity, message: str, files: Sequence[str] = ()) -> None:
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        self.found.append(Finding(code, severity, f"{message}: {shown}" if files else message, self.job, tuple(files)))

    def of_files(self, slices: Sequence[Upload], junk: Sequence[str], broken_zips: Mapping[str, str]) -> None:
        """What tells of files as such."""
        if not slices:
            self.add("empty", "error", "there is no slice")
        for name, problem in broken_zips.items():
            self.add("zip", "error", f"a zip that cannot be used ({problem})", [name])
        not_hidden = [n for n in junk if not n.rpartition("/")[2].startswith(".") and "__MACOSX" not in n]
        if not_hidden:
            message = "files of an operating system, which the app would take for slices; delete them"
            self.add("junk", "warning", message, not_hidden)
        unread = [s.name for s in slices if s.problem == NO_DICOM_READER]
        if unread:
            self.add(NO_DICOM_READER, "warning", 'DICOM, which needs pip install "copick-backend-volume[dicom]"', unread)
        unreadable = [s for s in slices if s.problem and s.name not in unread]
        if unreadable:
            message = f"unreadable or truncated ({unreadable[0].problem}), the app would make them planes of zeros"
            self.add("unreadable", "error", message, [s.name for s in unreadable])
        names = [_base_name(s) for s in slices]
        natural = sorted(names, key=natural_order)
        ordered = slices and all(s.dicom for s in slices) and in_order([s.dicom for s in slices if s.dicom])
        if natural != names and not ordered and not unread:  # what DICOM tells of the order, nobody could read
            moved = [a for a, b in zip(names, natural, strict=True) if a != b]
            self.add("order", "error", "text order is not the order of the numbers; pad them with zeros", moved)

    def of_kinds(self, slices: Sequence[Upload], left_out: Sequence[str]) -> None:
        """What tells of the pixels of slices that can be read, together."""
        readable = [s for s in slices if not s.problem]
        first = next(iter(readable), Upload("", "", 0))
        groups: list[tuple[str, Severity, str, list[str]]] = [
            (
                "mixed-size",
                "error",
                f"not {first.shape_yx} (y, x) as the first slice",
                [s.name for s in readable if s.shape_yx != first.shape_yx],
            ),
            (
                "mixed-dtype",
                "error",
                f"not {first.dtype} as the first slice; values would wrap around",
                [s.name for s in readable if s.dtype != first.dtype],
            ),
            ("duplicate", "warning", "pixel for pixel an earlier slice again", _again(readable)),
            ("colour", "warning", "in colour; only the first channel is kept", [s.name for s in readable if s.channels > 1]),
            (
                "pages",
                "error",
                "several pages, of which only the first would be kept; split them",
                [s.name for s in readable if s.pages > 1],
            ),
            ("series", "warning", "of another DICOM series than the largest one, and left out", [*left_out]),
        ]
        dicom = [s for s in readable if s.dicom]
        if len(dicom) < len(readable):
            groups.append(("mixed-kinds", "error", "DICOM among images, which the app refuses", [s.name for s in dicom]))
        else:
            groups.append(("same-position", "warning", "where another DICOM slice is too", _at_one_place(dicom)))
            odd = [s.name for s in dicom if s.dicom and s.dicom.spacing and not s.dicom.is_isotropic]
            groups.append(
                ("anisotropic", "warning", "voxels that are not cubes; see voxel_size_info.zyx, and give job_voxel_sizes", odd)
            )
        for code, severity, message, files in groups:
            if files:
                self.add(code, severity, message, files)


def _again(slices: Sequence[Upload]) -> list[str]:
    """Names of slices whose pixels an earlier one has."""
    first: dict[str | None, str] = {}
    return [s.name for s in slices if s.digest and first.setdefault(s.digest, s.name) != s.name]


def _at_one_place(slices: Sequence[Upload]) -> list[str]:
    """Names of DICOM slices whose position an earlier one has."""
    first: dict[float, str] = {}
    return [s.name for s in slices if s.dicom and s.dicom.z is not None and first.setdefault(s.dicom.z, s.name) != s.name]


def _base_name(upload: Upload) -> str:
    return Source(upload.path, upload.member, 0).base_name


def _inspect(opener: Opener, source: Source) -> Upload:
    """Describe one file; decodes it whole, because a truncated one is found no other way."""
    told: dict[str, Any] = {"name": source.name, "path": source.path, "size": source.size, "member": source.member}
    if source.problem:
        return Upload(**told, problem=source.problem)
    try:
        with opener.open(source.path, source.member) as file:
            pixels, pages, header = _decode(file, source.base_name)
        shape = (int(pixels.shape[0]), int(pixels.shape[1]))
    except MissingDependencyError:
        return Upload(**told, problem=NO_DICOM_READER)
    except Exception as error:
        return Upload(**told, problem=str(error) or type(error).__name__)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    told["digest"] = None if pixels.min() == pixels.max() else hashlib.sha256(pixels.tobytes()).hexdigest()
    return Upload(**told, shape_yx=shape, dtype=pixels.dtype.str, channels=channels, pages=pages, dicom=header)


def read_slice(upload: Upload, opener: Opener) -> NDArray[Any]:
    """Read one slice, (y, x); of a coloured one the first channel, as the app does.

    Raises:
        InvalidDataError: It cannot be read.
    """
    try:
        with opener.open(upload.path, upload.member) as file:
            pixels, _, _ = _decode(file, _base_name(upload))
    except Exception as error:
        raise InvalidDataError(source=upload.name, reason=f"it is not a readable image ({error})") from error
    return pixels[..., 0] if pixels.ndim == 3 else pixels


def _decode(file: BinaryIO, name: str) -> tuple[NDArray[Any], int, DicomHeader | None]:
    """Pixels (y, x) or (y, x, channel) of the first page, the number of pages, and the header of a DICOM file."""
    header = None
    if is_dicom(file, name):
        pixels, pages, header = read_pixels(file)
    else:
        pixels, pages = _read_image(file)
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif":
        raise ValueError(f"shape {pixels.shape} and type {pixels.dtype} are not an image")
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False), pages, header


def _read_image(file: BinaryIO) -> tuple[NDArray[Any], int]:
    """Pixels and number of pages as Pillow gives them, also of TIFFs: the app reads with Pillow, and others differ."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            pixels, pages = np.asarray(image), getattr(image, "n_frames", 1)
            is_png = image.format == "PNG"
    except UnidentifiedImageError:  # its message names an object in memory
        raise ValueError("it is in no image format that is known") from None
    # Pillow before 11.3 gives 16-bit PNG as int32.
    if is_png and pixels.dtype == np.int32:
        pixels = pixels.astype("<u2")
    return pixels, pages
