"""Claims: a job is worked on by one process of ours at a time, and a claim that a dead one left can be told and taken over."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator

from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_backend_volume.staging import is_held, lock, open_lock
from copick_backend_volume.status import JobStatus
from copick_core.errors import ConflictError, CopickError, InvalidDataError, by_caller
from copick_core.tree.keys import RunKey


@contextlib.contextmanager
def claimed(
    volume: Volume,
    store: JobStore,
    job_id: str,
    working: JobStatus,
    *,
    starts: Collection[JobStatus],
    failed: JobStatus,
    retry: bool,
) -> Iterator[None]:
    """Claim a job while the body runs; the body sets the status that follows, with :meth:`JobStore.release`.

    If the body raises, the job is left as failed; if the process is told to end, as it was before. A status that the app has
    set meanwhile stays.

    Args:
        volume: The volume.
        store: Its database.
        job_id: The job.
        working: Its status meanwhile.
        starts: Statuses that it may have before.
        failed: Its status after an error.
        retry: Take over a job that was left in ``working``, or that failed.

    Raises:
        InvalidDataError: It has another status.
        ConflictError: Another process works on it.
    """
    with _claim_file(volume.claim(job_id), job_id):
        before = store.job(job_id).status
        again = retry and before in (working, failed)
        if before is None or not (again or before in starts):
            now = "not in the database" if before is None else before.name
            possible = ", ".join(sorted(s.name for s in starts))
            reason = f"it is {now}; {working.name} starts from {possible}"
            if before in (working, failed):
                reason += f". If nothing works on it any more, pass {by_caller('retry=True', '--retry')}"
            raise InvalidDataError(source=f"job {job_id!r}", reason=reason)
        store.update(job_id, status=working, expected=before, force=again)
        try:
            yield
        except BaseException as error:
            after = before if not isinstance(error, Exception) and before is not working else failed
            with contextlib.suppress(CopickError):  # what went wrong first is what the user needs to know
                store.release(job_id, working, after)
            raise


def is_abandoned(volume: Volume, job_id: str) -> bool:
    """Whether a process of ours that had claimed a job has died."""
    return os.path.exists(volume.claim(job_id)) and not is_held(volume.claim(job_id))


@contextlib.contextmanager
def _claim_file(path: str, job_id: str) -> Iterator[None]:
    """Hold the file of a claim, and remove it at the end; one that a dead process left is taken over."""
    while True:
        descriptor = open_lock(path)
        try:
            if not lock(descriptor):
                at_work = f"another process works on job {job_id!r} at the moment; wait for it"
                raise ConflictError(key=RunKey(job_id), layer="volume", expected=None, found=path, reason=at_work)
            # Whoever held it before may have removed it before we got it.
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                try:
                    yield
                finally:
                    os.unlink(path)
                return
        finally:
            os.close(descriptor)
