"""Copying, moving, synchronising and deleting: a plan says what changes, and nothing else does."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

import copick_core
from copick_core.errors import (
    AddressError,
    AlreadyExistsError,
    ConflictError,
    InvalidDataError,
    InvalidNameError,
    ReadOnlyError,
)
from copick_core.errors import UnknownObjectError as UnknownObject
from copick_core.layers import ANY, Layer
from copick_core.tree.addresses import address_of
from copick_core.tree.keys import Kind, PicksKey, RunKey
from copick_tools.deletions import delete, plan_delete
from copick_tools.stats import stats
from copick_tools.targets import Target
from copick_tools.transfers import copy, move, plan_copy, plan_move, plan_sync, sync
from tools.conftest import changed, contents, fill, stored

ALICE, BOB = (PicksKey("TS_1", "ribosome", user, "1") for user in ("alice", "bob"))

PLANS = {
    "copy picks": lambda root, other: plan_copy(root.select("*/ribosome:alice/1", "picks"), "ribosome:carol/2"),
    "copy to a new run": lambda root, other: plan_copy(root.select("TS_1/wbp@10.0", "tomogram"), "TS_3/denoised"),
    "copy features": lambda root, other: plan_copy(root.select("TS_1/wbp@10.0:*"), "*@10.0:{feature}-2"),
    "copy a segmentation": lambda root, other: plan_copy(root.select("membrane@10.0", "segmentation"), "{name}:tool/0"),
    "copy a mesh": lambda root, other: plan_copy(root.select("membrane", "mesh"), "{name}:carol"),
    "copy to another project": lambda root, other: plan_copy(root.select("*", "picks"), "*", to=other),
    "replace": lambda root, other: plan_copy(root.select("*/ribosome:alice", "picks"), "*:bob", if_exists="replace"),
    "move picks": lambda root, other: plan_move(root.select("*/ribosome:alice/1", "picks"), "*:{user}-old"),
    "move a tomogram": lambda root, other: plan_move(root.select("wbp@10.0", "tomogram"), "raw"),
    "move a mesh to another project": lambda root, other: plan_move(root.select("membrane", "mesh"), "*", to=other),
    "delete picks": lambda root, other: plan_delete(root.select("ribosome:bob", "picks")),
    "delete a run": lambda root, other: plan_delete(root.select("TS_1/")),
    "delete a tomogram": lambda root, other: plan_delete(root.select("TS_1/wbp@10.0", "tomogram")),
    "sync": lambda root, other: plan_sync(root, other, runs={"TS_1": "A"}, users={"bob": "robert"}),
}


@pytest.mark.parametrize("make_plan", PLANS.values(), ids=PLANS.keys())
def test_planning_changes_nothing_and_running_changes_what_the_plan_lists(project, make_root, make_plan):
    other = make_root("other")
    before, before_there = contents(project), contents(other)
    files, files_there = stored(project), stored(other)

    plan = make_plan(project, other)

    assert (stored(project), stored(other)) == (files, files_there)
    report = plan.run(verify=True)
    assert plan.keys
    assert changed(before, contents(project)) | changed(before_there, contents(other)) == plan.keys == report.keys
    assert json.loads(json.dumps(plan.to_json()))["changes"] == report.to_json()["done"]


def test_a_copy_is_the_same_under_its_new_name(project):
    copy(project.select("TS_1/ribosome:bob/1", "picks"), "ribosome:carol/7", verify=True)

    assert project.entity("TS_1/ribosome:carol/7", "picks").numpy()[0].tolist() == [[2.0, 2.0, 3.0]]
    assert project.entity("TS_1/ribosome:carol/7", "picks").meta.user_id == "carol"


def test_two_sources_are_never_moved_into_one_target(project):
    before = contents(project)

    with pytest.raises(AddressError, match="would both become picks 'ribosome' of merged/1"):
        move(project.select("TS_1/ribosome:*/*", "picks"), "ribosome:merged/1", if_exists="replace")

    assert contents(project) == before


def test_nothing_is_moved_onto_itself(project):
    before = contents(project)

    with pytest.raises(AddressError, match="onto itself"):
        move(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:alice/1", if_exists="replace")

    assert contents(project) == before


def test_a_target_name_that_would_be_sanitised_is_refused(project):
    with pytest.raises(InvalidNameError):
        plan_move(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:a_b/1")


def test_a_target_that_exists_with_other_content_is_an_error_and_nothing_is_copied(project):
    before = contents(project)

    with pytest.raises(AlreadyExistsError, match="choose if_exists='skip' or 'replace'"):
        copy(project.select("*/ribosome:alice/1", "picks"), "ribosome:bob/1")

    assert contents(project) == before


def test_what_exists_is_skipped_if_asked(project):
    plan = plan_copy(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:bob/1", if_exists="skip")

    assert (plan.steps, [skipped.key for skipped in plan.skipped]) == ([], [BOB])


def test_copying_again_finds_nothing_to_do(project, make_root):
    other = make_root("other")
    first = sync(project, other)

    assert first.keys
    assert sync(project, other, if_exists="replace").keys == set()


def test_a_selection_of_several_kinds_is_not_copied(project):
    with pytest.raises(AddressError, match="several kinds, so nothing was copied"):
        plan_copy(project.select("membrane:alice/1"), "*:bob")


def test_what_is_read_only_is_copied_but_not_moved(layered):
    root, _ = layered

    with pytest.raises(ReadOnlyError, match="copy it instead"):
        plan_move(root.select("ribosome:tool/0", "picks"), "*:carol")
    assert copy(root.select("ribosome:tool/0", "picks"), "*:carol").keys == {PicksKey("TS_1", "ribosome", "carol", "0")}


def test_an_unknown_object_is_named_before_anything_is_copied(project):
    with pytest.raises(UnknownObject, match="ribosom"):
        plan_copy(project.select("ribosome", "picks"), "ribosom")


def test_objects_that_the_target_project_lacks_are_added(project):
    other = copick_core.open({"config_type": "memory"})
    plan = plan_copy(project.select("ribosome:alice", "picks"), "*", to=other)

    plan.run()

    assert other.get_object("ribosome").label == project.get_object("ribosome").label
    assert "create object 'ribosome' in configuration" in str(plan)


@pytest.mark.parametrize("names", [{"users": {"bob": "bob_b"}}, {"runs": {"TS_1": "a/b"}}, {"objects": {"ribosome": "80S_x"}}])
def test_syncing_refuses_names_that_would_be_read_as_others(project, make_root, names):
    with pytest.raises(InvalidNameError):
        plan_sync(project, make_root("other"), **names)


def test_syncing_deletes_only_if_asked(project, make_root):
    other = make_root("other")
    sync(project, other)
    project.entity("TS_1/ribosome:bob/1", "picks").delete()

    kept = plan_sync(project, other, if_exists="replace")
    deleting = plan_sync(project, other, if_exists="replace", delete=True)

    assert kept.keys == set()
    assert [change.action for change in deleting.changes] == ["delete"]
    assert deleting.run().keys == {BOB}


def test_a_copy_that_differs_is_found_before_the_source_is_deleted(project):
    plan = plan_move(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:carol/1")
    step = plan.steps[-1]
    step.__dict__["action"] = None  # as if the copy had been made, and somebody had changed it since
    step.target.write(step.target_key, b"{}", if_revision=ANY)

    with pytest.raises(InvalidDataError, match="differs"):
        plan.run()

    assert project.entity("TS_1/ribosome:alice/1", "picks").points


def _move_and_die(config, address, kind, target, steps):
    root = copick_core.open(config)

    def stop(name, done, total):
        if done == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    plan = plan_move(root.select(address, kind), target)
    original = type(root.layers.overlay).delete

    def delete_and_die(self, key):
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, key)

    type(root.layers.overlay).delete = delete_and_die
    plan.run(progress=stop)


@pytest.mark.parametrize("steps", [-1, 0, 1])
@pytest.mark.parametrize(
    ("address", "kind", "target"), [("ribosome:*/1", "picks", "*:{user}-2"), ("wbp@10.0", "tomogram", "raw")]
)
def test_a_killed_move_loses_nothing_and_is_resumed(project_config, address, kind, target, steps):
    config = project_config()
    root = fill(copick_core.open(config))
    wanted = {Target(target).key(key) for key, _ in root.select(address, kind).rows()}
    process = multiprocessing.get_context("spawn").Process(target=_move_and_die, args=(config, address, kind, target, steps))
    process.start()
    process.join()
    root.refresh()

    left = {key for key, _ in root.select(address, kind).rows() if key not in wanted}
    there = {Target(target).key(key) for key in left} | {key for key in wanted if root.layers.overlay.exists(key)}
    assert there == wanted
    for key in left:
        move(root.select(address_of(key), kind), target)
    assert {key for key, _ in root.select("*", kind).rows()} == wanted


def test_the_features_of_a_moved_tomogram_move_with_it(project):
    move(project.select("wbp@10.0", "tomogram"), "TS_5/raw")

    assert project.entity("TS_5/raw@10.0:sobel").shape == (4, 4, 4)
    assert project.select("*@*:*").count() == 1


def test_features_that_somebody_makes_while_their_tomogram_is_moved_are_not_deleted_with_it(project):
    plan = plan_move(project.select("wbp@10.0", "tomogram"), "raw")
    project.entity("TS_1/wbp@10.0", "tomogram").new_features("canny").from_numpy(np.ones((4, 4, 4), np.float32))

    with pytest.raises(ConflictError, match="canny"):
        plan.run()

    assert project.entity("TS_1/wbp@10.0:canny").shape == (4, 4, 4)


def test_deleting_reports_what_it_deleted(project):
    report = delete(project.select("TS_2/"))

    assert report.keys >= {RunKey("TS_2"), ALICE._replace(run="TS_2")}
    assert str(report) == "Deleted 3."
    assert [run.name for run in project.runs] == ["TS_1"]


def test_stats_count_by_kind_run_object_and_user(project):
    found = stats(project, points=True)

    assert found["picks"] == {
        "total": 4,
        "by_run": {"TS_1": 2, "TS_2": 2},
        "by_object": {"ribosome": 4},
        "by_user": {"alice": 2, "bob": 2},
        "by_session": {"1": 4},
        "points": 4,
        "points_by_object": {"ribosome": 4},
    }
    assert found["tomogram"] == {"total": 1, "by_run": {"TS_1": 1}, "by_object": {"wbp": 1}}


def test_an_entity_in_two_layers_counts_once(layered):
    root, _ = layered
    root.get_run("TS_1").new_picks("ribosome", "0", "tool", exist_ok=True)

    assert stats(root, kind=Kind.PICKS)["picks"]["total"] == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("*:bob", BOB),
        ("ribosome:bob/1", BOB),
        ("{name}:{user}-x", ALICE._replace(user_id="alice-x")),
        ("{object_name}:{user_id}-x/{session_id}", ALICE._replace(user_id="alice-x")),
        ("{run}-copy/", ALICE._replace(run="TS_1-copy")),
        ("TS_9/*", ALICE._replace(run="TS_9")),
        ("*:a%2Db/1", ALICE._replace(user_id="a-b")),
    ],
)
def test_a_target_changes_the_parts_that_it_names(text, key):
    assert Target(text).key(ALICE) == key


@pytest.mark.parametrize("text", ["ribo*:bob", "{nobody}:x", "re:.*", "ribosome@10.0", "wbp@10.0:sobel"])
def test_a_target_that_fits_no_entity_is_refused(text):
    with pytest.raises(AddressError):
        Target(text).key(ALICE)


def test_a_copy_keeps_its_voxel_size(project):
    with pytest.raises(AddressError, match="nothing is resampled"):
        plan_copy(project.select("wbp@10.0", "tomogram"), "wbp@20.0")


def test_a_copied_volume_has_all_its_values(project):
    copy(project.select("wbp@10.0", "tomogram"), "TS_7/raw")

    np.testing.assert_array_equal(
        project.entity("TS_7/raw@10.0", "tomogram").numpy(), project.entity("TS_1/wbp@10.0", "tomogram").numpy()
    )


def edit(root, user, z):
    root.get_run("TS_1").get_picks("ribosome", user, "1")[0].from_numpy([[1.0, 2.0, z]])


def test_newer_replaces_what_was_written_before_its_source(project):
    edit(project, "bob", 7.0)
    time.sleep(1.1)  # servers of S3 tell whole seconds
    edit(project, "alice", 9.0)

    plan = plan_copy(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:bob/1", if_exists="newer")

    assert plan.run().keys == plan.keys == {BOB}
    assert project.entity("TS_1/ribosome:bob/1", "picks").numpy()[0].tolist() == [[1.0, 2.0, 9.0]]


def test_newer_skips_what_was_written_after_its_source(project):
    time.sleep(1.1)
    edit(project, "bob", 7.0)

    plan = plan_copy(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:bob/1", if_exists="newer")

    assert plan.steps == []
    assert [str(skipped) for skipped in plan.skipped] == [f"skip {BOB}: {ALICE} is not newer"]


def test_a_region_that_was_written_makes_a_volume_newer(project, make_root):
    other = make_root("other")
    sync(project, other, kind="segmentation")
    time.sleep(1.1)
    project.entity("TS_1/membrane:alice/1@10.0", "segmentation").set_region(
        np.zeros((1, 1, 1), np.uint8), z=slice(0, 1), y=slice(0, 1), x=slice(0, 1)
    )

    assert len(plan_sync(project, other, kind="segmentation", if_exists="newer").keys) == 1


def test_newer_is_refused_where_nobody_knows_when_something_was_written(project, monkeypatch):
    monkeypatch.setattr(type(project.layers.overlay), "modified", Layer.modified)
    before = contents(project)

    with pytest.raises(InvalidDataError, match="does not know when it was written"):
        copy(project.select("TS_1/ribosome:alice/1", "picks"), "ribosome:bob/1", if_exists="newer")

    assert contents(project) == before
