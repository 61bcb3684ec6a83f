"""Functions that are mapped over runs; in a module of their own, so that worker processes can import them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

SHAPE = (8, 10, 12)


def name_of(run):
    return run.name


def process_of(run):
    return os.getpid()


def root_of(run):
    return os.getpid(), id(run.root)


def scaled(run, factor, offset=0):
    return int(run.name.rpartition("_")[2]) * factor + offset


def fail_for_odd(run):
    if int(run.name.rpartition("_")[2]) % 2:
        raise KeyError(run.name)
    return run.name


def return_what_cannot_be_sent(run):
    return lambda: run


class LeavesButDoesNotArrive:
    def __reduce__(self):
        return int, ("not a number",)


class PickyError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")
        # Two arguments alone would do, but tblib, which distributed installs, sends such errors.
        self.detail = LeavesButDoesNotArrive()


def raise_what_cannot_be_sent(run):
    raise PickyError("one", "two")


def die_for(run, names):
    if run.name in names:
        os.kill(os.getpid(), signal.SIGKILL)
    return run.name


def wait_a_while(run, folder):
    Path(folder, run.name).write_text(str(os.getpid()))
    time.sleep(0.0 if run.name == "TS_0" else 60)
    return run.name


def density(number):
    return np.random.default_rng(number).normal(size=SHAPE).astype(np.float32)


def segment(run, markers, die=""):
    """Read a tomogram, write its mask and the brightest voxels; the run named by `die` kills its worker, once, half-way."""
    Path(markers, f"process-{os.getpid()}").touch()
    volume = run.get_voxel_spacing(10.0).get_tomogram("wbp").numpy()
    run.new_segmentation(10.0, "membrane", "0", user_id="tool", exist_ok=True).from_numpy((volume > 1).astype(np.uint8))
    if run.name == die and not Path(markers, die).exists():
        Path(markers, die).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    brightest = np.argwhere(volume > 2)[:, ::-1] * 10.0
    run.new_picks("ribosome", "0", "tool", exist_ok=True).from_numpy(brightest)
    return os.getpid(), float(volume.sum())


def check_segmented(root, number):
    """Check what `segment` has stored for a run."""
    run = root.get_run(f"TS_{number}")
    volume = density(number)
    (segmentation,) = run.get_segmentations(user_id="tool")
    (picks,) = run.get_picks(user_id="tool")
    np.testing.assert_array_equal(segmentation.numpy(), volume > 1)
    np.testing.assert_array_equal(picks.numpy()[0], np.argwhere(volume > 2)[:, ::-1] * 10.0)


def main() -> None:
    """Map over a project until interrupted, then say what the report has."""
    import functools

    import copick_core
    from copick_core.projects.runs import Interrupted

    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs that a shell runs in the background begin with it ignored
    config, executor, folder = sys.argv[1:]
    job = functools.partial(wait_a_while, folder=folder)
    try:
        copick_core.map_runs(job, config, executor=executor, workers=2, chunksize=1)
    except Interrupted as stop:
        sys.stdout.write(" ".join(["done", *stop.report.results, "pending", *stop.report.pending]) + "\n")


if __name__ == "__main__":
    main()
