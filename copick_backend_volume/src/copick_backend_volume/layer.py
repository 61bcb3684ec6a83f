"""The volume as a read-only layer: jobs are runs, and nothing in it is ever written through here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from copick_backend_volume.arrays import ATTRIBUTES_FILE, StoredArray, open_array
from copick_backend_volume.config import CopickConfigVolume, has_label
from copick_backend_volume.dicom import cube
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.mesh_files import NOTE, downsampling, read_mesh, to_trimesh
from copick_backend_volume.models import PUBLISHED_BY, read_sidecar, used_pairs
from copick_backend_volume.places import (
    Volume,
    combined_meshes,
    is_label,
    local_folder,
    mesh_blocks,
    mesh_values,
    sanitized_or_none,
)
from copick_backend_volume.status import WITHOUT_IMAGE
from copick_backend_volume.training import mask_values, training_pairs
from copick_backend_volume.uploads import dicom_spacing
from copick_backend_volume.voxel_notes import noted_upload, spacing_in
from copick_core.callers import warn_caller
from copick_core.errors import InvalidDataError, MissingDependencyError, NotFoundError
from copick_core.layers import Layer, Problem, Revision
from copick_core.tree.keys import (
    Key,
    Kind,
    MeshKey,
    ParentKey,
    RootKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    voxel_size_key,
)

if TYPE_CHECKING:
    from trimesh import Scene
    from zarr.abc.store import Store


#: The builtin, which the method of this name hides inside the class.
_Values: TypeAlias = list[int]
#: Name of segmentations that hold several values, and name of objects that have none.
CLASSES = "classes"
#: What the app calls a class when there is just one.
APP_VALUE = 255


@dataclass(frozen=True)
class VoxelSize:
    """Voxel size of a job.

    Attributes:
        angstrom: The size; 1 where it is not known.
        source: What told it: ``"config"``, ``"chunks"``, ``"overlay"``, ``"upload"``, ``"dicom"`` or
            ``"default"``.
        calibrated: Whether anything told it. Otherwise lengths are voxels.
        zyx: Size along (z, y, x) in angstrom, where the source of the upload tells it. Of voxels that are not cubes,
            ``angstrom`` is not taken from it.
    """

    angstrom: float
    source: str
    calibrated: bool
    zyx: tuple[float, float, float] | None = field(default=None, repr=False)


class VolumeLayer(Layer):
    """One volume.

    Args:
        name: Name of the layer.
        config: The project's configuration.

    Attributes:
        overlay_root: Where the overlay lies, if it says so; notes of voxel sizes are looked for there.
    """

    def __init__(self, name: str, config: CopickConfigVolume) -> None:
        self.name = name
        self.overlay_root = config.overlay_root
        self.read_only = True
        self.config = config
        self.volume = Volume(config.volume_root)
        self.jobs = JobStore(self.volume, writable=config.write_back)
        self._values: dict[str, tuple[Any, _Values]] = {}
        self._dicom_sizes: dict[str, tuple[int, tuple[float, float, float] | None]] = {}

    # ------------------------------------------------------------------ listing

    def list(self, kind: Kind, parent: ParentKey) -> Iterable[Key]:
        """List the entities of a kind below a parent."""
        if kind is Kind.RUN and isinstance(parent, RootKey):
            jobs = self.jobs.jobs().values()
            # A job that only has a folder because the database is torn has a problem, and is not an orphan.
            return [RunKey(job.id) for job in jobs if job.in_database or job.problem or self.config.include_orphans]
        if isinstance(parent, RunKey):
            listings: dict[Kind, Callable[[str], Iterator[Key]]] = {
                Kind.VOXEL_SPACING: self._spacings,
                Kind.SEGMENTATION: lambda job: (key for key, _ in self.segmentations(job)),
                Kind.MESH: lambda job: (key for key, _, _ in self.meshes(job)),
            }
            return {*listings[kind](parent.name)} if kind in listings else ()
        if kind is Kind.TOMOGRAM and isinstance(parent, VoxelSpacingKey):
            key = TomogramKey(parent.run, parent.voxel_size, self.config.tomo_type)
            return [key] if parent in self._spacings(parent.run) else []
        return ()

    def _spacings(self, job: str) -> Iterator[VoxelSpacingKey]:
        image = self.image(job)
        if image is not None and (not self.config.hide_incomplete or self.is_complete(job, image)):
            yield VoxelSpacingKey(job, self.voxel_size(job).angstrom)

    def segmentations(self, job: str) -> Iterator[tuple[SegmentationKey, str]]:
        """Key and id of each segmentation of a job."""
        size = None
        for model in self.volume.segmentation_ids(job):
            folder = self.volume.segmentation(job, model)
            array, session = _open_sane(folder), sanitized_or_none(model)
            if array is None or session is None or (self.config.hide_incomplete and array.missing()):
                continue
            size = size or self.voxel_size(job).angstrom
            values = self.values(job, model)
            several = len(values) > 1
            name = CLASSES if several else self.object_name(values[0] if values else APP_VALUE)
            kind = "multilabel" if several else "binary"
            yield SegmentationKey(job, size, name, self.user(job, model), session, cast("Any", kind)), model

    def meshes(self, job: str) -> Iterator[tuple[MeshKey, str, int]]:
        """Key, id of the segmentation, and voxel value of each mesh of a job."""
        for model in self.volume.mesh_ids(job):
            session = sanitized_or_none(model)
            for value in mesh_values(self.volume.meshes(job, model)) if session else ():
                yield MeshKey(job, self.object_name(value), self.user(job, model), str(session)), model, value

    def exists(self, key: Key) -> bool:
        """Whether an entity is stored now."""
        if isinstance(key, RunKey):
            return key in set(self.list(Kind.RUN, key.parent))
        if isinstance(key, SegmentationKey):
            return self._model_of(key) is not None
        if isinstance(key, MeshKey):
            return any(k == key for k, _, _ in self.meshes(key.run))
        return key in set(self.list(key.kind, key.parent))

    # ------------------------------------------------------------------ what the volume means

    def image(self, job: str) -> StoredArray | None:
        """The image of a job, None where there is none that can be read."""
        return _open_sane(self.volume.chunks(job)) if self.volume.has("chunks", job) else None

    def is_complete(self, job: str, image: StoredArray | None = None) -> bool:
        """Whether the image of a job is whole, and nobody makes it anew."""
        image = image or self.image(job)
        known = self.jobs.find(job)
        being_made = known is not None and known.status in WITHOUT_IMAGE
        return image is not None and not being_made and not image.missing()

    def voxel_size(self, job: str) -> VoxelSize:
        """Voxel size of a job.

        Told by the configuration for this job, the image's attributes, the overlay's note, the upload's source (DICOM,
        MRC, or who uploaded), or the configuration for all jobs; the first of these that tells.

        Raises:
            InvalidDataError: One of them is not a positive number, or its unit is unknown.
        """
        from copick_core.volumes.multiscales import to_angstrom

        unit = self.config.voxel_size_unit
        uploaded = noted_upload(self.volume, job)
        zyx = uploaded or self._spacing(job)
        if job in self.config.job_voxel_sizes:
            return VoxelSize(voxel_size_key(to_angstrom(self.config.job_voxel_sizes[job], unit)), "config", True, zyx)
        places = {"chunks": os.path.join(self.volume.chunks(job), ATTRIBUTES_FILE)}
        folder = local_folder(self.overlay_root) if self.overlay_root else None
        if folder is not None:
            places["overlay"] = os.path.join(folder, job, "volume.json")
        for source, path in places.items():
            noted = _noted_size(path)
            if noted is not None:
                return VoxelSize(noted[0], noted[1] or source, True, zyx)
        size = None if zyx is None else cube(zyx)
        if size is not None:
            return VoxelSize(voxel_size_key(size), "upload" if uploaded else "dicom", True, zyx)
        if self.config.voxel_size is not None:
            return VoxelSize(voxel_size_key(to_angstrom(self.config.voxel_size, unit)), "config", True, zyx)
        return VoxelSize(1.0, "default", False, zyx)

    def _spacing(self, job: str) -> tuple[float, float, float] | None:
        """Voxel size (z, y, x) in angstrom that DICOM tells: as noted at conversion, else in the uploads.

        Those are looked at again when a file has come or gone. Without their reader a UserWarning tells so, once.
        """
        noted = spacing_in(_json_or_none(os.path.join(self.volume.chunks(job), ATTRIBUTES_FILE)))
        if noted is not None:
            return noted
        if not self.volume.has("uploads", job):
            return None
        changed = os.stat(self.volume.folder("uploads", job)).st_mtime_ns
        if self._dicom_sizes.get(job, (0, None))[0] != changed:
            spacing = None
            try:
                spacing = dicom_spacing(self.volume, job)
            except MissingDependencyError as error:
                warn_caller(f"The voxel size of job {job!r} stands in its DICOM uploads, and is not known. {error}")
            self._dicom_sizes[job] = (changed, spacing)
        return self._dicom_sizes[job][1]

    def object_name(self, value: int) -> str:
        """Name of the object that a voxel value means."""
        label = self.config.labels.get(value)
        if label:
            return label.name
        by_label = (obj.name for obj in self.config.pickable_objects if obj.label == value and has_label(obj))
        return next(by_label, f"label-{value}")

    def user(self, job: str, model: str) -> str:
        """User id of what a model made: its class."""
        model_class = read_sidecar(self.volume, job, model).get("model_class")
        return (sanitized_or_none(str(model_class)) if model_class else None) or "unknown"

    def is_tool(self, job: str, session_id: str) -> bool:
        """Whether what has this session id was made by a model or tool that left a trace, and not published by a person."""
        models = [model for model in self.volume.model_ids(job) if sanitized_or_none(model) == session_id]
        return any(read_sidecar(self.volume, job, model).get("from_tool") is not False for model in models)

    def values(self, job: str, model: str) -> _Values:
        """Voxel values of a segmentation but zero.

        Taken from where they are cheap and sure: our own notes, and for what the app's models made the names of its meshes, or
        the masks that the model was trained on. Else from all chunks, once: who else has made an array may have meshed a part.
        """
        sidecar = read_sidecar(self.volume, job, model)
        if sidecar.get("published_by") == PUBLISHED_BY and isinstance(sidecar.get("values"), list):
            return [int(v) for v in sidecar["values"]]
        meshes = self.volume.meshes(job, model)
        meshed = sorted(filter(is_label, combined_meshes(meshes)))
        made_by_app = os.path.isfile(self.volume.model(job, model))
        if meshed and (made_by_app or os.path.isfile(os.path.join(meshes, NOTE))):
            return meshed
        return self._remembered(job, model, trained=made_by_app)

    def _remembered(self, job: str, model: str, *, trained: bool) -> _Values:
        folder = self.volume.segmentation(job, model)
        stat = os.stat(folder)
        state = (stat.st_mtime_ns, stat.st_ino)
        known = self._values.get(folder)
        if known and known[0] == state:
            return known[1]
        values: _Values = []
        if trained:
            pairs = training_pairs(self.volume, job)
            values = mask_values(used_pairs(pairs, model, read_sidecar(self.volume, job, model))[0])
        array = _open_sane(folder)
        if not values and array is not None:
            values = array.labels()
        self._values[folder] = (state, values)
        return values

    def discovered_values(self) -> _Values:
        """Voxel values of everything in the volume, from where they are cheap."""
        found: set[int] = set(self.config.labels)
        for job in self.volume.job_folders():
            for model in self.volume.mesh_ids(job):
                found.update(mesh_values(self.volume.meshes(job, model)))
            for model in self.volume.segmentation_ids(job):
                if _open_sane(self.volume.segmentation(job, model)) is not None:
                    found.update(self.values(job, model))
        return sorted(found)

    def _model_of(self, key: SegmentationKey) -> str | None:
        return next((model for k, model in self.segmentations(key.run) if k == key), None)

    # ------------------------------------------------------------------ reading

    def problems(self) -> Sequence[Problem]:
        """Examine the volume, as the command ``volume doctor`` does."""
        from copick_backend_volume.doctor import examine
        from copick_backend_volume.repairs import problem_of

        return [problem_of(self.volume, self.jobs, finding) for finding in examine(self.volume, self.jobs)]

    def location(self, key: Key) -> str | None:
        """Folder of an entity."""
        if isinstance(key, TomogramKey):
            return self.volume.chunks(key.run)
        if isinstance(key, SegmentationKey):
            model = self._model_of(key)
            return None if model is None else self.volume.segmentation(key.run, model)
        if isinstance(key, MeshKey):
            return next((self.volume.meshes(key.run, m) for k, m, _ in self.meshes(key.run) if k == key), None)
        return self.volume.root

    def zarr(self, key: Key) -> Store:
        """Open an image or segmentation as an OME-Zarr image, without copying."""
        from copick_backend_volume.stores import ReversedStore

        folder = self.location(key) if isinstance(key, TomogramKey | SegmentationKey) else None
        size = cast("Any", key).voxel_size if folder else 1.0
        return ReversedStore(folder or os.path.join(self.volume.root, "chunks", ".none"), size, str(key))

    def read(self, key: Key) -> bytes:
        """Read a mesh as GLB."""
        from copick_core.meshes import encode_mesh

        return encode_mesh(self.load_mesh(key)[0], str(key))

    def load_mesh(self, key: Key) -> tuple[Scene, Revision | None]:
        """Read a mesh: in angstrom, (x, y, z), welded; its vertices are half way between the centres of voxels."""
        import trimesh

        folder, value = self._mesh_place(key)
        stored = read_mesh(folder, value)
        if stored is None:
            raise NotFoundError(key=key, layer=self.name, location=folder)
        downsample = downsampling(folder, self.config.mesh_downsample)
        mesh = to_trimesh(stored, self.voxel_size(cast("MeshKey", key).run).angstrom, downsample)
        return trimesh.Scene(mesh), self.revision(key)

    def mesh_blocks(self, key: MeshKey) -> dict[tuple[int, int, int], Any]:
        """The blocks of a mesh, by first voxel (x, y, z), as meshes like :meth:`load_mesh` gives them."""
        from copick_backend_volume.mesh_files import iter_blocks

        folder, value = self._mesh_place(key)
        size, downsample = self.voxel_size(key.run).angstrom, downsampling(folder, self.config.mesh_downsample)
        return {block.start: to_trimesh(stored, size, downsample) for block, stored in iter_blocks(folder, value)}

    def _mesh_place(self, key: Key) -> tuple[str, int]:
        if isinstance(key, MeshKey):
            for found, model, value in self.meshes(key.run):
                if found == key:
                    return self.volume.meshes(key.run, model), value
        raise NotFoundError(key=key, layer=self.name, location=self.volume.root)

    def revision(self, key: Key) -> Revision | None:
        """Token of the files of a mesh."""
        try:
            folder, value = self._mesh_place(key)
        except NotFoundError:
            return None
        combined = combined_meshes(folder).get(value, {})
        blocks = (os.path.join(folder, b.file_name) for b in mesh_blocks(folder) if b.value == value)
        stats = [os.stat(path) for path in sorted(combined.values()) or sorted(blocks)]
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in stats)

    def details(self, key: Key) -> Mapping[str, Any]:
        """What the volume knows of an entity beyond its key."""
        if isinstance(key, RunKey):
            job = self.jobs.find(key.name)
            if job is None:
                return {}
            return {"title": job.name, "status": None if job.status is None else job.status.name}
        if isinstance(key, VoxelSpacingKey):
            size = self.voxel_size(key.run)
            return {"calibrated": size.calibrated, "voxel_size_source": size.source}
        if isinstance(key, TomogramKey):
            return {"complete": self.is_complete(key.run)}
        if isinstance(key, SegmentationKey):
            model = self._model_of(key)
            array = None if model is None else _open_sane(self.volume.segmentation(key.run, model))
            if model is None or array is None:
                return {}
            return {"model_id": model, "values": self.values(key.run, model), "complete": not array.missing()}
        return {}

    def forget(self, parent: ParentKey) -> None:
        """Forget the values of segmentations."""
        self._values.clear()


def _open_sane(folder: str) -> StoredArray | None:
    """Open an array; None also where it cannot be read, so that one broken job leaves the others usable."""
    if os.path.islink(folder):
        return None
    try:
        return open_array(folder)
    except InvalidDataError:
        return None


def _noted_size(path: str) -> tuple[float, str | None] | None:
    """Voxel size in angstrom that a JSON file notes as ``voxel_size`` and ``unit``, and its ``source``; None without."""
    from copick_core.volumes.multiscales import to_angstrom

    note = _json_or_none(path)
    if note is None or "voxel_size" not in note:
        return None
    try:
        size = voxel_size_key(to_angstrom(float(note["voxel_size"]), str(note.get("unit", "angstrom"))))
    except TypeError:
        return None
    except ValueError as error:
        raise InvalidDataError(source=path, reason=f"its voxel size cannot be read ({error})") from error
    return size, str(note["source"]) if "source" in note else None


def _json_or_none(path: str) -> Mapping[str, Any] | None:
    """An object of JSON in a file; None where the file is missing, or holds none.

    Raises:
        InvalidDataError: It is not JSON.
    """
    try:
        with open(path, "rb") as file:
            note = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(source=path, reason=f"its voxel size cannot be read ({error})") from error
    return note if isinstance(note, dict) else None
