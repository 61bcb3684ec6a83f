"""The states of a job, and which may follow which."""

from __future__ import annotations

from enum import Enum

from copick_core.errors import InvalidDataError, by_caller


class JobStatus(Enum):
    """Status of a job; the app's words."""

    PENDING = "pending"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    CONVERTING = "converting"
    CONVERTED = "converted"
    CONVERT_ERROR = "convert_error"
    ANNOTATED = "annotated"
    TRAINING_QUEUED = "training_queued"
    TRAINING = "training"
    TRAINED = "trained"
    SEGMENTING = "segmenting"
    SEGMENTED = "segmented"
    SEGMENT_ERROR = "segment_error"
    MESHING_QUEUED = "meshing_queued"
    MESHING = "meshing"
    MESHED = "meshed"
    MESH_ERROR = "mesh_error"
    DONE = "done"
    ERROR = "error"

    @classmethod
    def parse(cls, text: str) -> JobStatus:
        """Read a status as any version of the app writes it: ``"JobStatus.MESHED"``, ``"MESHED"`` or ``"meshed"``.

        Raises:
            ValueError: It is not a status that we know.
        """
        try:
            return cls[str(text).removeprefix("JobStatus.").upper()]
        except KeyError:
            known = ", ".join(status.name for status in cls)
            raise ValueError(f"unknown status {text!r}; possible: {known}") from None

    @property
    def stored(self) -> str:
        """What stands in the database."""
        return f"JobStatus.{self.name}"

    @property
    def is_busy(self) -> bool:
        """Whether a process works on the job, or is to take it."""
        return self in BUSY


_S = JobStatus
#: Somebody works on the job or is about to; no claim, request or conversion is started then.
BUSY = frozenset({_S.CONVERTING, _S.TRAINING_QUEUED, _S.TRAINING, _S.SEGMENTING, _S.MESHING_QUEUED, _S.MESHING})
#: The image is there, and nobody works on the job.
RESTING = frozenset({_S.CONVERTED, _S.ANNOTATED, _S.TRAINED, _S.SEGMENTED, _S.MESHED, _S.SEGMENT_ERROR, _S.MESH_ERROR})
#: There is no image, or it is being made.
WITHOUT_IMAGE = frozenset({_S.UPLOADING, _S.UPLOADED, _S.CONVERTING, _S.CONVERT_ERROR})
_FROM_REST = frozenset({_S.ANNOTATED, _S.TRAINING_QUEUED, _S.TRAINING, _S.MESHING_QUEUED, _S.MESHING, _S.SEGMENTED})

#: What may follow each status. SEGMENTED and MESHING follow rest directly where we, not the app's runners, do the
#: work. From UPLOADED the way leads back to UPLOADING, to replace slices that conversion would spoil.
TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    _S.PENDING: frozenset({_S.UPLOADING}),
    _S.UPLOADING: frozenset({_S.UPLOADED}),
    _S.UPLOADED: frozenset({_S.CONVERTING, _S.UPLOADING}),
    _S.CONVERTING: frozenset({_S.CONVERTED, _S.CONVERT_ERROR}),
    _S.CONVERT_ERROR: frozenset({_S.UPLOADED, _S.UPLOADING}),
    **dict.fromkeys(RESTING, _FROM_REST),
    _S.TRAINING: frozenset({_S.TRAINED}),
    _S.TRAINING_QUEUED: frozenset({_S.SEGMENTING}),
    _S.SEGMENTING: frozenset({_S.SEGMENTED, _S.SEGMENT_ERROR}),
    _S.MESHING_QUEUED: frozenset({_S.MESHING}),
    _S.MESHING: frozenset({_S.MESHED, _S.MESH_ERROR}),
    _S.DONE: frozenset(),
    _S.ERROR: frozenset(),
}


def check_transition(job_id: str, present: JobStatus | None, wanted: JobStatus) -> None:
    """Refuse a status that may not follow the present one.

    Raises:
        InvalidDataError: It may not.
    """
    allowed = TRANSITIONS[present] if present is not None else frozenset()
    if wanted not in allowed:
        now = "an unknown status" if present is None else present.name
        then = ", ".join(sorted(s.name for s in allowed)) or "nothing"
        force = by_caller("force=True", "--force")
        reason = f"{wanted.name} cannot follow {now}; possible: {then}. Pass {force} to repair a stuck job"
        raise InvalidDataError(source=f"job {job_id!r}", reason=reason)
