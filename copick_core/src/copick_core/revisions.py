"""Revisions: which version of a file somebody has read, and which one they expect to replace."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

#: Opaque, comparable token of what is stored under a key: an ETag, a counter, modification time with size.
Revision = Hashable


class _Any:
    """Type of :data:`ANY`."""

    def __repr__(self) -> str:
        return "ANY"

    def __reduce__(self) -> str:
        return "ANY"  # the one object, also after pickling


#: ``if_revision=ANY``: write whatever is stored now. (``None`` means: only if nothing is stored.)
ANY: Final = _Any()
