"""What is uploaded in one call: arrays, images, folders and zips of them, TIFFs of several pages, and volume files.

Whatever is not a file of one slice is split into slices, in types that the app reads right. Files keep their names as the app
would store them.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from copick_backend_volume.dicom import is_dicom
from copick_backend_volume.places import entries
from copick_backend_volume.sources import Opener, Source, natural_order, sources
from copick_core.errors import InvalidDataError, UnknownFormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Name and content of a file, or the path of what is copied. Of planes of an array the name is the suffix only.
NamedContent = tuple[str, "bytes | Path"]
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


@dataclass(frozen=True)
class Stack:
    """Slices, in order, that are read when they are written.

    Attributes:
        count: Number of files.
        files: Gives name and content of each.
        voxel_sizes: Along (z, y, x) in angstrom, where the source tells.
    """

    count: int
    files: Callable[[], Iterator[NamedContent]]
    voxel_sizes: tuple[float, float, float] | None = None


def stack_of(slices: Any) -> Stack:
    """Look at what is to be uploaded, without reading its pixels.

    Args:
        slices: An array (z, y, x); the path of an image, a folder, a zip, a TIFF of several pages, or a file that an
            installed format reads as a volume, such as MRC; or several such paths, in order. Files of a folder and of a zip
            are in the order of the numbers in their names.

    Raises:
        FileNotFoundError: A path leads nowhere.
        InvalidDataError: The array is not (z, y, x), a folder has no file, or a zip cannot be used.
        UnknownFormatError: No installed format reads a volume file; the message gives the line that installs one.
    """
    if hasattr(slices, "shape") and hasattr(slices, "dtype"):
        if len(slices.shape) != 3 or np.dtype(slices.dtype).kind not in "buif":
            reason = f"shape {slices.shape} of {slices.dtype} is not (z, y, x) of numbers"
            raise InvalidDataError(source="slices", reason=reason)
        return Stack(int(slices.shape[0]), lambda: (encode(np.asarray(plane)) for plane in _planes(slices)))
    if isinstance(slices, str | os.PathLike):
        return _of_path(Path(slices))
    return _joined([_of_path(Path(path)) for path in slices])


def app_name(name: str) -> str:
    """The name under which the app would store an uploaded file: ASCII letters, digits, ``_``, ``.`` and ``-``.

    Of a name that has none of them, only the suffix is left.
    """
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, dot + suffix) if dot else (suffix, "")
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return "".join(c for c in "_".join(plain.split()) if c in _SAFE).strip("._") + suffix


def _planes(array: Any) -> Iterator[Any]:
    for z in range(array.shape[0]):
        yield array[z]


def _joined(stacks: list[Stack]) -> Stack:
    def files() -> Iterator[NamedContent]:
        for stack in stacks:
            yield from stack.files()

    told = next((stack.voxel_sizes for stack in stacks if stack.voxel_sizes), None)
    return Stack(sum(stack.count for stack in stacks), files, told)


def _of_path(path: Path) -> Stack:
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}")
    if path.suffix.lower() == ".zip":
        return _of_zip(path)
    with path.open("rb") as file:
        if is_dicom(file, path.name):
            return _one_file(path)
    return _of_image(path) or _of_volume(path) or _one_file(path)


def _one_file(path: Path) -> Stack:
    return Stack(1, lambda: iter([(path.name, path)]))


def _of_folder(folder: Path) -> Stack:
    from copick_core.volumes.zarr_folders import is_zarr_folder

    if is_zarr_folder(str(folder)):
        return _of_volume(folder) or _one_file(folder)
    names = [name for name, is_folder in entries(str(folder)) if not is_folder]
    files = [name for name in names if not Source(name, None, 0).is_junk]
    if not files:
        raise InvalidDataError(source=str(folder), reason="the folder has no file that could be a slice")
    return _joined([_of_path(folder / name) for name in sorted(files, key=natural_order)])


def _of_zip(path: Path) -> Stack:
    """A zip as it is, if its text order is the order of the numbers in it; else its files, in that order."""
    found, problems = sources([str(path)])
    if problems:
        raise InvalidDataError(source=str(path), reason=f"it is not a zip that can be used ({next(iter(problems.values()))})")
    members = [source for source in found if not source.is_junk]
    ordered = sorted(members, key=lambda source: natural_order(source.base_name))
    if [s.base_name for s in ordered] == [s.base_name for s in members]:
        return _one_file(path)

    def files() -> Iterator[NamedContent]:
        with Opener() as opener:
            for source in ordered:
                if source.problem:
                    raise InvalidDataError(source=source.name, reason=source.problem)
                with opener.open(source.path, source.member) as file:
                    yield source.base_name, file.read()

    return Stack(len(ordered), files)


def _of_image(path: Path) -> Stack | None:
    """An image that Pillow knows, as a file, or page by page if it has several; None for anything else."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            pages = int(getattr(image, "n_frames", 1)) if image.format == "TIFF" else 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):  # damaged: the report on uploads tells
        return None
    if pages == 1:
        return _one_file(path)

    def files() -> Iterator[NamedContent]:
        with Image.open(path) as image:
            for page in range(pages):
                image.seek(page)
                pixels = np.asarray(image)
                yield _numbered(path, page, pages, encode(pixels[..., 0] if pixels.ndim == 3 else pixels))

    return Stack(pages, files)


def _of_volume(path: Path) -> Stack | None:
    """A volume of several planes, of any installed format; None for a file that no format knows.

    Raises:
        UnknownFormatError: It has the suffix of a format that is not installed.
    """
    from copick_core.plugins.known import known
    from copick_core.volumes.reading import opened_volume

    try:
        with opened_volume(path) as volume:
            depth, told = volume.shape[0], volume.voxel_sizes
    except UnknownFormatError:
        if path.suffix.lower() in known()["suffixes"]:
            raise
        return None

    def files() -> Iterator[NamedContent]:
        with opened_volume(path) as volume:
            for start, slab in volume.each_slab():
                for z, plane in enumerate(slab, start=start):
                    yield _numbered(path, z, depth, encode(plane))

    return Stack(depth, files, told if told and min(told) > 0 else None)


def _numbered(path: Path, number: int, count: int, encoded: NamedContent) -> NamedContent:
    suffix, content = encoded
    return f"{path.stem}_{number:0{max(4, len(str(count - 1)))}}{suffix}", content


def encode(plane: NDArray[Any]) -> tuple[str, bytes]:
    """Suffix and content of a slice as a file that the app, which reads with Pillow, gives back with the same values."""
    from PIL import Image

    buffer = io.BytesIO()
    stored = _as_the_app_reads(plane)
    suffix = ".png" if stored.dtype in (np.uint8, np.uint16) else ".tif"
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, "png" if suffix == ".png" else "tiff")
    return suffix, buffer.getvalue()


def _as_the_app_reads(plane: NDArray[Any]) -> NDArray[Any]:
    """The same values in one of the four types that go through the app unchanged: uint8, uint16, int32 and float32.

    Raises:
        InvalidDataError: No such type holds them.
    """
    kind, size = plane.dtype.kind, plane.dtype.itemsize
    if kind == "b" or (kind == "u" and size == 1):
        return plane.astype(np.uint8, copy=False)
    if kind == "u" and size == 2:
        return plane.astype("<u2", copy=False)
    target = np.dtype("<f4" if kind == "f" else "<i4")
    with np.errstate(over="ignore"):
        stored = plane.astype(target, copy=False)
    changed = np.isfinite(plane) & ~np.isfinite(stored) if kind == "f" else stored != plane
    if changed.any():
        reason = f"{plane.dtype} has the value {plane[changed].flat[0]}, which the app's {target.name} does not hold"
        raise InvalidDataError(source="slices", reason=reason)
    return stored


__all__ = ["NamedContent", "Stack", "app_name", "encode", "stack_of"]
