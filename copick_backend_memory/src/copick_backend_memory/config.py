"""Configuration of projects in memory."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from copick_core.schema import CopickConfig


class CopickConfigMemory(CopickConfig):
    """Configuration of a project in the memory of this process.

    Attributes:
        place: Name of the place to open: all projects of this process that name it see the same entities. Without a name
            the project is alone, and empty.
        static: Configuration of another project, of any backend, that is laid below and only read.
    """

    config_type: Literal["memory"] = "memory"
    place: str | None = None
    static: dict[str, Any] | None = Field(default=None, repr=False)
