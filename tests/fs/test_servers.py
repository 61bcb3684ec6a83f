"""Projects on real servers: everything is there again, also after the server was killed, and nobody waits for a silent one."""

from __future__ import annotations

import gc
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import BeingReplacedError, ConfigError, ConflictError, InvalidNameError, UnreachableError
from support import server_writer
from support.places import KINDS, Place, Servers, documented
from support.servers import MissingServerError, SilentHost, unreachable_port
from support.servers.process import stopped

# smbprotocol cannot close what it had open at a server that was killed, and says so when it is collected, maybe tests later.
pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore:unclosed SMB handle:ResourceWarning")]

RESTARTING = [name for name, (server, *_) in KINDS.items() if server.restarts]
VOLUME = np.arange(24 * 20 * 16, dtype=np.float32).reshape(24, 20, 16)
LABELS = (VOLUME % 3).astype(np.uint8)  # 1 and 2 are labels of the project


@pytest.fixture
def place(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Place]:
    try:
        place = servers.place(request.param)
    except MissingServerError as error:
        pytest.skip(str(error))
    yield place
    gc.collect()  # what is said of handles is said here, and not in tests of other files


def fill(root: Any) -> None:
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_mesh("membrane", "1", mesh=trimesh.creation.box())
    run.new_filaments("ribosome", "1")
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(VOLUME)
    tomogram.new_features("sobel").from_numpy(VOLUME)
    run.new_segmentation(10.0, "membrane", "1").from_numpy(LABELS)
    root.get_object("ribosome").from_numpy(VOLUME, 10.0)


def is_whole(root: Any) -> None:
    run = root.get_run("TS_1")
    np.testing.assert_array_equal(run.picks[0].numpy()[0], [[1, 2, 3]])
    np.testing.assert_allclose(run.meshes[0].mesh.bounds, [[-0.5] * 3, [0.5] * 3])
    assert len(run.filaments) == 1
    tomogram = run.voxel_spacings[0].tomograms[0]
    np.testing.assert_array_equal(tomogram.numpy(), VOLUME)
    np.testing.assert_array_equal(tomogram.numpy(x=slice(3, 7), y=slice(2, 4), z=slice(5, 6)), VOLUME[5:6, 2:4, 3:7])
    np.testing.assert_array_equal(tomogram.features[0].numpy(), VOLUME)
    np.testing.assert_array_equal(run.segmentations[0].numpy(), LABELS)
    np.testing.assert_array_equal(root.get_object("ribosome").numpy(), VOLUME)


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_every_kind_is_there_again_and_gone_when_its_run_is_deleted(place: Place) -> None:
    fill(copick_core.open(place.config()))

    again = copick_core.open(place.config())
    is_whole(again)
    again.get_run("TS_1").delete()

    assert list(copick_core.open(place.config()).runs) == []


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_volumes_in_shards_are_read_in_part(place: Place) -> None:
    volume = np.arange(32**3, dtype=np.float32).reshape(32, 32, 32)
    tomogram = copick_core.open(place.config()).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(volume, zarr_format=3, chunks=8, shards=32)

    read = copick_core.open(place.config()).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")

    np.testing.assert_array_equal(read.numpy(z=slice(3, 5), y=slice(10, 12), x=slice(20, 30)), volume[3:5, 10:12, 20:30])


@pytest.mark.parametrize("place", RESTARTING, indirect=True)
def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(place: Place) -> None:
    root = copick_core.open(place.config())
    fill(root)

    place.server.restart()
    is_whole(root)
    place.server.restart()
    root.new_run("TS_2")

    assert [run.name for run in copick_core.open(place.config()).runs] == ["TS_1", "TS_2"]


@pytest.mark.parametrize("place", RESTARTING, indirect=True)
def test_a_server_that_is_down_is_an_error_that_names_place_and_field_and_passes(place: Place) -> None:
    root = copick_core.open(place.config(offline_seconds=0))
    fill(root)
    picks = root.get_run("TS_1").picks[0]

    place.server.kill()
    began = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        picks.from_numpy([[7.0, 8.0, 9.0]])
    waited = time.monotonic() - began
    place.server.start()
    picks.refresh()
    picks.from_numpy([[4.0, 5.0, 6.0]])

    assert waited < 15
    assert caught.value.location == place.url
    assert "overlay_root and overlay_fs_args" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in secrets(place))
    [point] = json.loads(place.read("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"))["points"]
    assert point["location"] == {"x": 4.0, "y": 5.0, "z": 6.0}


def secrets(place: Place) -> list[str]:
    return [str(value) for name, value in place.fs_args.items() if name in ("password", "secret", "connection_string")]


def _when_settled(tomogram: Any) -> Any:
    """Read a volume; a writer that could not say that it gave up is taken for dead after a minute."""
    end = time.monotonic() + 90
    while True:
        try:
            return tomogram.numpy()
        except BeingReplacedError:
            if time.monotonic() > end:
                raise


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("place", RESTARTING, indirect=True)
def test_a_server_killed_while_a_volume_is_replaced_leaves_the_old_one_or_the_new_one(place: Place) -> None:
    root = copick_core.open(place.config(offline_seconds=0))
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.zeros((64, 64, 64), np.float32), chunks=16)
    failures: list[BaseException] = []

    def replace() -> None:
        try:
            tomogram.from_numpy(np.ones((64, 64, 64), np.float32), chunks=16)
        except OSError as error:
            failures.append(error)

    for pause in (0.05, 0.2, 0.4):
        writer = threading.Thread(target=replace)
        writer.start()
        writer.join(pause)
        place.server.restart()
        writer.join()
        seen = _when_settled(copick_core.open(place.config()).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp"))
        assert seen.min() == seen.max(), f"a mixture after {failures}"

    tomogram.from_numpy(np.full((64, 64, 64), 2, np.float32), chunks=16)

    assert copick_core.open(place.config()).get_run("TS_1").voxel_spacings[0].tomograms[0].numpy().min() == 2


# ------------------------------------------------------------------------------------------------------------- several writers


def compete(place: Place, writers: int, stores: int) -> tuple[list[dict[str, Any]], set[float]]:
    """Let writers store into one set of picks at once: what each was told, and the x of all points in the final file."""
    picks = copick_core.open(place.config()).new_run("TS_1").new_picks("ribosome", "1")
    picks.from_numpy([[-1.0, 0.0, 0.0]])
    command = [sys.executable, server_writer.__file__, json.dumps(place.config())]
    processes = [
        subprocess.Popen([*command, str(number), str(stores)], stdout=subprocess.PIPE) for number in range(1, writers + 1)
    ]
    told = [json.loads(process.communicate(timeout=600)[0]) for process in processes]
    final = json.loads(place.read("ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"))
    return told, {point["location"]["x"] for point in final["points"]}


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_two_writers_are_told_of_each_other_and_lose_nothing(place: Place) -> None:
    told, stored = compete(place, 2, 15)

    assert sum(len(writer["acknowledged"]) + writer["conflicts"] for writer in told) == 30
    assert {x for writer in told for x in writer["acknowledged"]} == stored - {-1.0}


@pytest.mark.full
@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_four_writers_of_fifty_stores_each_lose_nothing(place: Place) -> None:
    told, stored = compete(place, 4, 50)

    assert sum(len(writer["acknowledged"]) + writer["conflicts"] for writer in told) == 200
    assert {x for writer in told for x in writer["acknowledged"]} == stored - {-1.0}
    assert sum(writer["conflicts"] for writer in told) >= 20
    assert min(len(writer["acknowledged"]) for writer in told) >= 10


@pytest.mark.parametrize("place", ["smb"], indirect=True)
def test_a_share_is_never_asked_to_replace_what_this_process_reads(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from copick_backend_fs import live, smb

    picks = copick_core.open(place.config()).new_run("TS_1").new_picks("ribosome", "1", positions=[[0.0, 0.0, 0.0]])
    monkeypatch.setattr(live, "_IN_USE", {})  # what the server refuses once is an error
    monkeypatch.setattr(smb, "ATTEMPTS", 1)
    done = threading.Event()

    def read() -> int:
        reader = copick_core.open(place.config()).get_run("TS_1").picks[0]
        for times in itertools.count():
            if done.is_set():
                return times
            reader.refresh()
            assert len(reader.numpy()[0]) == 1
        raise AssertionError

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for x in range(20):
                picks.from_numpy([[x, 0.0, 0.0]])
        finally:
            done.set()

    assert min(reader.result() for reader in readers) > 0


@pytest.mark.parametrize("place", ["ssh", "smb"], indirect=True)
def test_the_lock_of_a_writer_that_died_keeps_nobody_waiting(place: Place) -> None:
    run = copick_core.open(place.config()).new_run("TS_1")
    picks = run.new_picks("ribosome", "1")
    lock = place.server.project / place.folder / "ExperimentRuns/TS_1/Picks/.writing-alice_1_ribosome.json"  # type: ignore[attr-defined]
    process = subprocess.Popen(["/bin/sleep", "0"])
    from copick_backend_fs.writers import host

    process.wait()
    lock.write_text(json.dumps(["a", host(), process.pid, "1"]))

    began = time.monotonic()
    picks.from_numpy([[1.0, 2.0, 3.0]])

    assert time.monotonic() - began < 5
    assert not lock.exists()


@pytest.mark.parametrize("place", ["ssh"], indirect=True)
def test_a_lock_that_others_hold_without_end_is_a_conflict_or_waited_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from copick_backend_fs import locks

    monkeypatch.setattr(locks, "LEASE", 0.5)
    picks = copick_core.open(place.config()).new_run("TS_1").new_picks("ribosome", "1")
    lock = place.server.project / place.folder / "ExperimentRuns/TS_1/Picks/.writing-alice_1_ribosome.json"  # type: ignore[attr-defined]
    lock.write_text(json.dumps(["a", "another machine", 1, "1"]))

    picks.from_numpy([[1.0, 2.0, 3.0]])
    monkeypatch.setattr(locks, "LEASE", 60.0)
    monkeypatch.setattr(locks, "_PATIENCE", 0.5)
    lock.write_text(json.dumps(["b", "another machine", 1, "1"]))
    with pytest.raises(ConflictError):
        picks.from_numpy([[4.0, 5.0, 6.0]])

    assert json.loads(lock.read_text())[0] == "b"


# --------------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("place", ["ssh"], indirect=True)
def test_the_key_of_an_ssh_server_must_be_in_the_known_hosts_of_the_user(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {name: value for name, value in place.fs_args.items() if name != "known_hosts"}
    file = tmp_path / ".ssh" / "known_hosts"
    file.parent.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(copick_core.open(place.config(overlay_fs_args=arguments)).runs) == []

    file.write_text("")
    with pytest.raises(ConfigError, match=r"key cannot be verified.*known_hosts"):
        list(copick_core.open(place.config(overlay_fs_args=arguments)).runs)
    file.write_bytes((place.server.folder / "known_hosts").read_bytes())

    assert list(copick_core.open(place.config(overlay_fs_args=arguments)).runs) == []


# -------------------------------------------------------------------------------------------------------------- the documents


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_the_table_of_places_says_what_a_place_does(place: Place) -> None:
    root = copick_core.open(place.config())
    picks = root.new_run("TS_1").new_picks("ribosome", "1")
    other = copick_core.open(place.config()).get_run("TS_1").picks[0]
    other.numpy()
    picks.from_numpy([[1.0, 2.0, 3.0]])
    with pytest.raises(ConflictError):
        other.from_numpy([[4.0, 5.0, 6.0]])
    files = root.layers.overlay.unwrap()._files

    row = documented()[place.name]

    assert row[0] == ("by one request" if files.writes_whole else "by one rename")
    assert row[1] == ("from a staged copy, with a record" if files.writes_whole else "by two renames")
    assert row[2] == f"`ConflictError`, {'by a conditional write' if files.writes_whole else 'under a lock file'}"
    assert row[3] == f"`UnreachableError`; {'finished later' if files.writes_whole else 'old or new'}"


# ------------------------------------------------------------------------------------------------------------------ odd names


@pytest.mark.parametrize("name", ["T?", "a:b", "TS*", "ends."])
@pytest.mark.parametrize("place", ["smb"], indirect=True)
def test_a_name_that_a_windows_share_refuses_is_refused_when_it_is_made(place: Place, name: str) -> None:
    root = copick_core.open(place.config())

    assert root.get_run(name) is None
    with pytest.raises(InvalidNameError, match="Windows shares"):
        root.new_run(name)


@pytest.mark.parametrize("place", [name for name in KINDS if name != "smb"], indirect=True)
def test_a_name_with_a_question_mark_is_listed_and_found(place: Place) -> None:
    copick_core.open(place.config()).new_run("T?").new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])

    root = copick_core.open(place.config())

    assert [run.name for run in root.runs] == ["T?"]
    assert len(root.get_run("T?").picks[0].numpy()[0]) == 1


# --------------------------------------------------------------------------------------------------------- nobody, and silence


def at_port(port: int) -> dict[str, dict[str, Any]]:
    """A configuration of each protocol whose server is at a port of loopback."""
    account = f"AccountName=a;AccountKey=Z2VoZWlt;BlobEndpoint=http://127.0.0.1:{port}/a"
    s3 = {"key": "me", "secret": "geheim", "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}"}}
    azure = {
        "overlay_root": "az://lab/p",
        "overlay_fs_args": {"connection_string": f"DefaultEndpointsProtocol=http;{account}"},
    }
    login = {"port": port, "username": "me", "password": "geheim"}
    return {
        "ssh": {"overlay_root": "ssh://127.0.0.1/data", "overlay_fs_args": login},
        "smb": {"overlay_root": "smb://127.0.0.1/share/p", "overlay_fs_args": login},
        "az": azure,
        "az over adlfs": {**azure, "obstore": False},
        "s3": {"overlay_root": "s3://lab/p", "overlay_fs_args": s3},
        "s3 over s3fs": {"overlay_root": "s3://lab/p", "overlay_fs_args": s3, "obstore": False},
        "http": {"static_root": f"http://127.0.0.1:{port}/p"},
    }


_CALLS = """
import json, sys, time
import copick_core
from copick_core.errors import UnreachableError
root = copick_core.open(json.loads(sys.argv[1]))
told = []
for call in (lambda: root.runs, lambda: root.get_run("TS_1"), lambda: root.runs):
    began = time.monotonic()
    try:
        call()
        told.append([time.monotonic() - began, "an answer"])
    except UnreachableError as error:
        told.append([time.monotonic() - began, str(error)])
print(json.dumps(told))
"""


def ask(config: dict[str, Any]) -> tuple[list[tuple[float, str]], float]:
    """What three calls in a process of its own were told, each with its seconds, and the seconds of the whole process."""
    began = time.monotonic()
    config = {"config_type": "filesystem", "user_id": "me", **config}
    done = subprocess.run([sys.executable, "-c", _CALLS, json.dumps(config)], stdout=subprocess.PIPE, check=True, timeout=120)
    return json.loads(done.stdout), time.monotonic() - began


@pytest.mark.parametrize("name", at_port(0))
def test_nobody_listens(name: str) -> None:
    told, whole = ask(at_port(unreachable_port())[name])

    assert all("cannot be reached" in message and "_fs_args" in message and "geheim" not in message for _, message in told)
    assert max(seconds for seconds, _ in told) < 15
    assert whole < 60  # no thread keeps the process from ending


@pytest.fixture
def silent() -> Iterator[SilentHost]:
    with SilentHost() as host:
        yield host


@pytest.mark.parametrize("name", at_port(0))
def test_a_silent_host_is_given_up_and_not_asked_again_for_a_while(name: str, silent: SilentHost) -> None:
    told, whole = ask({**at_port(silent.port)[name], "timeout_seconds": 1.5, "offline_seconds": 60})

    assert [("cannot be reached" in message, "geheim" in message) for _, message in told] == [(True, False)] * 3
    assert told[0][0] < 1.5 + 1.0  # a machine under load is late
    assert told[1][0] < 1.0
    assert "reconnect()" in told[1][1]
    assert whole < 60


@pytest.mark.full
@pytest.mark.parametrize("name", at_port(0))
def test_a_silent_host_is_given_up_within_15_seconds_by_default(name: str, silent: SilentHost) -> None:
    told, whole = ask(at_port(silent.port)[name])

    assert max(seconds for seconds, _ in told) < 15
    assert whole < 60


@pytest.mark.parametrize("place", RESTARTING, indirect=True)
def test_a_server_that_stops_answering_in_the_middle_is_given_up_and_found_again(place: Place) -> None:
    root = copick_core.open(place.config(timeout_seconds=3, offline_seconds=60))
    fill(root)

    with stopped(place.server.process_id):
        began = time.monotonic()
        root.refresh()
        with pytest.raises(UnreachableError):
            root.get_run("TS_1")
        waited = time.monotonic() - began
    root.reconnect()

    is_whole(root)
    assert waited < 6


@pytest.mark.parametrize("place", ["ssh"], indirect=True)
def test_a_call_that_takes_longer_than_the_timeout_goes_on_while_the_server_answers(place: Place) -> None:
    root = copick_core.open(place.config(timeout_seconds=3))
    fill(root)
    layer = root.layers.overlay.unwrap()

    async def slow(live: Any) -> str:
        import asyncio

        await asyncio.sleep(3.5)
        return "done"

    assert layer._connection.ask(slow) == "done"


def test_a_timeout_must_be_a_number_above_zero(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="timeout_seconds"):
        copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path), "timeout_seconds": 0})
