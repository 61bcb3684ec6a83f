"""What a configuration says of an object that is a filament."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from copick_core.errors import InvalidDataError
from copick_core.tree.names import RESERVED

#: Key in what is reserved that declares a filament.
FILAMENT = "filament"


class FilamentSpec(BaseModel):
    """Declares that an object is a filament; all fields are optional.

    Attributes:
        polar: Whether its two ends differ.
        helical_rise_a: Rise for each subunit in angstrom, above 0.
        helical_twist_deg: Twist for each subunit in degrees.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, defer_build=True)

    polar: bool | None = None
    helical_rise_a: float | None = Field(default=None, gt=0)
    helical_twist_deg: float | None = None


def declared(metadata: dict[str, Any]) -> FilamentSpec | None:
    """The declaration in an object's metadata, or None; what is not a mapping under ``"copick"`` is somebody else's.

    Raises:
        pydantic.ValidationError: It is not possible.
    """
    reserved = metadata.get(RESERVED)
    found = reserved.get(FILAMENT) if isinstance(reserved, dict) else None
    return None if found is None else FilamentSpec.model_validate(found)


def with_declaration(metadata: dict[str, Any], spec: FilamentSpec | dict[str, Any] | None) -> dict[str, Any]:
    """An object's metadata with another declaration; None removes it. Everything else stays.

    Raises:
        pydantic.ValidationError: It is not possible.
        InvalidDataError: The reserved key holds something else than a mapping.
    """
    before = metadata.get(RESERVED, {})
    if not isinstance(before, dict):
        if spec is None:
            return metadata
        raise InvalidDataError(source=f"metadata[{RESERVED!r}]", reason=f"it is reserved for a mapping, but holds {before!r}")
    if spec is not None:
        return {**metadata, RESERVED: {**before, FILAMENT: FilamentSpec.model_validate(spec).model_dump(exclude_none=True)}}
    if FILAMENT not in before:
        return metadata
    reserved = {k: v for k, v in before.items() if k != FILAMENT}
    others = {k: v for k, v in metadata.items() if k != RESERVED}
    return {**metadata, RESERVED: reserved} if reserved else others
