"""What all entities of the hierarchy share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, SupportsFloat, TypeVar

from copick_core.errors import InvalidDataError, ReadOnlyError, closest, copy_first
from copick_core.tree.keys import AnnotationKey, Key, voxel_size_key
from copick_core.tree.names import spellings

if TYPE_CHECKING:
    from pydantic import BaseModel

#: A filter of a getter: one value, several, or None for all.
StringFilter = str | Iterable[str] | None
SizeFilter = SupportsFloat | Iterable[SupportsFloat] | None

T = TypeVar("T")
K = TypeVar("K", bound=Key)
A = TypeVar("A", bound=AnnotationKey)

#: Session of everything that a tool made, by convention.
TOOL_SESSION = "0"


class Entity(Generic[K]):
    """One entity: its key, its metadata, and where it lives.

    Metadata are pydantic models, made when they are first asked for.
    """

    #: Weak references let a viewer keep what belongs to a handle beside it: handles take no attributes of others.
    __slots__ = ("__weakref__", "_key", "_meta")

    _key: K
    _meta: Any

    @property
    def key(self) -> K:
        """Address of the entity."""
        return self._key

    @property
    def meta(self) -> BaseModel:
        """Metadata of the entity."""
        meta = self._meta
        if meta is None:
            meta = self._meta = self._make_meta()
        return meta  # type: ignore[no-any-return]

    def _make_meta(self) -> BaseModel:
        raise AttributeError(f"{type(self).__name__} was made without metadata")

    @property
    def read_only(self) -> bool:
        """Whether writes to this entity are refused."""
        return False

    @property
    def layer(self) -> str | None:
        """Name of the layer that the entity lives in."""
        return None

    def _check_writable(self, way_out: str | None = None) -> None:
        """Refuse if the entity is read-only."""
        if self.read_only:
            reason = f"it lives in layer {self.layer!r}, which never changes. {way_out or copy_first()}"
            raise ReadOnlyError(subject=self._key, reason=reason)

    def _check_deletable(self) -> None:
        """Refuse to delete the entity if it is read-only."""
        self._check_writable("Only what is in the overlay can be deleted.")

    def delete(self) -> None:
        """Delete the entity from storage."""
        raise NotImplementedError(f"{type(self).__name__} must implement delete()")

    def _delete_data(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} must implement _delete_data()")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._repr_fields())
        return f"{type(self).__name__}({fields}) at {hex(id(self))}"

    def _repr_fields(self) -> Iterable[tuple[str, Any]]:
        """Name and value of what ``repr`` shows; nothing is loaded for it."""
        return ()


class Annotation(Entity[A]):
    """An annotation of a run: made of an object, by a user or tool, in a session."""

    __slots__ = ()

    @property
    def user_id(self) -> str:
        """User or tool that made it."""
        return self._key.user_id

    @property
    def session_id(self) -> str:
        """Session that it was made in; "0" for tools."""
        return self._key.session_id

    @property
    def from_tool(self) -> bool:
        """Whether a tool made it (session "0")."""
        return self.session_id == TOOL_SESSION

    @property
    def from_user(self) -> bool:
        """Whether a user made it."""
        return not self.from_tool


def check_metadata(method: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse further metadata that are a misspelt argument: nothing would show that it had no effect.

    Args:
        method: What they were given to.
        given: The metadata.

    Raises:
        TypeError: One is spelled almost like an argument.
    """
    if not given:
        return
    from inspect import signature

    for name in given:
        if hint := closest(name, signature(method).parameters, cutoff=0.85):
            raise TypeError(f"{method.__name__}() has no argument {name!r}.{hint}")


def check_flags(**flags: Any) -> None:
    """Refuse values of flags that are neither true nor false: they were meant for another argument.

    Raises:
        InvalidDataError: One is of another type; names the argument.
    """
    for name, value in flags.items():
        if value is not None and not (isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")):
            raise InvalidDataError(
                source=name,
                reason=f"{value!r} is neither True nor False; pass what it was meant for by name, such as user_id={value!r}",
            )


def count(children: list[Any] | None) -> int | None:
    """Number of loaded children, None if they have not been loaded; for ``repr``."""
    return None if children is None else len(children)


def wanted(values: StringFilter) -> frozenset[str] | None:
    """Values that a string filter lets through, names as ``new_…`` takes them included; None for all.

    Raises:
        InvalidDataError: A value is not a string: nothing would pass, without a word.
    """
    if values is None:
        return None
    if isinstance(values, str):
        return frozenset(spellings(values))
    passed = frozenset(values if isinstance(values, Iterable) else [values])
    if others := [v for v in passed if not isinstance(v, str)]:
        raise InvalidDataError(source="filter", reason=f"{others[0]!r} is not a string; ids and names are strings")
    return frozenset(chain.from_iterable(map(spellings, passed)))


def wanted_sizes(values: SizeFilter) -> frozenset[float] | None:
    """Voxel sizes that a filter lets through, as their three-decimal keys; None for all."""
    if values is None:
        return None
    if isinstance(values, Iterable) and not isinstance(values, str) and not hasattr(values, "__float__"):
        return frozenset(voxel_size_key(v) for v in values)
    if getattr(values, "ndim", 0):  # an array of sizes
        return frozenset(voxel_size_key(v) for v in values)  # type: ignore[union-attr]
    return frozenset([voxel_size_key(values)])  # type: ignore[arg-type]


def only(values: Iterable[T] | None) -> T | None:
    """The single value of a filter, None if it lets none, several or all through."""
    if values is None:
        return None
    values = [*values]
    return values[0] if len(values) == 1 else None
