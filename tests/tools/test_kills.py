"""Functions that change a project and are killed: nothing is lost, and the same call goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest

import copick_core
from copick_tools.deletions import plan_delete
from copick_tools.merging import plan_merge
from copick_tools.pruning import WHAT, plan_prune
from copick_tools.transfers import plan_copy, plan_move, plan_sync
from support.objects import OBJECTS
from tools.conftest import contents, fill, litter

#: What is killed: makes the plan.
PLANS = {
    "copy": lambda root, other: plan_copy(root.select("*/ribosome:alice", "picks"), "*:carol"),
    "copy volumes": lambda root, other: plan_copy(root.select("membrane:alice", "segmentation"), "{name}:carol"),
    "replace": lambda root, other: plan_copy(root.select("*/ribosome:alice", "picks"), "*:bob", if_exists="replace"),
    "move": lambda root, other: plan_move(root.select("*/ribosome:bob", "picks"), "*:carol"),
    "sync": lambda root, other: plan_sync(root, other, if_exists="replace"),
    "merge": lambda root, other: plan_merge(root.select("re:ribosome:(alice|bob)/1", "picks"), "*:merged/1", 10),
    "prune": lambda root, other: plan_prune(root, what=WHAT),
    "delete": lambda root, other: plan_delete(root.select("TS_1/*", "picks")),
    "delete a run": lambda root, other: plan_delete(root.select("TS_1/")),
}
#: Calls of a layer that change what is stored.
_CHANGES = ("write", "delete", "replace_zarr", "ensure", "write_record", "delete_path")


class Killed(BaseException):
    """Ends a thread as a kill does: nothing that handles errors sees it."""


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def stop():
    raise Killed


def run_and_die(name, root, other, changes, death):
    """Run a plan, and die when it is about to make a change, after as many as are given."""
    left = changes
    methods = []

    def dying(original):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                death()
            left -= 1
            return original(*args, **kwargs)

        return call

    for project in (root, other):
        for method in _CHANGES:
            if (original := getattr(project.layers.overlay, method, None)) is not None:
                methods.append((project.layers.overlay, method))
                setattr(project.layers.overlay, method, dying(original))
    try:
        PLANS[name](root, other).run()
    finally:
        for layer, method in methods:
            delattr(layer, method)


def killed(name, configs, changes):
    """Kill a plan: of storage that outlives processes, the process; of the memory of this one, what happens in it.

    Returns:
        Whether it was killed before it was done.
    """
    if configs[0]["config_type"] == "memory":
        try:
            run_and_die(name, *map(copick_core.open, configs), changes, stop)
        except Killed:
            return True
        return False
    process = multiprocessing.get_context("fork").Process(target=_in_a_process, args=(name, configs, changes))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _in_a_process(name, configs, changes):
    run_and_die(name, *map(copick_core.open, configs), changes, die)


@pytest.fixture(params=["filesystem", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def configs(request, tmp_path):
    """Configs of two projects, which other processes can open if they are not in memory."""
    found = []
    for name in ("project", "other"):
        config = {"config_type": "filesystem", "name": name, "pickable_objects": OBJECTS, "user_id": "alice"}
        if request.param == "memory":
            found.append({**config, "config_type": "memory", "place": f"{tmp_path.name}-kills-{name}"})
            continue
        if request.param == "filesystem":
            found.append({**config, "overlay_root": str(tmp_path / name)})
            continue
        args = {"endpoint_url": request.getfixturevalue("s3_url"), "key": "test", "secret": "test"}
        place = f"s3://conformance/{tmp_path.name}/kills-{name}"
        found.append({**config, "overlay_root": place, "overlay_fs_args": args})
    return found


@pytest.mark.parametrize("changes", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("name", PLANS)
def test_what_is_killed_loses_nothing_and_goes_on_when_called_again(configs, name, changes):
    root, other = litter(fill(copick_core.open(configs[0]))), copick_core.open(configs[1])
    before = {**contents(root), **contents(other)}
    planned = PLANS[name](root, other).keys
    was_killed = killed(name, configs, changes)

    after = {**contents(root), **contents(other)}

    assert was_killed or changes > 0
    # What the plan does not name is untouched, and what it deletes or moves is where it was or where it goes.
    assert {entry: digest for entry, digest in before.items() if entry[0] not in planned}.items() <= after.items()
    digests = [digest for digest in before.values() if digest]
    if name not in ("delete", "delete a run", "prune", "replace"):
        assert len([digest for digest in after.values() if digest]) >= len(digests)
    root.refresh()
    other.refresh()
    try:
        plan = PLANS[name](root, other)
    except copick_core.errors.AlreadyExistsError:
        pytest.fail("what was copied already must be skipped")
    plan.run()
    assert PLANS[name](root, other).changes == []
