"""Configuration of projects on file systems."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator

from copick_core.tree.schema import CopickConfig


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _no_arguments(value: Any) -> Any:
    return {} if value is None else value


_Location = Annotated[str | None, BeforeValidator(_as_text)]
_Arguments = Annotated[dict[str, Any], BeforeValidator(_no_arguments)]


class Limits(NamedTuple):
    """How long to wait for a server.

    Attributes:
        seconds: Longest wait of a call for a server that is not there, or that says nothing.
        forgets: For how many seconds such a server is not asked again.
        field: Field of the configuration that holds the location, for errors.
    """

    seconds: float = 15.0
    forgets: float = 5.0
    field: str = ""

    @property
    def third(self) -> float:
        """A third of the longest wait: a call, a question beside it, and what goes before a second attempt take one each."""
        return self.seconds / 3


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
        timeout_seconds: Longest wait of a call for a server that is not there, or that says nothing; large transfers may
            take any time.
        offline_seconds: For how many seconds after such a wait calls fail at once, without asking the server; 0 to ask always.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("overlay_root", "static_root")

    config_type: Literal["filesystem"] = "filesystem"
    overlay_root: _Location = None
    static_root: _Location = None
    overlay_fs_args: _Arguments = Field(default={}, repr=False)
    static_fs_args: _Arguments = Field(default={}, repr=False)
    obstore: bool = True
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 15.0
    offline_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.overlay_root and not self.static_root:
            raise ValueError("overlay_root is missing: say where to write, or give a static_root to read only")
        return self
