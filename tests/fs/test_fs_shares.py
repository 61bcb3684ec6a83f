"""Local folders on other than a plain Linux disk: shares that refuse calls, changing inode numbers, pipes among the files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trimesh

import copick_core
from copick_backend_fs.local import LocalLayer
from copick_core.errors import ConflictError, InvalidDataError
from copick_core.layers import atomic
from copick_core.tree.keys import MeshKey, PicksKey

PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
MESH = MeshKey("TS_1", "ribosome", "alice", "1")


@pytest.fixture
def layer(tmp_path: Path) -> LocalLayer:
    return LocalLayer("overlay", tmp_path / "project")


@pytest.fixture
def run(project_config: Callable[..., dict[str, Any]]) -> Any:
    return copick_core.open(project_config()).new_run("TS_1")


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let the operating system refuse a call, as the kernel does for a share: of fsync only that of folders."""
    monkeypatch.setattr(atomic, "_warned", set())

    def refuse(name: str, code: int) -> None:
        real = getattr(os, name)

        def refused(target: Any, *args: Any, **kwargs: Any) -> None:
            if name != "fsync" or stat.S_ISDIR(os.fstat(target).st_mode):
                raise OSError(code, os.strerror(code), target)
            real(target)

        monkeypatch.setattr(os, name, refused)
        monkeypatch.setattr(os, "supports_fd", {*os.supports_fd, refused})

    return refuse


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.EINVAL), ("utime", errno.EPERM), ("chmod", errno.EPERM)])
def test_a_call_that_the_mount_refuses_is_left_out_with_one_warning(
    layer: LocalLayer, refuse: Callable[[str, int], None], call: str, code: int
) -> None:
    refuse(call, code)

    with warnings.catch_warnings(record=True, action="always") as caught:
        for data in (b"old", b"new", b"newer"):
            layer.write(PICKS, data)

    assert layer.read(PICKS) == b"newer"
    assert [f"refuses {call}" in str(warning.message) for warning in caught] == [True]


def test_another_error_of_such_a_call_is_raised(layer: LocalLayer, refuse: Callable[[str, int], None]) -> None:
    refuse("fsync", errno.EIO)

    with pytest.raises(OSError, match="Input/output error"):
        layer.write(PICKS, b"data")


def test_a_config_is_saved_where_permissions_cannot_be_set(tmp_path: Path, refuse: Callable[[str, int], None]) -> None:
    path = tmp_path / "config.json"
    root = copick_core.new_config(path, tmp_path / "data")
    root.config.name = "another"
    refuse("fchmod", errno.EPERM)

    with pytest.warns(UserWarning, match="refuses chmod"):
        root.save_config(path)

    assert copick_core.open(path).config.name == "another"


def as_after_a_restored_backup(path: Path) -> None:
    """Give a file another inode number; content and time stay."""
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def test_another_inode_number_of_the_same_content_is_no_conflict(layer: LocalLayer) -> None:
    layer.write(PICKS, b"old")
    _, revision = layer.read_revised(PICKS)
    as_after_a_restored_backup(Path(layer.location(PICKS)))

    layer.write(PICKS, b"new", if_revision=revision)

    assert layer.read(PICKS) == b"new"


def test_another_inode_number_of_what_was_written_is_no_conflict(layer: LocalLayer) -> None:
    revision = layer.write(PICKS, b"old")
    as_after_a_restored_backup(Path(layer.location(PICKS)))

    layer.write(PICKS, b"new", if_revision=revision)

    assert layer.read(PICKS) == b"new"


def test_another_content_of_the_same_time_and_size_is_a_conflict(layer: LocalLayer) -> None:
    layer.write(PICKS, b"old")
    _, revision = layer.read_revised(PICKS)
    path = Path(layer.location(PICKS))
    before = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(b"OLD")
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.replace(path)

    with pytest.raises(ConflictError):
        layer.write(PICKS, b"new", if_revision=revision)

    assert layer.read(PICKS) == b"OLD"


def test_a_mesh_with_another_inode_number_is_no_conflict_where_numbers_change(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "major", lambda device: 0)  # as of network shares and FUSE
    run.new_mesh("ribosome", "1").store()
    run.refresh()
    mesh = run.meshes[0]
    assert mesh.mesh is not None
    as_after_a_restored_backup(Path(mesh.path))

    mesh.mesh = trimesh.creation.box()
    mesh.store()

    run.refresh()
    assert len(run.meshes[0].mesh.geometry) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of inodes are trusted on Linux only")
def test_a_mesh_with_another_inode_number_is_a_conflict_on_a_block_device(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "major", lambda device: 8)  # as of /dev/sda
    run.new_mesh("ribosome", "1").store()
    run.refresh()
    mesh = run.meshes[0]
    assert mesh.mesh is not None
    as_after_a_restored_backup(Path(mesh.path))

    mesh.mesh = trimesh.creation.box()
    with pytest.raises(ConflictError):
        mesh.store()


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(layer: LocalLayer) -> None:
    for key in (PICKS, MESH):
        path = Path(layer.location(key))
        path.parent.mkdir(parents=True)
        os.mkfifo(path)

    with pytest.raises(InvalidDataError, match=r"alice_1_ribosome\.json: it is a named pipe, not a file"):
        layer.read(PICKS)
    with pytest.raises(InvalidDataError, match=r"alice_1_ribosome\.glb: it is a named pipe, not a file"):
        layer.load_mesh(MESH)


def test_a_pipe_is_not_replaced_by_a_file(layer: LocalLayer) -> None:
    path = Path(layer.location(PICKS))
    path.parent.mkdir(parents=True)
    os.mkfifo(path)

    with pytest.raises(InvalidDataError, match="it is a named pipe, not a file"):
        layer.write(PICKS, b"data")

    assert path.is_fifo()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_config_is_not_saved_over_a_pipe(tmp_path: Path, overwrite: bool) -> None:
    root = copick_core.new_config(tmp_path / "config.json", tmp_path / "data")
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InvalidDataError, match="it is a named pipe, not a file"):
        root.save_config(tmp_path / "pipe", overwrite=overwrite)

    assert (tmp_path / "pipe").is_fifo()
