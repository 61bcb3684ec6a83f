"""Writers of one process each commit at the same time, on disk and in a bucket, and nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import copick_core
from support.s3_server import S3Server

#: Files of its own, each a commit; then a file of all, until its points are in it.
WRITER = """
import json, sys, copick_core
from copick_core.errors import ConflictError
root = copick_core.open(json.loads(sys.argv[1]))
me, count = root.user_id, int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    root.get_run("TS_1").new_picks("ribosome", str(number), me, positions=[[number, 0, 0]])
for number in range(count):
    while True:
        root.refresh()
        (shared,) = root.get_run("TS_1").get_picks(user_id="all")
        points = shared.numpy()[0].tolist()
        try:
            shared.from_numpy([*points, [int(me[4:]), number, 0]])
            break
        except ConflictError:
            continue
"""
COUNT = 4


@pytest.fixture(params=["disk", "bucket"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    fields = {"config_type": "icechunk", "pickable_objects": [{"name": "ribosome", "is_particle": True}]}
    if request.param == "disk":
        yield {**fields, "overlay_root": str(tmp_path / "history")}
        return
    with S3Server() as server:
        server.empty("lab")
        keys = {"access_key_id": "someone", "secret_access_key": "hidden"}
        arguments = {"endpoint_url": server.url, "region": "us-east-1", **keys}
        yield {**fields, "overlay_root": "s3://lab/project", "storage_args": arguments}


@pytest.mark.parametrize("writers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_writers_of_many_processes_lose_nothing(config: dict[str, Any], writers: int) -> None:
    root = copick_core.open({**config, "user_id": "reader"})
    root.new_run("TS_1").new_picks("ribosome", "1", "all", positions=[[0, 0, 9]])
    names = [f"user{number}" for number in range(writers)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps({**config, "user_id": name}), str(COUNT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * writers
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * writers

    root.refresh()
    run = root.get_run("TS_1")
    for name in names:
        assert sorted(p.numpy()[0][0, 0] for p in run.get_picks(user_id=name)) == [*range(COUNT)]
    (shared,) = run.get_picks(user_id="all")
    expected = [[0, 0, 9], *([int(name[4:]), number, 0] for name in names for number in range(COUNT))]
    assert sorted(shared.numpy()[0].tolist()) == sorted(expected)
    authors = [commit.author for commit in root.history()]
    assert all(authors.count(name) == 2 * COUNT for name in names)
