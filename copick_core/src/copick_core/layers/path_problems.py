"""What can be wrong in a place of files and folders: remains of dead writers, and names that say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from copick_core.errors import CopickError, redacted
from copick_core.layers.problems import Problem, Removal, Repair
from copick_core.layers.staged import is_abandoned
from copick_core.tree import layout
from copick_core.tree.keys import (
    CONTAINER_KINDS,
    KINDS,
    ROOT,
    FeaturesKey,
    Kind,
    RunKey,
    TomogramKey,
    VoxelSpacingKey,
    child_kinds,
)

if TYPE_CHECKING:
    from copick_core.layers.path_layer import Listing, PathLayer
    from copick_core.tree.keys import Key, ParentKey

#: What holds entities: the project (None), a run or a voxel spacing.
Holder = RunKey | VoxelSpacingKey | None


#: How many entities are examined at once: remote layers overlap the requests for all of their folders.
_AT_ONCE = 128


def problems_of(layer: PathLayer) -> Iterator[Problem]:
    """Examine every folder of a layer that can hold entities: the project's, then those of runs, then of voxel spacings."""
    holders: Sequence[Holder] = [None]
    while holders:
        below: list[Holder] = []
        for begin in range(0, len(holders), _AT_ONCE):
            yield from _problems_in(layer, holders[begin : begin + _AT_ONCE], below)
        holders = below


def _problems_in(layer: PathLayer, holders: Sequence[Holder], below: list[Holder]) -> Iterator[Problem]:
    """Examine the folders of some entities; adds those that hold others to ``below``."""
    folders: dict[str, tuple[Holder, list[Kind]]] = {}
    for holder in holders:
        for kind in child_kinds(holder and holder.kind):
            for folder in layout.folders(kind, holder or ROOT):
                folders.setdefault(folder, (holder, []))[1].append(kind)
    for folder, listing in _listings(layer, [*folders]):
        holder, kinds = folders[folder]
        if isinstance(listing, Exception):
            reason = redacted(str(listing)) or type(listing).__name__
            yield Problem("unlisted-folder", holder, _place(layer, folder), "error", f"it cannot be listed: {reason}")
            continue
        for kind in kinds:
            if kind in CONTAINER_KINDS:
                found = sorted(layout.parse_all(kind, holder or ROOT, listing, folder))
                below += [key for key in found if isinstance(key, RunKey | VoxelSpacingKey)]
        found_here = layer.problems_of_writers(folder, listing, partial(_key_of, folder, kinds, holder or ROOT))
        yield from found_here.problems
        old = {name for kind in kinds for name in layer.parse_old(kind, holder or ROOT, folder, listing).values()}
        for name, is_folder in listing.items():
            if name in found_here.needed or name in old:
                continue
            if problem := _of_name(layer, folder, name, is_folder, kinds, holder):
                yield problem
            elif is_folder and name.endswith(".zarr") and not layout.is_hidden(name):
                yield from layer.problems_in_volume(f"{folder}/{name}", _key_of(folder, kinds, holder or ROOT, name) or holder)
        if isinstance(holder, VoxelSpacingKey):
            yield from _orphans(layer, folder, listing, holder)


def _key_of(folder: str, kinds: Sequence[Kind], parent: ParentKey, name: str) -> Key | None:
    """The key of what has a name in a folder."""
    return next((key for kind in kinds if (key := layout.parse(kind, parent, name, folder))), None)


def _orphans(layer: PathLayer, folder: str, listing: Listing, spacing: VoxelSpacingKey) -> Iterator[Problem]:
    """Feature maps whose tomogram is not beside them; it may be in another layer."""
    tomograms = [key for key in layout.parse_all(Kind.TOMOGRAM, spacing, listing, folder) if isinstance(key, TomogramKey)]
    names = {name for name, is_folder in listing.items() if is_folder and layout.is_of_another_kind(Kind.TOMOGRAM, name)}
    for name in sorted(names):
        if any(layout.parse(Kind.FEATURES, tomogram, name, folder) for tomogram in tomograms):
            continue
        stem, _, feature_type = name.removesuffix("_features.zarr").rpartition("_")
        key = FeaturesKey(spacing.run, spacing.voxel_size, stem, feature_type) if stem and feature_type else None
        message = f"there is no tomogram {stem!r} that it was computed on, so it is never listed; delete it, or put that back"
        if key is not None and not layout.is_hidden(name) and not layer.exists(key.parent):
            yield Problem("orphan-features", key, _place(layer, f"{folder}/{name}"), "warning", message)


def _listings(layer: PathLayer, folders: Sequence[str]) -> Iterator[tuple[str, Listing | Exception]]:
    """Listings of folders, asked together; in halves where that fails, so that one does not hide the others."""
    try:
        found: Mapping[str, Listing] = layer.list_folders(folders)
    except (ConnectionError, TimeoutError) as error:  # asking for each of them would wait as often
        yield from ((folder, error) for folder in folders)
    except (CopickError, OSError) as error:
        if len(folders) == 1:
            yield folders[0], error
            return
        middle = len(folders) // 2
        yield from _listings(layer, folders[:middle])
        yield from _listings(layer, folders[middle:])
    else:
        yield from found.items()


def _of_name(
    layer: PathLayer, folder: str, name: str, is_folder: bool, kinds: Sequence[Kind], holder: Holder
) -> Problem | None:
    path, parent = f"{folder}/{name}", holder or ROOT
    delete = partial(layer.delete_path, path)
    removal = None if layer.read_only else Removal(f"{path}/" if is_folder else path, delete)
    if is_abandoned(name):
        message = "a writer that died has left it; nobody sees or uses it"
        repair = None if layer.read_only else Repair(f"delete {path}", delete)
        return Problem("staged-leftover", holder, _place(layer, path), "warning", message, repair, removal)
    if layout.is_hidden(name) or any(layout.is_folder(kind) is not is_folder for kind in kinds):
        return None
    if any(layout.parse(kind, parent, name, folder) or layout.is_of_another_kind(kind, name) for kind in kinds):
        return None
    wanted = " or ".join(KINDS[kind].plural.replace("_", " ") for kind in kinds)
    message = f"it is not a valid name for {wanted}, so it is never listed; rename it, or move it elsewhere"
    return Problem("unreadable-name", holder, _place(layer, path), "warning", message, removal=removal)


def _place(layer: PathLayer, path: str) -> str:
    return f"layer {layer.name!r}, {path}"
