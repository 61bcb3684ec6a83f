"""Where things lie in a volume: the only module that knows its file names.

Ids come from folder names and from a JSON file that other programs write, so every id is checked before it becomes part of
a path, and a folder that is a link counts as no folder: it could lead anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from copick_core.errors import InvalidDataError, InvalidNameError
from copick_core.tree.names import check_run_name, sanitize_name

#: Folders of the tour that hold one folder for each job.
JOB_FOLDERS = ("chunks", "meshed", "models", "segmented", "training", "uploads")
DATABASE = "jobs.json"
#: Beginning of the names of what is being made; beside jobs, never beneath one, where the app's globs would match it.
STAGING = ".staging-"
_CLAIM = f"{STAGING}claim-"
_BLOCK = re.compile(r"_(\d+)_(\d+)_(\d+)_(\d+)\.stl")
_COMBINED = re.compile(r"(\d+)\.combined\.(stl|obj)")


def check_job_id(name: str) -> str:
    """Check that a job id is safe as the name of a folder.

    Raises:
        InvalidNameError: It is not.
    """
    return check_run_name(name)


def is_job_id(name: str) -> bool:
    """Whether a job id is safe as the name of a folder."""
    try:
        check_job_id(name)
    except InvalidNameError:
        return False
    return True


def local_folder(location: str) -> str | None:
    """The local folder that a location means, None for a URL of anything else."""
    path = location.removeprefix("local://").removeprefix("file://")
    return None if "://" in path else os.path.abspath(os.path.expanduser(path))


def is_label(value: int) -> bool:
    """Whether a voxel value can be the label of an object."""
    return 0 < value < 1 << 63


def sanitized_or_none(text: str) -> str | None:
    """A text of the app, such as the id or the class of a model, as a name; None where nothing would be left."""
    try:
        return sanitize_name(text, suppress_warnings=True)
    except InvalidNameError:
        return None


@dataclass(frozen=True)
class Volume:
    """The paths of one volume.

    Attributes:
        root: Its folder.
    """

    root: str

    @property
    def database(self) -> str:
        """The app's job database."""
        return os.path.join(self.root, DATABASE)

    def claim(self, job: str) -> str:
        """File that is held while a process of ours works on a job."""
        return os.path.join(self.root, f"{_CLAIM}{check_job_id(job)}")

    def claimed_job(self, path: str) -> str | None:
        """The job that a file of :meth:`claim` is of; None for other files."""
        name = os.path.basename(path)
        return name.removeprefix(_CLAIM) if os.path.dirname(path) == self.root and name.startswith(_CLAIM) else None

    def voxel_note(self, job: str) -> str:
        """File that notes the voxel size of a job's upload; the app looks into no hidden folder."""
        return os.path.join(self.root, ".copick", f"{check_job_id(job)}.json")

    def folder(self, kind: str, job: str) -> str:
        """Folder of a job in one of :data:`JOB_FOLDERS`."""
        return os.path.join(self.root, kind, check_job_id(job))

    def make_folder(self, kind: str, job: str) -> str:
        """Folder of a job in one of :data:`JOB_FOLDERS`, made where it is missing.

        Raises:
            InvalidDataError: It is a link, which could lead anywhere.
        """
        folder = self.folder(kind, job)
        os.makedirs(folder, exist_ok=True)
        if os.path.islink(folder):
            raise InvalidDataError(source=folder, reason="it is a link, and links are not followed; put a folder there")
        return folder

    def has(self, kind: str, job: str) -> bool:
        """Whether a job has its own folder of a kind; links do not count."""
        return is_job_id(job) and _is_own_folder(self.folder(kind, job))

    def has_any(self, job: str) -> bool:
        """Whether a job has a folder of any kind."""
        return any(self.has(kind, job) for kind in JOB_FOLDERS)

    def chunks(self, job: str) -> str:
        """Folder of a job's image."""
        return self.folder("chunks", job)

    def segmentation(self, job: str, model: str) -> str:
        """Folder of the segmentation that a model made."""
        return os.path.join(self.folder("segmented", job), f"{check_run_name(model)}.zarr")

    def meshes(self, job: str, model: str) -> str:
        """Folder of the meshes of a segmentation."""
        return os.path.join(self.folder("meshed", job), f"{check_run_name(model)}.zarr")

    def sidecar(self, job: str, model: str) -> str:
        """The JSON file that describes a model."""
        return os.path.join(self.folder("models", job), f"{check_run_name(model)}.json")

    def model(self, job: str, model: str) -> str:
        """The pickled model, which nothing here opens but to hash its bytes."""
        return os.path.join(self.folder("models", job), f"{check_run_name(model)}.model")

    def job_folders(self) -> set[str]:
        """Ids of all jobs that have a folder of any kind."""
        return {
            name
            for kind in JOB_FOLDERS
            for name, is_folder in entries(os.path.join(self.root, kind))
            if is_folder and not name.startswith(".") and is_job_id(name)
        }

    def disk_usage(self, job: str) -> dict[str, int]:
        """Bytes of the files of a job, by :data:`JOB_FOLDERS`."""
        return {kind: size_of(self.folder(kind, job)) if self.has(kind, job) else 0 for kind in JOB_FOLDERS}

    def upload_names(self, job: str) -> list[str]:
        """Names of the uploaded files of a job, in text order."""
        if not self.has("uploads", job):
            return []
        return sorted(name for name, is_folder in entries(self.folder("uploads", job)) if not is_folder)

    def segmentation_ids(self, job: str) -> list[str]:
        """Ids of the segmentations of a job in the app's order: the last one is the latest."""
        return self._stems("segmented", job, ".zarr", folders=True)

    def mesh_ids(self, job: str) -> list[str]:
        """Ids of the segmentations of a job that have a folder of meshes."""
        return self._stems("meshed", job, ".zarr", folders=True)

    def model_ids(self, job: str) -> list[str]:
        """Ids of the models of a job, with a model file, a sidecar, or both."""
        stems = {stem for suffix in (".json", ".model") for stem in self._stems("models", job, suffix, folders=False)}
        return sorted(stems)

    def _stems(self, kind: str, job: str, suffix: str, *, folders: bool) -> list[str]:
        if not self.has(kind, job):
            return []
        return sorted(
            name[: -len(suffix)]
            for name, is_folder in entries(self.folder(kind, job))
            if is_folder is folders and name.endswith(suffix) and is_job_id(name[: -len(suffix)])
        )


@dataclass(frozen=True, order=True)
class Block:
    """One block of a mesh: voxel value and first voxel (x, y, z), in voxels of the full resolution."""

    value: int
    start: tuple[int, int, int]

    @property
    def file_name(self) -> str:
        """Name of its file."""
        return f"_{self.value}_{self.start[0]}_{self.start[1]}_{self.start[2]}.stl"


def mesh_blocks(folder: str) -> list[Block]:
    """The block files in a folder of meshes."""
    matches = [_BLOCK.fullmatch(name) for name, is_folder in entries(folder) if not is_folder]
    return sorted(Block(int(m[1]), (int(m[2]), int(m[3]), int(m[4]))) for m in matches if m)


def combined_meshes(folder: str) -> dict[int, dict[str, str]]:
    """Paths of the whole meshes in a folder, by voxel value and by format (``"stl"``, ``"obj"``)."""
    found: dict[int, dict[str, str]] = {}
    for name, is_folder in entries(folder):
        match = _COMBINED.fullmatch(name)
        if match and not is_folder:
            found.setdefault(int(match[1]), {})[match[2]] = os.path.join(folder, name)
    return found


def mesh_values(folder: str) -> list[int]:
    """Voxel values that a folder of meshes has any file of."""
    return sorted(filter(is_label, {*combined_meshes(folder), *(block.value for block in mesh_blocks(folder))}))


def entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether each is a folder; links and what is neither file nor folder are left out."""
    try:
        with os.scandir(folder) as found:
            listed = [(e.name, e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False)) for e in found]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, is_folder, is_file in listed:
        if is_folder or is_file:
            yield name, is_folder


def size_of(path: str) -> int:
    """Bytes of a file, or of all files below a folder; links count nothing."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(size_of(os.path.join(path, name)) for name, _ in entries(path))


def _is_own_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
