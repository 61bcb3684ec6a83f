"""Rounds beside an imitation of the app on the same job at once: nothing of either side is lost, forced or mixed up."""

import json
import os
import random
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from copick_backend_volume.jobs import JobStore
from copick_core.errors import ConflictError, InvalidDataError
from support import volume_app_rounds, volume_generator
from support.environments import REPOSITORY
from support.volumes import geometry, open_volume

JOB = "CC7651"
APP = ["annotate", "retrain", "start", "press_mesh", "rename", "segment", "mesh"]
#: Seconds within which two writes are at the same time: either may be the later one.
AT_ONCE = 0.05


@pytest.fixture
def volume(tmp_path):
    made = volume_generator.GeneratedVolume(tmp_path / "volume")
    made.job(JOB, "SEGMENTED", [*volume_app_rounds.SHAPE[::-1]])
    made.image(JOB, volume_app_rounds.SHAPE)
    made.model(JOB, "1720196800", pickled=False)
    made.segmentation(JOB, "1720196800", volume_app_rounds.box_of("1720196800"))
    return made.save()


@pytest.fixture
def app(volume):
    command = [sys.executable, str(Path(volume_app_rounds.__file__)), str(volume.root)]
    path = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=path) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def ours(monkeypatch):
    """Statuses that we have set, with the times of their entries."""
    statuses = []
    update = JobStore.update

    def watched(self, job_id, **fields):
        job = update(self, job_id, **fields)
        if fields.get("status") is not None:
            statuses.append((fields["status"].stored, job.last_updated_at.isoformat()))
        return job

    monkeypatch.setattr(JobStore, "update", watched)
    return statuses


def act(run, action):
    """One action of ours; gives the ids that it has made. What a busy job refuses is refused."""
    try:
        if action == "publish":
            # The box is that of the id that the segmentation will have, which nobody knows: told apart by its height.
            mask = np.zeros(volume_app_rounds.SHAPE, np.uint8)
            mask[1:3, 2:5, 2:5] = 1
            return [run.publish_segmentation(mask, "tool").model_id]
        if action == "mesh":
            run.mesh()
        elif action == "progress":
            run._store.update(JOB, progress=0.25)
        elif action == "request":
            run.request("segment")
        elif action == "annotated":
            run.set_status("ANNOTATED")
    except (ConflictError, InvalidDataError):
        pass
    return []


def last(statuses):
    """The statuses that may be the last one: the latest, and those at the same time."""
    if not statuses:
        return set()
    times = [datetime.fromisoformat(at) for _, at in statuses]
    return {s for (s, _), at in zip(statuses, times, strict=True) if (max(times) - at).total_seconds() < AT_ONCE}


def play(volume, app, ours, rounds):
    """Play rounds; each checks what must hold after it."""
    rng = random.Random(rounds)
    root = open_volume(volume.root, write_back=True)
    run = root.get_run(JOB)
    seen = set(root.volume.segmentation_ids(JOB))
    published = set()
    for _ in range(rounds):
        ours.clear()
        before = run.job.status.stored
        app.stdin.write(f"{rng.choice(APP)} {JOB}\n")
        app.stdin.flush()
        made = act(run, rng.choice(["publish", "mesh", "mesh", "progress", "progress", "request", "annotated"]))
        theirs = json.loads(app.stdout.readline())

        stored = json.loads((volume.root / "jobs.json").read_text())
        assert theirs["wrong"] == []
        assert not list(volume.root.glob("jobs.json.[0-9]*"))
        assert {*stored} == {JOB}
        assert stored[JOB]["status"] in (last([*ours, *map(tuple, theirs["statuses"])]) or {before}), (ours, theirs)
        assert not {*made} & ({*theirs["ids"]} | seen)
        assert not {*theirs["ids"]} & published
        published |= {*made}
        seen |= {*made, *theirs["ids"]}
        check_meshes(root, run, published)
    return seen


def check_meshes(root, run, published):
    """Every mesh is that of its segmentation, told by its box."""
    run.refresh_meshes()
    for mesh in run.meshes:
        low, high = geometry(mesh).bounds
        model = mesh.session_id
        if model in published:
            assert high[2] == pytest.approx(2.5, abs=0.6)
        else:
            assert high[0] - low[0] == pytest.approx(volume_app_rounds.box_width(model), abs=0.6)


@pytest.mark.slow
def test_some_rounds_beside_the_app_lose_force_and_mix_up_nothing(volume, app, ours):
    assert len(play(volume, app, ours, 40)) > 5


@pytest.mark.full
def test_500_rounds_beside_the_app_lose_force_and_mix_up_nothing(volume, app, ours):
    assert len(play(volume, app, ours, 500)) > 50
