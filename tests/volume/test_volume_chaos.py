"""Writers of a compose volume that are killed, or work side by side: nothing is lost, and nothing half-made is seen."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import copick_core
from copick_backend_volume.arrays import open_array
from copick_backend_volume.staging import staging, sweep
from support import volume_app, volume_writer
from support.volume_writer import root_of
from support.volumes import geometry

WRITER = Path(volume_writer.__file__)
APP = Path(volume_app.__file__)


@pytest.fixture
def root(generated):
    return root_of(str(generated.root))


def start(script, *args, **options):
    return subprocess.Popen([sys.executable, str(script), *map(str, args)], stdout=subprocess.PIPE, text=True, **options)


def database(folder):
    return json.loads((folder / "jobs.json").read_text())


# Updates of the database


def test_no_update_of_several_processes_is_lost(root, generated):
    jobs = ["CC7651", "4F09A2", "12E345", "123456"]
    processes = [start(WRITER, "updates", generated.root, job, 100) for job in jobs]
    creators = [start(WRITER, "creates", generated.root, "new", 25)]
    outputs = [p.communicate(timeout=120)[0].split() for p in processes + creators]

    stored = database(generated.root)

    assert [p.returncode for p in processes + creators] == [0] * 5
    assert [stored[job]["current_job_progress"] for job in jobs] == [100.0] * 4
    assert set(outputs[-1][1:]) <= stored.keys()
    assert len(set(outputs[-1][1:])) == 25
    assert not list(generated.root.glob("jobs.json.[0-9]*"))


def test_no_update_of_ours_is_lost_beside_a_writer_that_truncates(either):
    app = start(APP, either / "jobs.json", "4F09A2", 120, 0.03)
    ours = [start(WRITER, "updates", either, "CC7651", 60), start(WRITER, "creates", either, "new", 30)]
    outputs = [p.communicate(timeout=120)[0].split() for p in ours]
    app.communicate(timeout=120)

    stored = database(either)

    assert app.returncode == 0
    assert stored["CC7651"]["current_job_progress"] == 60.0
    assert set(outputs[1][1:]) <= stored.keys()
    assert stored["4F09A2"]["current_job_progress"] == 119
    assert not list(either.glob("jobs.json.[0-9]*"))


def test_a_killed_writer_leaves_a_whole_database_and_no_lock(root, generated):
    acknowledged = []
    for delay in (0.5, 0.7, 0.9):
        process = start(WRITER, "updates", generated.root, "CC7651", 1000)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        acknowledged = process.communicate()[0].split()
        stored = database(generated.root)
        if acknowledged:
            assert stored["CC7651"]["current_job_progress"] >= float(acknowledged[-1])
        assert len(stored) == len(generated.entries)
    root.get_run("CC7651").set_status("ANNOTATED")


# Uploads


def test_slices_of_several_processes_do_not_mix_and_none_is_lost(root, generated):
    job = root.new_job("together").name
    adders = [start(WRITER, "slices", generated.root, job, value, 6) for value in (10, 50, 90)]
    said = [line.split() for p in adders for line in p.communicate(timeout=120)[0].splitlines()[1:]]

    report = root.get_run(job).uploads
    values = [int(np.asarray(Image.open(upload.path)).max()) for upload in report.slices]

    assert [p.returncode for p in adders] == [0] * 3
    assert sorted(name for names in said for name in names) == [upload.name for upload in report.slices]
    assert sorted(values[::3]) == [*range(10, 16), *range(50, 56), *range(90, 96)]
    assert values[0::3] == values[1::3] == values[2::3]


# A process that dies, at every step

#: Action, its job, and the status that the job is in before.
ACTIONS = {
    "publish": ("CC7651", "MESHED"),
    "mesh": ("CC7651", "MESHED"),
    "remesh": ("CC7651", "MESHED"),
    "convert": ("12E345", "UPLOADED"),
    "reconvert": ("CC7651", "UPLOADED"),
}


def seen(folder, job):
    """What somebody sees of a job: image, segmentations with their makers, models, and meshes."""
    root = copick_core.open({"config_type": "compose_volume", "volume_root": str(folder), "hide_incomplete": False})
    run, volume = root.get_run(job), root.volume
    arrays = [open_array(volume.segmentation(job, model)) for model in volume.segmentation_ids(job)]
    images = [a for a in [root.volume_layer.image(job)] if a is not None]
    assert not any(array.missing() for array in arrays + images)
    return {
        "image": [(a.chunks, a.read_box((0, 0, 0), a.shape).tobytes()) for a in images],
        "segmentations": sorted((s.user_id, s.name, s.numpy().tobytes()) for s in run.segmentations),
        "models": sorted((m.model_class, m.segmentation) for m in run.models),
        "meshes": {m.session_id: (len(m.blocks()), len(geometry(m).faces), geometry(m).volume) for m in run.meshes},
    }


def left_behind(folder):
    """Hidden files and folders, and descriptions of segmentations that are not there."""
    hidden = {str(p) for p in folder.rglob(".*") if p.name != ".zarray"}
    for sidecar in folder.glob("models/*/*.json"):
        stem = Path("segmented", sidecar.parent.name, f"{sidecar.stem}.zarr")
        if b"published_by" in sidecar.read_bytes() and not (folder / stem).exists():
            hidden.add(str(sidecar))
    return hidden


REPLACING = ("remesh", "reconvert")
SLOWLY = [
    *((action, "exchange", "generated") for action in ACTIONS if action != "publish"),
    *((action, "no-exchange", "generated") for action in REPLACING),
    *((action, "exchange", "sample") for action in ("publish", "convert", "remesh")),
]
KILLED = [("publish", "exchange", "generated"), *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOWLY)]


@pytest.mark.parametrize(("action", "exchange", "either"), KILLED, indirect=["either"])
def test_a_process_killed_at_any_step_leaves_nothing_half_made_and_is_recovered(action, exchange, either, tmp_path):
    if exchange == "exchange" and action in REPLACING and sys.platform != "linux":
        pytest.skip("only Linux exchanges two folders in one step")
    job, status = ACTIONS[action]
    entries = database(either)
    entries[job]["status"] = f"JobStatus.{status}"
    (either / "jobs.json").write_text(json.dumps(entries))
    (tmp_path / "copies").mkdir()
    process = start(WRITER, "deaths", action, either, tmp_path / "copies", job, exchange)
    process.communicate(timeout=300)
    assert process.returncode == 0
    *died, whole = sorted((tmp_path / "copies").iterdir(), key=lambda p: int(p.name))
    before, after = seen(either, job), seen(whole, job)
    assert len(died) >= 10
    assert before != after
    assert left_behind(whole) == set()

    for folder in died:
        root = root_of(str(folder))
        found, findings = seen(folder, job), root.doctor()
        if exchange == "exchange" or all(found.values()):
            assert found in (before, after)
        reported = {file for f in findings if f.code in ("remains", "unfinished-publication") for file in f.files}
        claims = {root.volume.claim(f.job) for f in findings if f.code == "stuck"}  # they tell that a job is stuck
        assert reported == left_behind(folder) - claims
        busy = root.job(job).status.is_busy
        ways_out = [f.message for f in findings if f.job == job and f.code == "stuck"]
        assert [f"--job {job} --retry" in message for message in ways_out] == [True] * busy

        if busy or found != after:
            getattr(volume_writer, action)(str(folder), job, retry=True)
            assert root.job(job).status is root_of(str(whole)).job(job).status
        assert seen(folder, job) == after


# What is left over


def test_what_dead_writers_left_is_hidden_reported_and_swept(root, generated):
    old, recent = generated.root / "segmented/.staging-old", generated.root / ".staging-jobs-1-2"
    old.mkdir()
    recent.touch()
    os.utime(old, (0, time.time() - 8 * 24 * 3600))
    assert {f.files for f in root.doctor() if f.code == "remains"} == {(str(recent), str(old))}

    root.get_run("CC7651").publish_segmentation(np.ones((12, 40, 30), np.uint8), "tool")

    assert not old.exists()
    assert recent.exists()


def test_what_another_writer_sweeps_meanwhile_is_no_error(root, generated, monkeypatch):
    dead, flock = generated.root / "segmented/.staging-dead", fcntl.flock
    dead.mkdir()

    def swept_meanwhile(descriptor, operation):
        flock(descriptor, operation)
        dead.rmdir()

    monkeypatch.setattr(fcntl, "flock", swept_meanwhile)

    sweep(root.volume)

    assert not dead.exists()


def test_what_a_living_writer_stages_is_not_taken_for_remains(root, generated):
    with staging(root.volume, "chunks") as staged:
        os.utime(staged.folder, (0, 0))
        sweep(root.volume)
        assert not [f for f in root.doctor() if f.code == "remains"]
        assert os.path.isdir(staged.folder)
