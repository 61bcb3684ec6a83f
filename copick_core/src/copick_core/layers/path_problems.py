"""What can be wrong in a place of files and folders: remains of dead writers, and names that say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from copick_core.errors import CopickError, redacted
from copick_core.layers.problems import Problem, Repair
from copick_core.layers.staged import is_abandoned
from copick_core.tree import layout
from copick_core.tree.keys import ROOT, Key, Kind, ParentKey, RunKey, VoxelSpacingKey, child_kinds

if TYPE_CHECKING:
    from copick_core.layers.path_layer import Listing, PathLayer


#: What holds entities: the project (None), a run or a voxel spacing.
Holder = RunKey | VoxelSpacingKey | None


def problems_of(layer: PathLayer) -> Iterator[Problem]:
    """Examine every folder of a layer that can hold entities."""
    for holder in _holders(layer):
        folders: dict[str, list[Kind]] = {}
        for kind in child_kinds(holder and holder.kind):
            for folder in layout.folders(kind, holder or ROOT):
                folders.setdefault(folder, []).append(kind)
        for folder, listing in _listings(layer, [*folders]):
            if isinstance(listing, Exception):
                reason = redacted(str(listing)) or type(listing).__name__
                yield Problem("unlisted-folder", holder, _place(layer, folder), "error", f"it cannot be listed: {reason}")
                continue
            for name, is_folder in listing.items():
                if problem := _of_name(layer, folder, name, is_folder, folders[folder], holder):
                    yield problem


def _holders(layer: PathLayer) -> Iterator[Holder]:
    """The project, its runs and their voxel spacings; what cannot be listed has none, and is a problem itself."""
    yield None
    for run in _children(layer, Kind.RUN, ROOT):
        if isinstance(run, RunKey):
            yield run
            for spacing in _children(layer, Kind.VOXEL_SPACING, run):
                if isinstance(spacing, VoxelSpacingKey):
                    yield spacing


def _children(layer: PathLayer, kind: Kind, parent: ParentKey) -> Sequence[Key]:
    return [
        key
        for folder, listing in _listings(layer, layout.folders(kind, parent))
        if not isinstance(listing, Exception)
        for key in sorted(layout.parse_all(kind, parent, listing, folder))
    ]


def _listings(layer: PathLayer, folders: Sequence[str]) -> Iterator[tuple[str, Listing | Exception]]:
    """Listings of folders, asked together; one by one where that fails, so that one does not hide the others."""
    try:
        found: Mapping[str, Listing] = layer.list_folders(folders)
    except (CopickError, OSError):
        for folder in folders:
            try:
                yield folder, layer.list_folder(folder)
            except (CopickError, OSError) as error:
                yield folder, error
    else:
        yield from found.items()


def _of_name(
    layer: PathLayer, folder: str, name: str, is_folder: bool, kinds: Sequence[Kind], holder: Holder
) -> Problem | None:
    path, parent = f"{folder}/{name}", holder or ROOT
    if is_abandoned(name):
        message = "a writer that died has left it; nobody sees or uses it"
        repair = None if layer.read_only else Repair(f"delete {path}", partial(layer.delete_path, path))
        return Problem("staged-leftover", holder, _place(layer, path), "warning", message, repair)
    if layout.is_hidden(name) or any(layout.is_folder(kind) is not is_folder for kind in kinds):
        return None
    if any(layout.parse(kind, parent, name, folder) or layout.is_of_another_kind(kind, name) for kind in kinds):
        return None
    wanted = " or ".join(kind.value for kind in kinds)
    message = f"its name is not that of a {wanted}, so it is never listed; rename it, or move it elsewhere"
    return Problem("unreadable-name", holder, _place(layer, path), "warning", message)


def _place(layer: PathLayer, path: str) -> str:
    return f"layer {layer.name!r}, {path}"
