"""Deposits: trees of links or copies that are projects themselves."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

import copick_core
from copick_core.__main__ import main
from copick_core.errors import AddressError, AlreadyExistsError, InvalidDataError, InvalidNameError
from copick_core.tree.keys import Kind, PicksKey
from copick_tools.deposits import deposit, plan_deposit
from support.objects import OBJECTS
from tools.conftest import changed, contents, fill, stored
from tools.test_kills import Killed, die, stop


@pytest.fixture
def local(project_config):
    """A filled project in a local folder."""
    return fill(copick_core.open(project_config()))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deposit"


def held(root):
    """A digest of what a project has in runs."""
    return {entry: digest for entry, digest in contents(root).items() if entry[0].kind is not Kind.OBJECT}


def deposited(folder):
    """The tree, as a project."""
    return copick_core.open({"config_type": "filesystem", "overlay_root": str(folder), "pickable_objects": OBJECTS})


def links(folder):
    """Paths of all links below a folder, relative to it."""
    found = [Path(at, name) for at, folders, files in os.walk(folder) for name in [*folders, *files]]
    return {str(path.relative_to(folder)) for path in found if path.is_symlink()}


def test_planning_changes_nothing_and_depositing_makes_what_the_plan_lists(project, folder):
    before, files = held(project), stored(project)

    plan = plan_deposit(project, folder, copy=True)

    assert not folder.exists()
    assert stored(project) == files
    report = plan.run(verify=True)
    assert held(project) == before
    assert changed({}, held(deposited(folder))) == plan.keys == report.keys
    assert {key.kind for key in plan.keys} > {Kind.PICKS, Kind.MESH, Kind.TOMOGRAM, Kind.FEATURES, Kind.SEGMENTATION}


def test_a_tree_of_links_holds_what_the_project_has(local, folder):
    before = held(local)
    plan = plan_deposit(local, folder)

    report = plan.run(verify=True)

    there = held(deposited(folder))
    assert there == before
    assert changed({}, there) == plan.keys == report.keys
    assert report.verified == len(links(folder)) == 8
    assert held(local) == before


def test_depositing_again_finds_nothing_to_do(local, folder):
    deposit(local, folder, ["*"])

    assert plan_deposit(local, folder, ["*"]).changes == []
    assert {key.kind for key in deposit(local, folder).keys} == {Kind.FEATURES}


def test_runs_are_renamed_and_what_holds_their_name_is_copied_with_the_new_one(local, folder):
    deposit(local, folder, run_prefix="10301_", run_regex=r"TS_(\d)")

    root = deposited(folder)
    assert [run.name for run in root.runs] == ["10301_1", "10301_2"]
    assert root.entity("10301_1/ribosome:bob/1", "picks").meta.run_name == "10301_1"
    assert {name.partition("/")[2].partition("/")[2].partition("/")[0] for name in links(folder)} == {
        "Meshes",
        "Segmentations",
        "VoxelSpacing10.000",
    }


@pytest.mark.parametrize(("regex", "refused"), [("x", "does not match"), ("(", "not a regular expression")])
def test_a_regular_expression_that_fits_no_run_is_refused(local, folder, regex, refused):
    with pytest.raises(InvalidDataError, match=refused):
        plan_deposit(local, folder, run_regex=regex)


def test_two_runs_never_become_one(local, folder):
    with pytest.raises(AddressError, match="would both become"):
        plan_deposit(local, folder, run_regex="TS")


def test_a_prefix_that_no_folder_can_have_is_refused(local, folder):
    with pytest.raises(InvalidNameError):
        plan_deposit(local, folder, run_prefix="a/b")


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_there_already_is_replaced_only_if_asked(local, folder, copy):
    deposit(local, folder, copy=not copy)
    before, there = held(local), links(folder)

    with pytest.raises(AlreadyExistsError, match="choose if_exists='skip' or 'replace'"):
        plan_deposit(local, folder, copy=copy)
    assert plan_deposit(local, folder, copy=copy, if_exists="skip").changes == []
    assert links(folder) == there
    assert deposit(local, folder, copy=copy, if_exists="replace", verify=True).verified == 8
    assert len(links(folder)) == (0 if copy else 8)
    assert held(local) == before


def test_a_link_that_leads_nowhere_is_replaced(local, folder):
    deposit(local, folder, kind="mesh")
    (link,) = links(folder)
    (folder / link).unlink()
    (folder / link).symlink_to(folder / "nowhere")

    deposit(local, folder, kind="mesh", verify=True)

    assert (folder / link).exists()


@pytest.mark.parametrize("make_root", ["memory", "s3"], indirect=True)
def test_what_lies_in_no_local_folder_is_copied_and_not_linked(project, folder):
    with pytest.raises(InvalidDataError, match=r"in no local folder, so it cannot be linked; copy instead \(copy=True\)"):
        plan_deposit(project, folder)
    assert not folder.exists()
    assert deposit(project, folder, copy=True).keys


def test_links_are_refused_in_a_bucket(local):
    with pytest.raises(InvalidDataError, match=r"links can only be made in a local folder.*copy instead \(copy=True\)"):
        plan_deposit(local, "memory://deposit")


def test_a_project_is_not_deposited_into_its_own_folder(local, tmp_path):
    with pytest.raises(InvalidDataError, match="choose another folder"):
        plan_deposit(local, tmp_path / "overlay")


def test_deleting_a_link_keeps_what_it_leads_to(local, folder):
    deposit(local, folder)
    before = held(local)

    deposited(folder).entity("TS_1/wbp@10.0", "tomogram").delete()

    assert held(local) == before


def test_editing_picks_of_a_deposit_keeps_those_of_the_project(local, folder):
    deposit(local, folder)

    deposited(folder).entity("TS_1/ribosome:bob/1", "picks").from_numpy([[9.0, 9.0, 9.0]])

    local.refresh()
    assert local.entity("TS_1/ribosome:bob/1", "picks").numpy()[0].tolist() == [[2.0, 2.0, 3.0]]


def _deposit_and_die(config, folder, copy, changes, death=die):
    plan, left = plan_deposit(copick_core.open(config), folder, copy=copy), changes
    layer = next(step.target for step in plan.steps if hasattr(step, "target"))

    def dying(original):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                death()
            left -= 1
            return original(*args, **kwargs)

        return call

    for name in ("write", "ensure", "replace_zarr"):
        setattr(layer, name, dying(getattr(layer, name)))
    symlink, os.symlink = os.symlink, dying(os.symlink)
    try:
        plan.run()
    finally:
        os.symlink = symlink


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("changes", [0, 1, 3, 4, 6])
def test_a_killed_deposit_loses_nothing_and_goes_on_when_called_again(local, project_config, folder, copy, changes):
    before = held(local)
    arguments = (project_config(), folder, copy, changes)
    process = multiprocessing.get_context("fork").Process(target=_deposit_and_die, args=arguments)
    process.start()
    process.join(60)

    assert process.exitcode == -signal.SIGKILL
    assert held(local) == before
    assert held(deposited(folder)).items() <= before.items()
    deposit(local, folder, copy=copy, verify=True)
    assert held(deposited(folder)) == before


@pytest.mark.parametrize("make_root", ["memory", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("changes", [0, 1, 3, 6])
def test_a_killed_deposit_of_what_lies_elsewhere_loses_nothing_and_goes_on(project, folder, changes):
    before = held(project)

    with pytest.raises(Killed):
        _deposit_and_die(project.config.model_dump(), folder, True, changes, stop)

    assert held(project) == before
    assert held(deposited(folder)).items() <= before.items()
    deposit(project, folder, copy=True, verify=True)
    assert held(deposited(folder)) == before


def test_the_command_deposits_what_its_addresses_match(local, project_config, folder, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(project_config()))
    words = ["deposit", str(folder), "*/ribosome:bob", "TS_1/membrane", "-c", str(tmp_path / "config.json"), "--json"]

    assert main([*words, "--dry-run"]) == 0
    assert not folder.exists()
    planned = json.loads(capsys.readouterr().out)["changes"]
    assert main([*words, "--verify"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["done"] == planned
    assert report["verified"] == 4
    assert deposited(folder).layers.overlay.exists(PicksKey("TS_2", "ribosome", "bob", "1"))
