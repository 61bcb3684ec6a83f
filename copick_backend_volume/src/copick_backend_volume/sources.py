"""Where the slices of a job lie: files of its uploads, and files inside uploaded zips, which are read where they are.

Nothing is unpacked to disk, so no name in a zip can lead anywhere. One file of a zip is in memory at a time, and no more of it
than the zip says that it has.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

#: Files that operating systems leave behind, as they arrive in the volume (leading dots are stripped on upload).
_JUNK = frozenset({"thumbs.db", "ds_store", "desktop.ini"})
#: Bytes that one file in a zip may have; it is read into memory.
_LARGEST_MEMBER = 1 << 30
#: Files in a zip, and bytes of all of them, beyond which it is taken for a bomb: of images, little compresses a hundredfold.
_MOST_MEMBERS = 100_000
_EXPANSION = 100
_SMALL = 1 << 30


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        path: The uploaded file.
        member: Its path inside that, where that is a zip.
        size: Its bytes.
        problem: Why it must not be read.
    """

    path: str
    member: str | None
    size: int
    problem: str | None = None

    @property
    def base_name(self) -> str:
        """File name without folders, by which slices are sorted."""
        return (self.member or self.path).replace("\\", "/").rpartition("/")[2]

    @property
    def name(self) -> str:
        """Name to show: with the zip and the folders in it."""
        outer = os.path.basename(self.path)
        return outer if self.member is None else f"{outer}/{self.member}"

    @property
    def is_junk(self) -> bool:
        """Whether an operating system has left it."""
        inside = (self.member or "").split("/")
        return self.base_name.startswith(".") or "__MACOSX" in inside or self.base_name.lower() in _JUNK


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """Key that sorts numbers in names by value."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part]


def sources(paths: list[str]) -> tuple[list[Source], dict[str, str]]:
    """All files of some uploads in the order of conversion, and what is wrong with zips, by name."""
    found: list[Source] = []
    problems: dict[str, str] = {}
    for path in paths:
        if not path.lower().endswith(".zip"):
            found.append(Source(path, None, os.path.getsize(path)))
            continue
        try:
            found += _members(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            problems[os.path.basename(path)] = str(error)
    return sorted(found, key=lambda s: (s.base_name, s.name)), problems


def _members(path: str) -> list[Source]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    total = sum(info.file_size for info in infos)
    if len(infos) > _MOST_MEMBERS or total > max(_SMALL, _EXPANSION * os.path.getsize(path)):
        raise ValueError(f"it would unpack to {len(infos)} files and {total} bytes, which is not a stack of images")
    return [Source(path, info.filename, info.file_size, _member_problem(info)) for info in infos]


def _member_problem(info: zipfile.ZipInfo) -> str | None:
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        return "its path leads out of the zip"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.file_size > _LARGEST_MEMBER:
        return f"it has {info.file_size} bytes, more than a slice may"
    return None


@dataclass
class Opener:
    """Opens sources one after the other; keeps zips open until it is closed."""

    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)
    _zips: dict[str, zipfile.ZipFile] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def open(self, path: str, member: str | None) -> Iterator[BinaryIO]:
        """Open a file, or a file inside a zip."""
        if member is None:
            with open(path, "rb") as file:
                yield file
            return
        if path not in self._zips:
            self._zips[path] = self._stack.enter_context(zipfile.ZipFile(path))
        archive = self._zips[path]
        size = archive.getinfo(member).file_size
        with archive.open(member) as packed:
            # Never read without a limit: a file that unpacks to more than it says would be unpacked whole first.
            yield io.BytesIO(packed.read(size))
