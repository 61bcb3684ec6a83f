"""Options of the wrapper ``index``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from copick_core.tree.wrapper_options import WrapperOptions
from copick_layers.local_paths import local_path


class IndexOptions(WrapperOptions):
    """Options of the index.

    Attributes:
        path: The file, on a local disk: beside the data, or anywhere else if those cannot be written. Folders that are missing
            are made.
        freshness: Whether lists are believed: ``"trust"`` asks the storage nothing; ``"check"`` compares each run with the
            storage when it is first used, and after each refresh; ``"update"`` brings the whole index up to date first.
    """

    location_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str
    freshness: Literal["trust", "check", "update"] = "trust"

    @field_validator("path")
    @classmethod
    def _is_local(cls, value: str) -> str:
        return local_path(value, "it must be a local file; give each user of a remote project an index of their own")
