"""The state of review: on disk, in memory and in a bucket, over layers, and with several people at once."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import copick_core
from copick_core.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError, ReadOnlyError, UnknownObjectError
from copick_core.projects.reviews import Review
from copick_core.tree.keys import RunKey
from support.folders import files_of
from support.objects import OBJECTS

RUNS = [f"TS_{number}" for number in range(1, 7)]

#: Another process: takes runs until there is none left, and prints them.
TAKER = """
import json, sys, copick_core
root = copick_core.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
taken = []
while (review := root.reviews.next("ribosome", by=sys.argv[2])) is not None:
    taken.append(review.run)
print(json.dumps(taken))
"""


def config_of(tmp_path, **fields):
    return {
        "config_type": "filesystem",
        "name": "project",
        "pickable_objects": OBJECTS,
        "user_id": "alice",
        "overlay_root": str(tmp_path / "overlay"),
        **fields,
    }


@pytest.fixture(params=["filesystem", "memory", "s3"])
def config(request, tmp_path):
    """A config of each kind of storage."""
    if request.param == "filesystem":
        return config_of(tmp_path)
    if request.param == "memory":
        fields = config_of(tmp_path, config_type="memory", place=tmp_path.name)
        del fields["overlay_root"]
        return fields
    args = {"endpoint_url": request.getfixturevalue("s3_url"), "key": "test", "secret": "test"}
    return config_of(tmp_path, overlay_root=f"s3://conformance/{tmp_path.name}/reviews", overlay_fs_args=args)


@pytest.fixture
def root(config):
    root = copick_core.open(config)
    for name in RUNS:
        root.new_run(name)
    return root


@pytest.fixture
def local(tmp_path):
    root = copick_core.open(config_of(tmp_path))
    for name in RUNS:
        root.new_run(name)
    return root


def test_what_nobody_has_set_is_in_the_first_state(root):
    assert root.reviews.get("TS_1", "ribosome") == Review("TS_1", "ribosome", "open")


def test_a_review_is_read_by_others_as_it_was_set(root, config):
    set_ = root.reviews.set("TS_1", "rejected", "ribosome", note="drifted", by="bob")

    found = copick_core.open(config).reviews.get("TS_1", "ribosome")

    assert found == set_
    assert (found.state, found.by, found.note) == ("rejected", "bob", "drifted")
    assert found.at.endswith("Z")


def test_objects_and_the_run_have_reviews_of_their_own(root):
    root.reviews.set("TS_1", "done", "ribosome")
    root.reviews.set("TS_1", "taken")

    states = [root.reviews.get("TS_1", name).state for name in ("ribosome", "proteasome", None)]

    assert states == ["done", "taken", "taken"]
    assert [(r.object_name, r.state) for r in root.reviews.of()["TS_1"]] == [(None, "taken"), ("ribosome", "done")]


def test_all_reviews_of_a_run_are_one_file_that_no_listing_shows(local, tmp_path):
    local.reviews.set("TS_1", "taken")
    before = {*files_of(tmp_path)}

    local.reviews.set("TS_1", "done", "ribosome")

    assert {*files_of(tmp_path)} == before
    assert {path for path in before if "/TS_1/" in path} == {
        "overlay/ExperimentRuns/TS_1/.meta",
        "overlay/ExperimentRuns/TS_1/.reviews.json",
    }
    assert local.select("TS_1/*").count() == 0


def test_a_review_counts_over_that_of_a_static_layer(tmp_path, local):
    local.reviews.set("TS_1", "done", "ribosome", by="bob")
    local.reviews.set("TS_1", "taken", "proteasome", by="bob")
    config = config_of(tmp_path, static_root=str(tmp_path / "overlay"), overlay_root=str(tmp_path / "mine"))
    root = copick_core.open(config)

    root.reviews.set("TS_1", "checked", "ribosome")

    assert [root.reviews.get("TS_1", name).state for name in ("ribosome", "proteasome")] == ["checked", "taken"]
    local.reviews.refresh()
    assert local.reviews.get("TS_1", "ribosome").state == "done"


def test_a_review_that_somebody_else_has_set_since_it_was_read_is_not_overwritten(root, config):
    other = copick_core.open(config)
    root.reviews.get("TS_1", "ribosome")
    other.reviews.set("TS_1", "done", "ribosome", by="bob")

    with pytest.raises(ConflictError) as caught:
        root.reviews.set("TS_1", "rejected", "ribosome")

    assert (caught.value.expected, caught.value.found["by"]) == ({}, "bob")
    assert root.reviews.get("TS_1", "ribosome").state == "done"
    assert root.reviews.set("TS_1", "rejected", "ribosome").state == "rejected"


def test_overwrite_sets_a_review_whatever_somebody_else_has_set(root, config):
    root.reviews.get("TS_1")
    copick_core.open(config).reviews.set("TS_1", "done", by="bob")

    root.reviews.set("TS_1", "rejected", overwrite=True)

    assert root.reviews.get("TS_1").state == "rejected"


def test_reviews_of_other_objects_do_not_conflict(root, config):
    root.reviews.get("TS_1")
    copick_core.open(config).reviews.set("TS_1", "done", "proteasome", by="bob")

    root.reviews.set("TS_1", "done", "ribosome")

    assert {r.object_name: r.by for r in root.reviews.of(["TS_1"])["TS_1"]} == {"proteasome": "bob", "ribosome": "alice"}


def test_refresh_forgets_what_was_read(root, config):
    root.reviews.get("TS_1")
    copick_core.open(config).reviews.set("TS_1", "done", by="bob")

    root.refresh()

    assert root.reviews.set("TS_1", "rejected").state == "rejected"


def test_many_threads_set_reviews_of_one_run_and_none_is_lost(root, config):
    roots = [copick_core.open(config) for _ in OBJECTS]
    names = [obj["name"] for obj in OBJECTS]

    with ThreadPoolExecutor(3) as pool:
        [*pool.map(lambda one, name: one.reviews.set("TS_1", "done", name), roots, names)]

    assert {r.object_name for r in root.reviews.of(["TS_1"])["TS_1"]} == {*names}


def test_next_takes_the_first_run_that_nobody_has(root):
    root.reviews.set("TS_1", "taken", by="bob")
    root.reviews.set("TS_2", "checked", "ribosome", by="bob")
    root.reviews.set("TS_3", "rejected", "proteasome", by="bob")

    taken = [root.reviews.next("ribosome").run for _ in range(2)]

    assert taken == ["TS_3", "TS_4"]
    assert root.reviews.get("TS_3", "ribosome").by == "alice"
    assert root.reviews.next().run == "TS_5"


def test_next_is_none_where_somebody_has_every_run(root):
    for _ in RUNS:
        root.reviews.next()

    assert root.reviews.next() is None


def test_threads_that_ask_for_the_next_run_get_each_run_once(root, config):
    roots = [copick_core.open(config) for _ in range(4)]

    def take(one):
        taken = []
        while (review := one.reviews.next("ribosome")) is not None:
            taken.append(review.run)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [*pool.map(take, roots)]

    assert sorted(run for runs in taken for run in runs) == RUNS


@pytest.mark.parametrize("config", ["filesystem", "s3"], indirect=True)
def test_processes_that_ask_for_the_next_run_get_each_run_once(root, config, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-c", TAKER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, user], **pipes) for user in ("bob", "carol", "dora")]

    for process in processes:
        process.stdout.readline()
    for process in processes:  # all start at once
        process.stdin.write("\n")
        process.stdin.flush()
    taken = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    assert sorted(run for runs in taken for run in runs) == RUNS
    assert {root.reviews.get(run, "ribosome").by for run in RUNS} == {
        user for user, runs in zip(("bob", "carol", "dora"), taken, strict=True) if runs
    }


def test_the_summary_counts_runs_by_state(root):
    root.reviews.set("TS_1", "done", "ribosome")
    root.reviews.set("TS_2", "done")

    found = root.reviews.summary()

    assert found == {
        "": {"open": 5, "taken": 0, "done": 1, "checked": 0, "rejected": 0},
        "ribosome": {"open": 4, "taken": 0, "done": 2, "checked": 0, "rejected": 0},
    }


def test_the_config_names_the_states(tmp_path):
    root = copick_core.open(config_of(tmp_path, review_states=["todo", "doing", "gold"]))
    root.new_run("TS_1")

    assert root.reviews.get("TS_1").state == "todo"
    assert root.reviews.next().state == "doing"
    with pytest.raises(InvalidDataError, match="todo, doing, gold"):
        root.reviews.set("TS_1", "done")


@pytest.mark.parametrize("states", [[], ["open"], ["open", "open"], ["open", ""]])
def test_a_config_has_at_least_two_states_that_differ(tmp_path, states):
    with pytest.raises(ConfigError, match="two or more different names"):
        copick_core.open(config_of(tmp_path, review_states=states))


def test_reviews_need_a_user_a_known_object_and_a_run(tmp_path):
    root = copick_core.open(config_of(tmp_path, user_id=None))
    root.new_run("TS_1")

    with pytest.raises(InvalidDataError, match="pass by="):
        root.reviews.set("TS_1", "done")
    with pytest.raises(UnknownObjectError):
        root.reviews.set("TS_1", "done", "ribosom", by="bob")
    with pytest.raises(NotFoundError):
        root.reviews.set("TS_9", "done", by="bob")
    assert root.get_run("TS_9") is None


def test_a_project_without_a_writable_layer_refuses_reviews(local, tmp_path):
    config = config_of(tmp_path, static_root=str(tmp_path / "overlay"))
    del config["overlay_root"]

    with pytest.raises(ReadOnlyError):
        copick_core.open(config).reviews.set("TS_1", "done")


def test_keys_that_others_wrote_into_the_record_stay(local):
    layer = local.layers.overlay
    layer.write_record(RunKey("TS_1"), "reviews", b'{"version": 1, "of": "others", "reviews": {"x": {"state": "?", "k": 1}}}')

    local.reviews.set("TS_1", "done")

    document = json.loads(layer.read_record(RunKey("TS_1"), "reviews")[0])
    assert document["of"] == "others"
    assert document["reviews"]["x"] == {"state": "?", "k": 1}


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"reviews": []}', b'{"reviews": {"ribosome": {}}}'])
def test_a_record_that_is_no_reviews_is_named_and_not_replaced(local, data):
    layer = local.layers.overlay
    layer.write_record(RunKey("TS_1"), "reviews", data)

    for use in (lambda: local.reviews.get("TS_1"), lambda: local.reviews.set("TS_1", "done")):
        with pytest.raises(InvalidDataError, match="reviews of run 'TS_1' in layer 'overlay'"):
            use()
    assert layer.read_record(RunKey("TS_1"), "reviews")[0] == data


def test_a_copy_of_the_project_has_its_reviews(root, tmp_path):
    root.reviews.set("TS_1", "rejected", "ribosome", note="drifted", by="bob")
    target = copick_core.open(config_of(tmp_path, overlay_root=str(tmp_path / "copy")))

    copick_core.copy_project(root, target)

    assert target.reviews.get("TS_1", "ribosome") == root.reviews.get("TS_1", "ribosome")


def test_a_copy_keeps_the_reviews_that_the_target_has(root, tmp_path):
    root.reviews.set("TS_1", "rejected", "ribosome")
    root.reviews.set("TS_1", "taken")
    target = copick_core.open(config_of(tmp_path, overlay_root=str(tmp_path / "copy")))
    target.new_run("TS_1")
    target.reviews.set("TS_1", "done", "ribosome")

    copick_core.copy_project(root, target, ["TS_1"])
    assert [target.reviews.get("TS_1", name).state for name in ("ribosome", None)] == ["done", "taken"]

    copick_core.copy_project(root, target, ["TS_1"], overwrite=True)
    assert target.reviews.get("TS_1", "ribosome").state == "rejected"
