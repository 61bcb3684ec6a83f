"""Projects are copied into a history and out of one: values, levels, attributes and metadata stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk
from copick_core.__main__ import main
from copick_core.errors import InvalidDataError
from copick_core.testing.project_base import FIELDS, fill_project
from copick_core.volumes.reencoding import same_volume


@pytest.fixture
def plain(tmp_path: Path) -> Any:
    """A project in a folder with one entity of each kind."""
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "plain"), **FIELDS}
    root = copick_core.open(config)
    fill_project(root)
    return root


def written(tmp_path: Path, name: str, root: Any) -> str:
    path = tmp_path / f"{name}.json"
    root.save_config(path)
    return str(path)


def volumes(root: Any) -> list[Any]:
    run = root.get_run("TS_1")
    (tomogram,) = run.voxel_spacings[0].tomograms
    return [tomogram, *tomogram.features, *sorted(run.segmentations, key=str), root.get_object("ribosome")]


@pytest.mark.parametrize("preset", ["copick-1", "copick-2", "ome-0.5"])
def test_a_project_is_copied_in_and_out_in_the_preset_of_the_target(
    plain: Any, root: Any, tmp_path: Path, preset: str
) -> None:
    there = written(tmp_path, "there", root)
    out = {"config_type": "filesystem", "overlay_root": str(tmp_path / "out"), "format": preset, **FIELDS}
    back = written(tmp_path, "back", copick_core.open(out))

    assert main(["copy", written(tmp_path, "here", plain), there, "--verify"]) in (0, None)
    assert main(["copy", there, back, "--verify"]) in (0, None)

    pairs = [*zip(volumes(plain), volumes(copick_core.open(back)), strict=True)]
    assert len(pairs) == 7
    assert all(same_volume(first.zarr(), second.zarr()) for first, second in pairs)
    formats = {zarr.open_group(second.zarr(), mode="r").metadata.zarr_format for _, second in pairs}
    assert formats == {2 if preset == "copick-1" else 3}
    picks = [project.get_run("TS_1").picks[0].numpy()[0].tolist() for project in (plain, copick_core.open(back))]
    assert picks[0] == picks[1]


def test_a_project_is_adopted_as_one_commit(plain: Any, root: CopickRootIcechunk) -> None:
    with root.transaction("adopt"):
        copick_core.copy_project(plain, root, verify=True)

    (commit,) = root.history()
    assert len({change.key for change in commit.changes}) == 12


def test_verifying_a_copy_finds_a_voxel_that_differs(plain: Any, root: CopickRootIcechunk) -> None:
    copick_core.copy_project(plain, root)
    (tomogram,) = root.get_run("TS_1").voxel_spacings[0].tomograms
    tomogram.set_region(np.full((1, 1, 1), -1.0), z=slice(0, 1), y=slice(0, 1), x=slice(0, 1))

    with pytest.raises(InvalidDataError, match="differs from the original"):
        copick_core.copy_project(plain, root, verify=True)


def test_a_volume_of_a_static_history_is_copied_into_an_overlay_in_its_format(
    plain: Any, root: CopickRootIcechunk, config: dict[str, Any], tmp_path: Path
) -> None:
    copick_core.copy_project(plain, root)
    overlay = {"config_type": "filesystem", "overlay_root": str(tmp_path / "mine")}
    stack = copick_core.open({"config_type": "stack", "overlay": overlay, "static": [config], "user_id": "bob"})
    spacing = stack.get_run("TS_1").voxel_spacings[0]
    (original,) = spacing.tomograms

    copy = spacing.new_tomogram("wbp", exist_ok=True)

    assert (copy.read_only, copy.array().metadata.zarr_format) == (False, 2)
    assert np.array_equal(copy.numpy(), original.numpy())


def test_entities_are_copied_by_address_between_a_history_and_a_folder(
    plain: Any, root: CopickRootIcechunk, tmp_path: Path
) -> None:
    from copick_tools.transfers import plan_copy

    plan_copy(plain.select("TS_1/wbp@10.0", "tomogram"), "TS_2/wbp@10.0", to=root).run(verify=True)
    plan_copy(root.select("TS_2/wbp@10.0", "tomogram"), "TS_3/wbp@10.0", to=plain).run(verify=True)

    copies = [root.get_run("TS_2"), plain.get_run("TS_3")]
    formats = [copy.voxel_spacings[0].tomograms[0].array().metadata.zarr_format for copy in copies]
    assert formats == [3, 2]


def test_another_format_is_refused_by_name(root: CopickRootIcechunk) -> None:
    tomogram = root.new_run("TS_1").new_voxel_spacing(10.0).new_tomogram("wbp")

    with pytest.raises(InvalidDataError, match="its place stores zarr_format=3 only"):
        tomogram.from_numpy(np.ones((4, 4, 4)), zarr_format=2)
