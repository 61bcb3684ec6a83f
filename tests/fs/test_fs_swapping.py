"""Local volumes take each other's place while others do the same, and where system or mount cannot do it in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from copick_backend_fs import local, mounts, other_writers
from copick_backend_fs.connection import Connection
from copick_backend_fs.local import LocalLayer
from copick_core.errors import BeingReplacedError
from copick_core.layers.staged import ASIDE, aside_of
from copick_core.tree.keys import Kind, TomogramKey

TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")


@pytest.fixture
def layer(tmp_path: Path) -> LocalLayer:
    return LocalLayer("overlay", tmp_path / "project")


def fill(layer: LocalLayer, value: int, levels: tuple[str, ...] = ("0",)) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_group(store)
        for level in levels:
            zarr.create_array(store, name=level, data=np.full((2, 2, 2), value))


def value_of(layer: LocalLayer) -> int:
    return int(zarr.open_array(layer.zarr(TOMOGRAM), path="0", mode="r")[0, 0, 0])


def beside(layer: LocalLayer) -> list[str]:
    """Names in the folder of the volume."""
    return sorted(os.listdir(Path(layer.location(TOMOGRAM)).parent))


def aside(layer: LocalLayer) -> None:
    """Move the volume aside, as a writer that dies leaves it."""
    place = layer.location(TOMOGRAM)
    os.rename(place, aside_of(place))


# ------------------------------------------------------------------------------------------------------------ exchanging


def answering(code: int, calls: list[Any]) -> Callable[..., int]:
    """A ``renameat2`` of the C library that fails."""

    def renameat2(*args: Any) -> int:
        calls.append(args)
        ctypes.set_errno(code)
        return -1

    return renameat2


@pytest.mark.parametrize(
    "code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENOENT], ids=errno.errorcode.get
)
def test_folders_that_a_kernel_does_not_exchange_are_renamed(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fill(layer, 1)
    calls: list[Any] = []
    monkeypatch.setattr(local, "_renameat2", lambda: answering(code, calls))

    fill(layer, 2)

    assert value_of(layer) == 2
    assert beside(layer) == ["wbp.zarr"]
    ((_, one, _, other, flag),) = calls
    assert (os.path.dirname(one), other, flag) == (os.path.dirname(other), os.fsencode(layer.location(TOMOGRAM)), 2)


def test_another_error_of_an_exchange_names_the_place_and_leaves_the_old_volume(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(layer, 1)
    monkeypatch.setattr(local, "_renameat2", lambda: answering(errno.EIO, []))

    with pytest.raises(OSError, match="Input/output error") as raised:
        fill(layer, 2)

    assert (raised.value.errno, raised.value.filename) == (errno.EIO, layer.location(TOMOGRAM))
    assert (value_of(layer), beside(layer)) == (1, ["wbp.zarr"])


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_a_system_without_such_a_call_has_none(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def load(*args: Any, **kwargs: Any) -> Any:
        raise error

    assert local._renameat2.__wrapped__() is not None
    monkeypatch.setattr(ctypes, "CDLL", load)

    assert local._renameat2.__wrapped__() is None


def test_a_volume_that_is_whole_gives_way_to_the_old_one_only_when_its_place_is_empty(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_renameat2", lambda: None)
    fill(layer, 1)
    place = Path(layer.location(TOMOGRAM))
    left = Path(aside_of(str(place)))
    left.mkdir()
    (left / "of a writer that died").write_bytes(b"")

    assert local._exchange_by_renames(str(place), str(place.parent / "none")) is False
    monkeypatch.setattr(LocalLayer, "sweep_names", lambda self, folder, names: None)
    fill(layer, 2)

    assert value_of(layer) == 2
    (hidden,) = [name for name in beside(layer) if name != "wbp.zarr"]
    assert hidden.startswith(".staged")
    assert os.listdir(place.parent / hidden) == ["of a writer that died"]


# ----------------------------------------------------------------------------------------------------------- at one time


@pytest.mark.parametrize("code", [errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR], ids=errno.errorcode.get)
def test_a_volume_that_somebody_else_puts_there_first_is_replaced(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    rename, place = os.rename, layer.location(TOMOGRAM)
    other = LocalLayer("overlay", layer.root)

    def overtaken(source: str, target: str) -> None:
        monkeypatch.setattr(local.os, "rename", rename)
        fill(other, 1)
        raise OSError(code, os.strerror(code), target)

    monkeypatch.setattr(local.os, "rename", overtaken)
    fill(layer, 2)

    assert (value_of(layer), beside(layer)) == (2, ["wbp.zarr"])
    assert os.path.isdir(place)


def test_a_volume_that_cannot_be_put_there_is_an_error(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    monkeypatch.setattr(local.os, "rename", refused)

    with pytest.raises(OSError, match="No space left"):
        fill(layer, 1)


def test_a_deletion_below_a_file_finds_nothing_and_names_it(layer: LocalLayer, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a").write_bytes(b"")

    with pytest.raises(FileNotFoundError) as raised:
        layer.delete_path("a/b")

    error = raised.value
    assert (error.errno, error.strerror, error.filename) == (
        errno.ENOENT,
        os.strerror(errno.ENOENT),
        layer.full_path("a/b"),
    )


# ----------------------------------------------------------------------------------------------------------------- aside


def test_the_version_of_a_volume_that_lies_aside_is_asked_for_when_it_is_back(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_PATIENCE", 0.05)
    fill(layer, 1)
    before = layer.volume_version(TOMOGRAM)
    aside(layer)

    found = layer.volume_version(TOMOGRAM)

    assert isinstance(found, tuple)
    assert isinstance(before, tuple)
    assert found[:3] == before[:3]
    assert beside(layer) == ["wbp.zarr"]


def test_a_volume_that_lies_aside_is_listed_and_there_for_those_who_only_read(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_PATIENCE", 0.05)
    fill(layer, 1)
    aside(layer)
    reader = LocalLayer("static", layer.root, read_only=True)

    assert reader.exists(TOMOGRAM)
    assert [*reader.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    with pytest.raises(BeingReplacedError) as raised:
        reader.volume_version(TOMOGRAM)
    assert (raised.value.key, raised.value.layer) == (TOMOGRAM, "static")
    assert beside(layer) == [f"{ASIDE}wbp.zarr"]
    assert not reader.exists(TomogramKey("TS_1", 10.0, "none"))


# ------------------------------------------------------------------------------------------- mounts that rename no folder


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk refuse to rename and exchange folders, as a mounted bucket does."""
    rename = os.rename

    def files_only(source: str, target: str) -> None:
        if os.path.isdir(source) and not os.path.islink(source):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), source)
        rename(source, target)

    monkeypatch.setattr(local.os, "rename", files_only)
    monkeypatch.setattr(local, "_renameat2", lambda: answering(errno.ENOSYS, []))
    monkeypatch.setattr(local, "_is_fuse", lambda device: True)
    monkeypatch.setattr(local.os, "major", lambda device: 0)
    monkeypatch.setattr(mounts, "_without", set())
    monkeypatch.setattr(other_writers, "_PATIENCE", 0.05)


@pytest.mark.usefixtures("mount")
def test_a_volume_on_a_mount_that_renames_no_folder_is_replaced_file_by_file_and_that_is_told_once(layer: LocalLayer) -> None:
    with warnings.catch_warnings(record=True, action="always") as told:
        fill(layer, 1, ("0", "1"))
        versions = [layer.volume_version(TOMOGRAM)]
        fill(layer, 2)
        versions.append(layer.volume_version(TOMOGRAM))

    folder = os.path.dirname(layer.location(TOMOGRAM))
    assert [str(one.message) for one in told] == [
        f"The file system of {folder} renames no folders (Function not implemented): volumes are replaced file by file, as in "
        "a bucket. Whoever reads one meanwhile waits for it."
    ]
    assert (value_of(layer), beside(layer)) == (2, ["wbp.zarr"])
    files = [name for _, _, names in os.walk(os.path.join(layer.location(TOMOGRAM), "1")) for name in names]
    assert files == []
    assert versions[0] != versions[1]
    assert [version[4] for version in versions if isinstance(version, tuple)] == ["zarr.json"] * 2


@pytest.mark.usefixtures("mount")
@pytest.mark.filterwarnings("ignore:The file system of")
def test_a_volume_on_a_mount_that_renames_no_folder_is_deleted_where_it_is(layer: LocalLayer) -> None:
    fill(layer, 1)
    removed: list[str] = []
    remove = local._remove_folder

    def remove_folder(path: str) -> None:
        removed.append(f"{os.path.basename(path)} with {sorted(os.listdir(path))}")
        remove(path)

    local._remove_folder, kept = remove_folder, remove
    try:
        layer.delete(TOMOGRAM)
    finally:
        local._remove_folder = kept

    assert removed == ["wbp.zarr with ['0']"]
    assert beside(layer) == []


@pytest.mark.usefixtures("mount")
@pytest.mark.filterwarnings("ignore:The file system of")
@pytest.mark.parametrize("way", ["read", "sweep", "doctor"])
def test_a_replacement_file_by_file_that_dies_is_finished(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    fill(layer, 1)
    ask, asked = Connection.ask, []

    def dies(self: Connection, question: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(question.__name__)
        if asked.count("delete_files") == 2 and question.__name__ == "delete_files":
            raise KeyboardInterrupt
        return ask(self, question, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "ask", dies)
        with pytest.raises(KeyboardInterrupt):
            fill(layer, 2)
    staged = [name for name in beside(layer) if name.startswith(".staged")]
    monkeypatch.setattr(local, "_PATIENCE", 0.05)
    other = LocalLayer("overlay", layer.root)
    folder = other.path_of(TOMOGRAM).rpartition("/")[0]

    assert len(staged) == 1
    if way == "read":
        assert other.volume_version(TOMOGRAM)
    elif way == "sweep":
        other.sweep_names(folder, iter(beside(layer)))
    else:
        (found,) = [one for one in other.problems() if one.id == "unfinished-replacement"]
        found.repair.apply()  # type: ignore[union-attr]
    assert value_of(other) == 2
    left = [path for name in beside(layer) for _, _, files in os.walk(layer.full_path(f"{folder}/{name}")) for path in files]
    assert [*staged, "wbp.zarr"] == beside(layer)
    assert len(left) == len([name for _, _, files in os.walk(layer.location(TOMOGRAM)) for name in files])


def test_only_a_refusal_that_an_empty_folder_meets_too_is_one_of_the_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(mounts, "_without", set())
    monkeypatch.setattr(mounts, "_refuses", lambda folder: asked.append(folder) is not None)

    assert not mounts.renames_no_folders(OSError(errno.ENOSPC, "full"), str(tmp_path))
    assert asked == []
    assert not mounts.renames_no_folders(OSError(errno.EPERM, "no"), str(tmp_path))
    monkeypatch.setattr(mounts, "_refuses", lambda folder: True)
    with pytest.warns(UserWarning, match=r"renames no folders \(no\)"):
        assert mounts.renames_no_folders(OSError(errno.EPERM, "no"), str(tmp_path))
    assert mounts.renames_no_folders(OSError(errno.EXDEV, "no"), str(tmp_path))
