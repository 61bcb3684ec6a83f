"""Examining a project in a bucket."""

import copick_core
from copick_core.projects.doctor import doctor
from copick_core.testing import samples
from copick_core.tree import layout
from copick_core.tree.keys import PicksKey, RunKey

RUNS = 20


def test_the_runs_of_a_project_in_a_bucket_are_examined_at_once(server, fs_args):
    files = {"project/ExperimentRuns/TS_3/Picks/notes.json": b"{}"}
    for number in range(RUNS):
        key = PicksKey(f"TS_{number}", "ribo", "me", "1")
        files[f"project/{layout.path(key)}"] = samples.picks_json(0, key.run)
        files[f"project/{layout.marker(RunKey(key.run))}"] = b"meta"
    server.put("lab", files)
    config = {
        "config_type": "filesystem",
        "static_root": "s3://lab/project",
        "static_fs_args": fs_args,
        "pickable_objects": [],
    }
    root = copick_core.open(config)
    server.delay = 0.02

    found = doctor(root)

    assert [item.problem.place for item in found] == ["layer 'static', ExperimentRuns/TS_3/Picks/notes.json"]
    assert server.most_at_once > RUNS // 2
