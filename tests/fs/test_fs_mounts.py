"""Projects on mounts that refuse some calls: each is a FUSE file system of our own, as the kernel shows it to programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_fs import records
from copick_core.layers import atomic
from copick_core.layers.staged import STAGED_SECONDS, staged_name
from support.objects import OBJECTS
from support.odd_mount import missing, mounted

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=missing() or "")]

SHAPE = (8, 8, 8)


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Path]]:
    from copick_backend_fs import mounts

    monkeypatch.setattr(atomic, "_warned", set())  # device numbers are given again
    monkeypatch.setattr(mounts, "_without", set())
    mounts.is_fuse.cache_clear()
    return lambda **refusals: mounted(tmp_path, refusals)


@pytest.fixture
def bucket(mount: Callable[..., AbstractContextManager[Path]]) -> Iterator[Path]:
    """A mount that renames no folders."""
    with mount(rename_folder="ENOSYS") as place:
        yield place


def config(place: Path) -> dict[str, Any]:
    return {
        "config_type": "filesystem",
        "pickable_objects": OBJECTS,
        "user_id": "alice",
        "overlay_root": str(place / "project"),
    }


def work(place: Path) -> Any:
    """Make, replace and delete something of each way of writing; returns what a new reader sees of the run that is left."""
    root = copick_core.open(config(place))
    run = root.new_run("TS_1")
    picks = run.new_picks("ribosome", "1", positions=[[1.0, 2.0, 3.0]])
    picks.from_numpy([[4.0, 5.0, 6.0]])
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    for value in (1, 2):
        tomogram.from_numpy(np.full(SHAPE, value, np.float32), chunks=4)
    run.new_segmentation(10.0, "membrane", "1").from_numpy(np.ones(SHAPE, np.uint8))
    run.segmentations[0].delete()
    root.new_run("TS_2").new_picks("ribosome", "1", positions=[[1.0, 2.0, 3.0]])
    root.get_run("TS_2").delete()
    return copick_core.open(config(place))


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        ("fsyncdir", "EINVAL", "refuses fsync"),
        ("utimens", "EPERM", "refuses utime"),
        ("chmod", "EPERM", "refuses chmod"),
        ("rename_folder", "EPERM", "renames no folders"),
        ("rename_folder", "EXDEV", "renames no folders"),
    ],
)
def test_what_a_mount_refuses_is_told_once_and_everything_is_written(
    mount: Callable[..., AbstractContextManager[Path]], call: str, code: str, told: str
) -> None:
    with mount(**{call: code}) as place:
        with warnings.catch_warnings(record=True, action="always") as caught:
            root = work(place)
        [run] = root.runs

        assert [told in str(warning.message) for warning in caught] == [True]
        assert run.picks[0].numpy()[0].tolist() == [[4.0, 5.0, 6.0]]
        assert run.voxel_spacings[0].tomograms[0].numpy().tolist() == np.full(SHAPE, 2.0).tolist()
        assert list(run.segmentations) == []
        assert [
            name for _, folders, files in os.walk(place) for name in (*folders, *files) if name.startswith(".staged")
        ] == []


@pytest.mark.filterwarnings("ignore:The file system of")
def test_a_replacement_file_by_file_that_was_cut_off_is_never_a_mixture_and_is_finished(bucket: Path) -> None:
    work(bucket)
    command = [sys.executable, "-c", _DIES, json.dumps(config(bucket))]

    outcomes = set()
    for calls in range(1, 9):
        died = subprocess.run([*command, str(calls)], check=False, capture_output=True)
        assert died.returncode in (0, -9), died.stderr
        values = copick_core.open(config(bucket)).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy()
        assert values.min() == values.max()
        outcomes.add((died.returncode, float(values[0, 0, 0])))

    assert {(-9, 2.0), (-9, 3.0)} <= outcomes  # some died before the old one was given up, some after
    assert not [*bucket.rglob(f"{records.PREFIX}*")]


#: Replaces the tomogram by one of threes, and is killed before one of its questions to the mount.
_DIES = """
import json, os, signal, sys, warnings
import numpy as np
import copick_core
from copick_backend_fs.connection import Connection
warnings.simplefilter("ignore")
left, real = int(sys.argv[2]), Connection.ask
def ask(*args, **kwargs):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
tomogram = copick_core.open(json.loads(sys.argv[1])).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
Connection.ask = ask
tomogram.from_numpy(np.full((8, 8, 8), 3, np.float32), chunks=4)
"""


@pytest.mark.filterwarnings("ignore:The file system of")
def test_a_deletion_where_nothing_is_renamed_sweeps_what_dead_writers_have_left(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = work(bucket)
    run = bucket / "project" / "ExperimentRuns" / "TS_1"
    long_ago = time.time() - STAGED_SECONDS - 60
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: long_ago)
        planted = [folder / staged_name() for folder in (run, run / "VoxelSpacing10.000")]
    for path in planted:
        (path / "inside").mkdir(parents=True)

    root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").delete()

    assert [path for path in planted if path.exists()] == []


@pytest.mark.filterwarnings("ignore:The file system of")
def test_what_a_dead_writer_has_left_is_shown_and_finished_by_the_doctor(bucket: Path) -> None:
    work(bucket)
    subprocess.run([sys.executable, "-c", _DIES, json.dumps(config(bucket)), "4"], check=False, capture_output=True)
    assert [*bucket.rglob(f"{records.PREFIX}*")]

    root = copick_core.open(config(bucket))
    [found] = [one for one in root.problems() if one.problem.id == "unfinished-replacement"]
    found.problem.repair.apply()

    assert root.problems() == []
    assert np.unique(root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy()).size == 1


def test_an_error_that_has_another_reason_is_raised(tmp_path: Path) -> None:
    root = copick_core.open(config(tmp_path))
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones(SHAPE, np.float32))
    real = os.rename

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", partial(_refusing, real, ".zarr"))
        with pytest.raises(PermissionError):
            tomogram.delete()

    assert copick_core.open(config(tmp_path)).get_run("TS_1").voxel_spacings[0].tomograms[0].numpy().min() == 1


def _refusing(real: Callable[[str, str], None], suffix: str, source: str, target: str) -> None:
    """Rename, but for names with a suffix: as for a folder that somebody has made immutable."""
    if source.endswith(suffix):
        raise PermissionError(1, os.strerror(1), source)
    real(source, target)
