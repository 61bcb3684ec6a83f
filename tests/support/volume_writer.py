"""Writes into a volume through the backend, in a process of its own that a test may kill."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import time

import numpy as np

import copick_backend_volume.convert
import copick_backend_volume.meshing  # noqa: F401 - what is imported now is imported once for all children
import copick_core
from copick_backend_volume import staging, uploading

#: Events of the interpreter before a file or folder is changed, besides "open".
_STEPS = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


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


def slices(folder, job, value, times):
    """Add stacks of three slices, told apart by their values; hesitate between looking at the names and taking some."""
    names = uploading._next_names
    uploading._next_names = lambda *args: [names(*args), time.sleep(0.02)][0]
    run = root_of(folder).get_run(job)
    for number in range(int(times)):
        say(" ".join(run.add_slices(np.full((3, 4, 4), int(value) + number, np.uint8))))


def convert(folder, job, retry=False):
    root_of(folder).get_run(job).convert(chunks=(16, 16, 2), retry=retry)


def publish(folder, job, retry=False):
    run = root_of(folder).get_run(job)
    run.publish_segmentation(np.ones(run.voxel_spacings[0].tomograms[0].array().shape, np.uint8), "tool")


def mesh(folder, job, retry=False):
    root_of(folder).get_run(job).mesh("1720196800", block=16, retry=retry)


def remesh(folder, job, retry=False):
    root_of(folder).get_run(job).mesh("1720196900", block=16, retry=retry)


reconvert = convert


def die(step, action, folder, job):
    """Do an action, and be killed just before a step: 1 is the first."""
    done = 0

    def watch(event, args):
        nonlocal done
        if not (event in _STEPS or (event == "open" and (args[2] or 0) & _WRITING)) or not isinstance(args[0], str):
            return
        # Paths are relative where a tree is removed, to folders that are open.
        if args[0].startswith(folder) or not os.path.isabs(args[0]):
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    globals()[action](folder, job)


def deaths(action, volume, copies, job, exchange):
    """Do an action on copies of a volume, 1, 2, 3, …, each time killed one step later, until it is not killed any more."""
    if exchange == "no-exchange":
        staging._exchange = lambda one, other: False  # as on systems that cannot exchange folders
    for step in itertools.count(1):
        folder = os.path.join(copies, str(step))
        shutil.copytree(volume, folder)
        child = os.fork()
        if child == 0:
            die(step, action, folder, job)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    say("ready")
    globals()[sys.argv[1]](*sys.argv[2:])
