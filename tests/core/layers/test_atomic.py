"""A file is replaced whole and survives a power cut; of several writers of a folder one has its lock."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from copick_core.layers import atomic
from copick_core.layers.atomic import locked, replace_file
from support.syncs import Sync, recorded_syncs


def test_a_file_is_on_disk_before_it_takes_its_place_and_its_folder_afterwards(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_bytes(b"old")

    with recorded_syncs(config.read_bytes) as syncs:
        replace_file(str(config), b"new", lambda: None)

    file, folder = syncs
    assert (file.path.parent, file.content, file.seen) == (tmp_path, b"new", b"old")
    assert folder == Sync(tmp_path, None, b"new")


def test_what_is_locked_is_the_folder_that_is_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, flock, waited = tmp_path / "Picks", fcntl.flock, []
    folder.mkdir()

    def made_again_meanwhile(descriptor: int, operation: int) -> None:
        if not waited:
            waited.append(descriptor)
            folder.rename(tmp_path / "gone")
            folder.mkdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", made_again_meanwhile)

    with locked(str(folder)) as descriptor:
        assert descriptor is not None
        assert os.path.samestat(os.fstat(descriptor), folder.stat())
    assert waited


def refused(number: int) -> Any:
    """A system call that a mount refuses."""

    def call(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("refusal", ["open", "fsync"])
def test_a_file_is_replaced_where_its_folder_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    real_open, real_fsync, synced = os.open, os.fsync, []

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if refusal == "open" and path == str(tmp_path) and flags == os.O_RDONLY:
            raise PermissionError(errno.EACCES, "no", path)
        return real_open(path, flags, *args, **kwargs)

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            synced.append(descriptor)
            raise OSError(errno.EINVAL, "no")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)

    replace_file(str(tmp_path / "config.json"), b"new", lambda: None)

    assert (tmp_path / "config.json").read_bytes() == b"new"
    assert len(synced) == (refusal == "fsync")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EBADF])
def test_a_folder_that_cannot_be_locked_is_used_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", refused(number))

    with locked(str(tmp_path)) as descriptor:
        assert descriptor is not None
        assert os.path.samestat(os.fstat(descriptor), tmp_path.stat())


def test_any_other_error_of_a_lock_is_raised_and_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_bytes(b"old")
    monkeypatch.setattr(fcntl, "flock", refused(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace_file(str(tmp_path / "config.json"), b"new", lambda: None)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"config.json": b"old"}


def test_where_the_system_has_no_locks_of_folders_a_file_is_replaced_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "fcntl", None)

    with locked(str(tmp_path)) as descriptor:
        assert descriptor is None
    replace_file(str(tmp_path / "config.json"), b"new", lambda: None)

    assert (tmp_path / "config.json").read_bytes() == b"new"


def test_an_interrupt_right_after_the_file_took_its_place_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def interrupted(*args: Any) -> None:
        replace(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)

    with pytest.raises(KeyboardInterrupt):
        replace_file(str(tmp_path / "config.json"), b"new", lambda: None)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"config.json": b"new"}


def test_a_file_that_must_not_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"old")

    def changed() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        replace_file(str(tmp_path / "config.json"), b"new", changed)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"config.json": b"old"}


def test_descriptors_of_folders_are_closed_again(tmp_path: Path) -> None:
    with locked(str(tmp_path)) as descriptor:
        assert descriptor is not None
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(descriptor)

    before = os.open(tmp_path, os.O_RDONLY)
    os.close(before)
    for _ in range(3):
        replace_file(str(tmp_path / "config.json"), b"new", lambda: None)
    after = os.open(tmp_path, os.O_RDONLY)
    os.close(after)
    assert after == before  # the lowest one that is free


def test_a_file_that_cannot_be_made_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        replace_file(str(tmp_path / "gone" / "config.json"), b"new", lambda: None)

    assert caught.value.filename == str(tmp_path / "gone" / "config.json")
