"""Problems: what a layer finds wrong in the place where its entities live."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from copick_core.tree.keys import Key

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Repair:
    """How to mend a problem, where it is certain what to do.

    Attributes:
        description: What is done, in the imperative.
        apply: Does it; raises what the storage raises.
    """

    description: str
    apply: Callable[[], None]


@dataclass(frozen=True)
class Removal:
    """How to delete a file or a folder that is not an entity and that nobody reads.

    Attributes:
        path: Its path in the layer; folders end with ``/``.
        apply: Deletes it; raises FileNotFoundError if somebody else has, or what the storage raises.
    """

    path: str
    apply: Callable[[], None]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a layer.

    Attributes:
        id: What kind of problem it is, in words joined by hyphens; stable.
        key: The entity that it concerns, or None.
        place: Where it lies, for people.
        severity: ``"error"``: something is wrong, or cannot be read. ``"warning"``: look at it; nothing is lost by it.
        message: What it is, and what to do.
        repair: How to mend it; None where a person has to decide.
        removal: How to delete it, where it is not an entity and the layer is writable; for a person who decides that nobody
            needs it (``copick-core prune``).
    """

    id: str
    key: Key | None
    place: str
    severity: Severity
    message: str
    repair: Repair | None = None
    removal: Removal | None = None


@dataclass(frozen=True)
class OfWriters:
    """What writers have left in a folder, under hidden names.

    Attributes:
        problems: What is wrong.
        needed: Names that something else is to be finished from, or that somebody is at work on: none of them is a leftover.
    """

    problems: Sequence[Problem] = ()
    needed: Collection[str] = ()


__all__ = ["OfWriters", "Problem", "Removal", "Repair", "Severity"]
