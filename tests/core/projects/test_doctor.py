"""What is wrong in a project, over all of its layers."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import copick_core
from copick_core.cli.doctor import doctor as command
from copick_core.layers import Problem, Repair, WrapperLayer
from copick_core.projects.doctor import doctor, repair

OLD = f".staged-{1:x}-{'0' * 32}"


@pytest.fixture
def place(tmp_path):
    """A filesystem project with one run, and a week-old leftover and a foreign name in it."""
    picks = tmp_path / "data" / "ExperimentRuns" / "TS_1" / "Picks"
    picks.mkdir(parents=True)
    (picks / "me_1_ribo.json").write_text('{"points": []}')
    (picks / "notes.json").write_text("{}")
    (picks.parent / "Segmentations" / OLD).mkdir(parents=True)
    (picks.parent / "Segmentations" / OLD / ".zattrs").write_text("{}")
    return tmp_path


@pytest.fixture
def config(place):
    path = place / "config.json"
    path.write_text(json.dumps({"config_type": "filesystem", "overlay_root": str(place / "data"), "pickable_objects": []}))
    return path


def ids(found):
    return sorted(item.problem.id for item in found)


def test_leftovers_and_names_that_are_never_listed_are_found(config):
    found = doctor(copick_core.from_file(config))

    assert ids(found) == ["staged-leftover", "unreadable-name"]


def test_something_staged_today_is_no_problem(place, config):
    from copick_core.layers.path_layer import staged_name

    (place / "data" / "ExperimentRuns" / staged_name()).mkdir()

    assert ids(doctor(copick_core.from_file(config))) == ["staged-leftover", "unreadable-name"]


def test_a_healthy_project_has_no_problems(tmp_path):
    root = copick_core.from_string(
        json.dumps(
            {
                "config_type": "filesystem",
                "overlay_root": str(tmp_path),
                "user_id": "me",
                "pickable_objects": [{"name": "ribo", "is_particle": True, "label": 1}],
            }
        )
    )
    run = root.new_run("TS_1")
    run.new_picks("ribo", "1")
    run.new_segmentation(10.0, "ribo", "1").from_numpy([[[1]]], levels=1)
    tomogram = run.new_voxel_spacing(10.0).new_tomogram("wbp")
    tomogram.from_numpy([[[1.0]]], levels=1)
    tomogram.new_features("sobel").from_numpy([[[1.0]]])

    assert doctor(root) == []


def test_repairing_deletes_the_leftover_and_nothing_else(place, config):
    remaining = repair(doctor(copick_core.from_file(config)))

    assert ids(remaining) == ["unreadable-name"]
    assert ids(doctor(copick_core.from_file(config))) == ["unreadable-name"]
    assert (place / "data" / "ExperimentRuns" / "TS_1" / "Picks" / "notes.json").exists()


def test_what_lies_in_a_read_only_layer_has_no_repair(place):
    config = {"config_type": "filesystem", "static_root": str(place / "data"), "pickable_objects": []}
    config["overlay_root"] = str(place / "overlay")

    found = doctor(copick_core.from_string(json.dumps(config)))

    assert [item.problem.repair for item in found] == [None, None]


def test_a_layer_that_cannot_be_examined_hides_no_other(place, config):
    root = copick_core.from_file(config)

    class Failing(WrapperLayer):
        def problems(self):
            raise OSError("no route")

    root.layers = type(root.layers)(static=[Failing(root.layers.overlay)], overlay=root.layers.overlay)

    assert ids(doctor(root)) == ["staged-leftover", "unexamined-layer", "unreadable-name"]


def test_a_run_that_cannot_be_listed_hides_no_other(place, config):
    root = copick_core.from_file(config)
    layer = root.layers.overlay

    class Torn(type(layer)):
        def list_folder(self, path):
            if path.endswith("TS_0"):
                raise PermissionError(path)
            return super().list_folder(path)

    (place / "data" / "ExperimentRuns" / "TS_0").mkdir()
    layer.__class__ = Torn

    assert ids(doctor(root)) == ["staged-leftover", "unlisted-folder", "unreadable-name"]


def test_features_without_a_tomogram_are_no_problem_where_a_layer_cannot_tell_whether_it_has_that(place, config):
    spacing = place / "data" / "ExperimentRuns" / "TS_1" / "VoxelSpacing10.000"
    (spacing / "wbp_sobel_features.zarr").mkdir(parents=True)
    (spacing / "wbp_sobel_features.zarr" / ".zattrs").write_text("{}")
    root = copick_core.from_file(config)
    assert "orphan-features" in ids(doctor(root))

    class Silent(WrapperLayer):
        def exists(self, key):
            raise ConnectionError("gone")

        def problems(self):
            return []

    root.layers = type(root.layers)(static=[Silent(root.layers.overlay)], overlay=root.layers.overlay)

    assert ids(doctor(root)) == ["staged-leftover", "unreadable-name"]


def test_an_error_without_words_is_told_by_its_kind(config):
    root = copick_core.from_file(config)

    class Failing(WrapperLayer):
        def problems(self):
            raise TimeoutError

    root.layers = type(root.layers)(static=[Failing(root.layers.overlay)])

    (found,) = doctor(root)
    assert found.problem.message == "it cannot be examined: TimeoutError"
    assert (found.layer, found.problem.place, found.problem.severity) == ("overlay", "layer 'overlay'", "error")


def test_a_wrapper_passes_problems_on(config):
    root = copick_core.from_file(config)

    assert len(WrapperLayer(root.layers.overlay).problems()) == len(doctor(root))


def test_a_repair_that_fails_remains_with_its_cause(config):
    from copick_core.projects.doctor import Found

    def fail():
        raise OSError("disk full")

    broken = Found("overlay", Problem("x", None, "here", "error", "torn", Repair("mend", fail)))

    assert [item.problem.message for item in repair([broken])] == ["torn; the repair failed: disk full"]


def test_a_project_in_memory_has_no_problems():
    root = copick_core.from_string('{"config_type": "memory", "pickable_objects": []}')

    assert doctor(root) == []


def test_the_command_examines_a_folder_without_a_config(place):
    with pytest.warns(UserWarning, match="Write a config"):
        result = CliRunner().invoke(command, [str(place / "data")])

    assert "notes.json: it is not a valid name for picks" in result.output


def test_the_command_lists_problems_and_fails(config):
    result = CliRunner().invoke(command, [str(config)])

    assert result.exit_code == 1
    assert "notes.json" in result.output


def test_the_command_prints_all_that_is_known_as_json(config):
    result = CliRunner().invoke(command, [str(config), "--json"])

    leftover, name = sorted(json.loads(result.stdout), key=lambda item: item["id"])
    assert result.exit_code == 1
    assert leftover["repair"] == f"delete ExperimentRuns/TS_1/Segmentations/{OLD}"
    assert name == {
        "layer": "overlay",
        "id": "unreadable-name",
        "key": "run 'TS_1'",
        "place": "layer 'overlay', ExperimentRuns/TS_1/Picks/notes.json",
        "severity": "warning",
        "message": "it is not a valid name for picks, so it is never listed; rename it, or move it elsewhere",
        "repair": None,
    }


def test_a_problem_of_no_entity_has_no_key(config):
    (config.parent / "data" / "ExperimentRuns" / "notes.txt").touch()
    (config.parent / "data" / "ExperimentRuns" / "_TS").mkdir(exist_ok=True)

    items = json.loads(CliRunner().invoke(command, [str(config), "--json"]).stdout)

    assert {item["key"] for item in items} <= {None, "run 'TS_1'"}


def test_the_command_marks_what_it_can_mend(config):
    lines = CliRunner().invoke(command, [str(config)]).stdout.splitlines()

    (leftover,) = (line for line in lines if "staged-leftover" in line)
    (name,) = (line for line in lines if "unreadable-name" in line)
    assert len(lines) == 2
    assert leftover.startswith("warning  staged-leftover: layer 'overlay', ")
    assert leftover.endswith(" (--repair mends it)")
    assert not name.endswith("mends it)")


def test_a_healthy_project_is_said_to_be_one(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"config_type": "filesystem", "overlay_root": str(tmp_path / "data")}))

    plain, as_json = (CliRunner().invoke(command, [str(config), *more]) for more in ([], ["--json"]))

    assert (plain.exit_code, plain.stdout) == (0, "nothing is wrong\n")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, [])


def test_the_command_says_what_it_will_do_before_it_asks(place, config):
    leftover = place / "data" / "ExperimentRuns" / "TS_1" / "Segmentations" / OLD

    result = CliRunner().invoke(command, [str(config), "--repair"], input="y\n")

    assert result.exit_code == 1  # the name is left
    assert not leftover.exists()
    assert f"will delete ExperimentRuns/TS_1/Segmentations/{OLD}" in result.stderr
    assert "Make 1 repair?" in result.stderr
    assert "1 problem left" in result.stderr
    first, second, left = result.stdout.splitlines()
    assert left in (first, second)
    assert "unreadable-name" in left


def test_where_nobody_can_be_asked_nothing_is_repaired_and_the_option_is_named(place, config):
    leftover = place / "data" / "ExperimentRuns" / "TS_1" / "Segmentations" / OLD

    result = CliRunner().invoke(command, [str(config), "--repair"], input="")

    assert result.exit_code == 2
    assert "pass --yes where there is no terminal to ask in" in result.stderr
    assert leftover.exists()


def test_after_repairs_the_command_prints_only_what_is_left_as_json(config):
    result = CliRunner().invoke(command, [str(config), "--repair", "--yes", "--json"])

    assert [item["id"] for item in json.loads(result.stdout)] == ["unreadable-name"]
    assert result.exit_code == 1


def test_where_nothing_can_be_mended_nobody_is_asked(place, config):
    leftover = place / "data" / "ExperimentRuns" / "TS_1" / "Segmentations" / OLD
    (leftover / ".zattrs").unlink()
    leftover.rmdir()

    result = CliRunner().invoke(command, [str(config), "--repair"])

    assert (result.exit_code, result.stderr) == (1, "")
    assert len(result.stdout.splitlines()) == 1


def test_what_somebody_else_has_mended_meanwhile_is_no_problem_any_more(place, config):
    found = doctor(copick_core.open(config))
    leftover = place / "data" / "ExperimentRuns" / "TS_1" / "Segmentations" / OLD
    (leftover / ".zattrs").unlink()
    leftover.rmdir()

    assert ids(repair(found)) == ["unreadable-name"]


def test_the_command_repairs_only_after_a_yes(place, config):
    leftover = place / "data" / "ExperimentRuns" / "TS_1" / "Segmentations" / OLD

    refused = CliRunner().invoke(command, [str(config), "--repair"], input="n\n")

    assert refused.exit_code == 1
    assert leftover.exists()


def test_the_command_succeeds_when_everything_is_mended(place, config):
    (place / "data" / "ExperimentRuns" / "TS_1" / "Picks" / "notes.json").unlink()

    result = CliRunner().invoke(command, [str(config), "--repair", "--yes"])

    assert result.exit_code == 0, result.output
