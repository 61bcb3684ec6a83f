"""What a call makes, changes or deletes in a volume is shown at once to who has listed it before."""

import json
import os
import shutil
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

import copick_core
from copick_backend_volume import convert as conversion
from copick_core.errors import ConflictError
from copick_core.tree.keys import RunKey
from support import volume_generator
from support.volumes import open_volume

JOB = "CC7651"
STACK = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


@pytest.fixture
def root(volume):
    root = open_volume(volume.root, write_back=True, include_orphans=False)
    assert JOB in names(root)
    return root


def names(root):
    return [run.name for run in root.runs]


def forget(volume, job=JOB):
    """Let the app lose a job; gives its entry."""
    entries = json.loads((volume.root / "jobs.json").read_text())
    lost = entries.pop(job)
    (volume.root / "jobs.json").write_text(json.dumps(entries))
    return lost


# Listings


def test_what_is_made_of_a_job_is_listed(root):
    run = root.upload(STACK, "x")
    before = [*run.voxel_spacings], [*run.segmentations], [*run.meshes]
    run.convert()
    run.publish_segmentation(np.ones(STACK.shape, np.uint8), "tool")
    run.mesh(reduction=1)

    assert before == ([], [], [])
    assert [len(found) for found in (run.voxel_spacings, run.segmentations, run.meshes)] == [1, 1, 1]


def test_a_job_that_is_adopted_is_listed(volume):
    forget(volume)
    root = open_volume(volume.root, write_back=True, include_orphans=False)
    before = names(root)

    root.adopt_job(JOB)

    assert (JOB in before, JOB in names(root)) == (False, True)


def test_a_job_of_any_volume_of_a_stack_is_restored_there_and_listed(volume, tmp_path):
    second = volume_generator.tour(tmp_path / "second")
    lost = forget(second)
    shutil.rmtree(volume.root / "chunks" / JOB)
    forget(volume)
    (second.root / "jobs.json.1720000000.5").write_text(json.dumps({JOB: lost}))
    fields = {"config_type": "compose_volume", "write_back": True, "include_orphans": False}
    static = [{**fields, "volume_root": str(made.root)} for made in (volume, second)]
    root = copick_core.open({"config_type": "stack", "overlay": {"config_type": "memory"}, "static": static})
    before = names(root)

    assert [(found.job.id, found.lost) for found in root.recoverable_jobs()] == [(JOB, True)]
    assert root.restore_job(JOB).name == "Burrow"

    assert (JOB in before, JOB in names(root)) == (False, True)
    assert [JOB in json.loads((made.root / "jobs.json").read_text()) for made in (volume, second)] == [False, True]


def test_what_is_cleaned_up_is_listed_no_more(root):
    before = [s.model_id for s in root.get_run(JOB).segmentations]

    root.clean_up(root.plan_cleanup(["segmentations"]))

    assert before == ["1720196800", "1720196900"]
    assert [s.model_id for s in root.get_run(JOB).segmentations] == ["1720196900"]


# Jobs that are adopted


@pytest.mark.parametrize(
    ("lacking", "status"),
    [
        (0, "MESHED"),
        (1, "SEGMENTED"),
        (2, "TRAINED"),
        (3, "ANNOTATED"),
        (4, "CONVERTED"),
        (5, "UPLOADING"),
    ],
)
def test_a_job_is_adopted_with_the_status_of_its_last_stage(volume, lacking, status):
    forget(volume)
    for kind in ["meshed", "segmented", "models", "training", "chunks"][:lacking]:
        shutil.rmtree(volume.root / kind / JOB)

    job = open_volume(volume.root, write_back=True).adopt_job(JOB)

    assert (job.status.name, job.name, job.progress) == (status, JOB, 0.0)


def test_a_job_whose_latest_segmentation_has_no_meshes_is_adopted_as_segmented(volume):
    forget(volume)
    meshes = volume.root / "meshed" / JOB
    (meshes / "1720196900.zarr").rename(meshes / "1720196800.zarr")

    assert open_volume(volume.root, write_back=True).adopt_job(JOB).status.name == "SEGMENTED"


def test_a_job_is_adopted_as_made_when_its_oldest_folder_was_changed(volume):
    forget(volume)
    for number, kind in enumerate(["uploads", "training", "chunks", "models", "segmented", "meshed"]):
        os.utime(volume.root / kind / JOB, (1_600_000_000 + number * (-1) ** number,) * 2)
    before = datetime.now()

    job = open_volume(volume.root, write_back=True).adopt_job(JOB)

    assert job.created_at == datetime.fromtimestamp(1_600_000_000 - 5)
    assert before <= job.last_updated_at <= datetime.now()


def test_a_job_that_is_in_the_database_is_a_conflict(root):
    with pytest.raises(ConflictError, match="job 'CC7651' stands in the database already") as raised:
        root.adopt_job(JOB)

    found = raised.value
    assert (found.key, found.layer, found.expected, found.found) == (RunKey(JOB), "volume", None, JOB)


# Progress


def test_how_far_a_conversion_is_stands_in_the_database_every_second(root, monkeypatch):
    run = root.upload(STACK, "x")
    now, told, update = [0.0], [], root.volume_layer.jobs.update

    def noted(job, **fields):
        if "status" not in fields:
            told.append((job, fields))
        return update(job, **fields)

    def slice_is_done(done, total):
        now[0] += 0.5

    monkeypatch.setattr(conversion, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(root.volume_layer.jobs, "update", noted)

    job = run.convert(progress=slice_is_done)

    assert told == [(run.name, {"progress": 2 / 5})]
    assert job.progress == 0.0


def test_an_upload_in_one_call_tells_how_far_it_is_and_is_finished_by_force(root, tmp_path):
    steps = []

    run = root.upload([*made_of_two_sizes(tmp_path)], "x", force=True, progress=lambda *step: steps.append(step))

    assert (run.job.status.name, run.job.name, steps) == ("UPLOADED", "x", [(1, 2), (2, 2)])
    assert not run.uploads.ok


def made_of_two_sizes(folder):
    from PIL import Image

    for number in (1, 2):
        Image.fromarray(np.zeros((4, 4 + number), np.uint8)).save(folder / f"{number}.png")
        yield folder / f"{number}.png"
