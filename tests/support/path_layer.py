"""A layer over the six primitives of PathLayer: files are entries of a dict, and folders are what their paths say."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from copick_core.layers import ANY, FileChangedError
from copick_core.layers.path_layer import Listing, PathLayer


class Disk:
    """What several layers may be opened on."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, int]] = {}  # path -> (bytes, revision)
        self.lock = threading.RLock()
        self.writes = 0

    def below(self, folder: str) -> Iterator[str]:
        start = f"{folder}/" if folder else ""
        return (path for path in [*self.files] if path.startswith(start))


class DictPathLayer(PathLayer):
    process_bound = "it lives in a dict of this process"

    def __init__(self, disk: Disk | None = None, *, name: str = "paths", read_only: bool = False) -> None:
        super().__init__(name, read_only=read_only)
        self.disk = disk or Disk()

    def list_folder(self, path: str) -> Listing:
        start = len(path) + 1 if path else 0
        listing: Listing = {}
        for below in self.disk.below(path):
            name, slash, _ = below[start:].partition("/")
            listing[name] = bool(slash)
        return listing

    def path_exists(self, path: str, *, folder: bool) -> bool:
        return any(self.disk.below(path)) if folder else path in self.disk.files

    def read_file(self, path: str):
        try:
            return self.disk.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def write_file(self, path: str, data: bytes, if_revision=ANY):
        with self.disk.lock:
            found = self.disk.files.get(path, (b"", None))[1]
            if if_revision is not ANY and if_revision != found:
                raise FileChangedError(found)
            self.disk.writes += 1
            self.disk.files[path] = (bytes(data), self.disk.writes)
            return self.disk.writes

    def delete_path(self, path: str) -> None:
        with self.disk.lock:
            gone = [path] if path in self.disk.files else [*self.disk.below(path)]
            if not gone:
                raise FileNotFoundError(path)
            for name in gone:
                del self.disk.files[name]

    def replace_folder(self, staged: str, path: str) -> None:
        with self.disk.lock:
            for old in self.disk.below(path):
                del self.disk.files[old]
            for new in self.disk.below(staged):
                self.disk.files[path + new[len(staged) :]] = self.disk.files.pop(new)
