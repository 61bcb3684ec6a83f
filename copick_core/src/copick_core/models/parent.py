"""What entities that have others below them share: asking for their children, and making new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from copick_core.errors import ConflictError
from copick_core.models.entity import check_flags
from copick_core.tree.keys import KINDS
from copick_core.tree.layout import file_name

if TYPE_CHECKING:
    from copick_core.models.children import Children
    from copick_core.models.entity import Entity
    from copick_core.tree.keys import Key, Kind

E = TypeVar("E", bound="Entity[Any]")


class Parent:
    """An entity with children of one kind or several; those of a kind are in a slot named after it, as ``_picks_children``."""

    __slots__ = ()

    def _query(self, kind: Kind) -> list[Any]:
        """List the children of a kind from storage."""
        name = KINDS[kind].plural.replace("_", "")
        raise NotImplementedError(f"{type(self).__name__} must implement query_{name}()")

    def _probe(self, key: Key) -> Sequence[Any]:
        """Handles of a key, from storage."""
        return [child for child in getattr(self, KINDS[key.kind].plural) if child.key == key]

    def _class(self, kind: Kind, default: type[E]) -> type[E]:
        """Class of the children of a kind; places that store entities have classes of their own."""
        return default

    def _refresh(self, *lists: Children[Any]) -> None:
        """Forget children; the next access lists them again."""
        for children in lists:
            children.forget()

    def _new(self, children: Children[E], key: Any, exist_ok: bool, make: Callable[[], E]) -> E:
        """The handle that ``new_…`` returns for a key."""
        check_flags(exist_ok=exist_ok)
        file_name(key)  # refuses names that would be ambiguous or too long, before anything is made
        existing = children.current(key, lambda: self._probe(key))
        return children.add(self._existing(existing, exist_ok) if existing else make())

    def _new_stored(
        self, children: Children[E], key: Any, exist_ok: bool, make: Callable[[], E], fill: Callable[[E], None] | None = None
    ) -> E:
        """The handle that ``new_…`` returns for a key whose entity is stored at once.

        Args:
            children: The children of its kind.
            key: The key.
            exist_ok: Whether the entity may exist.
            make: Makes a handle of an empty one.
            fill: Stores content; None for none. It is stored together with the entity, or neither is.
        """
        made: list[E] = []

        def make_and_store() -> E:
            entity: Any = make()
            entity._revision = None  # nothing is stored: if somebody else is faster, that is a conflict
            if fill is None:
                entity.store()
            else:
                fill(entity)
            made.append(entity)
            return entity  # type: ignore[no-any-return]

        try:
            entity = self._new(children, key, exist_ok, make_and_store)
        except ConflictError:
            if not exist_ok:
                raise
            entity = self._new(children, key, exist_ok, make_and_store)  # somebody else was faster: theirs is the existing one
        if fill is not None and not made:
            fill(entity)
        return entity

    def _existing(self, found: Sequence[Any], exist_ok: bool) -> Any:
        """The handle that ``new_…`` returns for a key that is taken."""
        raise NotImplementedError(f"{type(self).__name__} must implement _existing()")
