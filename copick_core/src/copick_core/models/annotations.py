"""What a run offers for every kind of annotation; the file of each kind adds the methods that users call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from copick_core.errors import InvalidNameError
from copick_core.models.entity import Annotation, Entity, SizeFilter, StringFilter, only, wanted, wanted_sizes
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
        filters: Mapping[str, StringFilter | SizeFilter],
        layer: str | None,
        types: Iterable[str] | None = None,
    ) -> list[N]:
        """Annotations that pass all filters; a single address is looked up without listing.

        Args:
            children: The children of the kind.
            query: Lists them.
            key_cls: Class of their keys.
            filters: The filter of each field of the keys after the run, in their order.
            layer: Only those in the layer of this name.
            types: Types that pass, for a kind whose keys have a type as their last field.
        """
        passing: dict[str, frozenset[Any]] = {
            field: wanted_sizes(value) if field == "voxel_size" else wanted(value)  # type: ignore[arg-type,misc]
            for field, value in filters.items()
            if value is not None
        }
        is_address = len(passing) == len(filters)
        if types is not None:
            passing["segmentation_type"] = frozenset(types)
        if is_address and all(single := [only(values) for values in passing.values()]):
            key = key_cls(self._key.name, *single)
            found = children.get(key, lambda: self._probe(key))
        else:
            found = children.all(query)
            for field, values in passing.items():
                found = [a for a in found if getattr(a._key, field) in values]
        return found if layer is None else [a for a in found if a.layer == layer]

    def _made_by(self, user_id: str | None, session_id: str) -> tuple[str, str]:
        """User and session of a new annotation, from names that have been checked."""
        user_id = user_id or self.config.user_id
        if not user_id:
            raise InvalidNameError(
                what="user_id", name="", reason="pass one, or set user_id in the configuration or on the root"
            )
        return checked_name("user_id", user_id), checked_name("session_id", session_id)

    def _object(self, name: str) -> PickableObject:
        """An object of the project; UnknownObjectError if it lists none of that name."""
        return self.root._pickable_object(name)
