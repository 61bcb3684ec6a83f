"""The command ``copy``."""

import json
import subprocess
import sys

import fsspec

import copick_core
from copick_core.__main__ import main
from support.objects import OBJECTS
from support.volumes import bound_by_modes


def test_the_command_copies_reports_and_updates_the_targets_objects(layered, project_config, tmp_path, capsys):
    source, target = tmp_path / "source.json", tmp_path / "target.json"
    source.write_text(json.dumps(project_config("overlay", "reference")))
    target.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "copied", "pickable_objects": []}))

    assert main(["copy", str(source), str(target), "--verify"]) == 0
    assert main(["copy", str(source), str(target)]) == 0

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Copied 6 entities, skipped 0 that were there already, verified 6."
    assert out[1] == "Copied 0 entities, skipped 6 that were there already."
    assert [o.name for o in copick_core.open(target).pickable_objects] == [o["name"] for o in OBJECTS]
    assert json.loads(target.read_text())["overlay_root"] == "copied"


def test_the_command_fails_with_one_line_for_a_run_that_does_not_exist(layered, project_config, tmp_path, capsys):
    source, target = tmp_path / "source.json", tmp_path / "target.json"
    source.write_text(json.dumps(project_config("overlay", "reference")))
    target.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "copied"}))
    assert main(["copy", str(source), str(target), "--runs", "nothing"]) == 1
    assert "'nothing'" in capsys.readouterr().err


def test_the_command_refuses_to_copy_into_what_ends_with_its_process(layered, project_config, tmp_path, capsys):
    source, target = tmp_path / "source.json", tmp_path / "target.json"
    source.write_text(json.dumps(project_config("overlay", "reference")))
    target.write_text(json.dumps({"config_type": "memory"}))

    assert main(["copy", str(source), str(target)]) == 1

    assert "gone when this command ends" in capsys.readouterr().err


def test_the_command_updates_the_objects_of_a_config_at_a_url_also_if_it_fails_half_way(layered, project_config, tmp_path):
    source = tmp_path / "source.json"
    source.write_text(json.dumps(project_config("overlay", "reference")))
    config = {"config_type": "filesystem", "overlay_root": str(tmp_path / "copied"), "pickable_objects": []}
    fsspec.filesystem("memory").pipe_file("/copies/target.json", json.dumps(config).encode())
    taken = tmp_path / "copied" / "ExperimentRuns" / "TS_1" / "Picks" / "tool_0_ribosome.json"
    taken.parent.mkdir(parents=True)
    taken.write_text("{}")

    assert main(["copy", str(source), "memory://copies/target.json"]) == 1

    assert len(copick_core.open("memory://copies/target.json").pickable_objects) == len(OBJECTS)


def test_a_config_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "into").mkdir()
    config, target = tmp_path / "config.json", tmp_path / "into" / "config.json"
    for path, name in [(config, "from"), (target, "to")]:
        objects = [{"name": "ribosome", "is_particle": True}] if path == config else []
        path.write_text(
            json.dumps({"config_type": "filesystem", "overlay_root": str(tmp_path / name), "pickable_objects": objects})
        )
    target.parent.chmod(0o555)
    command = [*bound_by_modes(), sys.executable, "-m", "copick_core", "copy", str(config), str(target)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stderr == f"error: [Errno 13] Permission denied: '{target}'\n"


def test_the_command_replaces_what_the_target_has_with_other_content_only_when_told_so(
    layered, project_config, tmp_path, capsys
):
    source, target = tmp_path / "source.json", tmp_path / "target.json"
    source.write_text(json.dumps(project_config("overlay", "reference")))
    target.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "copied", "pickable_objects": []}))
    assert main(["copy", str(source), str(target)]) == 0
    changed = next(picks for run in copick_core.open(target).runs for picks in run.picks)
    stored = copick_core.open(source).get_run(changed.run.name).get_picks(*changed.key[1:4])[0].numpy()[0].tolist()
    changed.from_numpy([[7.0, 8.0, 9.0]])

    assert main(["copy", str(source), str(target)]) == 1
    assert "--if-exists replace" in capsys.readouterr().err
    assert main(["copy", str(source), str(target), "--if-exists", "replace"]) == 0

    changed.refresh()
    assert changed.numpy()[0].tolist() == stored
