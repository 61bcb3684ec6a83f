"""What a local project never touches: what its links lead to, and what was deleted and would not go."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import copick_core
from copick_backend_fs import local, volumes
from copick_backend_fs.local import LocalLayer
from copick_core.errors import AlreadyExistsError, ConfigError, CopickError, ReadOnlyError
from copick_core.layers.staged import STAGED_SECONDS, staged_name
from copick_core.tree.keys import PicksKey, RunKey, TomogramKey
from support.objects import OBJECTS

RUN = "ExperimentRuns/TS_1"


def config(overlay: Path, **fields: Any) -> Any:
    objects = {"pickable_objects": OBJECTS, "user_id": "alice"}
    return {"config_type": "filesystem", "overlay_root": str(overlay), **objects, **fields}


def fill(folder: Path) -> None:
    run = copick_core.open(config(folder)).new_run("TS_1")
    run.new_picks("ribosome", "1", positions=[[1, 2, 3]])
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.ones((4, 4, 4)))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------------------ links


def test_regions_of_a_linked_volume_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    volume = f"{RUN}/VoxelSpacing10.000/wbp.zarr"
    shutil.rmtree(tmp_path / "b" / volume)
    (tmp_path / "b" / volume).symlink_to(tmp_path / "a" / volume)
    before = content(tmp_path / "a")
    tomogram = copick_core.open(config(tmp_path / "b")).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")

    with pytest.raises((CopickError, ValueError)):
        tomogram.set_region(5.0, z=0)
    tomogram.from_numpy(np.zeros((4, 4, 4)))

    assert content(tmp_path / "a") == before
    assert not (tmp_path / "b" / volume).is_symlink()


def test_an_overlay_run_that_links_into_the_reference_is_not_written_to(tmp_path: Path) -> None:
    fill(tmp_path / "static")
    (tmp_path / "overlay" / "ExperimentRuns").mkdir(parents=True)
    (tmp_path / "overlay" / RUN).symlink_to(tmp_path / "static" / RUN)
    before = content(tmp_path / "static")
    run = copick_core.open(config(tmp_path / "overlay", static_root=str(tmp_path / "static"))).get_run("TS_1")

    with pytest.raises(ReadOnlyError, match="through a link"):
        run.new_picks("ribosome", "2", positions=[[1, 2, 3]])
    with pytest.raises(ReadOnlyError, match="through a link"):
        run.new_segmentation(10.0, "membrane", "1").from_numpy(np.ones((2, 2, 2), "u1"))

    assert content(tmp_path / "static") == before


def test_a_run_that_links_elsewhere_is_written_to(tmp_path: Path) -> None:
    fill(tmp_path / "big_disk")
    (tmp_path / "overlay" / "ExperimentRuns").mkdir(parents=True)
    (tmp_path / "overlay" / RUN).symlink_to(tmp_path / "big_disk" / RUN)

    copick_core.open(config(tmp_path / "overlay")).get_run("TS_1").new_picks("ribosome", "2", positions=[[1, 2, 3]])

    assert (tmp_path / "big_disk" / RUN / "Picks" / "alice_2_ribosome.json").exists()


@pytest.mark.parametrize(("static", "overlay"), [("p", "p/mine"), ("p/reference", "p"), ("p", "link")])
def test_roots_of_which_one_lies_in_the_other_are_refused(tmp_path: Path, static: str, overlay: str) -> None:
    (tmp_path / "p" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "p" / "inner")

    with pytest.raises(ConfigError, match="lies inside"):
        copick_core.open(config(tmp_path / overlay, static_root=str(tmp_path / static)))


# --------------------------------------------------------------------------------------------------------------- deletions


def test_what_cannot_be_removed_is_deleted_and_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path)
    root = copick_core.open(config(tmp_path))

    def refuse(path: str) -> None:
        raise PermissionError(13, "no", path)

    monkeypatch.setattr(local, "_remove_folder", refuse)
    with caplog.at_level(logging.WARNING):
        root.get_run("TS_1").delete()

    assert root.runs == []
    assert copick_core.open(config(tmp_path)).runs == []
    assert f"{tmp_path}/{RUN} is deleted" in caplog.text


def test_a_deletion_that_fails_before_anything_is_hidden_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    before = content(tmp_path)

    def refuse(*paths: str) -> None:
        raise OSError(5, "no", *paths)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        copick_core.open(config(tmp_path)).get_run("TS_1").delete()

    assert content(tmp_path) == before


def old_name(monkeypatch: pytest.MonkeyPatch) -> str:
    long_ago = time.time() - STAGED_SECONDS - 60
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: long_ago)
        return staged_name()


def test_leftovers_of_deleted_runs_and_spacings_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    planted = [tmp_path / "ExperimentRuns" / old_name(monkeypatch), tmp_path / RUN / old_name(monkeypatch)]
    fresh = tmp_path / "ExperimentRuns" / staged_name()
    for path in [*planted, fresh]:
        (path / "inside").mkdir(parents=True)

    LocalLayer("overlay", tmp_path).ensure(RunKey("TS_2"))
    LocalLayer("overlay", tmp_path).write(PicksKey("TS_1", "ribosome", "alice", "9"), b"{}")
    LocalLayer("overlay", tmp_path).delete(TomogramKey("TS_1", 10.0, "wbp"))

    assert [path for path in planted if path.exists()] == []
    assert fresh.exists()


def test_a_deletion_sweeps_the_folder_of_what_is_deleted_and_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    spacing = tmp_path / RUN / "VoxelSpacing10.000"
    planted = [folder / old_name(monkeypatch) for folder in (spacing, spacing.parent)]
    for path in planted:
        (path / "inside").mkdir(parents=True)

    LocalLayer("overlay", tmp_path).delete(TomogramKey("TS_1", 10.0, "wbp"))

    assert [path for path in planted if path.exists()] == []


def test_what_a_killed_region_write_left_is_swept_by_the_next_one_and_not_copied(tmp_path: Path) -> None:
    fill(tmp_path)
    volume = tmp_path / RUN / "VoxelSpacing10.000" / "wbp.zarr"
    old, new = (volume / "0" / "0" / f"0.{n * 32}.partial" for n in "ab")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    volumes._swept.clear()
    tomogram = copick_core.open(config(tmp_path)).get_run("TS_1").get_voxel_spacing(10.0).get_tomogram("wbp")

    copick_core.copy_project(copick_core.open(config(tmp_path)), copick_core.open(config(tmp_path / "copy")))
    tomogram.set_region(3.0, z=0)

    assert (old.exists(), new.exists()) == (False, True)
    assert not [*(tmp_path / "copy").rglob("*.partial")]


# ---------------------------------------------------------------------------------------------------------------- volumes


@pytest.mark.parametrize("config_type", ["filesystem", "memory"])
def test_the_arrays_of_a_volume_go_from_the_finest_level_to_the_coarsest(tmp_path: Path, config_type: str) -> None:
    fields = config(tmp_path) if config_type == "filesystem" else {"config_type": "memory", "pickable_objects": OBJECTS}
    tomogram = copick_core.open(fields).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy(np.ones((2048, 2, 2)), levels=11)

    names = [name for name, _ in zarr.open(tomogram.zarr(), mode="r").arrays()]

    assert names == [str(level) for level in range(11)]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tomogram = copick_core.open(config(tmp_path)).new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")

    async def full(self: Any, key: str, value: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(volumes.LocalStore, "set", full)

    with pytest.raises(OSError, match="No space left") as caught:
        tomogram.from_numpy(np.ones((4, 4, 4)))
    assert str(tmp_path) in caught.value.filename


def test_what_exists_and_is_empty_says_so(tmp_path: Path) -> None:
    run = copick_core.open(config(tmp_path)).new_run("TS_1")
    run.new_picks("ribosome", "1")
    run.new_mesh("membrane", "1")
    run.new_picks("ribosome", "2", positions=[[1, 2, 3]])

    for call in (lambda: run.new_picks("ribosome", "1"), lambda: run.new_mesh("membrane", "1")):
        with pytest.raises(AlreadyExistsError, match="It is empty: pass exist_ok=True"):
            call()
    with pytest.raises(AlreadyExistsError, match="Pass exist_ok=True to get it"):
        run.new_picks("ribosome", "2")
