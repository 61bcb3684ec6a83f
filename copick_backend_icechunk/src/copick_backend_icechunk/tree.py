"""What a snapshot holds: its nodes as files and folders of copick's layout, and the keys that paths stand for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from copick_core.tree import layout
from copick_core.tree.keys import KINDS, ROOT, FeaturesKey, Key, Kind, ParentKey, RunKey, VoxelSpacingKey
from copick_core.tree.keys import TomogramKey as _TomogramKey

_VOLUME = ".zarr"


class Tree:
    """Names below each folder, and whether each is a folder.

    An array outside of volumes is a file; volumes are groups whose arrays and groups are not listed further.

    Args:
        paths: Path of each node, and whether it is an array.
    """

    def __init__(self, paths: Iterable[tuple[str, bool]] = ()) -> None:
        self._folders: dict[str, dict[str, bool]] = {}
        for path, is_array in paths:
            self.add(path, is_array)

    @classmethod
    def of_snapshot(cls, inspected: str) -> Tree:
        """Read what ``Repository.inspect_snapshot`` tells."""
        nodes = json.loads(inspected)["nodes"]
        return cls((node["path"].strip("/"), node["node_type"] == "array") for node in nodes if node["path"] != "/")

    def copy(self) -> Tree:
        """A copy that can change on its own."""
        made = Tree()
        made._folders = {folder: dict(names) for folder, names in self._folders.items()}
        return made

    def add(self, path: str, is_array: bool) -> None:
        """Add a node, with the folders above it; what lies in a volume makes the volume."""
        whole = volume_of(path)
        if whole is not None:
            path, is_array = whole, False
        folder, _, name = path.rpartition("/")
        names = self._folders.get(folder)
        if names is not None:
            names[name] = not is_array
            return
        self._folders[folder] = {name: not is_array}
        if folder:
            self.add(folder, False)

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all below it, and the folders above it that are empty then."""
        for known in [known for known in self._folders if known == path or known.startswith(f"{path}/")]:
            del self._folders[known]
        while path:
            folder, _, name = path.rpartition("/")
            names = self._folders.get(folder)
            if names is None:
                return
            names.pop(name, None)
            if names:
                return
            del self._folders[folder]
            path = folder

    def listing(self, folder: str) -> dict[str, bool]:
        """Names in a folder, and whether each is a folder."""
        return self._folders.get(folder, {})

    def holds(self, path: str, *, folder: bool) -> bool:
        """Whether there is a file, or a folder, at a path."""
        above, _, name = path.rpartition("/")
        return self._folders.get(above, {}).get(name) is folder

    def below(self, path: str) -> Iterator[str]:
        """The files and volumes below a folder, or the one that the path is."""
        names = self._folders.get(path)
        if names is None:
            yield path
            return
        for name in names:
            yield from self.below(f"{path}/{name}" if path else name)


def volume_of(path: str) -> str | None:
    """The volume that a node belongs to; None where it belongs to none."""
    parts = path.split("/")
    depth = 2 if parts[0] == layout.OBJECTS_FOLDER else 4
    return "/".join(parts[:depth]) if len(parts) >= depth and parts[depth - 1].endswith(_VOLUME) else None


def key_of(path: str) -> Key | None:
    """The entity that lies at a path, or whose marker does; None for anything else."""
    folder, _, name = path.rpartition("/")
    if name == layout.MARKER:
        return key_of(folder)
    parts = folder.split("/")
    if folder == layout.OBJECTS_FOLDER:
        return layout.parse(Kind.OBJECT, ROOT, name, folder)
    if folder == layout.RUNS_FOLDER:
        return layout.parse(Kind.RUN, ROOT, name, folder)
    if parts[0] != layout.RUNS_FOLDER or len(parts) not in (2, 3):
        return None
    run = RunKey(parts[1])
    if len(parts) == 2:
        return layout.parse(Kind.VOXEL_SPACING, run, name, folder)
    spacing = layout.parse(Kind.VOXEL_SPACING, run, parts[2], "/".join(parts[:2]))
    if isinstance(spacing, VoxelSpacingKey):
        return _at_spacing(spacing, name, folder)
    kinds = (kind for kind in KINDS if folder in layout.folders(kind, run))
    return next((key for kind in kinds if (key := layout.parse(kind, run, name, folder))), None)


def _at_spacing(spacing: VoxelSpacingKey, name: str, folder: str) -> Key | None:
    tomogram = layout.parse(Kind.TOMOGRAM, spacing, name, folder)
    if tomogram is not None:
        return tomogram
    stem, _, _ = name.removesuffix("_features.zarr").rpartition("_")
    owner: ParentKey = _TomogramKey(spacing.run, spacing.voxel_size, stem)
    features = layout.parse(Kind.FEATURES, owner, name, folder)
    return features if isinstance(features, FeaturesKey) else None


def described(path: str) -> str:
    """What lies at a path, for messages."""
    key = key_of(path)
    return path.removeprefix(f"{layout.RUNS_FOLDER}/") if key is None else str(key)


def entity_of(path: str) -> Key | None:
    """The entity that a changed path belongs to: the run of a record, else that of :func:`key_of`."""
    key = key_of(path)
    if key is None and path.count("/") == 2 and layout.is_hidden(path.rpartition("/")[2]):
        return key_of(path.rpartition("/")[0])
    return key
