"""A file is replaced whole and survives a power cut; of several writers of a folder one has its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

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
