"""Writes into a volume through the backend, in a process of its own that a test may kill."""

from __future__ import annotations

import sys

import numpy as np

import copick_core


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def root_of(folder):
    return copick_core.open({"config_type": "compose_volume", "volume_root": folder, "write_back": True})


def updates(folder, job, count):
    store = root_of(folder).volume_layer.jobs
    for number in range(1, int(count) + 1):
        store.update(job, progress=float(number))
        say(number)


def creates(folder, title, count):
    root = root_of(folder)
    for _ in range(int(count)):
        say(root.new_job(title).name)


def convert(folder, job):
    root_of(folder).get_run(job).convert(chunks=(4, 4, 2))


def publish(folder, job):
    run = root_of(folder).get_run(job)
    run.publish_segmentation(np.ones(run.voxel_spacings[0].tomograms[0].array().shape, np.uint8), "tool")


def mesh(folder, job):
    root_of(folder).get_run(job).mesh(block=6)


if __name__ == "__main__":
    say("ready")
    globals()[sys.argv[1]](*sys.argv[2:])
