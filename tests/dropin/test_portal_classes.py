"""The portal's classes of the drop-in: their names, and what no signature of copick shows, on a portal on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto.server")

from support.dropin import call
from support.environments import REPOSITORY
from support.portal_loopback import LoopbackPortal, content
from support.portals import OBJECTS

SCRIPT = str(REPOSITORY / "tests" / "support" / "dropin_portal.py")
pytestmark = pytest.mark.slow  # it starts a portal

KINDS = ("run", "voxel_spacing", "tomogram", "features", "picks", "mesh", "filaments", "segmentation", "object")
CLASSES = ("Run", "VoxelSpacing", "Tomogram", "Features", "Picks", "Mesh", "Filaments", "Segmentation", "Object")


@pytest.fixture(scope="module")
def portal():
    filled = content.fill(LoopbackPortal())
    yield filled
    filled.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("portal")


@pytest.fixture(scope="module")
def seen(portal: LoopbackPortal, python: Path, folder: Path) -> dict[str, Any]:
    """What a program sees that works on a project of the portal."""
    overlay = {"overlay_root": f"local://{folder / 'overlay'}", "overlay_fs_args": {"auto_mkdir": True}}
    config = portal.config(10001, 10002, pickable_objects=OBJECTS, user_id="ana", **overlay)
    (folder / "config.json").write_text(json.dumps(config))
    arguments = (str(folder / "config.json"), str(folder / "seen.json"))
    done = call(python, "-W", "error", SCRIPT, *arguments, cwd=folder, XDG_CACHE_HOME=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return found


def test_every_class_has_the_name_that_copick_gives_it(seen):
    assert seen["classes"] == {"root": "CopickRootCDP", **{k: f"Copick{c}CDP" for k, c in zip(KINDS, CLASSES, strict=True)}}


def test_every_class_is_one_of_the_base_class_that_tools_look_for(seen):
    assert seen["types"] == {"root": ["CopickRoot"], **{k: [f"Copick{c}"] for k, c in zip(KINDS, CLASSES, strict=True)}}


def test_entities_have_their_ids_on_the_portal(seen):
    assert seen["ids"] == [501, 701, 801]
    assert seen["annotation"] == 301


def test_what_the_portal_has_is_read_only(seen):
    assert {kind for kind, read_only in seen["read_only"].items() if read_only} == {"tomogram"}


def test_paths_of_what_is_written_are_those_of_the_overlay(seen, folder):
    run = f"{folder}/overlay/ExperimentRuns/501"

    assert {name: seen["paths"][name] for name in ("run", "voxel_spacing", "tomogram", "segmentation", "features")} == {
        "run": run,
        "voxel_spacing": f"{run}/VoxelSpacing7.840",
        "tomogram": f"{run}/VoxelSpacing7.840/wbp-raw.zarr",
        "segmentation": f"{run}/Segmentations/7.840_ana_1_membrane.zarr",
        "features": f"{run}/VoxelSpacing7.840/wbp-raw_sobel_features.zarr",
    }
    assert [seen["paths"]["directory"], seen["paths"]["filename"]] == [f"{run}/Picks/", "ana_1_ribosome.json"]


def test_file_systems_open_what_the_paths_name(seen):
    assert seen["paths"]["meshes"] == ["glTF", "glTF"]
    assert seen["paths"]["points of the portal"] == 3
    assert seen["paths"]["tomogram on the portal"] is True
    assert seen["paths"]["tomogram in the overlay"] is False


def test_lists_are_kept_until_refresh(seen):
    assert seen["lists"] == {"before": None, "same": True, "seen": 0, "after refresh": 1}


def test_a_member_that_is_deleted_from_a_base_class_is_gone_from_the_portals_classes(seen):
    assert seen["deleted"] == [[True, True, False]] * 4


def test_getters_take_the_filters_of_the_portal_and_refuse_unknown_ones(seen):
    found = dict(seen["filters"])
    refused = found.pop("refused")

    assert found == {"picks": ["1001", "1002", "1008"], "segmentations": 1, "tomograms": 1, "authors": 2}
    assert "get_picks() got an unexpected keyword argument 'user'" in refused


def test_the_habits_of_old_callers_hold(seen):
    assert seen["user_picks"] == ["ana"]
    assert seen["warned"] == ["DeprecationWarning"]
    assert seen["voxel_spacing"] == ["CopickVoxelSpacingCDP", 20.0]
    assert seen["reopened"] == ["CopickRootCDP", True]
    assert seen["objects"] == ["ribosome"]


def test_a_project_made_of_datasets_starts_at_the_working_folder_and_has_the_version_of_the_drop_in(portal, python, tmp_path):
    addresses = (portal.graphql.url, portal.s3.url)

    done = call(
        python,
        "-W",
        "error",
        SCRIPT,
        "datasets",
        *addresses,
        "seen.json",
        cwd=tmp_path,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["class"], seen["is"]) == ("CopickRootCDP", True)
    assert seen["config"]["version"] == seen["version"]
    assert [obj["name"] for obj in seen["config"]["pickable_objects"]]
    assert [path for path in seen["written"] if "/Picks/" in path and path.startswith("mine/ExperimentRuns/501/")]
