"""Between our look at a job and our write somebody else sets its status: that one stays, and whoever asked is told."""

import pytest

import copick_core
from copick_backend_volume.publish import rest_with
from copick_backend_volume.status import JobStatus
from copick_core.errors import ConflictError
from copick_core.tree.keys import RunKey

JOB = "CC7651"


def opened(generated):
    return copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root), "write_back": True})


@pytest.fixture
def root(generated):
    return opened(generated)


@pytest.fixture
def overtaken(generated, root, monkeypatch):
    """Let somebody else set the status of a job right after we have looked at it for the first time."""
    others, store = opened(generated).volume_layer.jobs, root.volume_layer.jobs
    look, pending = store.job, []

    def looked(job_id):
        found = look(job_id)
        if pending:
            others.update(job_id, status=pending.pop(), force=True)
        return found

    monkeypatch.setattr(store, "job", looked)
    return lambda status: pending.append(JobStatus[status])


@pytest.mark.parametrize("what", ["segment", "mesh"])
def test_a_request_of_a_job_that_has_just_been_annotated_is_a_conflict(root, overtaken, what):
    run = root.get_run(JOB)
    overtaken("ANNOTATED")

    with pytest.raises(ConflictError, match=r"job 'CC7651' is JobStatus\.ANNOTATED, not MESHED") as caught:
        run.request(what)

    assert (caught.value.key, caught.value.layer) == (RunKey(JOB), "volume")
    assert (caught.value.expected, caught.value.found) == ("MESHED", "JobStatus.ANNOTATED")
    assert root.job(JOB).status is JobStatus.ANNOTATED


def test_an_upload_that_has_been_finished_and_could_not_be_converted_is_not_finished_again(root, overtaken):
    run = root.get_run("12E345")
    overtaken("CONVERT_ERROR")

    with pytest.raises(ConflictError, match=r"is JobStatus\.CONVERT_ERROR, not UPLOADING"):
        run.finish_upload()

    assert root.job("12E345").status is JobStatus.CONVERT_ERROR


def test_a_job_that_has_just_been_annotated_is_not_claimed(generated, root, overtaken):
    run = root.get_run(JOB)
    overtaken("ANNOTATED")

    with pytest.raises(ConflictError, match=r"is JobStatus\.ANNOTATED, not MESHED"):
        run.mesh()

    assert root.job(JOB).status is JobStatus.ANNOTATED
    assert not list(generated.root.glob(".staging-*"))


@pytest.mark.parametrize(("status", "left"), [("ANNOTATED", "SEGMENTED"), ("TRAINING_QUEUED", "TRAINING_QUEUED")])
def test_the_status_after_publishing_follows_what_is_there_by_then_if_the_job_still_rests(root, overtaken, status, left):
    overtaken(status)

    rest_with(root.volume_layer.jobs, JOB, JobStatus.SEGMENTED)

    assert root.job(JOB).status is JobStatus[left]


def test_a_job_that_goes_on_after_it_was_found_to_be_stuck_is_not_set_back(generated, root):
    root.get_run(JOB).set_status("MESHING")
    (generated.root / f".staging-claim-{JOB}").touch()
    (problem,) = (p for p in root.volume_layer.problems() if p.id == "stuck" and p.key == RunKey(JOB))
    opened(generated).get_run(JOB).set_status("MESHED")

    with pytest.raises(ConflictError, match=r"is JobStatus\.MESHED, not MESHING"):
        problem.repair.apply()

    assert root.job(JOB).status is JobStatus.MESHED
