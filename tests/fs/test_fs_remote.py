"""Layers over fsspec other than buckets: archives, servers, and what happens when a connection breaks."""

from __future__ import annotations

import asyncio
import errno
import http.server
import socket
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from copick_backend_fs import locks
from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.layer import open_layer
from copick_backend_fs.live import is_broken_connection
from copick_backend_fs.local import LocalLayer
from copick_backend_fs.opening import open_layers
from copick_backend_fs.remote import FsspecLayer
from copick_backend_fs.smb import Turns
from copick_core.errors import (
    ConfigError,
    ConflictError,
    InvalidNameError,
    MissingDependencyError,
    NotFoundError,
    ReadOnlyError,
    UnreachableError,
    redacted,
)
from copick_core.layers.staged import STAGED_SECONDS
from copick_core.tree import layout
from copick_core.tree.keys import (
    ROOT,
    FeaturesKey,
    Kind,
    MeshKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
)
from support.renaming import Renaming

pytestmark = [
    pytest.mark.filterwarnings("ignore:copick-core was never tried"),
    pytest.mark.filterwarnings("ignore:.*let one process at a time write"),
]

RUN = RunKey("TS[1]")
PICKS = PicksKey("TS[1]", "ribosome", "alice", "1")
MESH = MeshKey("TS[1]", "membrane", "alice", "1")
TOMOGRAM = TomogramKey("TS[1]", 10.0, "wbp")
FEATURES = FeaturesKey("TS[1]", 10.0, "wbp", "sobel")
SEGMENTATION = SegmentationKey("TS[1]", 10.0, "membrane", "alice", "1", "instance")


class Flaky(MemoryFileSystem):
    """A server whose connection breaks when it is told to."""

    protocol = "flaky"
    made: ClassVar[int] = 0
    breaks: ClassVar[list[Exception]] = []
    lost_answers: ClassVar[list[Exception]] = []

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        type(self).made += 1

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("flaky://")))

    def _may_break(self) -> None:
        if self.breaks:
            raise self.breaks.pop(0)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self._may_break()
        return super().ls(path, detail, **kwargs)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        self._may_break()
        return bytes(super().cat_file(path, start, end, **kwargs))

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        super().pipe_file(path, value, **kwargs)
        if self.lost_answers:
            raise self.lost_answers.pop()

    def rm_file(self, path: str) -> None:
        super().rm_file(path)
        if self.lost_answers:
            raise self.lost_answers.pop()


class Shallow(LocalFileSystem):
    """A server that moves a folder without what is in it unless it is asked for that too, as WebDAV ones do."""

    protocol = "shallow"
    heeds: ClassVar[bool] = True

    def mv(self, path1: str, path2: str, recursive: bool = False) -> None:
        source, target = (Path(self._strip_protocol(path)) for path in (path1, path2))
        if source.is_file() or (recursive and self.heeds):
            source.rename(target)
        else:
            target.mkdir()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(path.removeprefix("shallow://")))


class Coded(Flaky):
    """A server whose library has an error of its own for what is missing, as smbprotocol has."""

    protocol = "coded"

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        raise CodedError("[Error 2] [NtStatus 0xc0000034] No such file or directory")

    ls = info = cat_file

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.removeprefix("coded://")))


class CodedError(OSError):
    """An OSError whose number alone says that nothing is there."""

    errno = errno.ENOENT


fsspec.register_implementation("renaming", Renaming, clobber=True)
fsspec.register_implementation("shallow", Shallow, clobber=True)
fsspec.register_implementation("coded", Coded, clobber=True)
fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(params=["memory", "renaming"])
def layer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FsspecLayer]:
    url = f"memory://{tmp_path.name}" if request.param == "memory" else f"renaming://{tmp_path}/project"
    opened = open_layer("overlay", url)
    assert isinstance(opened, FsspecLayer)
    yield opened
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def flaky() -> Iterator[FsspecLayer]:
    opened = open_layer("overlay", "flaky://project")
    assert isinstance(opened, FsspecLayer)
    opened.write(PICKS, b"points")
    Flaky.made = 0
    yield opened
    Flaky.breaks.clear()
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def fill(layer: FsspecLayer | LocalLayer, key: TomogramKey | FeaturesKey | SegmentationKey, value: int, size: int = 4) -> None:
    with layer.replace_zarr(key) as store:
        zarr.create_array(store, name="0", data=np.full((size, 2, 2), value), chunks=(2, 2, 2))


def value_of(layer: FsspecLayer, key: TomogramKey) -> int:
    array = zarr.open_array(layer.zarr(key), path="0", mode="r")
    assert (array[:] == array[0, 0, 0]).all()
    return int(array[0, 0, 0])


# --------------------------------------------------------------------------------------------------- reading and writing


def test_everything_that_is_written_is_listed_and_read(layer) -> None:
    layer.ensure(RUN)
    layer.ensure(VoxelSpacingKey("TS[1]", 10.0))
    layer.write(PICKS, b"points")
    layer.write(MESH, b"glTF")
    for key in (TOMOGRAM, FEATURES, SEGMENTATION):
        fill(layer, key, 3)

    assert [*layer.list(Kind.RUN, ROOT)] == [RUN]
    assert [*layer.list(Kind.VOXEL_SPACING, RUN)] == [TOMOGRAM.parent]
    assert [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    assert [*layer.list(Kind.FEATURES, TOMOGRAM)] == [FEATURES]
    assert [*layer.list(Kind.SEGMENTATION, RUN)] == [SEGMENTATION]
    assert layer.read(PICKS) == b"points"
    assert layer.read(MESH) == b"glTF"
    assert value_of(layer, TOMOGRAM) == 3
    assert all(layer.exists(key) for key in (RUN, TOMOGRAM.parent, PICKS, MESH, TOMOGRAM, FEATURES, SEGMENTATION))


def test_looking_makes_nothing(layer) -> None:
    with pytest.raises(FileNotFoundError):
        zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")
    with pytest.raises(NotFoundError):
        layer.read(PICKS)

    assert layer.revision(PICKS) is None
    assert not layer.exists(TOMOGRAM)
    assert [*layer.list(Kind.RUN, ROOT)] == []


def test_a_file_is_rewritten_without_remains(layer) -> None:
    layer.write(PICKS, b"old")

    revision = layer.write(PICKS, b"new")

    assert layer.read_revised(PICKS) == (b"new", revision)
    assert [Path(name).name for name in layer.fs.ls(layer.full_path("ExperimentRuns/TS[1]/Picks"), detail=False)] == [
        "alice_1_ribosome.json"
    ]


def test_a_write_over_another_revision_is_a_conflict_and_changes_nothing(layer) -> None:
    old = layer.write(PICKS, b"old")
    new = layer.write(PICKS, b"new", if_revision=old)

    with pytest.raises(ConflictError) as caught:
        layer.write(PICKS, b"mine", if_revision=old)

    assert (caught.value.expected, caught.value.found) == (old, new)
    assert layer.read(PICKS) == b"new"


def test_a_replaced_volume_is_the_new_one_without_remains(layer) -> None:
    fill(layer, TOMOGRAM, 1, size=8)

    fill(layer, TOMOGRAM, 2, size=2)

    assert value_of(layer, TOMOGRAM) == 2
    files = layer.fs.find(layer.full_path("ExperimentRuns/TS[1]/VoxelSpacing10.000"))
    assert len([name for name in files if "/0/c/" in name]) == 1
    assert not [name for name in files if ".staged" in name]


def test_a_tomogram_is_deleted_with_its_features(layer) -> None:
    fill(layer, TOMOGRAM, 1)
    fill(layer, FEATURES, 1)

    layer.delete(TOMOGRAM)

    assert not layer.exists(FEATURES)
    assert not layer.exists(TOMOGRAM)


def test_deleting_what_is_not_there_is_an_error(layer) -> None:
    with pytest.raises(NotFoundError):
        layer.delete(RUN)


def test_a_key_that_was_not_validated_cannot_leave_the_root(layer) -> None:
    with pytest.raises(InvalidNameError):
        layer.write(PicksKey("../../escaped", "ribosome", "alice", "1"), b"{}")


def test_a_path_that_leaves_a_web_server_is_refused_without_its_password() -> None:
    static: Any = open_layer("static", "http://me:secret@host/data", read_only=True)

    with pytest.raises(InvalidNameError, match=r"http://me:\*\*\*@host/data"):
        static.full_path("../escaped")


# ---------------------------------------------------------------------------------------------------------- static places


@pytest.fixture
def project(tmp_path: Path) -> Path:
    local = LocalLayer("local", tmp_path / "project")
    local.ensure(RUN)
    local.write(PICKS, b"points")
    fill(local, TOMOGRAM, 4)
    return tmp_path / "project"


@pytest.mark.parametrize("inside", ["", "lab/project"])
def test_a_project_is_read_from_a_zip_archive(project: Path, inside: str) -> None:
    archive = project.parent / "project.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in project.rglob("*"):
            file.write(path, Path(inside, path.relative_to(project)))

    static = open_layer("static", f"zip://{inside}::{archive}", read_only=True)

    assert [*static.list(Kind.RUN, ROOT)] == [RUN]
    assert static.list_many(Kind.PICKS, [RUN, RunKey("no")]) == {RUN: [PICKS], RunKey("no"): []}
    assert static.read(PICKS) == b"points"
    assert value_of(static, TOMOGRAM) == 4  # type: ignore[arg-type]
    with pytest.raises(ReadOnlyError):
        static.write(PICKS, b"new")


def test_what_older_archives_say_of_a_missing_file_is_not_found(flaky) -> None:
    Flaky.breaks.append(KeyError("There is no item named 'x' in the archive"))

    with pytest.raises(NotFoundError):
        flaky.read(PICKS)


def test_a_zip_url_without_its_archive_is_refused_with_the_form_to_write() -> None:
    with pytest.raises(ConfigError, match="zip://FOLDER::ARCHIVE"):
        open_layer("static", "zip://project.zip", read_only=True)


def test_a_zip_archive_as_overlay_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="static_root"):
        open_layers(CopickConfigFSSpec(overlay_root=f"zip://::{tmp_path}/project.zip"))


def test_a_project_is_read_from_a_web_server(project: Path) -> None:
    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(project.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        static = open_layer("static", f"http://127.0.0.1:{server.server_port}/project", read_only=True)

        assert [*static.list(Kind.RUN, ROOT)] == [RUN]
        assert [*static.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
        assert static.read(PICKS) == b"points"
        assert value_of(static, TOMOGRAM) == 4  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [404, 500, None])
def test_a_web_server_that_fails_does_not_say_that_nothing_exists(status: int | None) -> None:
    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status or 500)

        do_HEAD = do_GET  # noqa: N815 - the base class asks for this name

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    static = open_layer("static", f"http://127.0.0.1:{server.server_port}/project", read_only=True)
    if status is None:
        server.shutdown()
        server.server_close()
    try:
        if status == 404:
            assert not static.exists(RUN)
        else:
            with pytest.raises(Exception, match=r"500|Cannot connect"):
                static.exists(RUN)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -------------------------------------------------------------------------------------------------------- broken connections


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(), TimeoutError(), OSError(errno.ESTALE, "stale"), EOFError()]
)
def test_a_broken_connection_is_renewed_and_the_call_repeated(flaky, error: Exception) -> None:
    Flaky.breaks.append(error)

    assert flaky.read(PICKS) == b"points"
    assert Flaky.made == 1


def test_a_connection_that_stays_broken_is_tried_twice(flaky) -> None:
    Flaky.breaks += [ConnectionResetError("first"), ConnectionResetError("second"), ConnectionResetError("third")]

    with pytest.raises(UnreachableError, match=r"^flaky://project cannot be reached: second"):
        flaky.read(PICKS)


def test_a_host_that_nobody_knows_is_told_with_the_location(flaky) -> None:
    Flaky.breaks += [socket.gaierror(-2, "Name or service not known") for _ in range(2)]

    with pytest.raises(UnreachableError, match=r"^flaky://project cannot be reached: .*Name or service"):
        flaky.read(PICKS)


def test_an_ordinary_answer_is_not_taken_for_a_broken_connection(flaky) -> None:
    Flaky.breaks.append(PermissionError("no"))

    with pytest.raises(PermissionError):
        flaky.read(PICKS)

    assert Flaky.made == 0


def test_what_was_listed_is_still_known_after_the_connection_was_renewed(flaky) -> None:
    flaky.list(Kind.VOXEL_SPACING, RUN)
    Flaky.breaks.append(ConnectionResetError())
    flaky.read(PICKS)
    Flaky.breaks.append(PermissionError("the folder was asked again"))

    assert [*flaky.list(Kind.VOXEL_SPACING, RUN)] == []


def test_other_users_of_the_file_system_keep_their_connection(flaky) -> None:
    theirs = fsspec.filesystem("flaky")
    Flaky.breaks.append(ConnectionResetError())

    flaky.read(PICKS)

    assert fsspec.filesystem("flaky") is theirs


def test_a_conditional_write_whose_answer_was_lost_is_no_conflict(flaky) -> None:
    revision = flaky.revision(PICKS)
    Flaky.lost_answers.append(ConnectionResetError())

    flaky.write(PICKS, b"mine", if_revision=revision)

    assert flaky.read(PICKS) == b"mine"


def test_bytes_that_somebody_else_wrote_are_a_conflict_though_they_are_equal(flaky) -> None:
    revision = flaky.revision(PICKS)
    open_layer("other", "flaky://project").write(PICKS, b"mine")

    with pytest.raises(ConflictError):
        flaky.write(PICKS, b"mine", if_revision=revision)


@pytest.mark.parametrize("key", [PICKS, MESH, TOMOGRAM, SEGMENTATION], ids=lambda key: key.kind.value)
def test_what_was_deleted_though_the_answer_was_lost_is_no_error(flaky, key: Any) -> None:
    if key.kind in (Kind.TOMOGRAM, Kind.SEGMENTATION):
        fill(flaky, key, 1)
    else:
        flaky.write(key, b"content")
    Flaky.lost_answers.append(ConnectionResetError())

    flaky.delete(key)

    assert not Flaky.lost_answers
    assert not flaky.exists(key)


def test_deleting_what_is_not_there_is_an_error_though_the_connection_broke_before(flaky) -> None:
    with pytest.raises(NotFoundError):
        flaky.delete(MESH)


def lose_answers_of_staged(monkeypatch: pytest.MonkeyPatch, cls: Any, method: str) -> list[str]:
    """Lose the answer to the first call of a method for something staged; gives its path once that has happened."""
    honest, lost = getattr(cls, method), []

    def unanswered(self: Any, path: str, *others: str, **kwargs: Any) -> None:
        honest(self, path, *others, **kwargs)
        if "/.staged-" in path and not lost:
            lost.append(path)
            raise ConnectionResetError

    monkeypatch.setattr(cls, method, unanswered)
    return lost


@pytest.mark.parametrize("older", [True, False], ids=["over another", "new"])
def test_a_file_is_written_though_the_answer_to_its_move_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    layer = open_layer("overlay", f"renaming://{tmp_path}/project")
    if older:
        layer.write(PICKS, b"old")
    lost = lose_answers_of_staged(monkeypatch, Renaming, "mv")

    layer.write(PICKS, b"new")

    assert lost
    assert layer.read(PICKS) == b"new"


@pytest.mark.parametrize("key", [PICKS, TOMOGRAM], ids=lambda key: key.kind.value)
def test_the_old_one_is_back_when_the_new_one_cannot_be_moved_to_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: Any
) -> None:
    layer: Any = open_layer("overlay", f"renaming://{tmp_path}/project")
    layer.write(key, b"old") if key == PICKS else fill(layer, key, 1)
    place = Path(layer.full_path(layout.path(key)))
    move, refused = Renaming.mv, []

    def refusing(self: Any, path1: str, path2: str, **options: Any) -> None:
        if Path(path2) == place and not place.exists() and not refused:
            refused.append(path1)
            raise PermissionError(path2)
        move(self, path1, path2, **options)

    monkeypatch.setattr(Renaming, "mv", refusing)

    with pytest.raises(PermissionError):
        layer.write(key, b"new") if key == PICKS else fill(layer, key, 2)

    assert refused
    assert place.exists()
    assert layer.read(key) == b"old" if key == PICKS else value_of(layer, key) == 1


AGES = {"abandoned": STAGED_SECONDS + 1, "being written": STAGED_SECONDS - 60}


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("key", [PICKS, TOMOGRAM], ids=lambda key: key.kind.value)
def test_a_write_removes_what_dead_writers_have_staged_in_its_folder(tmp_path: Path, key: Any, age: str) -> None:
    layer: Any = open_layer("overlay", f"renaming://{tmp_path}/project")
    folder = Path(layer.full_path(layout.path(key))).parent
    left = folder / f".staged-{int(time.time()) - AGES[age]:x}-{0:032x}"
    folder.mkdir(parents=True)
    left.write_bytes(b"half of it")

    layer.write(key, b"whole") if key == PICKS else fill(layer, key, 1)

    assert left.exists() is (age == "being written")


def test_a_write_does_not_mind_that_somebody_else_removes_the_lock_of_a_dead_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer: Any = open_layer("overlay", f"renaming://{tmp_path}/project")
    folder = Path(layer.full_path(layout.path(PICKS))).parent
    folder.mkdir(parents=True)
    lock = folder / f"{locks.PREFIX}alice_2_ribosome.json"
    lock.touch()
    read, taken = Renaming.cat_file, []

    def taken_away(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if path == str(lock):
            lock.unlink()
            taken.append(path)
        return read(self, path, *args, **kwargs)

    monkeypatch.setattr(Renaming, "cat_file", taken_away)

    layer.write(PICKS, b"mine")

    assert taken
    assert layer.read(PICKS) == b"mine"


def test_a_deletion_leaves_nothing_though_somebody_else_removes_files_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer: Any = open_layer("overlay", f"renaming://{tmp_path}/project")
    fill(layer, TOMOGRAM, 1)
    remove, removed = Renaming.rm_file, []

    def too_late(self: Any, path: str) -> None:
        remove(self, path)
        removed.append(path)
        remove(self, path)

    monkeypatch.setattr(Renaming, "rm_file", too_late)

    layer.delete(TOMOGRAM)

    assert removed
    assert [*Path(layer.full_path(layout.path(TOMOGRAM.parent))).iterdir()] == []


@pytest.mark.parametrize("older", [True, False], ids=["over another", "new"])
@pytest.mark.parametrize("method", ["mv", "rm_file"])
def test_a_volume_outlives_a_lost_answer_while_it_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, older: bool
) -> None:
    cls: Any = Renaming if method == "mv" else MemoryFileSystem
    layer: Any = open_layer("overlay", f"renaming://{tmp_path}/p" if method == "mv" else f"memory://{tmp_path.name}")
    if older:
        fill(layer, TOMOGRAM, 1)

    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.full((4, 2, 2), 2), chunks=(2, 2, 2))
        lost = lose_answers_of_staged(monkeypatch, cls, method)

    assert lost
    assert value_of(layer, TOMOGRAM) == 2
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_a_volume_is_replaced_though_what_was_staged_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer: Any = open_layer("overlay", f"memory://{tmp_path.name}")
    fill(layer, TOMOGRAM, 1)

    remove = MemoryFileSystem.rm_file

    def refuse(self: Any, path: str) -> None:
        if ".staged-" in path:
            raise PermissionError(path)
        remove(self, path)

    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.full((4, 2, 2), 2), chunks=(2, 2, 2))
        monkeypatch.setattr(MemoryFileSystem, "rm_file", refuse)

    monkeypatch.undo()
    assert value_of(layer, TOMOGRAM) == 2
    assert [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    assert "could not be deleted" in caplog.text
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_a_volume_is_read_over_a_renewed_connection(flaky) -> None:
    fill(flaky, TOMOGRAM, 6)
    Flaky.breaks.append(ConnectionResetError())

    assert value_of(flaky, TOMOGRAM) == 6


def test_reconnecting_makes_a_new_connection_and_asks_again(flaky) -> None:
    flaky.list(Kind.VOXEL_SPACING, RUN)
    open_layer("other", "flaky://project").ensure(VoxelSpacingKey("TS[1]", 10.0))

    flaky.reconnect()

    assert [*flaky.list(Kind.VOXEL_SPACING, RUN)] == [VoxelSpacingKey("TS[1]", 10.0)]


def _named(*names: str) -> Exception:
    """An error with the class names of a library that is not installed, the base first."""
    cls: type[Exception] = Exception
    for name in names:
        cls = type(name, (cls,), {})
    return cls()


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (_named("Error", "SFTPError", "SFTPConnectionLost"), True),
        (_named("Error", "SFTPError", "SFTPNoConnection"), True),
        (_named("Error", "DisconnectError", "ConnectionLost"), True),
        (_named("Error", "DisconnectError"), True),
        (_named("Error", "SFTPError", "SFTPPermissionDenied"), False),
        (_named("Error", "SFTPError", "SFTPNoSuchFile"), False),
        (_named("Error", "SFTPError", "SFTPFailure"), False),
        (_named("Error", "DisconnectError", "PermissionDenied"), False),
        (_named("Error", "DisconnectError", "HostKeyNotVerifiable"), False),
        (_named("BotoCoreError", "HTTPClientError", "EndpointConnectionError"), True),
        (_named("BotoCoreError", "HTTPClientError", "ReadTimeoutError"), True),
        (_named("ClientError", "ClientConnectionError", "ServerDisconnectedError"), True),
        (FileNotFoundError(errno.ENOENT, "no"), False),
        (PermissionError(errno.EACCES, "no"), False),
        (ConnectionAbortedError(), True),
        (ConnectionRefusedError(), True),
        (OSError(errno.EPIPE, "pipe"), True),
        (OSError(errno.EBADF, "a socket that smbprotocol has closed"), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (OSError("Socket is closed"), True),
        (OSError(errno.ENOSPC, "full"), False),
        (ValueError("no"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_broken_connections_are_told_from_ordinary_answers(error: Exception, broken: bool) -> None:
    assert is_broken_connection(error) is broken


# ---------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("url", "extra"), [("abfs://lab/project", "azure"), ("gs://lab/project", "gcs"), ("smb://host/share", "smb")]
)
def test_a_missing_package_is_named_by_the_line_that_installs_it(
    url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(protocol: str) -> None:
        raise ImportError(protocol)

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(MissingDependencyError) as caught:
        open_layer("overlay", url)

    assert caught.value.install == f'pip install "copick-backend-fs[{extra}]"'


def test_a_protocol_that_was_never_tried_warns_once_and_so_does_its_first_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copick_backend_fs.layer._announced", set())
    monkeypatch.setattr("copick_backend_fs.remote._announced", set())
    fsspec.register_implementation("renaming", Renaming, clobber=True)

    with pytest.warns(UserWarning, match=r"never tried with a server of renaming://"):
        layer = open_layer("overlay", f"renaming://{tmp_path}/project")
    with pytest.warns(UserWarning, match="let one process at a time write"):
        layer.write(PICKS, b"old")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_layer("overlay", f"renaming://{tmp_path}/project").write(PICKS, b"new")


def test_ssh_without_sshfs_names_the_extra_instead_of_hanging_over_paramiko(monkeypatch: pytest.MonkeyPatch) -> None:
    class SFTPFileSystem(MemoryFileSystem):
        """What fsspec gives for ssh:// where sshfs is missing; its own needs paramiko."""

    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: SFTPFileSystem)

    with pytest.raises(MissingDependencyError) as caught:
        open_layer("overlay", "ssh://host/data")

    assert caught.value.install == 'pip install "copick-backend-fs[ssh]"'


def test_an_unknown_protocol_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="carrier-pigeon"):
        open_layer("overlay", "carrier-pigeon://project")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ssh://me:secret@host:22/data", "ssh://me:***@host:22/data"),
        ("ssh://me@host/data", "ssh://me@host/data"),
        ("https://host/data?signature=secret", "https://host/data?***"),
        ("https://host/data?se=2030-01-01T10:00:00Z&sig=secret", "https://host/data?***"),
        ("zip://in::https://host/a.zip?at=10:00&sig=secret", "zip://in::https://host/a.zip?***"),
        ("Nothing at https://host/a?at=10:00&sig=secret today", "Nothing at https://host/a?*** today"),
        ("zip://in::https://me:secret@host/a.zip?sig=secret", "zip://in::https://me:***@host/a.zip?***"),
        ("s3://lab/project", "s3://lab/project"),
    ],
)
def test_secrets_in_a_url_are_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_a_server_that_moves_folders_only_when_it_is_asked_to_keeps_volumes_and_deletes_runs(tmp_path: Path) -> None:
    layer: Any = open_layer("overlay", f"shallow://{tmp_path}/project")
    for value in (1, 2):
        fill(layer, TOMOGRAM, value)
        assert value_of(layer, TOMOGRAM) == value

    layer.delete(RUN)

    assert not layer.exists(RUN)
    assert [*layer.list(Kind.RUN, ROOT)] == []


def test_a_server_that_does_not_move_what_it_says_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer: Any = open_layer("overlay", f"shallow://{tmp_path}/project")
    fill(layer, TOMOGRAM, 1)
    monkeypatch.setattr(Shallow, "heeds", False)

    with pytest.raises(OSError, match="reports that it has moved this, but it has not"):
        layer.delete(RUN)

    assert value_of(layer, TOMOGRAM) == 1


def test_an_error_whose_number_alone_says_missing_is_no_failure() -> None:
    layer = open_layer("static", "coded://project", read_only=True)

    assert [*layer.list(Kind.RUN, ROOT)] == []
    assert not layer.exists(RUN)
    with pytest.raises(NotFoundError):
        layer.read(PICKS)


def test_a_file_of_a_share_is_replaced_when_all_who_have_it_open_are_done() -> None:
    turns, order = Turns(), []

    async def replace() -> None:
        async with turns.replaced():
            order.append("replaced")

    async def test() -> None:
        async with turns.opened():
            async with turns.opened():
                writer = asyncio.create_task(replace())
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            order.append("read")
        await asyncio.wait_for(writer, 5)

    asyncio.run(test())

    assert order == ["read", "replaced"]
