"""Copying entities between layers, and whole projects between backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, cast

from copick_core.errors import AlreadyExistsError, ConflictError, InvalidDataError, NotFoundError, by_caller
from copick_core.layers.revisions import ANY, note_change
from copick_core.layers.staged import PARTIAL
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    FILE_KINDS,
    ROOT,
    FeaturesKey,
    Key,
    Kind,
    ParentKey,
    RunKey,
    TomogramKey,
    child_kinds,
)
from copick_core.tree.schema import DEFAULT_LABEL

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from copick_core.layers import Layer
    from copick_core.overlay import CopickRootOverlay
    from copick_core.volumes.format import VolumeFormat

#: Objects of a zarr store that are copied at once.
_IN_FLIGHT = 16


def copy_content(
    source: Layer,
    key: Key,
    target: Layer,
    target_key: Key,
    *,
    replace: bool = False,
    format: VolumeFormat | None = None,
) -> None:
    """Copy the content of one entity, whole or not at all.

    Bytes stay as they are. Only the names that picks have inside become those of ``target_key``, where it has others. Volumes
    are encoded anew where one of the two places fixes their format (:attr:`~copick_core.layers.Layer.volume_format`): values,
    levels, attributes and metadata stay.

    Args:
        source: Layer to copy from.
        key: The entity there.
        target: Writable layer to copy to.
        target_key: What the copy is to be.
        replace: Whether it may take the place of what the target has.
        format: How volumes that are encoded anew are laid out; what the target fixes goes before it. By default as copick 1.x
            reads them.

    Raises:
        ConflictError: The target exists, and not ``replace``.
        NotFoundError: There is nothing to copy, or it was deleted meanwhile.
    """
    if key.kind in FILE_KINDS:
        data = _renamed(source.read(key), key, target_key)
        target.write(target_key, data, if_revision=ANY if replace else None)
        return
    try:
        with target.replace_zarr(target_key) as store:
            if not (_copy_volume(source, key, target, store, format) and source.exists(key)):
                raise NotFoundError(key=key, layer=source.name, location=source.location(key))
            # Not before: in the time that copying takes somebody else can make a volume of this address.
            if not replace and target.exists(target_key):
                raise ConflictError(key=target_key, layer=target.name, expected=None, found="a volume")
    finally:
        note_change(target_key)


def same_content(source: Layer, key: Key, target: Layer, target_key: Key) -> bool:
    """Whether an entity holds what a copy of another one would hold, compared byte for byte.

    Volumes that a copy encodes anew are compared by their values, levels, attributes and metadata.

    Raises:
        NotFoundError: One of them does not exist.
    """
    if key.kind in FILE_KINDS:
        return _renamed(source.read(key), key, target_key) == target.read(target_key)
    if _same_format(source, target):
        return _contents(source.zarr(key)) == _contents(target.zarr(target_key))
    from copick_core.volumes.reencoding import same_volume

    return same_volume(source.zarr(key), target.zarr(target_key))


def _same_format(source: Layer, target: Layer) -> bool:
    """Whether volumes of one place can be stored in another as they are."""
    return dict(source.volume_format) == dict(target.volume_format)


def _copy_volume(source: Layer, key: Key, target: Layer, store: Store, format: VolumeFormat | None) -> bool:
    """Copy a volume into a fresh store of a layer; False if there was none, or it went away meanwhile."""
    if _same_format(source, target):
        return copy_store(source.zarr(key), store)
    from copick_core.volumes.format import VolumeFormat
    from copick_core.volumes.reencoding import reencode

    return reencode(source.zarr(key), store, replace_fields(format or VolumeFormat(), **target.volume_format))


#: The names that a picks file has inside, and the field of the key that each is; copick 1.x believes them.
_NAMES_INSIDE = {
    "pickable_object_name": "object_name",
    "user_id": "user_id",
    "session_id": "session_id",
    "run_name": "run",
}


def _renamed(data: bytes, key: Key, target_key: Key) -> bytes:
    """The bytes of picks with the names of another key inside."""
    if key == target_key or key.kind not in FILE_KINDS or key.kind is Kind.MESH:
        return data
    import json

    content = json.loads(data)
    for name, field_name in _NAMES_INSIDE.items():
        if name in content:
            content[name] = getattr(target_key, field_name)
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def copy_store(source: Store, target: Store) -> bool:
    """Copy every object of a zarr store: bytes stay as they are.

    Documents of arrays come before the chunks, since some stores take no chunk of an array that they do not know; those of the
    volume come last.

    Returns:
        Whether the metadata that were there in the beginning were still there in the end.
    """
    import asyncio

    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def copy() -> bool:
        prototype = default_buffer_prototype()
        free = asyncio.Semaphore(_IN_FLIGHT)

        async def one(name: str) -> bool:
            async with free:
                data = await source.get(name, prototype)
                if data is not None:
                    await target.set(name, data)
                return data is not None

        names = [name async for name in source.list() if not PARTIAL.search(name)]
        metadata = {n for n in names if n.rpartition("/")[2] in _METADATA}
        below = [name for name in metadata if "/" in name]
        kept = await asyncio.gather(*(one(name) for name in below))
        await asyncio.gather(*(one(n) for n in names if n not in metadata))
        return all([*kept, *[await one(name) for name in sorted(metadata.difference(below))]])

    return sync(copy())


#: Names of zarr's metadata objects, formats 2 and 3.
_METADATA = frozenset({".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"})


@dataclass(repr=False)
class CopyReport:
    """What :func:`copy_project` did.

    Attributes:
        copied: Entities that were copied.
        skipped: Entities that the target had already, from an earlier copy that was interrupted for example.
        verified: Entities whose copy was compared with the original.
    """

    copied: list[Key] = field(default_factory=list)
    skipped: list[Key] = field(default_factory=list)
    verified: list[Key] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={len(keys):,}" for name, keys in vars(self).items())
        return f"<CopyReport {counts}>"


def copy_project(
    source: CopickRootOverlay,
    target: CopickRootOverlay,
    runs: Iterable[str] | None = None,
    *,
    overwrite: bool = False,
    verify: bool = False,
    progress: Callable[[Key, int, int], None] | None = None,
) -> CopyReport:
    """Copy a project between any two backends, entity by entity, complete: all fields, all levels, byte for byte.

    Where one of the two fixes the format of its volumes they are encoded anew, as the target is configured: values, levels,
    attributes and metadata stay.

    Every entity is copied whole or not at all. A copy that was interrupted is resumed by calling this again: what the
    target has already is skipped. Where several layers of the source hold an entity, the overlay's is copied, else that
    of the last static layer. The source's objects are added to the target's configuration in memory. Reviews are copied too.

    Args:
        source: Project to copy from.
        target: Project to copy into; it needs a writable layer.
        runs: Names of the runs to copy; all by default.
        overwrite: Replace entities that the target has with other content, instead of failing.
        verify: Afterwards compare every byte of files, and every voxel of volumes, with the source's.
        progress: Called before each entity with its key, how many are done, and how many there are.

    Returns:
        What was done.

    Raises:
        AlreadyExistsError: The target has picks, filaments or a mesh with other content, and not ``overwrite``.
        ConflictError: Somebody else made an entity in the target while it was copied, and not ``overwrite``.
        InvalidDataError: A copy is not what the source has (``verify``), objects contradict, or a run does not exist.
        NotFoundError: Somebody else deleted an entity of the source before it was copied.
        ReadOnlyError: The target has no writable layer.
    """
    if isinstance(runs, str):
        raise InvalidDataError(source="runs", reason=f"{runs!r} is one name; give a list of names")
    plan = [*_plan(source, None if runs is None else list(runs))]
    add_objects(source, target)
    report = CopyReport()
    format = configured_format(target)
    for done, (layer, key, target_key) in enumerate(plan):
        if progress is not None:
            progress(key, done, len(plan))
        overlay = target._writable(target_key)
        if key.kind in CONTAINER_KINDS:
            overlay.ensure(target_key)
            continue
        if _is_there(layer, key, overlay, target_key, overwrite):
            report.skipped.append(target_key)
        else:
            copy_content(layer, key, overlay, target_key, replace=overwrite, format=format)
            report.copied.append(target_key)
        if verify:
            _verify(layer, key, overlay, target_key)
            report.verified.append(target_key)
    target.refresh()
    if target.layers.overlay is not None and target.layers.overlay.keeps_records:
        target.reviews.bring(source.reviews, [key.name for _, key, _ in plan if key.kind is Kind.RUN], overwrite=overwrite)
    return report


def configured_format(root: CopickRootOverlay) -> VolumeFormat:
    """The format that a project writes its volumes in."""
    from copick_core.volumes.format import layout_of

    config = root.config
    names = ("zarr_format", "chunks", "compressor", "shards")
    given = {n: getattr(config, n) for n in names if config.format is None or n in config.model_fields_set}
    fixed = {} if root.layers.overlay is None else root.layers.overlay.volume_format
    return layout_of({"format": config.format}, {**given, **fixed})


def add_objects(source: CopickRootOverlay, target: CopickRootOverlay, names: Iterable[str] | None = None) -> list[str]:
    """Add objects of one project to the configuration of another one, in memory.

    Args:
        source: The project that has them.
        target: The project that they are added to.
        names: Which ones; all by default.

    Returns:
        The names of those that were added.

    Raises:
        InvalidDataError: The target has an object of the same name and another label, or uses the label for another one.
    """
    wanted = None if names is None else {*names}
    known = {meta.name: meta for meta in target.config.pickable_objects}
    labels = {meta.label: meta.name for meta in target.config.pickable_objects if meta.label is not None}
    added = []
    for meta in source.config.pickable_objects:
        if wanted is not None and meta.name not in wanted:
            continue
        mine = known.get(meta.name)
        if mine is not None:
            if mine.label != meta.label:
                raise InvalidDataError(
                    source=f"object {meta.name!r}",
                    reason=f"its label is {meta.label} in the source and {mine.label} in the target",
                )
            continue
        if meta.label != DEFAULT_LABEL and meta.label in labels:
            raise InvalidDataError(
                source=f"object {meta.name!r}",
                reason=f"the target uses its label {meta.label} for {labels[meta.label]!r}",
            )
        added.append(meta.model_copy(deep=True))
    if added:
        target.config.pickable_objects = [*target.config.pickable_objects, *added]
        target._objects = None
    return [meta.name for meta in added]


def _plan(source: CopickRootOverlay, runs: list[str] | None) -> Iterator[tuple[Layer, Key, Key]]:
    """Layer, key and target key of everything to copy; containers before what they hold."""
    names = dict.fromkeys(run.name for run in source.runs)
    missing = [name for name in runs or () if name not in names]
    if missing:
        raise InvalidDataError(source="runs", reason=f"the source has no run {', '.join(map(repr, missing))}")
    yield from ((layer, key, key) for key, layer in _held(source, Kind.OBJECT, ROOT).items())
    for name in names if runs is None else runs:
        run = RunKey(name)
        yield source.layers.all[0], run, run
        for kind in child_kinds(Kind.RUN):
            if kind in CONTAINER_KINDS:
                continue
            yield from ((layer, key, key) for key, layer in _held(source, kind, run).items())
        for spacing, holder in _held(source, Kind.VOXEL_SPACING, run).items():
            yield holder, spacing, spacing
            taken: set[Key] = set()
            for tomogram, layer in _held(source, Kind.TOMOGRAM, cast("ParentKey", spacing)).items():
                copy = _plain(cast("TomogramKey", tomogram), taken)
                taken.add(copy)
                yield layer, tomogram, copy
                for features, feature_layer in _held(source, Kind.FEATURES, cast("ParentKey", tomogram)).items():
                    yield (
                        feature_layer,
                        features,
                        cast("FeaturesKey", features)._replace(tomo_type=copy.tomo_type, variant=""),
                    )


def _plain(key: TomogramKey, taken: set[Key]) -> TomogramKey:
    """The key that a tomogram is copied to: variants that share a type get types of their own after the first one."""
    plain = key._replace(variant="")
    return plain if plain not in taken else plain._replace(tomo_type=f"{key.tomo_type}-{key.variant}")


def _held(source: CopickRootOverlay, kind: Kind, parent: ParentKey) -> dict[Key, Layer]:
    """The children of a kind and the layer that each is copied from: the last one that holds it."""
    held: dict[Key, Layer] = {}
    for layer in source.layers.all:
        held.update(dict.fromkeys(sorted(cast("list[RunKey]", layer.list(kind, parent))), layer))
    return held


def _is_there(source: Layer, key: Key, target: Layer, target_key: Key, overwrite: bool) -> bool:
    """Whether the target has the entity already; volumes are written whole or not at all, so existing ones are complete."""
    if overwrite or not target.exists(target_key):
        return False
    if key.kind in FILE_KINDS and target.read(target_key) != source.read(key):
        replace = by_caller("overwrite=True", "--if-exists replace")
        way_out = f"It has other content than the source's; pass {replace} to replace it."
        raise AlreadyExistsError(key=target_key, layer=target.name, way_out=way_out)
    return True


def _verify(source: Layer, key: Key, target: Layer, target_key: Key) -> None:
    """Compare a copy with its original."""
    if not same_content(source, key, target, target_key):
        raise InvalidDataError(
            source=target_key,
            reason=f"the copy in layer {target.name!r} differs from the original; copy it again with "
            f"{by_caller('overwrite=True', '--if-exists replace')}",
        )


def _contents(store: Store) -> dict[str, str]:
    """Digest of every object of a store, by name."""
    import hashlib

    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def digest() -> dict[str, str]:
        found = {}
        async for name in store.list():
            data = await store.get(name, default_buffer_prototype())
            found[name] = hashlib.sha256(b"" if data is None else data.to_bytes()).hexdigest()
        return found

    return sync(digest())
