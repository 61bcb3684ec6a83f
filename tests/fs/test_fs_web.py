"""Projects on web servers: what is missing, what is refused, and servers that list no folders."""

from __future__ import annotations

import http.server
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_core.errors import ConfigError, UnreachableError

TYPES = {"10.0": ["wbp"]}


@pytest.fixture
def project(tmp_path: Path, project_config: Callable[..., dict[str, Any]]) -> Path:
    """A project with one run, in a folder that a web server may serve."""
    config = project_config()
    run = copick_core.open(config).new_run("TS_1")
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy([[[1.0, 2.0]]])
    return Path(config["overlay_root"])


@contextmanager
def served(folder: Path, status_of_folders: int | None = None, status: int | None = None) -> Iterator[str]:
    """Serve a folder; folders, or everything, may be answered with a status of errors."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def send_head(self) -> Any:
            found = status or (status_of_folders if Path(self.translate_path(self.path)).is_dir() else None)
            if found is None:
                return super().send_head()
            self.send_error(found)
            return None

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def opened(url: str, tmp_path: Path, **fields: Any) -> Any:
    content = {"config_type": "filesystem", "static_root": url, "overlay_root": str(tmp_path / "mine"), **fields}
    return copick_core.open(content)


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_server_refuses_is_an_error_and_not_missing(project: Path, tmp_path: Path, status: int) -> None:
    with served(project, status=status) as url:
        root = opened(url, tmp_path)

        with pytest.raises(PermissionError, match=f"HTTP status {status}"):
            root.get_run("TS_1")
        with pytest.raises(PermissionError, match=f"HTTP status {status}"):
            root.new_run("TS_1")
        with pytest.raises(PermissionError, match=f"HTTP status {status}"):
            root.runs  # noqa: B018 - listing is what fails

    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("status", [404, 410])
def test_what_a_server_does_not_have_is_missing(project: Path, tmp_path: Path, status: int) -> None:
    with served(project, status=status) as url:
        assert opened(url, tmp_path).get_run("TS_1") is None


@pytest.mark.parametrize("status", [404, 410])
def test_a_server_that_lists_no_folders_is_warned_of_with_the_way_out(project: Path, tmp_path: Path, status: int) -> None:
    with (
        served(project, status_of_folders=status) as url,
        pytest.warns(UserWarning, match="lists no runs.*runs, voxel_spacings, tomograms"),
    ):
        assert opened(url, tmp_path).runs == []


def test_where_a_server_lists_no_folders_the_config_tells_what_there_is(project: Path, tmp_path: Path) -> None:
    with served(project, status_of_folders=404) as url:
        root = opened(url, tmp_path, runs=["TS_1"], voxel_spacings=[10.0], tomograms=TYPES)
        spacing = root.get_run("TS_1").get_voxel_spacing(10.0)

        assert [t.tomo_type for t in spacing.tomograms] == ["wbp"]
        assert spacing.get_tomogram("wbp").numpy().tolist() == [[[1.0, 2.0]]]
        root.refresh()
        assert root.get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp").numpy().tolist() == [[[1.0, 2.0]]]


def test_where_a_server_lists_no_folders_lists_that_the_config_cannot_name_are_doubted(project: Path, tmp_path: Path) -> None:
    copick_core.open(
        {
            "config_type": "filesystem",
            "overlay_root": str(project),
            "pickable_objects": [{"name": "a", "is_particle": True}],
        }
    ).get_run("TS_1").new_picks("a", "1", "me", positions=[[1.0, 2.0, 3.0]])
    with served(project, status_of_folders=404) as url:
        root = opened(url, tmp_path, runs=["TS_1"], voxel_spacings=[10.0], tomograms=TYPES)

        with pytest.warns(UserWarning, match="lists no folders.*not found there.*picks"):
            assert list(root.get_run("TS_1").picks) == []
        assert list(root.get_run("TS_1").meshes) == []  # said once
        with pytest.warns(UserWarning, match="lists no runs"):
            found = root.problems()

    assert [one.problem.id for one in found] == ["unlisted-folder"]


def test_a_server_that_is_down_is_named(project: Path, tmp_path: Path) -> None:
    with served(project) as url:
        pass
    root = opened(url.replace("http://", "http://me:secret@"), tmp_path)

    with pytest.raises(UnreachableError) as caught:
        root.get_run("TS_1")

    assert caught.value.location == url.replace("http://", "http://me:***@")
    assert "secret" not in str(caught.value)


def test_a_password_in_a_chained_location_is_in_no_error_and_no_traceback(project: Path, tmp_path: Path) -> None:
    with served(project, status=404) as url:
        address = url.replace("http://", "http://me:secret@")
        with pytest.raises(FileNotFoundError, match=r"http://me:\*\*\*@.*project\.zip") as missing:
            opened(f"zip://::{address}/project.zip", tmp_path).runs  # noqa: B018 - listing is what fails
    with pytest.raises(UnreachableError, match=r"http://me:\*\*\*@") as down:
        opened(f"zip://::{address}/project.zip", tmp_path).runs  # noqa: B018 - listing is what fails

    for caught in (missing, down):
        assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.filterwarnings("ignore:copick-core was never tried")
def test_a_server_that_is_down_when_the_connection_is_made_is_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        root = opened(f"ftp://me:secret@127.0.0.1:{unused.getsockname()[1]}/data", tmp_path)

        with pytest.raises(UnreachableError, match=r"^ftp://me:\*\*\*@127\.0\.0\.1:\d+/data cannot be reached"):
            root.runs  # noqa: B018 - connecting is what fails


def test_an_argument_that_a_filesystem_does_not_have_is_an_error_of_the_config(tmp_path: Path) -> None:
    root = opened("http://127.0.0.1/data", tmp_path, static_fs_args={"client_kwargs": {"time_out": 5}})

    with pytest.raises(ConfigError, match=r"\(static_fs_args\) is unknown.*time_out"):
        root.runs  # noqa: B018 - connecting is what fails
