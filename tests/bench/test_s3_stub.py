"""The S3 stub of the benchmarks answers as moto's server does, to s3fs and to our backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import s3fs
from s3_stub import S3Stub

import copick_core
from copick_core.errors import ConflictError
from support.objects import OBJECTS
from support.s3_server import S3Server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["stub", "moto"])
def server(request: pytest.FixtureRequest, moto: S3Server) -> Iterator[S3Stub | S3Server]:
    if request.param == "moto":
        moto.empty("lab")
        yield moto
    else:
        with S3Stub() as stub:
            yield stub


@pytest.fixture
def fs(server: S3Stub | S3Server) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key="someone", secret="any", endpoint_url=server.url, skip_instance_cache=True, use_listings_cache=False
    )


def open_root(server: S3Stub | S3Server) -> Any:
    fs_args = {"endpoint_url": server.url, "key": "someone", "secret": "any"}
    config = {"config_type": "filesystem", "overlay_root": "s3://lab/p", "overlay_fs_args": fs_args}
    return copick_core.open({**config, "pickable_objects": OBJECTS, "user_id": "alice"})


def test_objects_are_written_listed_read_copied_and_deleted(server, fs) -> None:
    content = bytes(range(256)) * 10

    fs.pipe_file("lab/a/one ü+&", content)
    fs.copy("lab/a/one ü+&", "lab/a/b/two")

    assert fs.cat_file("lab/a/one ü+&") == content
    assert fs.cat_file("lab/a/b/two", start=3, end=9) == content[3:9]
    assert fs.ls("lab/a", detail=False) == ["lab/a/b", "lab/a/one ü+&"]
    assert fs.info("lab/a/b/two")["size"] == len(content)
    fs.rm(["lab/a/one ü+&", "lab/a/b/two"])
    assert server.keys("lab") == []
    with pytest.raises(FileNotFoundError):
        fs.cat_file("lab/a/b/two")


def test_listings_have_pages(server, fs) -> None:
    names = [f"lab/many/{n:04}" for n in range(1500)] + ["lab/many/sub"]
    server.put("lab", {f"many/{n:04}": b"" for n in range(1500)} | {f"many/sub/{n:04}": b"" for n in range(1500)})

    with server.counting() as counts:
        listed = fs.ls("lab/many", detail=False)

    assert listed == names
    assert counts == {"LIST": 2}


def test_a_missing_bucket_is_told_from_an_empty_folder(server, fs) -> None:
    server.put("lab", {"x": b""})

    assert not fs.exists("lab/nothing")
    with pytest.raises(FileNotFoundError):
        fs.ls("nowhere")


def write_list_and_read_back(server: S3Stub | S3Server) -> None:
    volume = np.arange(2 * 130 * 4, dtype=np.float32).reshape(2, 130, 4)
    run = open_root(server).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(volume)
    run.new_picks("ribosome", "1", "alice").from_numpy([[1.0, 2.0, 3.0]])

    root = open_root(server)
    root.prefetch()

    assert [(p.user_id, len(p.points)) for p in root.get_run("TS_1").picks] == [("alice", 1)]
    tomogram = root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
    np.testing.assert_array_equal(tomogram.numpy(), volume)
    np.testing.assert_array_equal(tomogram.numpy(y=slice(100, 130)), volume[:, 100:])


def test_our_backend_writes_lists_and_reads_back(server) -> None:
    write_list_and_read_back(server)


def test_a_region_moves_the_bytes_of_its_chunks_and_nothing_else() -> None:
    with S3Stub() as stub:
        volume = np.random.default_rng(0).random((256, 130, 4), np.float32)
        open_root(stub).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(volume)
        tomogram = open_root(stub).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")
        stub.forget()

        region = tomogram.numpy(z=slice(100, 156), y=slice(0, 10))

        array = "p/ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/0"
        read = [f"{array}/{name}" for name in (".zarray", ".zattrs", "0/0/0", "1/0/0")]
        read.append("p/ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr/.zattrs")
        np.testing.assert_array_equal(region, volume[100:156, :10])
        assert stub.counts == {"GET": 4, "HEAD": 1}  # the last one checks that it was one volume
        assert stub.sent <= sum(len(stub.content("lab", key)) for key in read if key in stub.keys("lab")) + 1000


def test_picks_move_their_own_bytes_once() -> None:
    with S3Stub() as stub:
        open_root(stub).new_run("TS_1").new_picks("ribosome", "1", "alice").from_numpy(np.ones((1000, 3)))
        picks = open_root(stub).get_run("TS_1").get_picks("ribosome")[0]
        stub.forget()

        picks.numpy()

        assert (stub.counts, stub.sent) == ({"GET": 1}, len(stub.content("lab", stub.keys("lab")[-1])))


def test_a_new_run_or_spacing_is_looked_for_once() -> None:
    with S3Stub() as stub:
        root = open_root(stub)
        with stub.counting() as of_run:
            run = root.new_run("TS_1")
        with stub.counting() as of_spacing:
            run.new_voxel_spacing(10.0)

        assert of_run == of_spacing == {"LIST": 1, "HEAD": 1, "PUT": 1}


def test_conditions_are_kept(server) -> None:
    mine = open_root(server).new_run("TS_1").new_picks("ribosome", "1", "alice")
    mine.from_numpy([[1.0, 2.0, 3.0]])
    theirs = open_root(server).get_run("TS_1").get_picks("ribosome")[0]
    theirs.from_numpy([[4.0, 5.0, 6.0]])

    with pytest.raises(ConflictError):
        mine.from_numpy([[7.0, 8.0, 9.0]])


def test_both_servers_count_the_same_requests(moto) -> None:
    moto.empty("lab")
    counted = []
    with S3Stub() as stub:
        for server in (stub, moto):
            with server.counting() as counts:
                write_list_and_read_back(server)
            counted.append(counts)

    assert counted[0] == counted[1]
    assert sum(counted[0].values()) > 20
