"""What a commit and a look back cost: files on disk, requests to a bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from support.histories import picks
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as running:
        running.empty("lab")
        yield running


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


def test_a_commit_of_a_file_adds_four_files_and_changes_one(root: CopickRootIcechunk, tmp_path: Path) -> None:
    stored = picks(root, "TS_1", "alice", *range(200))
    before = files(tmp_path)

    stored.from_numpy([[x, 1, 2] for x in range(200)])

    added = files(tmp_path) - before
    assert sorted(path.parent.name for path in added) == ["chunks", "manifests", "snapshots", "transactions"]


def test_a_small_file_needs_no_file_of_its_own(root: CopickRootIcechunk, tmp_path: Path) -> None:
    stored = picks(root, "TS_1", "alice", 1)
    before = files(tmp_path)

    stored.from_numpy([[2, 0, 0]])

    assert sorted(path.parent.name for path in files(tmp_path) - before) == ["manifests", "snapshots", "transactions"]


def test_sessions_load_no_manifest_ahead(root: CopickRootIcechunk) -> None:
    picks(root, "TS_1", "alice", 1)

    manifest = copick_core.open(root.config.model_dump()).history_layer.commits.existing().config.manifest

    assert manifest.preload.max_total_refs == 0  # choosing which ones takes longer than the rest of a commit


def in_bucket(server: S3Server, name: str) -> dict[str, Any]:
    fields = {
        "overlay_root": f"s3://lab/{name}",
        "user_id": "alice",
        "pickable_objects": [{"name": "ribosome", "is_particle": True}],
    }
    keys = {"endpoint_url": server.url, "region": "us-east-1", "access_key_id": "someone", "secret_access_key": "hidden"}
    return {"config_type": "icechunk", "storage_args": keys, **fields}


def test_a_look_back_by_id_and_at_the_newest_commits_reads_no_others(server: S3Server) -> None:
    config = in_bucket(server, "looking-back")
    root = copick_core.open(config)
    stored = picks(root, "TS_1", "alice", 1)
    (oldest, *_) = [commit.id for commit in root.history()]
    counts = []
    for _ in range(2):
        for x in range(10):
            stored.from_numpy([[x, 0, 0]])
        with server.counting() as by_id:
            copick_core.open(config).as_of(oldest).get_run("TS_1").picks[0].numpy()
        with server.counting() as newest:
            assert len(copick_core.open(config).history(limit=2)) == 2
        counts.append((sum(by_id.values()), sum(newest.values())))

    assert counts[0] == counts[1]


def test_what_is_read_of_a_bucket_does_not_grow_with_the_history(server: S3Server) -> None:
    config = in_bucket(server, "costs")
    root = copick_core.open(config)
    stored = picks(root, "TS_1", "alice", 1)
    counts = []
    for _ in range(2):
        with server.counting() as asked:
            copick_core.open(config).get_run("TS_1").picks[0].numpy()
        counts.append(sum(asked.values()))
        for x in range(20):
            stored.from_numpy([[x, 0, 0]])

    assert counts[0] == counts[1] <= 12
