"""What a configuration says of a layer wrapper. Apart from :mod:`.schema`, because most projects have none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from copick_core.tree.schema import shown_fields


class WrapperOptions(BaseModel):
    """Options of a layer wrapper: what a configuration may write beside its ``name`` and ``layer``.

    Subclass it with one field for each option. An option that is not a field is refused. Declare secrets with
    ``Field(repr=False)``, and name the fields that hold a path or URL in ``location_fields``: a relative one starts at the
    configuration's folder, and no two layers may share the file, unless the field is in ``shared_fields`` too.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)

    #: Names of the fields that hold the location of a file or folder that the wrapper keeps.
    location_fields: ClassVar[tuple[str, ...]] = ()
    #: Those of them whose location several layers and projects may share, such as the folder of a cache.
    shared_fields: ClassVar[tuple[str, ...]] = ()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show locations without their secrets."""
        return shown_fields(self, super().__repr_args__())
