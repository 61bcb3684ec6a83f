"""Whole projects at once: every listing of a kind asked together, instead of one entity after another.

A layer gets one ``list_many`` for each kind; layers with a connection keep the requests of one call in flight together.
Kinds that are listed from different folders, and layers, are asked at the same time too.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError, redacted
from copick_core.layers.layer import PartialListing
from copick_core.tree.keys import (
    KINDS,
    PARENT_KIND,
    ROOT,
    Key,
    Kind,
    ParentKey,
    RunKey,
    VoxelSpacingKey,
    as_columns,
    child_kinds,
    field_names,
)

if TYPE_CHECKING:
    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay

#: Kinds by when they can be listed: each needs what the stages before it have found or remembered. Sparse kinds ask the
#: listing of the run's folder, which voxel spacings bring.
_STAGES = (
    [kind for kind in child_kinds(Kind.RUN) if not KINDS[kind].sparse],
    [kind for kind in child_kinds(Kind.RUN) if KINDS[kind].sparse] + child_kinds(Kind.VOXEL_SPACING),
    child_kinds(Kind.TOMOGRAM),
)
#: Kinds as the hierarchy names their lists: ``run.meshes``.
_PLURALS: dict[Any, Kind] = {facts.plural.replace("_", " "): kind for kind, facts in KINDS.items()} | {"objects": Kind.OBJECT}


def kind_of(value: Kind | str) -> Kind:
    """The kind that a user means: a :class:`~copick_core.tree.keys.Kind`, or its name as ``"mesh"`` or ``"meshes"``.

    Raises:
        InvalidDataError: There is no such kind; lists those that there are.
    """
    name = value.replace("_", " ") if isinstance(value, str) else value
    try:
        return _PLURALS.get(name) or Kind(name)
    except ValueError:
        known = ", ".join(repr(kind.value) for kind in Kind)
        raise InvalidDataError(source="kind of entity", reason=f"{value!r} is none of {known}") from None


def prefetch(root: CopickRootOverlay, kinds: Iterable[Kind | str] | None = None) -> None:
    """List all entities of some kinds; see :meth:`CopickRootOverlay.prefetch`."""
    if isinstance(kinds, str | Kind):
        raise InvalidDataError(source="kinds", reason=f"{kinds!r} is one kind; give a list of kinds")
    wanted = {*Kind} if kinds is None else {kind_of(kind) for kind in kinds}
    for kind in (Kind.FEATURES, Kind.TOMOGRAM):
        if kind in wanted and (above := PARENT_KIND[kind]):
            wanted.add(above)
    failed: set[tuple[Kind, ParentKey]] = set()
    # What is asked at which handle: its children of a kind, and the property that lists them.
    for stage in _STAGES:
        asked = [(kind, *_unlisted(root, kind, failed)) for kind in stage if kind in wanted]
        found, failures = _ask_all(root, [(kind, [handle.key for handle in handles]) for kind, handles, _ in asked])
        failed |= failures
        root._prefetched.update(found)
        try:
            for kind, handles, name in asked:
                children_of, list_children = attrgetter(f"_{name}_children"), attrgetter(name)
                for handle in handles:
                    if (kind, handle.key) in failures:
                        continue  # stays unlisted: whoever asks it gets the error
                    children = children_of(handle)
                    with children.lock:
                        if children:  # perhaps of entities that were made since storage was asked, which are to stay
                            for layer in root.layers.all:
                                root._prefetched.pop((layer.name, kind, handle.key), None)
                        list_children(handle)
        finally:
            for question in found:
                root._prefetched.pop(question, None)


def _unlisted(root: CopickRootOverlay, kind: Kind, failed: Container[tuple[Kind, ParentKey]]) -> tuple[list[Any], str]:
    """Handles whose children of a kind have not been listed yet, and the name of the property that lists them."""
    name, handles = KINDS[kind].plural, _handles(root, PARENT_KIND[kind], failed)
    return [handle for handle in handles if not getattr(handle, f"_{name}_children").is_listed], name


def _handles(root: CopickRootOverlay, kind: Kind | None, failed: Container[tuple[Kind, ParentKey]]) -> list[Any]:
    """All handles of a kind, but for those below what could not be listed; the project where it is None."""
    if kind is None:
        return [root]
    children, parents = attrgetter(KINDS[kind].plural), _handles(root, KINDS[kind].parent, failed)
    if failed:
        parents = [parent for parent in parents if parent is root or (kind, parent.key) not in failed]
    return [handle for parent in parents for handle in children(parent)]


def table(root: CopickRootOverlay, kind: Kind | str) -> dict[str, list[Any]]:
    """All entities of a kind as columns; see :meth:`CopickRootOverlay.table`."""
    kind = kind_of(kind)
    known = _known_columns(root, kind)
    return columns(kind, [*_rows(root, kind)]) if known is None else known


def _known_columns(root: CopickRootOverlay, kind: Kind) -> dict[str, list[Any]] | None:
    """The columns of a kind, where all layers have them without listing parent after parent; None otherwise."""
    if kind is Kind.FEATURES or not root._index.is_empty:
        return None  # the fields of features do not begin with those of their tomogram
    found: list[tuple[Layer, Sequence[Sequence[Any]]]] = []
    for layer in root.layers.all:
        known = layer.find_columns(kind, {})
        if known is None:
            return None
        found.append((layer, known))
    if len(found) == 1:
        ((layer, known),) = found
        return {
            **_named(kind, known),
            "layer": [layer.name] * len(known[0]),
            "read_only": [layer.read_only] * len(known[0]),
        }
    above = PARENT_KIND[kind]
    places: dict[tuple[Any, ...], int] = {(): 0}
    if above is not None:
        parents = _known_columns(root, above)
        if parents is None:
            return None
        places = {}
        for parent in zip(*(parents[name] for name in _column_names(above)), strict=True):
            places.setdefault(parent, len(places))
    depth = len(next(iter(places), ()))
    rows = [
        (places[row[:depth]], number, row)
        for number, (_, known) in enumerate(found)
        for row in zip(*known, strict=True)
        if row[:depth] in places
    ]
    rows.sort(key=lambda row: row[:2])  # rows of one layer are in the order of their keys
    layers = [found[number][0] for _, number, _ in rows]
    return _with_layers(kind, [row for _, _, row in rows], layers)


def _column_names(kind: Kind) -> list[str]:
    return ["run"] if kind is Kind.RUN else field_names(kind)


def columns(kind: Kind, rows: Sequence[tuple[Key, Layer | None]]) -> dict[str, list[Any]]:
    """Entities of one kind as columns of equal length: the fields of their keys, their layer, and whether it is read-only.

    Both are None for what spans layers.
    """
    return _with_layers(kind, [key for key, _ in rows], [layer for _, layer in rows])


def _with_layers(kind: Kind, rows: Sequence[Sequence[Any]], layers: Sequence[Layer | None]) -> dict[str, list[Any]]:
    """Columns of rows that begin with the fields of keys, and of the layers that they are in."""
    return {
        **_named(kind, as_columns(kind, rows)),
        "layer": [None if layer is None else layer.name for layer in layers],
        "read_only": [None if layer is None else layer.read_only for layer in layers],
    }


def _named(kind: Kind, values: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Columns of the fields of keys, by their names."""
    return {name: [*column] for name, column in zip(_column_names(kind), values, strict=True)}


def _rows(root: CopickRootOverlay, kind: Kind) -> list[tuple[Key, Layer]]:
    """Every entity of a kind with the layer it is in, in the order in which walking the project finds them."""
    above, parents = PARENT_KIND[kind], cast("list[ParentKey]", [ROOT])
    if above is not None:
        # Of all layers: annotations in one may belong to what only another one holds.
        parents = [*dict.fromkeys(cast("ParentKey", key) for key, _ in _rows(root, above))]
    found = list_all(root, [(kind, parents)])
    layers = root.layers.all
    return [
        (key, layer) for parent in parents for layer in layers for key in sorted(found.get((layer.name, kind, parent), ()))
    ]


def list_all(
    root: CopickRootOverlay, questions: Sequence[tuple[Kind, Sequence[ParentKey]]]
) -> dict[tuple[str, Kind, ParentKey], Sequence[Key]]:
    """Ask all layers for the children of several kinds, all at once; what could not be listed is left out with a warning."""
    return _ask_all(root, questions)[0]


def _ask_all(
    root: CopickRootOverlay, questions: Sequence[tuple[Kind, Sequence[ParentKey]]]
) -> tuple[dict[tuple[str, Kind, ParentKey], Sequence[Key]], set[tuple[Kind, ParentKey]]]:
    """Ask all layers for the children of several kinds, all at once.

    Returns:
        The children, and of what they could not be listed, which has been warned of.
    """
    asked = [(layer, kind, parents) for layer in root.layers.all for kind, parents in questions if parents]
    if not asked:
        return {}, set()
    if len(asked) == 1:
        answers = [_list_many(root, *asked[0])]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(asked)) as pool:
            answers = [*pool.map(lambda question: _list_many(root, *question), asked)]
    failures: set[tuple[Kind, ParentKey]] = set()
    for (layer, kind, _), answer in zip(asked, answers, strict=True):
        if isinstance(answer, PartialListing):
            failures.update((kind, parent) for parent in answer.failures)
            _warn_of(root, layer, kind, answer.failures)
    found = {
        (layer.name, kind, parent): keys
        for (layer, kind, _), answer in zip(asked, answers, strict=True)
        for parent, keys in answer.items()
    }
    return found, failures


def _warn_of(root: CopickRootOverlay, layer: Layer, kind: Kind, failures: Mapping[ParentKey, Exception]) -> None:
    """Warn of what could not be listed, once of each."""
    told: set[tuple[ParentKey | Key, str]] = {(parent, f"{kind.value} in {layer.name}") for parent in failures}
    if told <= root._complained:
        return
    root._complained |= told
    parent, error = next(iter(failures.items()))
    others = f", and those of {len(failures) - 1:,} others" if len(failures) > 1 else ""
    warn_caller(
        f"Layer {layer.name!r}: the {KINDS[kind].plural.replace('_', ' ')} of {parent}{others} could not be listed and are "
        f"left out ({redacted(str(error))}). `copick-core doctor` lists all folders that cannot be read."
    )


def _list_many(
    root: CopickRootOverlay, layer: Layer, kind: Kind, parents: Sequence[ParentKey]
) -> Mapping[ParentKey, Sequence[Key]]:
    """Children in one layer; what the configuration says of static layers is not asked of them."""
    index = root._index
    if layer is not root.layers.overlay:
        if kind is Kind.RUN and index.runs is not None:
            return {ROOT: index.runs}
        if kind is Kind.VOXEL_SPACING and index.voxel_spacings is not None:
            sizes = index.voxel_spacings
            return {run: [VoxelSpacingKey(run.name, size) for size in sizes] for run in parents if isinstance(run, RunKey)}
        if kind is Kind.TOMOGRAM and index.tomograms and len(root.layers.static) == 1:
            known = [(p, index.tomogram_keys(p)) for p in parents if isinstance(p, VoxelSpacingKey)]
            said: dict[ParentKey, Sequence[Key]] = {parent: keys for parent, keys in known if keys is not None}
            listed = layer.list_many(kind, [parent for parent in parents if parent not in said])
            if not isinstance(listed, PartialListing):
                return {**said, **listed}
            listed.update(said)
            return listed
    return layer.list_many(kind, parents)
