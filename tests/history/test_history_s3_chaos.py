"""A history in a bucket outlives writers that die at any request, and objects that are lost or overwritten."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.errors import CopickError, InvalidDataError
from copick_core.projects.doctor import doctor
from support.histories import picks
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.empty("lab")
    return running


@pytest.fixture
def config(server: S3Server) -> dict[str, Any]:
    keys = {"access_key_id": "someone", "secret_access_key": "hidden"}
    arguments = {"endpoint_url": server.url, "region": "us-east-1", **keys}
    fields = {"overlay_root": "s3://lab/project", "storage_args": arguments, "user_id": "alice"}
    return {"config_type": "icechunk", **fields, "pickable_objects": [{"name": "ribosome", "is_particle": True}]}


def write_picks(root: CopickRootIcechunk, value: int) -> None:
    picks(root, "TS_1", "alice", *[value] * 50)


def write_many(root: CopickRootIcechunk, value: int) -> None:
    with root.transaction("two files and a volume"):
        write_picks(root, value)
        picks(root, "TS_2", "alice", value)
        write_volume(root, value)


def write_volume(root: CopickRootIcechunk, value: int) -> None:
    spacing = root.new_run("TS_1", exist_ok=True).new_voxel_spacing(10.0, exist_ok=True)
    spacing.new_tomogram("wbp", exist_ok=True).from_numpy(np.full((8, 4, 4), value, "f4"), levels=1, chunks=4)


def found(config: dict[str, Any]) -> dict[str, set[float]]:
    """All values of the picks and of the tomogram."""
    root = copick_core.open(config)
    values = {f"{run.name} picks": set(p.numpy()[0][:, 0].tolist()) for run in root.runs for p in run.picks}
    tomograms = [t for run in root.runs for spacing in run.voxel_spacings for t in spacing.tomograms]
    return values | {t.tomo_type: set(np.unique(t.numpy()).tolist()) for t in tomograms}


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_picks, write_volume, write_many])
def test_a_writer_killed_at_any_request_leaves_the_old_or_the_new(
    server: S3Server, config: dict[str, Any], write: Callable[[CopickRootIcechunk, int], None]
) -> None:
    write(copick_core.open(config), 1)
    server.forget()
    write(copick_core.open(config), 2)
    total = len(server.requests)
    outcomes: Counter[float] = Counter()
    for allows in range(total):
        write(copick_core.open(config), 1)
        server.allows = allows
        try:
            write(copick_core.open(config), 2)
            told = False
        except CopickError:
            told = True
        server.allows = None

        left = {value for values in found(config).values() for value in values}
        assert len(left) == 1, f"after {allows} of {total} requests: {left}"
        assert told or left == {2}
        outcomes.update(left)

    assert outcomes[1] >= total // 2
    write(copick_core.open(config), 3)
    assert {value for values in found(config).values() for value in values} == {3}


@pytest.mark.slow
def test_a_writer_killed_while_it_makes_the_repository_leaves_a_place_that_can_be_used(
    server: S3Server, config: dict[str, Any]
) -> None:
    write_picks(copick_core.open(config), 1)
    total = len(server.requests)
    for allows in range(total):
        server.empty("lab")
        server.allows = allows
        with pytest.raises(CopickError):
            write_picks(copick_core.open(config), 1)
        server.allows = None

        write_picks(copick_core.open(config), 2)
        assert found(config) == {"TS_1 picks": {2}}


def newest(server: S3Server, folder: str, root: CopickRootIcechunk) -> str:
    """The key of what the newest commit has added to a folder."""
    before = {*server.keys("lab")}
    write_picks(root, 2)
    (added,) = (key for key in {*server.keys("lab")} - before if f"/{folder}/" in key)
    return added


@pytest.mark.parametrize("content", [None, b"", b"not what icechunk wrote"])
@pytest.mark.parametrize("folder", ["snapshots", "manifests"])
def test_a_bucket_that_lost_files_of_its_newest_commit_opens_at_the_last_good_one(
    server: S3Server, config: dict[str, Any], folder: str, content: bytes | None
) -> None:
    root = copick_core.open(config)
    write_picks(root, 1)
    key = newest(server, folder, root)
    if content is None:
        server.delete("lab", key)
    else:
        server.put("lab", {key: content})
    damaged = copick_core.open(config)

    with pytest.warns(UserWarning, match="last good one"):
        assert damaged.get_run("TS_1").picks[0].numpy()[0][0, 0] == 1
    with pytest.raises(InvalidDataError, match="doctor --repair"):
        damaged.new_run("TS_2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (problem,) = [f.problem for f in doctor(copick_core.open(config)) if f.problem.id == "damaged-commits"]
    problem.repair.apply()
    copick_core.open(config).new_run("TS_2")

    assert [run.name for run in copick_core.open(config).runs] == ["TS_1", "TS_2"]


def test_a_bucket_that_lost_its_branch_continues_from_its_newest_commit(server: S3Server, config: dict[str, Any]) -> None:
    root = copick_core.open(config)
    for value in (1, 2, 3):
        write_picks(root, value)
    server.delete("lab", "project/refs/branch.main/ref.json")

    with pytest.warns(UserWarning, match="look whether your last changes are in it"):
        assert found(config) == {"TS_1 picks": {3}}
    assert len(copick_core.open(config).history()) == len(root.history())
