"""Configuration of projects in memory."""

from __future__ import annotations

from typing import Literal

from copick_core.tree.schema import CopickConfig


class CopickConfigMemory(CopickConfig):
    """Configuration of a project in the memory of this process.

    As the overlay of a stack (``config_type: "stack"``) it makes a sandbox over any other project.

    Attributes:
        place: Name of the place to open: all projects of this process that name it see the same entities. Without a name
            the project is alone, and empty.
    """

    config_type: Literal["memory"] = "memory"
    place: str | None = None
