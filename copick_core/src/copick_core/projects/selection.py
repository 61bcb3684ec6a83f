"""Selections: the entities of a project that an address matches, found when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from copick_core.errors import AddressError, InvalidDataError, NotFoundError, UnknownObjectError, by_caller
from copick_core.projects.listing import columns, kind_of, list_all
from copick_core.tree.addresses import Address, address_of, key_of, parse
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    PARENT_KIND,
    ROOT,
    Key,
    Kind,
    ObjectKey,
    RunKey,
    SegmentationKey,
    VoxelSpacingKey,
)
from copick_core.volumes.labels_present import labels_present

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.layers.contents import Content
    from copick_core.models.entity import Entity
    from copick_core.overlay import CopickRootOverlay
    from copick_core.tree.keys import ParentKey

R = TypeVar("R")

#: Entities that are read at once to see what they contain.
_READERS = 16

#: An entity and the layer that it was found in; None for what spans layers (runs, voxel spacings, objects).
Row = tuple[Key, "Layer | None"]

#: Kinds whose keys may have a variant, which no address has.
_WITH_VARIANTS = frozenset({Kind.TOMOGRAM, Kind.FEATURES})


class Selection:
    """The entities of a project that an address matches, in all layers.

    Nothing is listed before the selection is used, and each use lists anew: a selection is a question, not an answer. Where
    the address names a run, only that run is listed.

    Args:
        root: The project.
        address: What is selected, as text or parsed.
        kind: The one kind that is wanted; None for every kind that the address can mean.
        content: What the entities must contain.

    Attributes:
        root: The project.
        address: The parsed address.
        kinds: The kinds that are looked for, in the order of :class:`~copick_core.tree.keys.Kind`.

    Raises:
        AddressError: The text is not an address, or no entity of the wanted kind can have it.
        InvalidDataError: There is no such kind.
    """

    def __init__(
        self,
        root: CopickRootOverlay,
        address: Address | str,
        kind: Kind | str | None = None,
        content: Content | None = None,
    ) -> None:
        self.root = root
        self.address = address if isinstance(address, Address) else parse(address)
        possible = self.address.kinds
        if kind is not None:
            wanted = kind_of(kind)
            # A tomogram's address with a pattern for the features left out: wbp@10.0 with kind="features".
            if wanted not in possible and not (wanted is Kind.FEATURES and Kind.TOMOGRAM in possible):
                can = " or ".join(k.value for k in Kind if k in possible)
                raise AddressError(address=str(self.address), position=None, reason=f"it can mean {can}, not {wanted.value}")
            possible = frozenset({wanted})
        self._content = content if content is not None and content.kind is not None else None
        if self._content is not None:
            possible &= {self._content.kind}
            if not possible:
                what = "labels" if self._content.label is not None else "points"
                reason = f"nothing that it can mean has {what}"
                raise AddressError(address=str(self.address), position=None, reason=reason)
        self.kinds = [k for k in Kind if k in possible]

    def __iter__(self) -> Iterator[Entity[Any]]:
        """Handles of the entities, by kind, then run, then layer (static ones first)."""
        for key, layer in self.rows():
            yield handle_of(self.root, key, layer)

    def __repr__(self) -> str:
        kinds = ", ".join(kind.value for kind in self.kinds)
        return f"<Selection {str(self.address)!r}: {kinds}>"

    def rows(self) -> list[Row]:
        """Keys of the entities and the layers that hold them; no handle is made.

        Runs, voxel spacings and objects span layers: they come once, with None.
        """
        if self._content is not None:
            return self._rows_with(self._content)
        return self._all_rows(self.kinds)

    def _rows_with(self, content: Content) -> list[Row]:
        """The rows that have a content: as layers know it, and the others read."""
        from concurrent.futures import ThreadPoolExecutor

        (kind,) = self.kinds
        found = _found(self.root, kind, self.address, content)
        rows, unknown = ([], self._all_rows(self.kinds)) if found is None else found
        with ThreadPoolExecutor(_READERS) as pool:
            matches = pool.map(lambda row: _contains(content, *cast("tuple[Key, Layer]", row)), unknown)
            rows = [*rows, *(row for row, is_match in zip(unknown, matches, strict=True) if is_match)]
        order = {layer.name: number for number, layer in enumerate(self.root.layers.all)}
        return sorted(rows, key=lambda row: (cast("Any", row[0]).run, order[cast("Layer", row[1]).name], row[0]))

    def _all_rows(self, kinds: Sequence[Kind]) -> list[Row]:
        known = {kind: rows[0] for kind in kinds if (rows := _found(self.root, kind, self.address)) is not None}
        found: dict[Kind, list[Row]] = {}
        asked = [kind for kind in kinds if kind not in known]
        parents: dict[Kind, list[ParentKey]] = {kind: _parents(self.root, kind, self.address, found) for kind in asked}
        children = list_all(self.root, [*parents.items()])
        known |= {kind: _matching(self.root, kind, self.address, parents[kind], children) for kind in asked}
        return [row for kind in kinds for row in known[kind]]

    def keys(self) -> list[Key]:
        """Keys of the entities; one that several layers hold comes once."""
        return [*dict.fromkeys(key for key, _ in self.rows())]

    def count(self) -> int:
        """The number of entities, counting one that several layers hold once for each; no handle is made."""
        if self._content is not None:
            return len(self.rows())
        known = {kind: _number(self.root, kind, self.address) for kind in self.kinds}
        rest = self._all_rows([kind for kind, number in known.items() if number is None])
        return len(rest) + sum(number for number in known.values() if number is not None)

    def table(self) -> dict[str, list[Any]]:
        """The entities as columns of equal length, as :meth:`CopickRootOverlay.table` has them.

        Runs, voxel spacings and objects span layers: their ``layer`` is None.

        Raises:
            InvalidDataError: The selection has several kinds, whose columns differ.
        """
        if len(self.kinds) != 1:
            names = ", ".join(repr(kind.value) for kind in self.kinds)
            raise InvalidDataError(
                source=f"address {str(self.address)!r}", reason=f"it can mean {names}; pass one as {_by_kind()}"
            )
        return columns(self.kinds[0], self.rows())

    def map(self, function: Callable[[Entity[Any]], R]) -> dict[str, R]:
        """Call a function for each entity, one after another.

        Returns:
            Its results by the address of the entity, followed by the kind and the layer where several entities share the
            address: ``TS_001/ribosome:alice/1``, ``TS_001/ribosome:alice/1 (picks, overlay)``.
        """
        rows = self.rows()
        addresses = [str(address_of(key)) for key, _ in rows]
        several = _repeated(addresses)
        results: dict[str, R] = {}
        for address, (key, layer) in zip(addresses, rows, strict=True):
            variant = getattr(key, "variant", "")
            parts = [key.kind.value, *([variant] if variant else []), *([layer.name] if layer else [])]
            name = f"{address} ({', '.join(parts)})" if address in several else address
            results[name] = function(handle_of(self.root, key, layer))
        return results

    def one_kind(self, refused: str) -> list[Row]:
        """The rows of the one kind that the address matches, for what must not guess.

        Args:
            refused: What is not done otherwise, such as ``"deleted"``.

        Raises:
            AddressError: Entities of several kinds match; lists them.
        """
        rows = self.rows()
        if len({key.kind for key, _ in rows}) > 1:
            shown = _shown([key for key, _ in rows])
            reason = f"it matches entities of several kinds, so nothing was {refused}. Choose one kind ({_by_kind()}): {shown}"
            raise AddressError(address=str(self.address), position=None, reason=reason)
        return rows

    def delete(self) -> list[Key]:
        """Delete the entities; if one of them is read-only, none is deleted.

        Returns:
            The keys of those that were deleted; what somebody else deleted at the same moment is left out.

        Raises:
            AddressError: Entities of several kinds match; give ``kind=``.
            ReadOnlyError: One of them is read-only.
        """
        rows = self.one_kind("deleted")
        handles: list[Any] = [handle_of(self.root, key, layer) for key, layer in rows]
        for handle in handles:
            handle._check_deletable()
        deleted = []
        for handle in handles:
            try:
                handle.delete()
            except NotFoundError:
                continue
            deleted.append(handle.key)
        return deleted


def _by_kind() -> str:
    return by_caller("kind=", "--kind")


def entity(root: CopickRootOverlay, address: Address | str, kind: Kind | str | None = None) -> Entity[Any]:
    """The one entity that an address names; see :meth:`CopickRootOverlay.entity`."""
    selection = Selection(root, address, kind)
    if len(selection.kinds) == 1:
        key = key_of(selection.address, selection.kinds[0])
        if key is not None and (holder := _holder(root, key, selection.address)) is not None:
            return handle_of(root, key, holder[0], assumed=holder[1])
    rows = selection.rows()
    keys = [*dict.fromkeys(key for key, _ in rows)]
    if len(keys) > 1 and not selection.address.flags and all(key.kind is Kind.SEGMENTATION for key in keys):
        # An address without a segmentation type is how that of the binary one is printed.
        binary: list[Key] = [k for k in keys if k.kind is Kind.SEGMENTATION and k.segmentation_type == "binary"]
        keys = binary if len(binary) == 1 and len({key[:-2] for key in keys}) == 1 else keys
    if not keys:
        raise NotFoundError(
            key=f"an entity of address {str(selection.address)!r}",
            layer=", ".join(layer.name for layer in root.layers.all),
            way_out="Check its spelling.",
        )
    if len(keys) > 1:
        reason = f"it must match one entity, but it matches {len(keys)}: {_shown(keys)}"
        raise AddressError(address=str(selection.address), position=None, reason=reason)
    layers = [layer for key, layer in rows if key == keys[0]]
    return handle_of(root, keys[0], layers[-1])  # of several layers the overlay, which comes last: it is what a user edits


def handle_of(root: CopickRootOverlay, key: Key, layer: Layer | None, *, assumed: bool = False) -> Entity[Any]:
    """The handle of an entity in a layer; of those that span layers, ``layer`` is None.

    Args:
        root: The project.
        key: The entity.
        layer: The layer that holds it.
        assumed: Nobody has asked whether it is stored. Listings and getters go on as if the handle had not been made, and
            take it if they find the entity.
    """
    if isinstance(key, ObjectKey):
        found = root.get_object(key.name)
        if found is None:
            raise UnknownObjectError(name=key.name, known=[obj.name for obj in root.pickable_objects])
        return found
    handle = root._assume(key, layer) if assumed else root._find_handle(key, layer)
    return cast("Entity[Any]", handle)


def _holder(root: CopickRootOverlay, key: Key, address: Address) -> tuple[Layer | None, bool] | None:
    """The layer to read an entity from, and whether that is assumed; None where only listing tells.

    A project with one layer is asked nothing: reading shows whether the entity is there.
    """
    if key.kind is Kind.OBJECT:
        return None, False
    layers = root.layers.all[::-1]
    if key.kind in CONTAINER_KINDS:
        return (None, False) if any(layer.exists(key) for layer in layers) else None
    several = key.kind is Kind.SEGMENTATION and not address.flags
    varied = key.kind in _WITH_VARIANTS and root.layers.overlay is None
    if len(layers) == 1 and not several and not varied:
        return layers[0], True
    return next(((layer, False) for layer in layers if layer.exists(key)), None)


def _shown(keys: list[Key]) -> str:
    return "; ".join(str(key) for key in keys[:5]) + (f"; and {len(keys) - 5} more" if len(keys) > 5 else "")


def _repeated(names: list[str]) -> set[str]:
    seen: set[str] = set()
    return {name for name in names if name in seen or seen.add(name)}  # type: ignore[func-returns-value]


def _found(
    root: CopickRootOverlay, kind: Kind, address: Address, content: Content | None = None
) -> tuple[list[Row], list[Row]] | None:
    """What an address matches below runs, where all layers find it without listing run after run; None otherwise.

    Returns:
        What has the content, and what must be read to know.
    """
    if not _is_findable(root, kind) or (content is None and address.literal("run") is not None):
        return None
    fields = address.literals(kind)
    is_decided = content is None and address.is_decided_by(fields, kind)
    rows: tuple[list[tuple[str, int, Key, Layer]], ...] = ([], [])
    for number, layer in enumerate(root.layers.all):
        if content is None:
            keys = layer.find(kind, fields)
            both: tuple[Sequence[Key], Sequence[Key]] | None = None if keys is None else (keys, ())
        else:
            both = layer.find_content(kind, fields, content)
        if both is None:
            return None
        for part, found in zip(rows, both, strict=True):
            part += [(cast("Any", key).run, number, key, layer) for key in found if is_decided or address.matches(key)]
    has, unknown = (_in_order(part) for part in rows)
    return has, unknown


def _is_findable(root: CopickRootOverlay, kind: Kind) -> bool:
    """Whether layers may find entities of a kind without listing; listing a single run is as quick."""
    return PARENT_KIND[kind] is Kind.RUN and kind not in CONTAINER_KINDS and root._index.runs is None


def _number(root: CopickRootOverlay, kind: Kind, address: Address) -> int | None:
    """How many entities an address matches below runs, where all layers find them by their fields alone; None otherwise."""
    fields = address.literals(kind)
    if not _is_findable(root, kind) or address.literal("run") is not None or not address.is_decided_by(fields, kind):
        return None
    found = [layer.find_columns(kind, fields) for layer in root.layers.all]
    known = [columns for columns in found if columns is not None]
    return sum(len(columns[0]) for columns in known) if len(known) == len(found) else None


def _in_order(rows: list[tuple[str, int, Key, Layer]]) -> list[Row]:
    return [(key, layer) for _, _, key, layer in sorted(rows, key=lambda row: row[:3])]


def _contains(content: Content, key: Key, layer: Layer) -> bool:
    """Read an entity, and look whether it has a content."""
    if isinstance(key, SegmentationKey):
        return content.label in labels_present(layer, key)
    from copick_core.picks import decode

    return content.has_points(len(decode(layer.read(key), str(key))))


def _parents(root: CopickRootOverlay, kind: Kind, address: Address, found: dict[Kind, list[Row]]) -> list[ParentKey]:
    """The entities that can hold what an address matches; what it names is not looked for.

    Args:
        root: The project.
        kind: Kind of what the address matches.
        address: The address.
        found: What was found of each kind above, so that it is listed once.
    """
    above = PARENT_KIND[kind]
    if above is None:
        return [ROOT]
    run, size = address.literal("run"), address.size
    if above is Kind.RUN and run is not None:
        return [RunKey(run)]
    if above is Kind.VOXEL_SPACING and run is not None and size is not None:
        return [VoxelSpacingKey(run, size)]
    if above not in found:
        parents = _parents(root, above, address, found)
        found[above] = _matching(root, above, address, parents, list_all(root, [(above, parents)]))
    return [*dict.fromkeys(cast("ParentKey", key) for key, _ in found[above])]


def _matching(root: CopickRootOverlay, kind: Kind, address: Address, parents: list[ParentKey], children: Any) -> list[Row]:
    """Entities of a kind that an address matches, in the order in which walking the project finds them."""
    if kind is Kind.OBJECT:
        return [(key, None) for obj in root.pickable_objects if address.matches(key := ObjectKey(obj.name))]
    rows: list[Row] = [
        (key, layer)
        for parent in parents
        for layer in root.layers.all
        for key in sorted(children.get((layer.name, kind, parent), ()))
        if address.matches(key)
    ]
    if kind in CONTAINER_KINDS:
        return [(key, None) for key in sorted({key for key, _ in rows})]
    return rows
