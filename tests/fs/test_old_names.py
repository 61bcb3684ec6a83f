"""Old projects have underscores in names of objects: what can only mean one thing is read, and gets no twin."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

import copick_core
from copick_core.errors import AlreadyExistsError
from support.objects import OBJECTS

OBJECT = {"name": "outer-shell", "is_particle": True, "label": 77, "color": [1, 2, 3, 255], "radius": 50.0}
#: What an old name says, by the folder and the usual name.
OLD = {
    "Picks/alice_1_outer-shell.json": "Picks/alice_1_outer_shell.json",
    "Meshes/alice_1_outer-shell.glb": "Meshes/alice_1_outer_shell.glb",
    "Filaments/alice_1_outer-shell.json": "Filaments/alice_1_outer_shell.json",
    "Segmentations/10.000_alice_1_outer-shell.zarr": "Segmentations/10.000_alice_1_outer_shell.zarr",
    "Segmentations/10.000_alice_2_outer-shell-multilabel.zarr": "Segmentations/10.000_alice_2_outer_shell-multilabel.zarr",
}
KINDS = ["picks", "meshes", "filaments", "segmentations"]

pytestmark = pytest.mark.filterwarnings("ignore:copick-core was never tried", "ignore:.*let one process at a time write")


def config_of(place: str, **fields: Any) -> dict[str, Any]:
    return {
        "config_type": "filesystem",
        "pickable_objects": [*OBJECTS, OBJECT],
        "user_id": "alice",
        "overlay_root": place,
        **fields,
    }


@pytest.fixture(params=["local", "renaming"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A project whose annotations have old names, on a local disk and over fsspec."""
    config = config_of(str(tmp_path / "project"))
    run = copick_core.open(config).new_run("TS_1")
    run.new_picks("outer-shell", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_mesh("outer-shell", "1", mesh=trimesh.creation.box())
    run.new_filaments("outer-shell", "1")
    run.new_segmentation(10.0, "outer-shell", "1").from_numpy(np.ones((2, 2, 2), "u1"))
    run.new_segmentation(10.0, "outer-shell", "2", is_multilabel=True).from_numpy(np.full((2, 2, 2), 77, "u1"))
    for name, old in OLD.items():
        (folder_of(tmp_path) / name).rename(folder_of(tmp_path) / old)
    if request.param == "renaming":
        import fsspec

        from support.renaming import Renaming

        fsspec.register_implementation("renaming", Renaming, clobber=True)
        return config_of(f"renaming://{tmp_path}/project")
    return config


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "project" / "ExperimentRuns" / "TS_1"


def run_of(config: dict[str, Any]) -> Any:
    return copick_core.open(config).get_run("TS_1")


def test_what_can_only_mean_one_thing_is_listed_and_read_without_a_warning(config: Any) -> None:
    run = run_of(config)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [(p.pickable_object_name, p.user_id, p.session_id) for p in run.picks] == [("outer-shell", "alice", "1")]
        assert run.picks[0].numpy()[0].tolist() == [[1, 2, 3]]
        assert run.picks[0].color == (1, 2, 3, 255)
        assert run.meshes[0].mesh.extents.tolist() == [1, 1, 1]
        assert len(run.filaments) == 1
        assert [(s.name, s.segmentation_type, int(s.numpy().max())) for s in run.segmentations] == [
            ("outer-shell", "binary", 1),
            ("outer-shell", "multilabel", 77),
        ]


def test_a_getter_finds_it_without_a_listing(config: Any) -> None:
    assert run_of(config).get_picks("outer-shell", "alice", "1")[0].numpy()[0].tolist() == [[1, 2, 3]]
    assert copick_core.open(config).entity("TS_1/outer-shell:alice/1", kind="picks").numpy()[0].tolist() == [[1, 2, 3]]
    (found,) = run_of(config).get_segmentations("alice", "1", name="outer-shell", voxel_size=10.0)
    assert found.numpy().max() == 1


@pytest.mark.parametrize("listed", [True, False])
def test_it_gets_no_twin_and_is_overwritten_in_place(config: Any, tmp_path: Path, listed: bool) -> None:
    run = run_of(config)
    if listed:
        assert [len(getattr(run, kind)) for kind in KINDS] == [1, 1, 1, 2]

    with pytest.raises(AlreadyExistsError):
        run.new_picks("outer-shell", "1")
    with pytest.raises(AlreadyExistsError):
        run.new_segmentation(10.0, "outer-shell", "1")
    run.new_picks("outer-shell", "1", exist_ok=True).from_numpy([[4.0, 5.0, 6.0]])
    run.new_segmentation(10.0, "outer-shell", "1", exist_ok=True).from_numpy(np.zeros((2, 2, 2), "u1"))

    found = {f"{path.parent.name}/{path.name}" for path in folder_of(tmp_path).glob("[PMFS]*/*")}
    assert found == {*OLD.values()}
    again = run_of(config)
    assert again.picks[0].numpy()[0].tolist() == [[4, 5, 6]]
    assert again.get_segmentations("alice", "1")[0].numpy().max() == 0


def test_it_is_deleted_and_made_again_under_its_usual_name(config: Any, tmp_path: Path) -> None:
    run = run_of(config)
    run.picks[0].delete()
    run.get_segmentations("alice", "1")[0].delete()

    assert run_of(config).picks == []
    run.new_picks("outer-shell", "1")
    run.new_segmentation(10.0, "outer-shell", "1").from_numpy(np.ones((2, 2, 2), "u1"))

    assert [path.name for path in (folder_of(tmp_path) / "Picks").iterdir()] == ["alice_1_outer-shell.json"]
    assert (folder_of(tmp_path) / "Segmentations/10.000_alice_1_outer-shell.zarr").is_dir()


def test_its_path_is_that_of_the_file(config: Any, tmp_path: Path) -> None:
    picks = run_of(config).picks[0]

    assert Path(picks.path) == folder_of(tmp_path) / "Picks/alice_1_outer_shell.json"
    assert picks.fs.exists(picks.path)


@pytest.mark.filterwarnings("ignore:.*have underscores in parts of their names")
def test_of_two_files_the_exact_name_is_read_and_the_other_one_told(config: Any, tmp_path: Path) -> None:
    old = folder_of(tmp_path) / "Picks/alice_1_outer_shell.json"
    content = json.loads(old.read_text())
    content["points"][0]["location"]["x"] = 9.0
    (old.parent / "alice_1_outer-shell.json").write_text(json.dumps(content))
    root = copick_core.open(config)

    assert [float(picks.numpy()[0][0, 0]) for picks in root.get_run("TS_1").picks] == [9.0]
    (problem,) = [one.problem for one in root.problems() if one.problem.id == "unreadable-name"]
    assert "alice_1_outer_shell.json" in problem.place


def test_what_is_read_is_no_problem(config: Any) -> None:
    assert copick_core.open(config).problems() == []


@pytest.mark.parametrize("name", ["my_alice_1_outer_shell", "alice_1_outer_shell", "alice_1_inner_shell"])
def test_a_name_that_could_mean_two_things_or_none_is_not_read(config: Any, tmp_path: Path, name: str) -> None:
    picks = folder_of(tmp_path) / "Picks"
    (picks / "alice_1_outer_shell.json").rename(picks / f"{name}.json")
    if name == "alice_1_outer_shell":  # the user "alice", or "alice_1"
        config["pickable_objects"].append({"name": "shell", "is_particle": True, "label": 78})

    with pytest.warns(UserWarning, match="1 picks have underscores"):
        assert run_of(config).picks == []


def test_an_object_that_is_made_later_is_known(config: Any) -> None:
    config["pickable_objects"] = [obj for obj in config["pickable_objects"] if obj != OBJECT]
    root = copick_core.open(config)
    with pytest.warns(UserWarning, match="have underscores"):
        assert root.get_run("TS_1").picks == []

    root.new_object("outer-shell", True)
    root.refresh()

    assert len(root.get_run("TS_1").picks) == 1


def test_another_process_reads_it_too(config: Any) -> None:
    picks = pickle.loads(pickle.dumps(run_of(config).picks[0]))

    assert picks.numpy()[0].tolist() == [[1, 2, 3]]


def test_a_volume_of_an_object_is_read(config: Any, tmp_path: Path) -> None:
    copick_core.open(config).get_object("outer-shell").from_numpy(np.ones((2, 2, 2), "f4"), 10.0)
    objects = tmp_path / "project" / "Objects"
    (objects / "outer-shell.zarr").rename(objects / "outer_shell.zarr")

    assert copick_core.open(config).get_object("outer-shell").numpy().max() == 1


def test_an_old_tomogram_is_overwritten_in_place_without_a_word_of_its_name(tmp_path: Path) -> None:
    config = config_of(str(tmp_path / "project"))
    spacing = copick_core.open(config).new_run("TS_1").new_voxel_spacing(10.0)
    spacing.new_tomogram("my-type").from_numpy(np.ones((2, 2, 2)), levels=1)
    folder = folder_of(tmp_path) / "VoxelSpacing10.000"
    (folder / "my-type.zarr").rename(folder / "my_type.zarr")
    spacing = run_of(config).get_voxel_spacing(10.0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taken = spacing.new_tomogram("my-type", exist_ok=True)
    taken.from_numpy(np.zeros((2, 2, 2)), levels=1)

    assert taken.tomo_type == "my_type"
    assert [path.name for path in folder.glob("*.zarr")] == ["my_type.zarr"]
    with pytest.raises(AlreadyExistsError):
        spacing.new_tomogram("my-type")
