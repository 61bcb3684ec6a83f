"""Imitation of the app at work: its job manager, its runners and the routes of its page, without any guard, as it has none.

As a program, ``volume_app_rounds.py VOLUME``, it does what each line of standard input says, ``ACTION JOB``, and answers with
a line of JSON: every status that it has set, with the time of the entry, and every id that it has made. Nothing here imports
anything of ours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import zarr

from support import volume_app, volume_generator

SHAPE = (6, 12, 14)


class App:
    """The app over one volume."""

    def __init__(self, root):
        self.root = Path(root)
        self.database = str(self.root / "jobs.json")
        self.statuses = []
        self.ids = []
        self.wrong = []

    # ------------------------------------------------------------------ the job manager

    def get(self, job):
        return volume_app.read(self.database)[job]

    def set(self, job, entry=None, **fields):
        """Write an entry: the present one with some changes, or one that was read earlier, stale as it may be."""
        jobs = volume_app.read(self.database)
        if job not in jobs:
            self.wrong.append(f"{job} is gone")
            return
        jobs[job] = {**(entry or jobs[job]), **fields, "last_updated_at": datetime.now().isoformat()}
        if "status" in fields:
            self.statuses.append((fields["status"], jobs[job]["last_updated_at"]))
        volume_app.write(self.database, jobs)

    def status(self, job, name):
        self.set(job, status=f"JobStatus.{name}")

    # ------------------------------------------------------------------ the page

    def annotate(self, job):
        stamp = int(time.time())
        volume_generator.GeneratedVolume(self.root).pair(job, str(stamp), size=(16, 16))
        if self.get(job)["status"] != "JobStatus.CONVERTING":
            self.status(job, "ANNOTATED")

    def retrain(self, job):
        self.status(job, "TRAINING")
        self.train(job)
        self.status(job, "TRAINED")

    def start(self, job):
        self.status(job, "TRAINING_QUEUED")

    def press_mesh(self, job):
        self.status(job, "MESHING_QUEUED")

    def rename(self, job):
        self.set(job, name=f"Renamed at {time.time()}")

    # ------------------------------------------------------------------ the runners

    def train(self, job):
        model = str(int(time.time()))
        self.ids.append(model)
        folder = self.root / "models" / job
        folder.mkdir(parents=True, exist_ok=True)
        sidecar = folder / f"{model}.json"
        if sidecar.exists() and "published_by" in sidecar.read_text():
            self.wrong.append(f"id {model} was published")
        (folder / f"{model}.model").write_bytes(b"a pickle")
        sidecar.write_text('{"rf_kwargs": {}, "model_class": "RandomForest3DSegmenter"}')
        return model

    def segment(self, job):
        """Poll; train and segment a job that is queued."""
        if self.get(job)["status"] != "JobStatus.TRAINING_QUEUED":
            return
        self.status(job, "SEGMENTING")
        model = self.train(job)
        mask = box_of(model)
        for block in range(3):
            self.set(job, current_job_progress=block / 3)
            time.sleep(0.005)
        volume_generator.write_array(self.root / "segmented" / job / f"{model}.zarr", mask, (8, 8, 8), "<u8")
        self.status(job, "SEGMENTED")

    def mesh(self, job):
        """Poll; mesh the segmentation that sorts last."""
        if self.get(job)["status"] != "JobStatus.MESHING_QUEUED":
            return
        self.status(job, "MESHING")
        names = sorted(os.listdir(self.root / "segmented" / job))
        if names:
            model = names[-1].removesuffix(".zarr")
            for block in range(3):
                self.set(job, current_job_progress=block / 3)
                time.sleep(0.005)
            where = np.nonzero(zarr.open_array(self.root / "segmented" / job / names[-1], mode="r")[:])
            low, high = [int(w.min()) - 0.5 for w in where], [int(w.max()) + 0.5 for w in where]
            volume_generator.GeneratedVolume(self.root).mesh(job, model, low=low, high=high)
        self.status(job, "MESHED")


def box_width(model):
    """Segmentations are told apart by the width of their box."""
    return int(model) % 7 + 2


def box_of(model):
    """What a model makes."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 2:5, 2 : 2 + box_width(model)] = 255
    return mask


def main(root):
    app = App(root)
    for line in sys.stdin:
        action, job = line.split()
        app.statuses, app.ids, app.wrong = [], [], []
        try:
            getattr(app, action)(job)
        except Exception as error:
            app.wrong.append(f"{action}: {type(error).__name__}: {error}")
        sys.stdout.write(json.dumps({"statuses": app.statuses, "ids": app.ids, "wrong": app.wrong}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
