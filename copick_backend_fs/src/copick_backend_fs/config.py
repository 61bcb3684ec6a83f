"""Configuration of projects on file systems."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from copick_core.tree.schema import CopickConfig


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _no_arguments(value: Any) -> Any:
    return {} if value is None else value


_Location = Annotated[str | None, BeforeValidator(_as_text)]
_Arguments = Annotated[dict[str, Any], BeforeValidator(_no_arguments)]


class CopickConfigFSSpec(CopickConfig):
    """Configuration of a project on file systems.

    A location is a local path (``~``, ``$HOME`` and ``$USER`` are filled in, a relative one starts at the config file's
    folder) or a URL that fsspec knows: ``local://``, ``file://``, ``s3://``, ``ssh://``,
    ``smb://``, ``zip://…::…`` (static only), ...

    Attributes:
        overlay_root: Where the project is written; may be left out of a project that is only read.
        static_root: Where reference data is read from, if anywhere else.
        overlay_fs_args: Arguments of the overlay's fsspec filesystem.
        static_fs_args: Arguments of the static location's fsspec filesystem.
        obstore: Go over obstore, which is faster, where it is installed and these arguments can be translated for it.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("overlay_root", "static_root")

    config_type: Literal["filesystem"] = "filesystem"
    overlay_root: _Location = None
    static_root: _Location = None
    overlay_fs_args: _Arguments = Field(default_factory=dict, repr=False)
    static_fs_args: _Arguments = Field(default_factory=dict, repr=False)
    obstore: bool = True

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.overlay_root and not self.static_root:
            raise ValueError("overlay_root is missing: say where to write, or give a static_root to read only")
        return self
