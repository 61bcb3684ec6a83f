"""What of a job is older than what it was made from."""

from __future__ import annotations

from dataclasses import dataclass

from copick_backend_volume.arrays import is_whole
from copick_backend_volume.models import trained_models, used_pairs
from copick_backend_volume.places import Volume
from copick_backend_volume.training import training_pairs


@dataclass(frozen=True)
class Freshness:
    """The latest of each stage of a job, and what is out of date.

    Attributes:
        latest_training: Time of the latest training pair, seconds since the epoch.
        latest_model: Id of the latest model that was trained.
        latest_segmentation: Id of the latest segmentation that is whole.
        latest_mesh: Id of the latest segmentation that has meshes.
        unused_pairs: Ids of the training pairs that the latest model has not seen.
        model_is_stale: There are training pairs that the latest model has not seen.
        segmentation_is_stale: The latest model has no segmentation.
        mesh_is_stale: The latest segmentation has no meshes.
    """

    latest_training: int | None
    latest_model: str | None
    latest_segmentation: str | None
    latest_mesh: str | None
    unused_pairs: tuple[str, ...]
    model_is_stale: bool
    segmentation_is_stale: bool
    mesh_is_stale: bool

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is out of date."""
        return not (self.model_is_stale or self.segmentation_is_stale or self.mesh_is_stale)


def freshness(volume: Volume, job: str) -> Freshness:
    """Compare the stages of a job."""
    pairs = training_pairs(volume, job)
    models = [m for m in trained_models(volume, job) if not m.is_published]
    segmentations = [model for model in volume.segmentation_ids(job) if is_whole(volume.segmentation(job, model))]
    meshes = volume.mesh_ids(job)
    latest = models[-1] if models else None
    used = {pair.id for pair in used_pairs(pairs, latest.id, latest.metadata)[0]} if latest else set()
    unused = tuple(pair.id for pair in pairs if pair.id not in used)
    return Freshness(
        latest_training=max((pair.timestamp for pair in pairs), default=None),
        latest_model=latest.id if latest else None,
        latest_segmentation=segmentations[-1] if segmentations else None,
        latest_mesh=meshes[-1] if meshes else None,
        unused_pairs=unused,
        model_is_stale=bool(unused),
        segmentation_is_stale=latest is not None and latest.id not in segmentations,
        mesh_is_stale=bool(segmentations) and segmentations[-1] not in meshes,
    )
