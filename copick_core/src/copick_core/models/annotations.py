"""What a run offers for every kind of annotation; the file of each kind adds the methods that users call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from copick_core.errors import InvalidNameError, no_user
from copick_core.models.entity import Annotation, Entity
from copick_core.models.parent import Parent
from copick_core.tree.keys import RunKey
from copick_core.tree.names import checked_name

if TYPE_CHECKING:
    from copick_core.models.children import Children
    from copick_core.models.root import CopickRoot
    from copick_core.models.run import CopickRun
    from copick_core.tree.schema import CopickConfig, PickableObject

N = TypeVar("N", bound=Annotation[Any])


class AnnotationsOfRun(Parent, Entity[RunKey]):
    """A run, as the holder of annotations."""

    __slots__ = ()

    root: CopickRoot
    config: CopickConfig

    @property
    def name(self) -> str:
        """Name."""
        return self._key.name

    @property
    def _run(self) -> CopickRun:
        """The run itself, as its annotations take it."""
        return cast("CopickRun", self)

    def _filtered(
        self,
        children: Children[N],
        query: Callable[[], list[N]],
        key_cls: Callable[..., Any],
        filters: Sequence[frozenset[Any] | None],
        layer: str | None,
    ) -> list[N]:
        """Annotations that pass all filters; a single address is looked up without listing.

        Args:
            children: The children of the kind.
            query: Lists them.
            key_cls: Class of their keys.
            filters: The values that pass (all for None) of each field of the keys after the run, in their order.
            layer: Only those in the layer of this name.
        """
        address = [next(iter(values)) for values in filters if values is not None and len(values) == 1]
        if len(address) == len(filters) and all(address):
            key = key_cls(self._key.name, *address)
            found = children.get(key, lambda: self._probe(key))
        else:
            found = children.all(query)
            for index, values in enumerate(filters, start=1):
                if values is not None:
                    # By its place: looking up a field by name takes longer than the values do.
                    found = [a for a in found if a._key[index] in values]
        return found if layer is None else [a for a in found if a.layer == layer]

    def _made_by(self, user_id: str | None, session_id: str) -> tuple[str, str]:
        """User and session of a new annotation, from names that have been checked."""
        user_id = user_id or self.config.user_id
        if not user_id:
            raise InvalidNameError(what="user_id", name="", reason=no_user())
        return checked_name("user_id", user_id), checked_name("session_id", session_id)

    def _object(self, name: str) -> PickableObject:
        """An object of the project; UnknownObjectError if it lists none of that name."""
        return self.root._pickable_object(name)
