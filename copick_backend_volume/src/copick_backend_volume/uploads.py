"""Uploads: the source slices of a job, and what conversion would make of them.

The app sorts slices by plain text order, casts them to the type of the first one, takes the first channel of colours, and
puts a plane of zeros where it cannot read one. The report tells before that happens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from copick_backend_volume.places import Volume, entries
from copick_core.errors import InvalidDataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Severity = Literal["error", "warning"]
#: Files that operating systems leave behind, as they arrive in the volume (leading dots are stripped on upload).
_JUNK = frozenset({"thumbs.db", "ds_store", ".ds_store", "desktop.ini"})
_TIFF = (".tif", ".tiff")


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
        name: Its name.
        path: Where it lies.
        size: Its bytes.
        shape_yx: Its shape, None if it cannot be read.
        dtype: Type of its pixels.
        channels: Number of channels, 1 for grey.
        pages: Number of pages.
        problem: Why it cannot be read.
    """

    name: str
    path: str
    size: int
    shape_yx: tuple[int, int] | None = None
    dtype: str | None = None
    channels: int = 1
    pages: int = 1
    problem: str | None = None


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
    def shape_zyx(self) -> tuple[int, int, int] | None:
        """Shape of the image that conversion would make."""
        first = next(iter(self.slices), None)
        return None if first is None or first.shape_yx is None else (len(self.slices), *first.shape_yx)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of the image that conversion would make: that of the first slice."""
        first = next(iter(self.slices), None)
        return None if first is None or first.dtype is None else np.dtype(first.dtype)

    def check(self) -> None:
        """Refuse uploads that conversion would spoil.

        Raises:
            InvalidDataError: Tells all errors.
        """
        errors = [f.message for f in self.findings if f.severity == "error"]
        if errors:
            raise InvalidDataError(source=f"uploads of job {self.job!r}", reason="; ".join(errors))


def upload_names(volume: Volume, job: str) -> list[str]:
    """Names of the uploaded files, in the order of conversion."""
    if not volume.has("uploads", job):
        return []
    return sorted(name for name, is_folder in entries(volume.folder("uploads", job)) if not is_folder)


def preflight(volume: Volume, job: str) -> UploadReport:
    """Read every uploaded file once, one at a time, and report."""
    names = upload_names(volume, job)
    ignored = tuple(n for n in names if n.startswith(".") or n.lower() in _JUNK)
    folder = volume.folder("uploads", job)
    slices = tuple(inspect(os.path.join(folder, n)) for n in names if n not in ignored)
    return UploadReport(job, slices, ignored, tuple(_findings(job, slices, ignored)))


def _findings(job: str, slices: Sequence[Upload], ignored: Sequence[str]) -> list[Finding]:
    found: list[Finding] = []

    def add(code: str, severity: Severity, message: str, files: Sequence[str] = ()) -> None:
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        found.append(Finding(code, severity, f"{message}: {shown}" if files else message, job, tuple(files)))

    names = [s.name for s in slices]
    if not slices:
        add("empty", "error", "there is no slice")
    junk = [n for n in ignored if not n.startswith(".")]
    if junk:
        add("junk", "warning", "files of an operating system, which the app would take for slices; delete them", junk)
    unreadable = [s.name for s in slices if s.problem]
    if unreadable:
        add("unreadable", "error", "unreadable or truncated, the app would make them planes of zeros", unreadable)
    natural = sorted(names, key=_natural)
    if natural != names:
        moved = [a for a, b in zip(names, natural, strict=True) if a != b]
        add("order", "error", "text order is not the order of the numbers; pad them with zeros", moved)
    readable = [s for s in slices if not s.problem]
    if readable:
        first = readable[0]
        sizes = [s.name for s in readable if s.shape_yx != first.shape_yx]
        if sizes:
            add("mixed-size", "error", f"not {first.shape_yx} (y, x) as the first slice", sizes)
        types = [s.name for s in readable if s.dtype != first.dtype]
        if types:
            add("mixed-dtype", "error", f"not {first.dtype} as the first slice; values would wrap around", types)
    colour = [s.name for s in readable if s.channels > 1]
    if colour:
        add("colour", "warning", "in colour; only the first channel is kept", colour)
    pages = [s.name for s in readable if s.pages > 1]
    if pages:
        add("pages", "error", "several pages, of which only the first would be kept; split them", pages)
    return found


def inspect(path: str) -> Upload:
    """Describe one file; decodes it whole, because a truncated one is found no other way."""
    name, size = os.path.basename(path), os.path.getsize(path)
    try:
        pixels, pages = _decode(path)
        shape = (int(pixels.shape[0]), int(pixels.shape[1]))
    except Exception as error:
        return Upload(name, path, size, problem=str(error) or type(error).__name__)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    return Upload(name, path, size, shape, pixels.dtype.str, channels, pages)


def read_slice(path: str) -> NDArray[Any]:
    """Read one slice, (y, x); of a coloured one the first channel, as the app does.

    Raises:
        InvalidDataError: It cannot be read.
    """
    try:
        pixels, _ = _decode(path)
    except Exception as error:
        raise InvalidDataError(source=path, reason=f"it is not a readable image ({error})") from error
    return pixels[..., 0] if pixels.ndim == 3 else pixels


def _decode(path: str) -> tuple[NDArray[Any], int]:
    """Pixels (y, x) or (y, x, channel) of the first page, and the number of pages."""
    if path.lower().endswith(_TIFF):
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            pixels, pages = tiff.pages[0].asarray(), len(tiff.pages)
    else:
        from PIL import Image

        with Image.open(path) as image:
            image.load()
            pixels, pages = np.asarray(image), getattr(image, "n_frames", 1)
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif":
        raise ValueError(f"shape {pixels.shape} and type {pixels.dtype} are no image")
    # 16-bit PNG arrives big-endian from some decoders, and as int32 from older ones.
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() < 1 << 16:
        pixels = pixels.astype("<u2")
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False), pages


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Key that sorts numbers in names by value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]
