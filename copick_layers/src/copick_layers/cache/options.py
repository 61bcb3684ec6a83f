"""Options of the wrapper ``cache``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from copick_core.tree.wrapper_options import WrapperOptions
from copick_layers.local_paths import local_path

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)\s*", re.IGNORECASE)
#: Smaller caches would evict what a single read has just stored.
SMALLEST = 2**20


class CacheOptions(WrapperOptions):
    """Options of the cache.

    Attributes:
        path: Folder of the cache; several layers and projects may share it. None: ``copick/layers`` in the user's cache.
        size: Largest size of the folder, in bytes or as text such as ``"20 GiB"``.
        revalidate: When to ask the storage whether what is kept is still stored: ``"never"``, once after each ``"open"`` (and
            each refresh), or ``"each"`` time. With ``"each"``, volumes are not kept, nor with ``"open"`` where the layer has
            no :meth:`~copick_core.layers.Layer.place_id`.
        offline: Answer from the cache alone, and raise :class:`~copick_core.errors.UnreachableError` for all else.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("path",)
    shared_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str | None = None
    size: int = Field(default=20 * 2**30, ge=SMALLEST)
    revalidate: Literal["never", "open", "each"] = "open"
    offline: bool = False

    @field_validator("size", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        match = _SIZE.fullmatch(value)
        factor = _UNITS.get(match[2].upper()) if match else None
        if match is None or factor is None:
            raise ValueError(f'{value!r} is not a size: write bytes, or a number with a unit such as "500 MB" or "20 GiB"')
        return int(float(match[1]) * factor)

    @field_validator("path")
    @classmethod
    def _is_local(cls, value: str | None) -> str | None:
        return value and local_path(value, "it must be a local folder")

    @property
    def folder(self) -> str:
        """The folder of the cache."""
        return self.path or default_folder()


def default_folder() -> str:
    """The folder of caches that name none."""
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "copick" / "layers")
