"""The layer of local folders keeps its promises about files, links, names and permissions."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import copick_core
from copick_backend_fs import local
from copick_backend_fs.config import CopickConfigFSSpec
from copick_backend_fs.local import LocalLayer
from copick_backend_fs.opening import open_layers
from copick_core.errors import (
    AlreadyExistsError,
    BeingReplacedError,
    ConflictError,
    InvalidNameError,
    NotFoundError,
    ReadOnlyError,
)
from copick_core.layers.staged import STAGED_SECONDS
from copick_core.tree.keys import ROOT, FeaturesKey, Kind, PicksKey, RunKey, SegmentationKey, TomogramKey, VoxelSpacingKey

RUN = RunKey("TS_1")
PICKS = PicksKey("TS_1", "ribosome", "alice", "1")
TOMOGRAM = TomogramKey("TS_1", 10.0, "wbp")
OTHER_PICKS = PicksKey("TS_1", "ribosome", "bob", "1")
NOBODY = 65534


@pytest.fixture
def layer(tmp_path: Path) -> LocalLayer:
    return LocalLayer("overlay", tmp_path / "project")


@pytest.fixture
def shared_layer() -> Iterator[LocalLayer]:
    """A layer where other users may look, unlike below pytest's own folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield LocalLayer("overlay", Path(folder, "project"))


@contextmanager
def ordinary_user(folder: str) -> Iterator[None]:
    """Be the owner of a folder who is not root: root may read and write everything."""
    if os.geteuid() != 0:
        yield
        return
    for place in [Path(folder), *Path(folder).rglob("*")]:
        os.chown(place, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def runs_folder(layer: LocalLayer) -> Path:
    folder = Path(layer.root, "ExperimentRuns")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fail_half_way(layer: LocalLayer) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), 9))
        raise KeyboardInterrupt


def fill(layer: LocalLayer, key: TomogramKey | FeaturesKey, value: int) -> None:
    with layer.replace_zarr(key) as store:
        zarr.create_array(store, name="0", data=np.full((2, 2, 2), value))


def value_of(layer: LocalLayer, key: TomogramKey) -> int:
    return int(zarr.open_array(layer.zarr(key), path="0", mode="r")[0, 0, 0])


# ---------------------------------------------------------------------------------------------------------------- listing


def test_looking_makes_nothing(layer: LocalLayer) -> None:
    volume = layer.zarr(TOMOGRAM)

    with pytest.raises(FileNotFoundError):
        zarr.open_array(volume, path="0", mode="r")

    assert [*layer.list(Kind.RUN, ROOT)] == []
    assert not layer.exists(RUN)
    assert layer.revision(PICKS) is None
    assert not Path(layer.root).exists()


def test_a_link_to_a_folder_is_a_run(layer: LocalLayer, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (runs_folder(layer) / "linked").symlink_to(tmp_path / "elsewhere")

    assert [*layer.list(Kind.RUN, ROOT)] == [RunKey("linked")]


def test_links_that_lead_nowhere_are_no_runs(layer: LocalLayer) -> None:
    (runs_folder(layer) / "broken").symlink_to("nowhere")
    (runs_folder(layer) / "circle").symlink_to("circle")

    assert [*layer.list(Kind.RUN, ROOT)] == []


def test_files_and_hidden_folders_are_no_runs(layer: LocalLayer) -> None:
    (runs_folder(layer) / ".hidden").mkdir()
    (runs_folder(layer) / "notes.txt").touch()

    assert [*layer.list(Kind.RUN, ROOT)] == []


def test_a_folder_where_one_may_not_look_says_so_once(shared_layer: LocalLayer) -> None:
    shared_layer.write(PICKS, b"picks")
    folder = Path(shared_layer.location(PICKS)).parent

    with ordinary_user(shared_layer.root):
        folder.chmod(0)
        with pytest.raises(PermissionError) as caught:
            shared_layer.list(Kind.PICKS, PICKS.parent)
        folder.chmod(0o755)

    assert caught.value.__context__ is None


@pytest.mark.filterwarnings("ignore:.*have underscores in parts of their names")
def test_foreign_files_do_not_disturb_a_listing(layer: LocalLayer) -> None:
    layer.write(PICKS, b"{}")
    for name in ("notes.json", "alice_1_cyto_ribo.json", ".alice_1_ribo.json", "alice_1_ribo.json.bak"):
        (runs_folder(layer) / "TS_1" / "Picks" / name).touch()
    (runs_folder(layer) / "TS_1" / "VoxelSpacing10.000_old").mkdir()

    assert [*layer.list(Kind.PICKS, RUN)] == [PICKS]
    assert [*layer.list(Kind.VOXEL_SPACING, RUN)] == []


@pytest.mark.parametrize("name", ["TS[1]", "*", "?", "{a,b}", "a b", "ü", "🧊", "-rf", "%2e%2e", "a;b", "$(x)", "C:", "#?"])
def test_a_run_name_is_never_read_as_anything_else(layer: LocalLayer, name: str) -> None:
    picks = PicksKey(name, "ribosome", "alice", "1")
    layer.write(PicksKey("other", "ribosome", "alice", "1"), b"other")

    layer.write(picks, b"mine")

    assert layer.read(picks) == b"mine"
    assert [*layer.list(Kind.PICKS, RunKey(name))] == [picks]
    assert RunKey(name) in layer.list(Kind.RUN, ROOT)


@pytest.mark.parametrize("name", ["..", "../..", "../../escaped", "a/../../../b", "/etc"])
def test_a_key_that_was_not_validated_cannot_leave_the_root(layer: LocalLayer, name: str, tmp_path: Path) -> None:
    if name == "/etc":
        with pytest.raises(InvalidNameError):
            layer.full_path(name)
        return

    with pytest.raises(InvalidNameError):
        layer.write(PicksKey(name, "ribosome", "alice", "1"), b"{}")

    assert [*tmp_path.iterdir()] == []


def test_what_another_layer_writes_is_listed_after_forgetting(layer: LocalLayer) -> None:
    other = LocalLayer("other", layer.root)
    other.ensure(RUN)
    assert [*layer.list(Kind.VOXEL_SPACING, RUN)] == []
    other.ensure(VoxelSpacingKey("TS_1", 10.0))

    layer.forget(RUN)

    assert [*layer.list(Kind.VOXEL_SPACING, RUN)] == [VoxelSpacingKey("TS_1", 10.0)]


def test_what_this_layer_writes_is_listed_at_once(layer: LocalLayer) -> None:
    layer.ensure(RUN)
    assert [*layer.list(Kind.SEGMENTATION, RUN)] == []
    key = SegmentationKey("TS_1", 10.0, "membrane", "alice", "1", "instance")

    with layer.replace_zarr(key):
        pass

    assert [*layer.list(Kind.SEGMENTATION, RUN)] == [key]


def test_a_folder_that_may_not_be_read_is_an_error_not_an_empty_one(shared_layer: LocalLayer) -> None:
    layer = shared_layer
    layer.write(PICKS, b"{}")
    folder = runs_folder(layer) / "TS_1" / "Picks"

    with ordinary_user(layer.root):
        assert layer.list(Kind.PICKS, RUN) == [PICKS]
        folder.chmod(0)
        with pytest.raises(PermissionError):
            layer.list(Kind.PICKS, RUN)
        with pytest.raises(PermissionError):
            layer.read(PICKS)
        folder.chmod(0o755)


# ------------------------------------------------------------------------------------------------------------------ files


def test_read_and_revision_are_of_the_same_bytes(layer: LocalLayer) -> None:
    revision = layer.write(PICKS, b"one")

    assert layer.read_revised(PICKS) == (b"one", revision)
    assert layer.revision(PICKS) == revision


def test_a_missing_file_names_key_and_path(layer: LocalLayer) -> None:
    with pytest.raises(NotFoundError) as caught:
        layer.read(PICKS)

    assert caught.value.key == PICKS
    assert caught.value.location == f"{layer.root}/ExperimentRuns/TS_1/Picks/alice_1_ribosome.json"


def test_writes_in_quick_succession_have_different_revisions(layer: LocalLayer) -> None:
    revisions = {layer.write(PICKS, b"%04d" % number) for number in range(100)}

    assert len(revisions) == 100


def test_a_write_over_another_revision_is_a_conflict_and_changes_nothing(layer: LocalLayer) -> None:
    old = layer.write(PICKS, b"old")
    new = layer.write(PICKS, b"new")

    with pytest.raises(ConflictError) as caught:
        layer.write(PICKS, b"mine", if_revision=old)

    assert (caught.value.expected, caught.value.found) == (old, new)
    assert layer.read(PICKS) == b"new"


def test_a_write_for_nothing_is_a_conflict_where_something_is(layer: LocalLayer) -> None:
    layer.write(PICKS, b"theirs", if_revision=None)

    with pytest.raises(ConflictError):
        layer.write(PICKS, b"mine", if_revision=None)

    assert layer.read(PICKS) == b"theirs"


def test_a_rewritten_file_keeps_its_permissions(layer: LocalLayer) -> None:
    layer.write(PICKS, b"old")
    path = Path(layer.location(PICKS))
    path.chmod(0o664)

    layer.write(PICKS, b"new")

    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_a_write_protected_file_stays_as_it_is(shared_layer: LocalLayer) -> None:
    layer = shared_layer
    layer.write(PICKS, b"precious")
    Path(layer.location(PICKS)).chmod(0o444)

    with ordinary_user(layer.root):
        layer.write(OTHER_PICKS, b"new")
        with pytest.raises(PermissionError):
            layer.write(PICKS, b"new")

    assert layer.read(PICKS) == b"precious"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    layer.write(PICKS, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*/alice_1_ribosome\.json"):
        layer.write(PICKS, b"new")

    assert layer.read(PICKS) == b"old"
    assert [p.name for p in Path(layer.location(PICKS)).parent.iterdir()] == ["alice_1_ribosome.json"]


def test_a_folder_that_is_deleted_while_it_is_being_made_is_made_again(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer.write(PICKS, b"old")
    mkdir, deleted = os.mkdir, []

    def mkdir_and_lose_it(path: str, mode: int = 0o777) -> None:
        try:
            mkdir(path, mode)
        except FileExistsError:
            if not deleted:
                deleted.append(path)
                shutil.rmtree(runs_folder(layer) / "TS_1")
            raise

    monkeypatch.setattr(os, "mkdir", mkdir_and_lose_it)
    layer.write(PICKS, b"new")

    assert deleted
    assert layer.read(PICKS) == b"new"


def test_a_file_in_the_place_of_a_folder_is_an_error(layer: LocalLayer) -> None:
    runs_folder(layer).joinpath("TS_1").mkdir()
    runs_folder(layer).joinpath("TS_1", "Picks").write_text("in the way")

    with pytest.raises(FileExistsError, match="Picks"):
        layer.write(PICKS, b"new")


def test_writing_to_a_read_only_layer_is_refused(layer: LocalLayer) -> None:
    layer.write(PICKS, b"old")
    static = LocalLayer("static", layer.root, read_only=True)

    with pytest.raises(ReadOnlyError):
        static.write(PICKS, b"new")
    with pytest.raises(ReadOnlyError):
        static.delete(PICKS)
    with pytest.raises(ReadOnlyError):
        static.ensure(RunKey("new"))
    with pytest.raises(ReadOnlyError), static.replace_zarr(TOMOGRAM):
        pass

    assert layer.read(PICKS) == b"old"


# ---------------------------------------------------------------------------------------------------------------- volumes


def test_a_replaced_volume_is_the_new_one_without_remains(layer: LocalLayer) -> None:
    fill(layer, TOMOGRAM, 1)

    fill(layer, TOMOGRAM, 2)

    assert value_of(layer, TOMOGRAM) == 2
    assert [p.name for p in Path(layer.location(TOMOGRAM)).parent.iterdir()] == ["wbp.zarr"]


def test_a_volume_that_fails_half_way_leaves_the_old_one(layer: LocalLayer) -> None:
    fill(layer, TOMOGRAM, 1)

    with pytest.raises(KeyboardInterrupt):
        fail_half_way(layer)

    assert value_of(layer, TOMOGRAM) == 1
    assert [p.name for p in Path(layer.location(TOMOGRAM)).parent.iterdir()] == ["wbp.zarr"]


def test_what_is_being_staged_is_not_listed(layer: LocalLayer) -> None:
    with layer.replace_zarr(TOMOGRAM) as store:
        zarr.create_array(store, name="0", data=np.zeros((2, 2, 2)))
        layer.forget(ROOT)
        listed = [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)]

    assert listed == []
    assert [*layer.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]


def test_volumes_are_replaced_where_folders_cannot_be_exchanged(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_renameat2", lambda: None)
    fill(layer, TOMOGRAM, 1)

    fill(layer, TOMOGRAM, 2)

    assert value_of(layer, TOMOGRAM) == 2
    assert [p.name for p in Path(layer.location(TOMOGRAM)).parent.iterdir()] == ["wbp.zarr"]


def replace_and_die(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, renames: int) -> None:
    """Replace a volume where folders cannot be exchanged, by a writer that dies after some of the three renames."""
    rename, swap = os.rename, local._exchange_by_renames

    def dying(one: str, other: str) -> bool:
        done: list[str] = []

        def rename_or_die(source: str, target: str) -> None:
            if len(done) == renames:
                raise DeadError
            done.append(target)
            rename(source, target)

        monkeypatch.setattr(local.os, "rename", rename_or_die)
        return swap(one, other)

    with monkeypatch.context() as patched:
        patched.setattr(local, "_renameat2", lambda: None)
        patched.setattr(local, "_exchange_by_renames", dying)
        patched.setattr(LocalLayer, "discard_staged", lambda self, staged: None)
        with pytest.raises(DeadError):
            fill(layer, TOMOGRAM, 2)
    monkeypatch.setattr(local.os, "rename", rename)
    monkeypatch.setattr(local, "_PATIENCE", 0.05)


class DeadError(Exception):
    """A writer that dies."""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_volume_is_there_whenever_a_writer_dies_who_cannot_exchange_folders(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    fill(layer, TOMOGRAM, 1)
    replace_and_die(layer, monkeypatch, renames)
    other = LocalLayer("overlay", layer.root)

    assert [*other.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == [TOMOGRAM]
    assert other.exists(TOMOGRAM)
    assert other.volume_version(TOMOGRAM) is not None
    assert value_of(other, TOMOGRAM) == (2 if renames == 2 else 1)
    fill(LocalLayer("overlay", layer.root), TOMOGRAM, 3)
    assert value_of(other, TOMOGRAM) == 3
    assert not [p for p in Path(layer.location(TOMOGRAM)).parent.iterdir() if p.name.startswith(".replaced-")]


@pytest.mark.parametrize("renames", [1, 2])
def test_a_volume_whose_writer_died_stays_deleted(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch, renames: int) -> None:
    fill(layer, TOMOGRAM, 1)
    replace_and_die(layer, monkeypatch, renames)

    LocalLayer("overlay", layer.root).delete(TOMOGRAM)

    other = LocalLayer("overlay", layer.root)
    assert not other.exists(TOMOGRAM)
    assert [*other.list(Kind.TOMOGRAM, TOMOGRAM.parent)] == []


def test_who_may_not_write_is_told_that_a_volume_is_aside(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(layer, TOMOGRAM, 1)
    replace_and_die(layer, monkeypatch, 1)

    with pytest.raises(BeingReplacedError, match="puts the old volume back"):
        LocalLayer("static", layer.root, read_only=True).volume_version(TOMOGRAM)


def test_the_doctor_puts_back_a_volume_that_is_aside(layer: LocalLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    from copick_backend_fs import other_writers

    monkeypatch.setattr(other_writers, "_PATIENCE", 0.05)
    fill(layer, TOMOGRAM, 1)
    replace_and_die(layer, monkeypatch, 1)
    other = LocalLayer("overlay", layer.root)

    (problem,) = [one for one in other.problems() if one.id == "unfinished-replacement"]
    problem.repair.apply()  # type: ignore[union-attr]

    assert value_of(other, TOMOGRAM) == 1


def test_the_old_volume_comes_back_if_the_new_one_cannot_be_renamed(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_renameat2", lambda: None)
    fill(layer, TOMOGRAM, 1)
    rename, calls = os.rename, []

    def failing(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(local.os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        fill(layer, TOMOGRAM, 2)
    monkeypatch.undo()

    assert value_of(layer, TOMOGRAM) == 1


def test_what_a_dead_writer_left_goes_after_a_week_and_not_before(layer: LocalLayer) -> None:
    layer.write(PICKS, b"{}")
    folder = Path(layer.location(PICKS)).parent
    abandoned = folder / f".staged-{int(time.time()) - STAGED_SECONDS - 1:x}-{0:032x}"
    fresh = folder / f".staged-{int(time.time()) - STAGED_SECONDS + 60:x}-{0:032x}"
    foreign = folder / ".staged-by-somebody-else"
    for path in (abandoned, fresh, foreign):
        path.touch()

    LocalLayer("later", layer.root).write(PICKS, b"{}")

    assert not abandoned.exists()
    assert fresh.exists()
    assert foreign.exists()


def test_a_read_only_volume_refuses_every_mutation(layer: LocalLayer) -> None:
    fill(layer, TOMOGRAM, 1)
    volume = LocalLayer("static", layer.root, read_only=True).zarr(TOMOGRAM)

    with pytest.raises(ValueError, match="read-only"):
        zarr.core.sync.sync(volume.clear())
    with pytest.raises(ValueError, match="read-only"):
        zarr.core.sync.sync(volume.delete("0/zarr.json"))

    assert value_of(layer, TOMOGRAM) == 1


# --------------------------------------------------------------------------------------------------------------- deleting


def test_deleting_a_linked_run_leaves_what_it_links_to(layer: LocalLayer, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "data").touch()
    (runs_folder(layer) / "TS_1").symlink_to(tmp_path / "elsewhere")

    layer.delete(RUN)

    assert not layer.exists(RUN)
    assert (tmp_path / "elsewhere" / "data").exists()


def test_deleting_a_tomogram_deletes_its_features_and_no_others(layer: LocalLayer) -> None:
    for tomo_type in ("wbp", "wbp-denoised"):
        fill(layer, TomogramKey("TS_1", 10.0, tomo_type), 1)
        fill(layer, FeaturesKey("TS_1", 10.0, tomo_type, "sobel"), 1)

    layer.delete(TOMOGRAM)

    names = {p.name for p in Path(layer.location(TOMOGRAM)).parent.iterdir()}
    assert names == {"wbp-denoised.zarr", "wbp-denoised_sobel_features.zarr"}


def test_a_tomogram_is_deleted_though_somebody_else_deletes_its_features_meanwhile(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FeaturesKey("TS_1", 10.0, "wbp", "sobel")
    fill(layer, TOMOGRAM, 1)
    fill(layer, features, 1)
    found = layer.list(Kind.FEATURES, TOMOGRAM)
    monkeypatch.setattr(layer, "list", lambda kind, parent: found)
    shutil.rmtree(layer.location(features))

    layer.delete(TOMOGRAM)

    assert not layer.exists(TOMOGRAM)


def test_nothing_is_left_where_somebody_else_deletes_below_at_the_same_time(
    layer: LocalLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(layer, TOMOGRAM, 1)
    rmtree, interrupted = shutil.rmtree, []

    def rmtree_beside_another(path: str) -> None:
        if not interrupted:
            interrupted.append(path)
            raise FileNotFoundError(path)
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree_beside_another)

    layer.delete(TOMOGRAM)

    assert interrupted
    assert [*Path(layer.location(TOMOGRAM)).parent.glob("*.zarr"), *Path(layer.root).rglob(".staged*")] == []


def test_deleting_what_is_not_there_is_an_error(layer: LocalLayer) -> None:
    with pytest.raises(NotFoundError):
        layer.delete(RUN)


# ---------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize("spelling", ["{}", "{}/", "local://{}", "file://{}//", "{}/../project", "{}-link"])
def test_one_location_spelled_differently_is_one_writable_layer(tmp_path: Path, spelling: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "project-link").symlink_to(root)

    layers = open_layers(CopickConfigFSSpec(overlay_root=str(root), static_root=spelling.format(root)))

    assert [layer.name for layer in layers.all] == ["overlay"]
    assert not layers.all[0].read_only


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    layers = open_layers(CopickConfigFSSpec(overlay_root="local://~/project"))

    assert layers.overlay.root == str(tmp_path / "project")  # type: ignore[union-attr]


def test_a_config_without_any_location_is_refused() -> None:
    with pytest.raises(ValueError, match="overlay_root"):
        CopickConfigFSSpec()


def test_auto_mkdir_is_accepted_and_not_needed(tmp_path: Path) -> None:
    layers = open_layers(CopickConfigFSSpec(overlay_root=str(tmp_path / "a" / "b"), overlay_fs_args={"auto_mkdir": False}))

    layers.overlay.write(PICKS, b"{}")  # type: ignore[union-attr]

    assert (tmp_path / "a" / "b" / "ExperimentRuns" / "TS_1" / "Picks" / "alice_1_ribosome.json").exists()


@pytest.fixture
def old_project(project_config: Callable[..., Any]) -> Any:
    """A project with the tomogram denoised_isonet, as copick made it before 2025."""
    config = project_config()
    spacing = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0)
    spacing.new_tomogram("wbp").from_numpy(np.ones((1, 1, 2)))
    folder = Path(config["overlay_root"], "ExperimentRuns/TS_1/VoxelSpacing10.000")
    (folder / "wbp.zarr").rename(folder / "denoised_isonet.zarr")
    return config, folder


def spacing_of(config: Any) -> Any:
    return copick_core.open(config).get_run("TS_1").get_voxel_spacing(10.0)


def test_a_tomogram_with_an_underscore_is_listed_found_and_read(old_project: Any) -> None:
    spacing = spacing_of(old_project[0])

    assert [t.tomo_type for t in spacing.tomograms] == ["denoised_isonet"]
    assert spacing_of(old_project[0]).get_tomogram("denoised_isonet").numpy().tolist() == [[[1, 1]]]


@pytest.mark.parametrize("name", ["denoised_isonet", "denoised-isonet"])
@pytest.mark.filterwarnings("ignore:Name 'denoised_isonet'")
def test_an_old_tomogram_gets_no_twin_and_is_overwritten_in_place(old_project: Any, name: str) -> None:
    config, folder = old_project

    with pytest.raises(AlreadyExistsError):
        spacing_of(config).new_tomogram(name)
    spacing_of(config).new_tomogram(name, exist_ok=True).from_numpy(np.zeros((1, 1, 2)))

    assert [entry.name for entry in folder.iterdir() if entry.suffix == ".zarr"] == ["denoised_isonet.zarr"]
    assert spacing_of(config).tomograms[0].numpy().tolist() == [[[0, 0]]]


def test_of_two_spellings_the_one_that_was_asked_for_is_given(old_project: Any) -> None:
    config, folder = old_project
    shutil.copytree(folder / "denoised_isonet.zarr", folder / "denoised-isonet.zarr")

    for name in ("denoised_isonet", "denoised-isonet"):
        assert spacing_of(config).get_tomogram(name).tomo_type == name


def test_a_folder_in_a_volume_has_no_size(layer: LocalLayer) -> None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    store = layer.zarr(TomogramKey("TS_1", 10.0, "wbp"))
    sync(store.set("0/0", default_buffer_prototype().buffer.from_bytes(b"abc")))

    assert sync(store.getsize("0/0")) == 3
    with pytest.raises(FileNotFoundError):
        sync(store.getsize("0"))


def test_names_whose_parts_nobody_can_tell_apart_are_warned_of_once_and_listed_by_the_doctor(
    project_config: Callable[..., Any],
) -> None:
    config = project_config()
    run = copick_core.open(config).new_run("TS_1")
    run.new_picks("ribosome", "1", positions=[[1.0, 2.0, 3.0]])
    folder = Path(config["overlay_root"], "ExperimentRuns/TS_1")
    for session in ("a", "b"):
        shutil.copy(folder / "Picks/alice_1_ribosome.json", folder / f"Picks/alice_{session}_old_ribosome.json")
    (folder / "Segmentations/10.000_alice_1_outer_membrane.zarr").mkdir(parents=True)
    root = copick_core.open(config)
    run = root.get_run("TS_1")

    with pytest.warns(UserWarning, match="2 picks have underscores .*'alice_a_old_ribosome.json'.*doctor"):
        assert [p.session_id for p in run.picks] == ["1"]
    with pytest.warns(UserWarning, match="1 segmentations have underscores .*'10.000_alice_1_outer_membrane.zarr'"):
        assert list(run.segmentations) == []
    run.refresh()

    assert len(run.picks) == 1  # without a second warning
    assert len([one for one in root.problems() if one.problem.id == "unreadable-name"]) == 3
