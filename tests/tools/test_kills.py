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


def run_and_die(name, configs, changes):
    """Run a plan, and die when it is about to make a change, after as many as are given."""
    root, other = (copick_core.open(config) for config in configs)
    left = changes

    def dying(original):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return original(*args, **kwargs)

        return call

    for project in (root, other):
        for method in _CHANGES:
            if (original := getattr(project.layers.overlay, method, None)) is not None:
                setattr(project.layers.overlay, method, dying(original))
    PLANS[name](root, other).run()


@pytest.fixture(params=["filesystem", pytest.param("s3", marks=pytest.mark.slow)])
def configs(request, tmp_path):
    """Configs of two projects that other processes can open."""
    found = []
    for name in ("project", "other"):
        config = {"config_type": "filesystem", "name": name, "pickable_objects": OBJECTS, "user_id": "alice"}
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
    process = multiprocessing.get_context("fork").Process(target=run_and_die, args=(name, configs, changes))
    process.start()
    process.join(60)

    after = {**contents(root), **contents(other)}

    assert process.exitcode in (0, -signal.SIGKILL)
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
