"""The command counts what is there."""

import json

from click.testing import CliRunner
from copick_plugin_example.command import count

from copick_core import open as open_project
from copick_core import plugins


def make_project(folder):
    objects = [{"name": "ribosome", "is_particle": True, "label": 1}]
    config = {"config_type": "filesystem", "overlay_root": str(folder / "project"), "pickable_objects": objects}
    for name in ("TS_1", "TS_2"):
        open_project(config).new_run(name)
    picks = open_project(config).get_run("TS_1").new_picks("ribosome", "1", "me")
    picks.from_numpy([[1.0, 2.0, 3.0]])
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder / "config.json")


def test_each_run_is_printed_with_its_counts(tmp_path):
    done = CliRunner().invoke(count, [make_project(tmp_path)])

    assert done.output == "TS_1\t1\t0\t0\nTS_2\t0\t0\t0\n"


def test_one_run_is_printed_if_it_is_asked_for(tmp_path):
    done = CliRunner().invoke(count, [make_project(tmp_path), "--run", "TS_2"])

    assert done.output == "TS_2\t0\t0\t0\n"


def test_copick_core_finds_the_command():
    assert plugins.commands.get("count").name == "count"
