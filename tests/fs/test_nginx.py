"""Projects that a real nginx serves: what it lists, refuses, does not have, and what happens when it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import copick_core
from copick_core.errors import ConfigError, UnreachableError
from support.objects import OBJECTS
from support.places import documented
from support.servers import MissingServerError, Nginx, SilentHost
from support.servers.nginx import PASSWORD
from support.servers.process import stopped

pytestmark = pytest.mark.slow

VOLUME = np.arange(1, 1 + 32**3, dtype=np.float32).reshape(32, 32, 32)
#: What a configuration says where the server lists no folders.
INDEX = {"runs": ["TS_1"], "voxel_spacings": [10.0], "tomograms": {"10.0": ["wbp"]}}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    try:
        server = Nginx(tmp_path_factory.mktemp("nginx"))
    except MissingServerError as error:
        pytest.skip(str(error))
    with server:
        root = copick_core.open(
            {"config_type": "filesystem", "pickable_objects": OBJECTS, "user_id": "a", "overlay_root": str(server.project)}
        )
        run = root.new_run("TS_1")
        run.new_picks("ribosome", "1", positions=[[1.0, 2.0, 3.0]])
        run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(VOLUME, chunks=4)
        yield server


@pytest.fixture
def opened(nginx: Nginx, tmp_path: Path) -> Any:
    """Opens one of the places of the server as the static side of a project."""

    def open_place(place: str, **fields: Any) -> Any:
        url = place if "://" in place else nginx.at(place)
        common = {"config_type": "filesystem", "pickable_objects": OBJECTS, "user_id": "alice"}
        return copick_core.open({**common, "static_root": url, "overlay_root": str(tmp_path / "mine"), **fields})

    return open_place


def tomogram_of(root: Any) -> Any:
    return root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")


def test_a_server_that_lists_folders_is_read_and_what_is_new_goes_to_the_overlay(opened: Any, tmp_path: Path) -> None:
    root = opened("listed")

    run = root.runs[0]
    run.new_picks("ribosome", "2", positions=[[4.0, 5.0, 6.0]])

    assert run.picks[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(z=slice(3, 9)), VOLUME[3:9])
    assert [path.name for path in (tmp_path / "mine").rglob("*.json")] == ["alice_2_ribosome.json"]


def test_a_location_that_a_web_server_serves_is_not_written_to(nginx: Nginx) -> None:
    with pytest.raises(ConfigError, match="http:// cannot be written to"):
        copick_core.open({"config_type": "filesystem", "overlay_root": nginx.url})


def test_the_table_of_places_says_so() -> None:
    assert documented()["http"] == [*["read-only"] * 3, "`UnreachableError`; a value that was read is right"]


def test_what_cannot_be_listed_is_an_error_with_the_way_out(opened: Any) -> None:
    root = opened("unlisted")

    with pytest.raises(PermissionError, match=r"HTTP status 403.*lists no folders.*runs, voxel_spacings, tomograms"):
        list(root.runs)
    [found] = root.problems()

    assert (found.problem.id, found.layer) == ("unlisted-folder", "static")


def test_where_folders_cannot_be_listed_the_config_tells_what_there_is(opened: Any) -> None:
    root = opened("unlisted", **INDEX)

    [run] = root.runs
    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(), VOLUME)
    with pytest.raises(PermissionError, match="HTTP status 403"):  # they cannot be named, so nobody knows
        list(run.picks)
    assert list(run.meshes) == []  # there is no such folder


def test_a_password_opens_what_is_private_and_is_in_no_error(opened: Any, nginx: Nginx) -> None:
    private = nginx.at("private")

    with pytest.raises(PermissionError, match="HTTP status 401"):
        opened(private).get_run("TS_1")
    with pytest.raises(PermissionError, match="HTTP status 401") as caught:
        opened(private.replace("http://", "http://alice:wrong-secret@")).get_run("TS_1")
    root = opened(private.replace("http://", f"http://alice:{PASSWORD}@"))

    assert "wrong-secret" not in str(caught.value)
    np.testing.assert_array_equal(tomogram_of(root).numpy(), VOLUME)
    assert PASSWORD not in repr(root)


def test_what_is_denied_is_an_error_wherever_it_is_asked_for(opened: Any, tmp_path: Path) -> None:
    root = opened("denied")

    for ask in (lambda: list(root.runs), lambda: root.get_run("TS_1"), lambda: root.new_run("TS_1")):
        with pytest.raises(PermissionError, match="HTTP status 403"):
            ask()

    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("place", ["missing", "gone"])
def test_a_location_that_is_not_there_is_warned_of_and_named_by_the_doctor(opened: Any, place: str) -> None:
    root = opened(place)

    assert root.get_run("TS_1") is None
    with pytest.warns(UserWarning, match=f"/{place} lists no runs.*Check the address"):
        assert list(root.runs) == []
    with pytest.warns(UserWarning, match="lists no runs"):
        [found] = root.problems()

    assert (found.problem.id, found.layer) == ("unlisted-folder", "static")


def test_a_server_that_was_restarted_between_two_calls_is_not_noticed(opened: Any, nginx: Nginx) -> None:
    root = opened("listed")
    tomogram = tomogram_of(root)

    nginx.restart()

    np.testing.assert_array_equal(tomogram.numpy(), VOLUME)


def test_a_server_that_goes_in_the_middle_of_a_read_is_an_error_or_not_noticed_and_never_a_hole(
    opened: Any, nginx: Nginx
) -> None:
    tomogram = tomogram_of(opened("listed", offline_seconds=0))
    outcomes = []

    for pause in (0.0, 0.02, 0.05, 0.1, 0.2):
        reader = threading.Thread(target=lambda: outcomes.append(read_or_error(tomogram)))
        reader.start()
        reader.join(pause)
        nginx.kill()
        reader.join()
        nginx.start()

    assert len(outcomes) == 5
    assert "unreachable" in outcomes
    assert {*outcomes} <= {"unreachable", "whole"}
    assert read_or_error(tomogram) == "whole"


def read_or_error(tomogram: Any) -> str:
    try:
        values = tomogram.numpy()
    except UnreachableError:
        return "unreachable"
    return "whole" if np.array_equal(values, VOLUME) else "holes"


def test_a_server_that_stops_answering_is_given_up_in_time_and_found_again(opened: Any, nginx: Nginx) -> None:
    root = opened("listed", timeout_seconds=1.5, offline_seconds=60)
    tomogram = tomogram_of(root)

    with stopped(nginx.process_id):
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="static_root and static_fs_args"):
            tomogram.numpy()
        waited = time.monotonic() - began
    root.reconnect()

    np.testing.assert_array_equal(tomogram.numpy(), VOLUME)
    assert waited < 5  # 1.5, and what a machine under load is late


def test_a_host_that_says_nothing_is_given_up_in_time(opened: Any) -> None:
    with SilentHost() as silent:
        root = opened(f"http://127.0.0.1:{silent.port}/p", timeout_seconds=1.5, offline_seconds=60)

        began = time.monotonic()
        for ask in (lambda: list(root.runs), lambda: root.get_run("TS_1"), lambda: list(root.runs)):
            with pytest.raises(UnreachableError):
                ask()

    assert time.monotonic() - began < 5
