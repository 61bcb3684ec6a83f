"""Killed writers, readers that poll, and several writers at once: nothing is torn, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from copick_backend_fs.local import LocalLayer
from support import chaos

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def start(job: str, root: Path, argument: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, chaos.__file__, job, str(root), str(argument)], stdout=subprocess.PIPE)


def outcome(process: subprocess.Popen[bytes]) -> dict[str, int]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    result: dict[str, int] = json.loads(output)
    return result


def test_of_200_killed_writers_of_picks_none_tears_or_loses_anything(tmp_path: Path) -> None:
    found = outcome(start("kill-picks", tmp_path, 200))

    assert (found["torn"], found["lost"]) == (0, 0)
    assert found["killed_writing"] > 50


def test_of_50_killed_writers_of_a_volume_each_leaves_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    found = outcome(start("kill-volumes", tmp_path, 50))

    assert (found["torn"], found["lost"]) == (0, 0)
    assert found["killed_writing"] > 10


def test_a_reader_that_polls_never_sees_a_torn_file(tmp_path: Path) -> None:
    layer = LocalLayer("overlay", tmp_path)
    chaos.write_picks(layer, 0)
    writer = start("rewrite", tmp_path, 1.5)

    seen = set()
    while writer.poll() is None:
        data, revision = layer.read_revised(chaos.PICKS)
        seen.add((chaos.number_of(data), revision))

    numbers = [number for number, _ in seen]
    assert None not in numbers
    assert len(numbers) == len(set(numbers))  # one revision for each content
    assert len(numbers) > 10
    assert outcome(writer)["writes"] in numbers


def test_of_processes_that_count_up_together_no_count_is_lost(tmp_path: Path) -> None:
    layer = LocalLayer("overlay", tmp_path)
    layer.write(chaos.PICKS, b"0")

    found = [outcome(process) for process in [start("count-up", tmp_path, 150) for _ in range(3)]]

    assert layer.read(chaos.PICKS) == b"450"
    assert sum(each["conflicts"] for each in found) > 0


def test_a_writer_goes_on_while_its_run_is_deleted_again_and_again(tmp_path: Path) -> None:
    writer, deleter = start("rewrite", tmp_path, 1.5), start("delete", tmp_path, 1.5)

    assert outcome(deleter)["deleted"] > 0
    assert outcome(writer)["writes"] > 0
