"""What was committed outlives killed writers, a full disk and a power cut."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.errors import InvalidDataError
from copick_core.projects.doctor import doctor
from support.histories import picks

#: A writer of its own process: each commit of a transaction stores one number in two runs.
WRITER = """
import json, sys, copick_core
config, name = json.loads(sys.argv[1]), sys.argv[2]
root = copick_core.open({**config, "user_id": name})
print("ready", flush=True)
for number in range(1, 100_000):
    with root.transaction(f"number {number}"):
        for run in ("TS_1", "TS_2"):
            handle = root.get_run(run).new_picks("ribosome", "1", name, exist_ok=True)
            handle.from_numpy([[number, 0, 0]] * 50)
    print(number, flush=True)
"""

FULL = """
import json, resource, sys, copick_core
root = copick_core.open(json.loads(sys.argv[1]))
stored = root.get_run("TS_1").picks[0]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
import numpy as np
try:
    stored.from_numpy(np.random.default_rng(1).normal(size=(20_000, 3)))
except OSError as error:
    print(type(error).__name__, error)
"""


def numbers(root: CopickRootIcechunk, user: str) -> set[float]:
    """The numbers that a writer has stored, over both runs; each is stored fifty times."""
    root.refresh()
    found = set()
    for run in ("TS_1", "TS_2"):
        for stored in root.get_run(run).get_picks(user_id=user):
            assert len(stored.points) == 50
            found.update(stored.numpy()[0][:, 0].tolist())
    return found


@pytest.mark.parametrize("writers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_writers_leave_whole_transactions(root: CopickRootIcechunk, config: dict[str, Any], writers: int) -> None:
    for run in ("TS_1", "TS_2"):
        root.new_run(run)
    chance = random.Random(19)
    for turn in range(3):
        names = [f"w{turn}x{n}" for n in range(writers)]
        running = [
            subprocess.Popen([sys.executable, "-c", WRITER, json.dumps(config), name], stdout=subprocess.PIPE, text=True)
            for name in names
        ]
        for process in running:
            assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.2, 0.6))
        for process in running:
            process.send_signal(signal.SIGKILL)
        said = [int((process.communicate()[0].split() or ["0"])[-1]) for process in running]

        for name, last in zip(names, said, strict=True):
            assert numbers(root, name) in ({float(last)} if last else set(), {last + 1.0})
    root.new_run("TS_3")  # no killed writer has left a lock


def test_a_full_disk_is_an_error_that_leaves_the_last_commit(root: CopickRootIcechunk, config: dict[str, Any]) -> None:
    picks(root, "TS_1", "alice", 1)

    done = subprocess.run([sys.executable, "-c", FULL, json.dumps(config)], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("OSError")
    root.refresh()
    assert root.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1, 0, 0]]
    picks(root, "TS_1", "alice").from_numpy([[2, 0, 0]])


def test_a_maker_that_died_after_its_first_file_does_not_keep_others_away(config: dict[str, Any], tmp_path: Path) -> None:
    copick_core.open(config).new_run("TS_1")
    begun = (tmp_path / "history" / "config.yaml").read_bytes()
    shutil.rmtree(tmp_path / "history")
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "config.yaml").write_bytes(begun)

    copick_core.open(config).new_run("TS_2")

    assert [run.name for run in copick_core.open(config).runs] == ["TS_2"]


def test_a_repository_whose_newest_files_are_missing_opens_at_its_last_good_commit(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    stored = picks(root, "TS_1", "alice", 0)
    for x in range(1, 5):
        stored.from_numpy([[x, y, 0] for y in range(300)])
    whole = tmp_path / "history"
    files = sorted((p for p in whole.rglob("*") if p.is_file()), key=lambda p: p.stat().st_mtime_ns)

    found = []
    for lost in range(1, len(files) - 7):  # the first eight files are the two commits that it takes to have picks at all
        copy = tmp_path / f"lost-{lost}"
        shutil.copytree(whole, copy)
        for file in files[-lost:]:
            os.unlink(copy / file.relative_to(whole))
        opened = copick_core.open({**config, "overlay_root": str(copy)})
        with pytest.warns(UserWarning, match="as after a power cut"):
            positions, _ = opened.get_run("TS_1").picks[0].numpy()
        assert len(positions) in (1, 300)
        found.append(positions[0, 0])

    assert found[0] == 4  # only the branch's file was missing
    assert found == sorted(found, reverse=True)
    assert len(found) >= 12


def test_a_damaged_repository_is_read_only_until_the_doctor_has_repaired_it(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    stored.from_numpy([[2, 0, 0]])
    tip = root.history()[0].id
    os.unlink(tmp_path / "history" / "snapshots" / tip)
    damaged = copick_core.open(config)

    with pytest.warns(UserWarning, match="last good one"):
        assert damaged.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1, 0, 0]]
    with pytest.raises(InvalidDataError, match="doctor --repair"):
        damaged.new_run("TS_2")
    (found,) = [f for f in doctor(damaged) if f.problem.id == "damaged-commits"]
    found.problem.repair.apply()
    mended = copick_core.open(config)
    mended.new_run("TS_2")

    assert [run.name for run in mended.runs] == ["TS_1", "TS_2"]


def test_a_repository_without_any_commit_left_says_what_to_do(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    root.new_run("TS_1")
    shutil.rmtree(tmp_path / "history" / "snapshots")

    with pytest.raises(InvalidDataError, match="all its commits are missing; restore a backup"):
        copick_core.open(config).get_run("TS_1")


def test_a_lost_branch_continues_from_its_own_commits(
    root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    picks(root, "TS_1", "alice", 1)
    root.new_branch("other")
    picks(root.on_branch("other"), "TS_2", "alice", 1)
    os.unlink(tmp_path / "history" / "refs" / "branch.main" / "ref.json")

    with pytest.warns(UserWarning, match="as after a power cut"):
        runs = [run.name for run in copick_core.open(config).runs]

    assert runs == ["TS_1"]
