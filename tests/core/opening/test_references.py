"""Configurations that refer to the files of others."""

import json
import pickle

import fsspec
import pytest

import copick_core
from copick_core.errors import ConfigError

RIBOSOME = {"name": "ribosome", "is_particle": True, "label": 1, "color": [1, 2, 3, 255]}


@pytest.fixture
def lab(tmp_path):
    """The first user's project: ``lab/project.json`` with one run, its data beside it."""
    folder = tmp_path / "lab"
    folder.mkdir()
    config = {"config_type": "filesystem", "overlay_root": "data", "pickable_objects": [RIBOSOME]}
    (folder / "project.json").write_text(json.dumps(config))
    root = copick_core.open(folder / "project.json")
    root.new_run("TS_1").new_picks("ribosome", "1", "ana").from_numpy([[1, 2, 3]])
    return folder


@pytest.fixture
def mine(tmp_path):
    """Writes the second user's ``mine/stack.json``."""
    folder = tmp_path / "mine"
    folder.mkdir()

    def mine(*static, **fields):
        overlay = {"config_type": "filesystem", "overlay_root": "data"}
        (folder / "stack.json").write_text(
            json.dumps({"config_type": "stack", "overlay": overlay, "static": [*static], **fields})
        )
        return folder / "stack.json"

    return mine


def remote_copy(lab, name):
    """Put the config of the first user's data on a remote file system."""
    content = json.loads((lab / "project.json").read_text()) | {"overlay_root": str(lab / "data")}
    remote = fsspec.filesystem("memory")
    remote.pipe_file(f"/references/{name}", json.dumps(content).encode())
    return remote


def error_of(config):
    with pytest.raises(ConfigError) as caught:
        copick_core.open(config)
    return str(caught.value)


@pytest.mark.parametrize("reference", ["../lab/project.json", {"config": "../lab/project.json"}])
def test_a_second_users_config_that_only_names_the_firsts_has_its_runs_and_objects(lab, mine, reference):
    root = copick_core.open(mine(reference))

    picks = root.get_run("TS_1").picks[0]

    assert picks.numpy()[0].tolist() == [[1, 2, 3]]
    assert picks.color == (1, 2, 3, 255)
    assert picks.read_only


def test_an_overlay_may_be_a_reference_too(lab, tmp_path):
    (tmp_path / "stack.json").write_text(json.dumps({"config_type": "stack", "overlay": "lab/project.json"}))

    root = copick_core.open(tmp_path / "stack.json")
    root.new_run("TS_2")

    assert (lab / "data" / "ExperimentRuns" / "TS_2").is_dir()


def test_a_reference_may_name_its_layer_and_ask_for_wrappers(lab, mine):
    root = copick_core.open(
        mine({"config": "../lab/project.json", "layer_name": "lab", "wrappers": [{"name": "log", "path": "calls.jsonl"}]})
    )
    root.get_run("TS_1").picks[0].load()

    assert root.layers.static[0].name == "lab"
    assert root.layers.static[0].statistics["load_picks"].count == 1
    assert (mine().parent / "calls.jsonl").is_file()


def test_a_reference_is_saved_as_it_was_written_and_not_its_content(lab, mine):
    file = mine("../lab/project.json")
    root = copick_core.open(file)

    root.save_config(file)

    saved = json.loads(file.read_text())
    assert saved["static"] == ["../lab/project.json"]
    assert saved["pickable_objects"] == []


def test_a_reference_saved_elsewhere_means_the_same_file(lab, mine, tmp_path):
    root = copick_core.open(mine({"config": "../lab/project.json"}))

    root.save_config(tmp_path / "deep" / "er" / "copy.json")

    assert [run.name for run in copick_core.open(tmp_path / "deep" / "er" / "copy.json").runs] == ["TS_1"]


def test_objects_that_were_added_or_changed_are_saved(lab, mine):
    file = mine("../lab/project.json")
    root = copick_core.open(file)
    root.new_object("membrane", False)
    root.new_object("ribosome", True, radius=120.0, exist_ok=True)

    root.save_config(file)

    assert [o["name"] for o in json.loads(file.read_text())["pickable_objects"]] == ["ribosome", "membrane"]
    assert copick_core.open(file).get_object("ribosome").radius == 120.0


def test_a_remote_config_may_be_referred_to(lab):
    remote = fsspec.filesystem("memory")
    remote.pipe_file(
        "/references/project.json", (lab / "project.json").read_bytes().replace(b"data", str(lab / "data").encode())
    )

    root = copick_core.open({"config_type": "stack", "static": ["memory://references/project.json"]})

    assert [run.name for run in root.runs] == ["TS_1"]


def test_a_remote_config_refers_to_files_beside_it(lab):
    remote = remote_copy(lab, "lab.json")
    remote.pipe_file("/references/stack.json", json.dumps({"config_type": "stack", "static": ["lab.json"]}).encode())

    assert [run.name for run in copick_core.open("memory://references/stack.json").runs] == ["TS_1"]


def test_files_that_refer_to_each_other_are_refused_by_name(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"config_type": "stack", "static": [f"{other}.json"]}))

    message = error_of(tmp_path / "a.json")

    assert f"{tmp_path / 'a.json'} -> {tmp_path / 'b.json'} -> {tmp_path / 'a.json'}" in message


def test_one_file_may_be_referred_to_twice(lab, tmp_path):
    (tmp_path / "inner.json").write_text(json.dumps({"config_type": "stack", "static": ["lab/project.json"]}))

    root = copick_core.open({"config_type": "stack", "static": [str(tmp_path / "inner.json"), str(lab / "project.json")]})

    assert len(root.layers.static) == 2


def test_a_file_that_is_missing_is_named_with_the_place_of_the_reference(mine):
    message = error_of(mine("../lab/projct.json"))

    assert "stack.json" in message
    assert "static[0]" in message
    assert "lab/projct.json" in message


def test_a_mistake_in_the_other_file_names_both_files(lab, mine):
    (lab / "project.json").write_text(json.dumps({"config_type": "filesystem", "overlay_root": 5}))

    message = error_of(mine("../lab/project.json"))

    assert f"static[0] ({lab / 'project.json'}): overlay_root: " in message
    assert "mine/stack.json" in message


def test_labels_that_contradict_are_told_with_both_places(lab, mine):
    own = [RIBOSOME | {"label": 7}]

    message = error_of(mine("../lab/project.json", pickable_objects=own))

    assert "'ribosome' has label 1, but label 7 in the stack" in message
    assert f"static[0] ({lab / 'project.json'})" in message


def test_objects_of_one_label_are_told_with_both_places(lab, mine, tmp_path):
    (lab / "project.json").write_text((lab / "project.json").read_text().replace('"label": 1', '"label": 4'))
    (tmp_path / "other.json").write_text(
        json.dumps({"config_type": "memory", "pickable_objects": [{"name": "membrane", "is_particle": False, "label": 4}]})
    )

    message = error_of(mine("../lab/project.json", "../other.json"))

    assert f"static[1] ({tmp_path / 'other.json'})" in message
    assert f"static[0] ({lab / 'project.json'})" in message


def test_settings_beside_a_reference_are_refused(lab, mine):
    message = error_of(mine({"config": "../lab/project.json", "user_id": "ana"}))

    assert "static[0].user_id: beside 'config' only layer_name and wrappers are possible" in message


def test_a_stack_of_references_can_be_pickled(lab, mine, tmp_path, monkeypatch):
    data = pickle.dumps(copick_core.open(mine("../lab/project.json")))
    monkeypatch.chdir(tmp_path)

    root = pickle.loads(data)

    assert [run.name for run in root.runs] == ["TS_1"]
    assert root.config.file_content()["pickable_objects"] == []


def test_the_root_class_of_a_referred_project_is_used(lab, mine):
    from copick_backend_volume.root import CopickRootVolume

    (lab / "volume" / "uploads").mkdir(parents=True)
    (lab / "volume.json").write_text(json.dumps({"config_type": "compose_volume", "volume_root": "volume"}))

    assert isinstance(copick_core.open(mine("../lab/volume.json")), CopickRootVolume)


@pytest.mark.parametrize("written", [5, "", None, ["a.json"]])
def test_a_reference_that_is_no_path_is_refused_by_its_place(mine, written):
    assert "static[0].config: write the path or URL of a config file" in error_of(mine({"config": written}))


@pytest.mark.parametrize("wrappers", [{"name": "log"}, "log", ["log"]])
def test_wrappers_beside_a_reference_are_a_list_of_objects(lab, mine, wrappers):
    message = error_of(mine({"config": "../lab/project.json", "wrappers": wrappers}))

    assert "static[0].wrappers: it must be a list of objects" in message


def test_of_several_settings_beside_a_reference_the_first_is_named(lab, mine):
    message = error_of(mine({"config": "../lab/project.json", "zebra": 1, "apple": 2}))

    assert "static[0].apple: beside 'config'" in message
    assert "Write everything else into ../lab/project.json." in message
