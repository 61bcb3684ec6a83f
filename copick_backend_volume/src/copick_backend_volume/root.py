"""The project over a volume: the hierarchy, and what the hierarchy cannot hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from copick_backend_volume.freshness import Freshness, freshness
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.layer import VolumeLayer, VoxelSize
from copick_backend_volume.models import TrainedModel, trained_models
from copick_backend_volume.places import Volume
from copick_backend_volume.records import Job, RecoverableJob
from copick_backend_volume.status import JobStatus
from copick_backend_volume.training import TrainingPair, training_pairs
from copick_backend_volume.uploads import Finding, UploadReport, preflight
from copick_core.errors import AlreadyExistsError, ConfigError, InvalidDataError, NotFoundError, by_caller
from copick_core.overlay import CopickMeshOverlay, CopickRootOverlay, CopickRunOverlay, CopickSegmentationOverlay
from copick_core.tree.keys import RunKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copick_backend_volume.cleaning import Removal
    from copick_core.layers import Layer, Layers
    from copick_core.models.volume import Index
    from copick_core.tree.schema import CopickConfig, CopickMeshMeta, CopickRunMeta, CopickSegmentationMeta

Progress = Callable[[int, int], None]


class CopickSegmentationVolume(CopickSegmentationOverlay):
    """A segmentation in the volume, or in the overlay over it."""

    __slots__ = ()

    @property
    def from_tool(self) -> bool:
        """Whether a tool made it: a model that left a trace in the volume, or session "0" in the overlay."""
        if layer := self._layer.unwrap(VolumeLayer):
            return layer.is_tool(self.run.name, self.session_id)
        return super().from_tool

    @property
    def model_id(self) -> str | None:
        """Id in the volume; None for one in the overlay."""
        layer = self._layer.unwrap(VolumeLayer)
        return layer._model_of(self.key) if layer else None

    def numpy(
        self,
        zarr_group: str | int = "0",
        x: Index = slice(None),
        y: Index = slice(None),
        z: Index = slice(None),
        channel: str | int | None = None,
    ) -> NDArray[Any]:
        """Read the segmentation, or a region of it; from the volume as the smallest unsigned type that holds its values.

        What another tool has put there with values that no unsigned type holds is given as it is.
        """
        data = super().numpy(zarr_group, x, y, z, channel)
        layer = self._layer.unwrap(VolumeLayer)
        if layer is None or data.dtype.kind not in "bui":
            return data
        from copick_core.volumes.labels import smallest_unsigned

        lowest, highest = (int(data.min()), int(data.max())) if data.size else (0, 0)
        if lowest < 0:
            return data
        values = layer.values(self.run.name, cast("str", self.model_id))
        return data.astype(smallest_unsigned(max([*values, highest])))


class CopickMeshVolume(CopickMeshOverlay):
    """A mesh in the volume, or in the overlay over it."""

    __slots__ = ()

    @property
    def from_tool(self) -> bool:
        """Whether a tool made it, as for segmentations."""
        if layer := self._layer.unwrap(VolumeLayer):
            return layer.is_tool(self.run.name, self.session_id)
        return super().from_tool

    def blocks(self) -> dict[tuple[int, int, int], Any]:
        """The blocks that the volume keeps it in, as meshes by first voxel (x, y, z); none for one in the overlay."""
        layer = self._layer.unwrap(VolumeLayer)
        return layer.mesh_blocks(self.key) if layer else {}


class CopickRunVolume(CopickRunOverlay):
    """A job."""

    __slots__ = ()

    root: CopickRootVolume

    # ------------------------------------------------------------------ reading

    @property
    def job(self) -> Job | None:
        """What the database tells of it; None for a run that is in the overlay only."""
        try:
            return self._volume_layer.jobs.job(self.name)
        except NotFoundError:
            return None

    @property
    def uploads(self) -> UploadReport:
        """Its uploads, and what conversion would make of them; reads every file."""
        return preflight(self._volume, self.name)

    @property
    def models(self) -> list[TrainedModel]:
        """Its models, described without loading them."""
        return trained_models(self._volume, self.name)

    @property
    def latest_segmentation(self) -> CopickSegmentationVolume | None:
        """The segmentation of the volume that the app takes for the latest: the last by id; None if there is none to see.

        ``segmentations`` are in the order of users and sessions, so its last one may be another.
        """
        layer = self._volume_layer
        return max(
            (s for s in self.segmentations if isinstance(s, CopickSegmentationVolume) and s._layer is layer),
            key=lambda s: s.model_id or "",
            default=None,
        )

    @property
    def latest_mesh(self) -> CopickMeshVolume | None:
        """The mesh of the latest segmentation that has meshes, of several values the first; None if there is none."""
        layer = self._volume_layer
        found = sorted(layer.meshes(self.name), key=lambda mesh: (mesh[1], -mesh[2]))
        by_key = {m.key: m for m in self.meshes if isinstance(m, CopickMeshVolume) and m._layer is layer}
        return next((by_key[key] for key, _, _ in reversed(found) if key in by_key), None)

    @property
    def voxel_size_info(self) -> VoxelSize:
        """Its voxel size, where that is from, and whether it is calibrated."""
        return self._volume_layer.voxel_size(self.name)

    def training_pairs(self, model: TrainedModel | str | None = None) -> list[TrainingPair]:
        """Its training pairs: all, or those that a model was trained on (see :attr:`TrainedModel.training_exact`).

        Raises:
            NotFoundError: There is no such model.
        """
        if model is None:
            return training_pairs(self._volume, self.name)
        wanted = model if isinstance(model, str) else model.id
        for known in self.models:
            if known.id == wanted:
                return [*known.training_pairs]
        raise NotFoundError(key=f"model {wanted!r} of job {self.name!r}", layer="volume")

    def freshness(self) -> Freshness:
        """What of it is older than what it was made from."""
        return freshness(self._volume, self.name)

    def disk_usage(self) -> dict[str, int]:
        """Bytes that it takes in the volume, by folder: ``chunks``, ``segmented``, ``uploads`` and so on."""
        return self._volume.disk_usage(self.name)

    @property
    def _volume_layer(self) -> VolumeLayer:
        return self.root.volume_layer_of(self.name)

    @property
    def _volume(self) -> Volume:
        return self._volume_layer.volume

    # ------------------------------------------------------------------ writing into the volume

    def add_slices(
        self, slices: Any, *, voxel_size: float | Sequence[float] | None = None, progress: Progress | None = None
    ) -> list[str]:
        """Add slices to a job that is UPLOADING; see :func:`copick_backend_volume.uploading.add_slices`."""
        from copick_backend_volume.uploading import add_slices

        return add_slices(self._volume, self._store, self.name, slices, voxel_size=voxel_size, progress=progress)

    def finish_upload(self, *, force: bool = False) -> Job:
        """Tell that all slices are there (UPLOADED): the app converts them, if it runs.

        Args:
            force: Also if conversion would spoil some of them.

        Raises:
            InvalidDataError: There is no slice, the app's conversion would spoil some (see :attr:`uploads`), or the job is not
                UPLOADING.
        """
        self._store._check_writable()
        status = self._store.job(self.name).status
        if status is not JobStatus.UPLOADING:
            now = "not in the database" if status is None else status.name
            reason = f"it is {now}; only the upload of a job that is UPLOADING can be finished"
            raise InvalidDataError(source=f"job {self.name!r}", reason=reason)
        report = self.uploads
        if not report.slices or not force:
            report.check_errors()
        return self._store.update(self.name, status=JobStatus.UPLOADED, expected=JobStatus.UPLOADING)

    def reopen_upload(self) -> Job:
        """Go back to UPLOADING, to add, replace or delete slices of an upload that is not converted yet.

        Raises:
            InvalidDataError: The job is neither UPLOADED nor CONVERT_ERROR.
        """
        return self._store.update(self.name, status=JobStatus.UPLOADING)

    def delete_upload(self, name: str) -> None:
        """Delete an uploaded file of a job that is UPLOADING.

        Raises:
            InvalidDataError: The job is not UPLOADING.
            NotFoundError: There is no such file.
        """
        from copick_backend_volume.uploading import delete_upload

        delete_upload(self._volume, self._store, self.name, name)

    def replace_upload(self, name: str, file: str | os.PathLike[str]) -> None:
        """Put another file in the place of an uploaded one of a job that is UPLOADING.

        Raises:
            InvalidDataError: The job is not UPLOADING, or the file is of another kind by its suffix.
            NotFoundError: There is no such uploaded file.
        """
        from copick_backend_volume.uploading import replace_upload

        replace_upload(self._volume, self._store, self.name, name, file)

    def rename(self, title: str) -> Job:
        """Give the job another title."""
        return self._store.update(self.name, name=title)

    def convert(
        self, *, chunks: tuple[int, int, int] | None = None, retry: bool = False, progress: Progress | None = None
    ) -> Job:
        """Convert the uploads here; see :func:`copick_backend_volume.convert.convert`."""
        from copick_backend_volume.convert import CHUNKS, convert

        self._store._check_writable()
        done = convert(self._volume, self._store, self.name, chunks=chunks or CHUNKS, retry=retry, progress=progress)
        self.refresh_voxel_spacings()
        return done

    def publish_segmentation(
        self,
        segmentation: Any,
        tool: str,
        *,
        value: int | None = 255,
        from_tool: bool | None = None,
        provenance: dict[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> CopickSegmentationVolume:
        """Put a segmentation into the volume; see :func:`copick_backend_volume.publish.publish_segmentation`."""
        from copick_backend_volume.publish import publish_segmentation

        model_id = publish_segmentation(
            self._volume,
            self._store,
            self.name,
            segmentation,
            tool,
            value=value,
            from_tool=from_tool,
            provenance=provenance,
            progress=progress,
        )
        self.refresh_segmentations()
        return next(s for s in self.segmentations if isinstance(s, CopickSegmentationVolume) and s.model_id == model_id)

    def add_training_pairs(
        self, masks: Any, slices: Sequence[int], *, value: int | None = 255, progress: Progress | None = None
    ) -> list[TrainingPair]:
        """Annotate slices by masks from elsewhere; see :func:`copick_backend_volume.annotating.add_training_pairs`."""
        from copick_backend_volume.annotating import add_training_pairs

        made = add_training_pairs(self._volume, self._store, self.name, masks, slices, value=value, progress=progress)
        return [pair for pair in self.training_pairs() if pair.id in made]

    def mesh(
        self,
        segmentation: CopickSegmentationVolume | str | None = None,
        *,
        reduction: float | None = None,
        max_error: float | None = None,
        downsample: int = 1,
        block: int | None = None,
        retry: bool = False,
        progress: Progress | None = None,
    ) -> list[CopickMeshVolume]:
        """Mesh a segmentation of the volume here, by default the latest, with about as many triangles as the app's meshes.

        Args:
            segmentation: The segmentation, or its id.
            reduction: Simplify to one triangle in so many (50); 1 keeps all.
            max_error: How far simplification may move a surface, in voxels (10).
            downsample: Pool labels by this factor first.
            block: Voxels along each side of a block (256), which bounds memory.
            retry: Take a job also if the process that meshed it died, or if meshing failed.
            progress: Called with (blocks done, all blocks).

        Raises:
            InvalidDataError: The segmentation is missing or incomplete, the job is busy, or an option is out of its range.
            ConflictError: Another process meshes it.
            MissingDependencyError: zmesh is not installed.
        """
        from copick_backend_volume.meshing import MAX_ERROR, REDUCTION, mesh_segmentation
        from copick_core.volumes.surfaces import BLOCK

        self._store._check_writable()
        model_id = self._model_id(segmentation)
        mesh_segmentation(
            self._volume,
            self._store,
            self.name,
            model_id,
            reduction=REDUCTION if reduction is None else reduction,
            max_error=MAX_ERROR if max_error is None else max_error,
            downsample=downsample,
            block=BLOCK if block is None else block,
            retry=retry,
            progress=progress,
        )
        self.refresh_meshes()
        layer = self._volume_layer
        made = {key for key, model, _ in layer.meshes(self.name) if model == model_id}
        meshes = [m for m in self.meshes if isinstance(m, CopickMeshVolume) and m.key in made]
        return [m for m in meshes if m._layer.unwrap(VolumeLayer) is layer]

    def _model_id(self, segmentation: CopickSegmentationVolume | str | None) -> str:
        ids = self._volume.segmentation_ids(self.name)
        wanted = segmentation if isinstance(segmentation, str) else segmentation.model_id if segmentation else None
        if segmentation is None and ids:
            return ids[-1]
        if segmentation is not None and wanted is None:
            publish = by_caller("publish_segmentation()", "copick-core volume publish")
            reason = f"it is in the overlay; {publish} puts it into the volume"
            raise InvalidDataError(source=f"segmentation of job {self.name!r}", reason=reason)
        if wanted is None or wanted not in ids:
            what = "segmentation" if wanted is None else f"segmentation {wanted!r}"
            raise NotFoundError(key=f"{what} of job {self.name!r}", layer="volume", location=self._volume.root)
        return wanted

    def request(self, what: Literal["segment", "mesh"], segmentation: CopickSegmentationVolume | str | None = None) -> Job:
        """Ask the app to do it; see :func:`copick_backend_volume.publish.request`."""
        from copick_backend_volume.publish import request

        model_id = None if segmentation is None else self._model_id(segmentation)
        return request(self._volume, self._store, self.name, what, model_id)

    def set_status(self, status: JobStatus | str, *, force: bool = False) -> Job:
        """Set the status, if the present one allows it.

        Args:
            status: The new one.
            force: Set it in any case: to repair a job that is stuck.

        Raises:
            InvalidDataError: It may not follow.
            ValueError: It is not a status.
        """
        wanted = JobStatus.parse(status) if isinstance(status, str) else status
        return self._store.update(self.name, status=wanted, force=force)

    @property
    def _store(self) -> JobStore:
        return self._volume_layer.jobs

    # ------------------------------------------------------------------ classes

    def _segmentation_factory(self) -> tuple[type[CopickSegmentationOverlay], type[CopickSegmentationMeta]]:
        return CopickSegmentationVolume, super()._segmentation_factory()[1]

    def _mesh_factory(self) -> tuple[type[CopickMeshOverlay], type[CopickMeshMeta]]:
        return CopickMeshVolume, super()._mesh_factory()[1]


class CopickRootVolume(CopickRootOverlay):
    """A project over a volume, or over a stack with volumes among its static layers."""

    spans_any_layers: ClassVar[bool] = True

    def __init__(self, config: CopickConfig, open_layers: Callable[[Any], Layers]) -> None:
        super().__init__(config, open_layers)
        for layer in self.volume_layers:
            for overlay in self._overlays:
                _check_apart(overlay, layer.volume.root)

    @property
    def volume_layers(self) -> list[VolumeLayer]:
        """The layers that are volumes, the first one first."""
        return [volume for layer in self.layers.static if (volume := layer.unwrap(VolumeLayer))]

    @property
    def volume_layer(self) -> VolumeLayer:
        """The layer of the volume; of several the first."""
        return self.volume_layers[0]

    @property
    def volume(self) -> Volume:
        """The volume's paths; of several the first's."""
        return self.volume_layer.volume

    def volume_layer_of(self, job_id: str) -> VolumeLayer:
        """The first layer that has a job; the first volume if none has it."""
        first, *others = self.volume_layers
        return next((layer for layer in (first, *others) if layer.jobs.find(job_id)), first) if others else first

    def jobs(self) -> list[Job]:
        """All jobs, also those that have folders only, read now."""
        return [job for layer in self.volume_layers for job in layer.jobs.jobs().values()]

    def job(self, job_id: str) -> Job:
        """One job, read now.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self.volume_layer_of(job_id).jobs.job(job_id)

    def recoverable_jobs(self) -> list[RecoverableJob]:
        """Jobs in the databases that the app has moved aside; :attr:`RecoverableJob.lost` are those it has forgotten."""
        return [job for layer in self.volume_layers for job in layer.jobs.recoverable()]

    def restore_job(self, job_id: str) -> Job:
        """Put a job of :meth:`recoverable_jobs` back into the database; needs ``write_back``.

        Raises:
            NotFoundError: No copy has it.
        """
        stores = [layer.jobs for layer in self.volume_layers]
        holder = next((s for s in stores if any(r.job.id == job_id for r in s.recoverable())), stores[0])
        job = holder.restore(job_id)
        self.refresh()
        return job

    def doctor(self, *, stuck_hours: float | None = None) -> list[Finding]:
        """Look for everything that is wrong in the volume; changes nothing."""
        from copick_backend_volume.doctor import STUCK_HOURS, examine

        hours = STUCK_HOURS if stuck_hours is None else stuck_hours
        return [f for layer in self.volume_layers for f in examine(layer.volume, layer.jobs, stuck_hours=hours)]

    def new_job(self, title: str) -> CopickRunVolume:
        """Make a job in the volume, with an id that nothing in it has.

        Args:
            title: Its title.

        Returns:
            Its run, UPLOADING; in a stack of several volumes, in the first.

        Raises:
            ReadOnlyError: The project does not write back.
        """
        from copick_backend_volume.publish import new_job_id

        job = self.volume_layer.jobs.create(title, new_job_id)
        self.refresh()
        run = self.get_run(job.id)
        if not isinstance(run, CopickRunVolume):
            raise AlreadyExistsError(key=job.id, layer="volume")
        return run

    def upload(
        self,
        slices: Any,
        title: str,
        *,
        voxel_size: float | Sequence[float] | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> CopickRunVolume:
        """Make a job, upload all of its slices, and finish the upload (UPLOADED), in one call.

        Args:
            slices: What :meth:`CopickRunVolume.add_slices` takes, such as the path of a folder, a TIFF or an MRC.
            title: Its title.
            voxel_size: In angstrom, one number or (z, y, x); by default what the source tells.
            force: Finish it also if conversion would spoil some slices.
            progress: Called with (files done, all files).

        Returns:
            Its run.

        Raises:
            InvalidDataError: Conversion would spoil some slices: the job stays UPLOADING, to replace or delete them. Or the
                source is none: there is no job then.
            ReadOnlyError: The project does not write back.
        """
        from copick_backend_volume.stacks import stack_of

        stack = stack_of(slices)
        run = self.new_job(title)
        run.add_slices(stack, voxel_size=voxel_size, progress=progress)
        run.finish_upload(force=force)
        return run

    def plan_cleanup(self, parts: Collection[str], *, jobs: Collection[str] = (), keep: int = 1) -> list[Removal]:
        """List what :meth:`clean_up` would delete; see :func:`copick_backend_volume.cleaning.plan_cleanup`."""
        from copick_backend_volume.cleaning import plan_cleanup

        layer = self.volume_layer
        return plan_cleanup(layer.volume, layer.jobs, parts, jobs=jobs, keep=keep)

    def clean_up(self, planned: list[Removal], progress: Progress | None = None) -> list[Removal]:
        """Delete what :meth:`plan_cleanup` has listed; see :func:`copick_backend_volume.cleaning.clean_up`."""
        from copick_backend_volume.cleaning import clean_up

        layer = self.volume_layer
        done = clean_up(layer.volume, layer.jobs, planned, progress)
        self.refresh()
        return done

    def adopt_job(self, job_id: str, title: str | None = None) -> Job:
        """Enter a job into the database that has folders only, with the status that these tell.

        Args:
            job_id: Its id.
            title: Its title; the id by default.

        Raises:
            ConflictError: The database lists it.
            NotFoundError: It has no folder.
            ReadOnlyError: The project does not write back.
        """
        from copick_backend_volume.adopting import adopt

        layer = self.volume_layer_of(job_id)
        job = adopt(layer.volume, layer.jobs, job_id, title)
        self.refresh()
        return job

    def _run_factory(self) -> tuple[type[CopickRunOverlay], type[CopickRunMeta]]:
        return CopickRunVolume, super()._run_factory()[1]


def _check_apart(overlay: Layer, volume: str) -> None:
    """Refuse an overlay inside a volume.

    Raises:
        ConfigError: It is inside.
    """
    path = overlay.location(RunKey("run")) or ""
    if not os.path.isabs(path):
        return  # no folder of this machine
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(volume)):
        reason = f"the overlay, which has runs at {path}, is inside the volume {volume}, which copick never writes"
        raise ConfigError(source="<config>", reason=reason)
