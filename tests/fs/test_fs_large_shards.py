"""A shard of a whole level in a remote place is changed piece by piece: it is never in memory whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from support.s3_server import S3Server

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(params=["memory", "s3-obstore", "s3-s3fs"])
def config(request: pytest.FixtureRequest, server: Any, fs_args: Any, tmp_path: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"config_type": "filesystem", "pickable_objects": [], "format": "copick-2"}
    if request.param == "memory":
        return config | {"overlay_root": f"memory://{tmp_path}"}
    return config | {"overlay_root": "s3://lab/p", "overlay_fs_args": fs_args, "obstore": request.param == "s3-obstore"}


def tomogram(config: dict[str, Any]) -> Any:
    root = copick_core.open(config)
    return root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True).new_tomogram("wbp", exist_ok=True)


def test_a_shard_is_sent_in_pieces_and_read_again(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("files", "s3", "object_store"):
        monkeypatch.setattr(f"copick_backend_fs.{module}.PIECE", 5 * 2**20)  # the smallest that S3 takes
    data = np.random.default_rng(0).random((192, 160, 128), np.float32)
    made = tomogram(config)

    made.from_numpy(data, levels=1)
    made.set_region(data[:4] + 1, z=slice(0, 4))

    data[:4] += 1
    np.testing.assert_array_equal(tomogram(config).numpy(), data)


def test_an_upload_that_fails_leaves_the_old_shard(
    config: dict[str, Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if config["overlay_root"].startswith("memory"):
        pytest.skip("nothing of it fails")
    for module in ("files", "s3", "object_store"):
        monkeypatch.setattr(f"copick_backend_fs.{module}.PIECE", 5 * 2**20)
    data = np.random.default_rng(0).random((192, 160, 128), np.float32)
    made = tomogram(config)
    made.from_numpy(data, levels=1)
    made.numpy(z=0)
    requests = len(server.requests)
    made.set_region(data[0], z=0)
    taken = server.requests[requests:]
    server.allows = taken.index("PUT") + 1  # the first part only

    with pytest.raises((OSError, RuntimeError)):
        made.set_region(data[0] + 1, z=0)

    server.allows = None
    np.testing.assert_array_equal(tomogram(config).numpy(), data)


@pytest.mark.parametrize("config", ["s3-obstore", "s3-s3fs"], indirect=True)
def test_the_parts_of_an_upload_that_fails_are_given_up(
    config: dict[str, Any], server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("files", "s3", "object_store"):
        monkeypatch.setattr(f"copick_backend_fs.{module}.PIECE", 5 * 2**20)
    server.refuses_part = 2

    with pytest.raises(PermissionError):
        tomogram(config).from_numpy(np.random.default_rng(0).random((96, 160, 128), np.float32), levels=1)

    assert "POST" in server.requests  # an upload was begun
    assert server.uploads("lab") == []


@pytest.mark.slow
@pytest.mark.parametrize("obstore", [True, False], ids=["obstore", "s3fs"])
def test_a_region_of_a_shard_of_384_mib_takes_at_most_256_mib(obstore: bool) -> None:
    program = [sys.executable, str(SUPPORT / "shard_memory.py")]
    with subprocess.Popen([*program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        done = subprocess.run([*program, url, str(int(obstore))], capture_output=True, text=True, check=False)
        server.communicate()

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["right"]
    assert found["taken_mib"] <= 256
