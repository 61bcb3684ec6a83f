"""Parameter types of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Type = click.ParamType[str | None]
else:
    _Type = click.ParamType  # generic only for type checkers, in some releases of click


class CopickURI(_Type):
    """A URI of entities; graphical tools read what it is of, nothing is checked.

    Args:
        object_type: picks, filaments, mesh, segmentation, tomogram, feature or any.
        role: input, output or reference.
    """

    name = "COPICK_URI"

    def __init__(self, object_type: str, role: str = "input") -> None:
        self.object_type = object_type
        self.role = role

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | None:
        """The value as text."""
        return None if value is None else str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What help shows in place of a value."""
        return "URI"

    def __repr__(self) -> str:
        return f"CopickURI({self.object_type!r}, {self.role!r})"
