"""``new-config TYPE``: every backend's own options, and what all configurations have."""

import json

import click
import pytest

import copick_core
from copick_core import plugins
from copick_core.__main__ import main
from copick_core.layers import Layers
from copick_core.plugins import Backend
from copick_core.tree.schema import CopickConfig


def new(*arguments):
    """Write a configuration: its content."""
    assert main(["new-config", *arguments, "--output", "project.json"]) == 0
    with open("project.json") as file:
        return json.load(file)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_filesystem_project_without_options_is_written_beside_its_configuration(tmp_path):
    content = new("filesystem")

    copick_core.open("project.json").new_run("TS_1")
    assert content["config_type"] == "filesystem"
    assert content["name"] == "copick project"
    assert (tmp_path / "overlay" / "ExperimentRuns" / "TS_1").is_dir()


def test_a_filesystem_project_takes_urls_and_arguments_of_their_file_systems():
    arguments = ["--overlay-root", "s3://lab/mine", "--overlay-fs-args", '{"anon": true}', "--static-root", "reference"]

    content = new("filesystem", *arguments, "--no-obstore")

    assert content["overlay_root"] == "s3://lab/mine"
    assert content["overlay_fs_args"] == {"anon": True}
    assert content["static_root"] == "reference"
    assert content["obstore"] is False


def test_a_filesystem_project_of_reference_data_alone_is_only_read():
    new("filesystem", "--static-root", "reference")

    assert copick_core.open("project.json").read_only


def test_each_project_in_memory_has_a_place_of_its_own():
    places = [new("memory", "--force")["place"] for _ in range(2)]

    assert places[0] != places[1]
    assert new("memory", "--force", "--place", "mine")["place"] == "mine"


def test_a_compose_volume_has_its_options(tmp_path):
    (tmp_path / "volume" / "uploads").mkdir(parents=True)
    arguments = ["--volume-root", "volume", "--label", "1=membrane", "--label", "2=nucleus", "--voxel-size", "7.5"]

    content = new("compose_volume", *arguments, "--no-orphans")

    assert content["volume_root"] == "volume"
    assert {value: label["name"] for value, label in content["labels"].items()} == {"1": "membrane", "2": "nucleus"}
    assert (content["voxel_size"], content["include_orphans"]) == (7.5, False)


def test_a_stack_is_made_of_config_files():
    for name in ("mine", "theirs", "others"):
        assert main(["new-config", "filesystem", "--overlay-root", f"data/{name}", "--output", f"{name}.json"]) == 0
    copick_core.open("theirs.json").new_run("TS_1")

    content = new("stack", "--overlay", "mine.json", "--static", "theirs.json", "--static", "others.json")

    root = copick_core.open("project.json")
    assert content["static"] == [{"config": "theirs.json"}, {"config": "others.json"}]
    assert [run.name for run in root.runs] == ["TS_1"]
    assert not root.read_only


def test_a_stack_of_nothing_is_refused(capsys, tmp_path):
    assert main(["new-config", "stack"]) == 1

    assert "a stack needs an overlay, static layers, or both" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_what_all_configurations_have_are_options_of_each(tmp_path):
    objects = [{"name": "ribosome", "is_particle": True}, {"name": "membrane", "is_particle": False, "label": 7}]
    (tmp_path / "objects.json").write_text(json.dumps(objects))
    arguments = ["--name", "mine", "--description", "all of it", "--user-id", "ana", "--session-id", "1"]

    content = new("memory", *arguments, "--objects", "objects.json")

    assert [content[field] for field in ("name", "description", "user_id", "session_id")] == ["mine", "all of it", "ana", "1"]
    assert {obj["name"]: obj["label"] for obj in content["pickable_objects"]} == {"ribosome": 8, "membrane": 7}


def test_objects_are_taken_from_another_configuration(tmp_path):
    (tmp_path / "other.json").write_text('{"config_type": "memory", "pickable_objects": [{"name": "a", "is_particle": true}]}')

    assert [obj["name"] for obj in new("memory", "--objects", "other.json")["pickable_objects"]] == ["a"]


@pytest.mark.parametrize("text", ["no json", "3", "{}"])
def test_a_file_without_objects_is_an_error_that_names_it(tmp_path, capsys, text):
    (tmp_path / "objects.json").write_text(text)

    assert main(["new-config", "memory", "--objects", "objects.json"]) == 1

    assert "objects.json" in capsys.readouterr().err
    assert not (tmp_path / "config.json").exists()


def test_a_file_that_exists_is_kept_without_force(tmp_path, capsys):
    (tmp_path / "config.json").write_text("mine")

    assert main(["new-config", "memory"]) == 1

    assert capsys.readouterr().err == ("error: config.json exists. Name another file, or replace it with --force.\n")
    assert (tmp_path / "config.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filesystem", "--overlay-fs-args", "[1]"], "'[1]' is not a JSON object"),
        (["filesystem", "--overlay-fs-args", "{"], "'{' is not valid JSON"),
        (["compose_volume"], "Missing option '--volume-root'"),
        (["compose_volume", "--volume-root", "v", "--label", "membrane"], "'membrane' is not written as VALUE=NAME"),
        (["filesytem"], "Did you mean 'filesystem'?"),
    ],
)
def test_options_that_do_not_fit_exit_with_2(tmp_path, capsys, arguments, message):
    assert main(["new-config", *arguments]) == 2

    assert message in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_a_backend_that_is_known_but_not_installed_gives_its_install_line(monkeypatch, capsys):
    monkeypatch.setitem(plugins.known()["backends"], "absent", "copick-core[absent]")

    assert main(["new-config", "absent"]) == 2

    assert 'pip install "copick-core[absent]"' in capsys.readouterr().err


class _Theirs(CopickConfig):
    shelf: int = 0


@click.option("--shelf", type=int, required=True, help="Number of the shelf.")
@click.option("--name", default="on a shelf", help="A name of their own kind.")
def _new_config(shelf, name):
    """Write the configuration of a project on a shelf."""
    return {"shelf": shelf, "description": name, "pickable_objects": []}


@pytest.fixture
def theirs():
    plugins.register(
        Backend("theirs", 1, _Theirs, lambda config: Layers(), summary="Things on shelves", new_config=_new_config)
    )
    plugins.register(Backend("silent", 1, _Theirs, lambda config: Layers(), url="https://silent.example"))
    yield
    plugins.reset()


def test_a_third_partys_backend_is_listed_with_its_summary_and_its_options(theirs, capsys):
    assert main(["new-config", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    listed = lines[lines.index("Types:") + 1 :]
    assert any(line.split() == ["theirs", "Things", "on", "shelves"] for line in listed)

    assert main(["new-config", "theirs", "--help"]) == 0
    text = capsys.readouterr().out
    assert "Write the configuration of a project on a shelf." in text
    assert "Number of the shelf." in text


def test_an_option_of_a_backend_takes_the_place_of_the_one_that_all_have(theirs):
    content = new("theirs", "--shelf", "3", "--name", "mine")

    assert (content["shelf"], content["description"], content["name"]) == (3, "mine", "copick project")
    assert new("theirs", "--shelf", "4", "--force")["shelf"] == 4


def test_a_backend_that_makes_no_configurations_says_where_it_is_documented(theirs, capsys):
    assert main(["new-config", "silent"]) == 2

    assert "https://silent.example" in capsys.readouterr().err


def test_the_file_and_its_objects_are_told_as_json(tmp_path, capsys):
    path = tmp_path / "objects.json"
    path.write_text('[{"name": "ribosome", "is_particle": true, "label": 2}]')

    assert main(["new-config", "memory", "--objects", str(path), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["config"] == "config.json"
    assert [(obj["name"], obj["label"]) for obj in told["objects"]] == [("ribosome", 2)]


def test_the_file_and_its_objects_are_told_to_people(tmp_path, capsys):
    objects = [
        {"name": "ribosome", "is_particle": True, "label": 2, "identifier": "GO:1"},
        {"name": "membrane", "is_particle": False, "label": 100},
    ]
    (tmp_path / "objects.json").write_text(json.dumps(objects))

    assert main(["new-config", "memory", "--objects", "objects.json"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "config.json: 2 objects",
        "    2  ribosome  particle  GO:1",
        "  100  membrane  segmentation",
    ]
