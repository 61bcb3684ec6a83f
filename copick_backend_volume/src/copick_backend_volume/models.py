"""Trained models, described by what lies beside them.

A model file is a pickle: loading it would run whatever is in it. Here its bytes are counted and hashed, never interpreted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from copick_backend_volume.places import Volume
from copick_backend_volume.training import TrainingPair, training_pairs

#: ``published_by`` of the sidecars that this package writes.
PUBLISHED_BY = "copick-backend-volume"
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class TrainedModel:
    """A model of a job, or the provenance of a segmentation that was published from elsewhere.

    Attributes:
        job: The job.
        id: Its id: by convention the second in which it was made.
        model_class: Its class, or the tool of a published segmentation; None where nothing tells.
        hyperparameters: Its hyperparameters; None where they are not known. Models of 2024 say ``{}`` whatever they were.
        metrics: Metrics of its training, where the app tells.
        created_at: When it was made: as the sidecar says, else by its id.
        path: The pickled model; None if there is none. Loading it runs code: do so only if you trust whoever wrote it.
        metadata: The whole sidecar.
        training_pairs: The pairs that it was trained on, or all that it can have been trained on.
        training_exact: Whether the pairs are those that were used. Otherwise they are an upper bound: pairs that were saved
            while it was being trained count as used.
        segmentation: Whether there is a segmentation of it.
        meshes: Whether there are meshes of it.
    """

    job: str
    id: str
    model_class: str | None
    hyperparameters: Mapping[str, Any] | None
    metrics: Mapping[str, Any] | None
    created_at: datetime | None
    path: str | None
    metadata: Mapping[str, Any] = field(repr=False)
    training_pairs: tuple[TrainingPair, ...] = field(repr=False)
    training_exact: bool
    segmentation: bool
    meshes: bool

    @property
    def size(self) -> int | None:
        """Bytes of the model file."""
        return None if self.path is None else os.path.getsize(self.path)

    @property
    def is_published(self) -> bool:
        """Whether this is the provenance of a segmentation that was published by us."""
        return self.metadata.get("published_by") == PUBLISHED_BY

    @property
    def sha256(self) -> str | None:
        """Hash of the bytes of the model file, which tells two models apart without loading either."""
        if self.path is None:
            return None
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            while part := file.read(_HASHED_AT_ONCE):
                digest.update(part)
        return digest.hexdigest()


def trained_models(volume: Volume, job: str) -> list[TrainedModel]:
    """All models of a job, in the app's order."""
    ids = volume.model_ids(job)
    if not ids:
        return []
    pairs = training_pairs(volume, job)
    segmented, meshed = set(volume.segmentation_ids(job)), set(volume.mesh_ids(job))
    unfinished = set(unfinished_publications(volume, job))
    models = []
    for model_id in (i for i in ids if i not in unfinished):
        sidecar = read_sidecar(volume, job, model_id)
        used, exact = used_pairs(pairs, model_id, sidecar)
        path = volume.model(job, model_id)
        models.append(
            TrainedModel(
                job=job,
                id=model_id,
                model_class=_text(sidecar.get("model_class")),
                hyperparameters=_mapping(sidecar.get("rf_kwargs")),
                metrics=_mapping(sidecar.get("metrics")),
                created_at=_created(sidecar, model_id),
                path=path if os.path.isfile(path) else None,
                metadata=sidecar,
                training_pairs=tuple(used),
                training_exact=exact,
                segmentation=model_id in segmented,
                meshes=model_id in meshed,
            )
        )
    return models


def unfinished_publications(volume: Volume, job: str) -> list[str]:
    """Ids of sidecars whose publisher died before the segmentation appeared."""
    without = set(volume.model_ids(job)) - set(volume.segmentation_ids(job))
    return sorted(i for i in without if read_sidecar(volume, job, i).get("published_by") == PUBLISHED_BY)


def read_sidecar(volume: Volume, job: str, model_id: str) -> dict[str, Any]:
    """The sidecar of a model; empty where there is none, or where it is being written."""
    try:
        with open(volume.sidecar(job, model_id), "rb") as file:
            content = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def used_pairs(pairs: list[TrainingPair], model_id: str, sidecar: Mapping[str, Any]) -> tuple[list[TrainingPair], bool]:
    """The pairs that a model was trained on, and whether that is exact.

    Without a list in the sidecar, those are meant that were annotated no later than the second in its id.
    """
    if sidecar.get("published_by") == PUBLISHED_BY:
        return [], True
    samples = sidecar.get("training_samples")
    if isinstance(samples, list):
        names = {str(s.get("image_filename") or f"img{s.get('sample_id')}.png") for s in samples if isinstance(s, dict)}
        return [pair for pair in pairs if os.path.basename(pair.image_path) in names], True
    if not (model_id.isdecimal() and model_id.isascii()):
        return pairs, False
    return [pair for pair in pairs if pair.timestamp <= int(model_id)], False


def _created(sidecar: Mapping[str, Any], model_id: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(sidecar.get("created_at")))
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(int(model_id), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: Any) -> Mapping[str, Any] | None:
    """A mapping that says something; the app's ``{}`` stands for values that it lost."""
    return value if isinstance(value, dict) and value else None
