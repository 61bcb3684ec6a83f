"""Opening what has no configuration."""

import json
import shutil
import warnings

import fsspec
import numpy as np
import pytest

import copick_core
from copick_core import plugins
from copick_core.errors import ConfigError, ConfigNotFoundError
from copick_core.layers import Layers
from copick_core.opening.guessing import config_file_at
from copick_core.plugins import Backend
from copick_core.tree.schema import CopickConfig

OBJECTS = [{"name": "ribosome", "is_particle": True, "label": 1}, {"name": "membrane", "is_particle": False, "label": 2}]


def fill(config):
    root = copick_core.open(config)
    run = root.new_run("TS_1")
    run.new_picks("ribosome", "1", "ana").from_numpy([[1, 2, 3]])
    run.new_segmentation(10.0, "membrane", "1", False, "ana").from_numpy(np.ones((4, 4, 4), np.uint8))
    run.new_segmentation(10.0, "everything", "1", True, "ana").from_numpy(np.ones((4, 4, 4), np.uint8))


@pytest.fixture
def folder(tmp_path):
    """A filesystem project whose config got lost."""
    fill({"config_type": "filesystem", "overlay_root": str(tmp_path / "data"), "pickable_objects": OBJECTS})
    return tmp_path / "data"


@pytest.fixture
def register():
    yield plugins.register
    plugins.reset()


def opened(place):
    with pytest.warns(UserWarning, match="Write a config for"):
        return copick_core.open(place)


def error_of(place):
    with pytest.raises(ConfigError) as caught:
        copick_core.open(place)
    return str(caught.value)


def backend(config_type, guess):
    return Backend(config_type, api_version=1, config_cls=CopickConfig, open_layers=lambda c: Layers(), guess=guess)


def test_a_folder_of_a_project_is_opened_with_the_objects_of_its_file_names(folder):
    root = opened(folder)

    assert [(o.name, o.is_particle, o.label) for o in root.pickable_objects] == [
        ("membrane", False, 1),
        ("ribosome", True, 2),
    ]
    assert root.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1, 2, 3]]
    root.new_run("TS_2")


def test_the_warning_says_how_to_write_a_config(folder):
    with pytest.warns(UserWarning, match="Write a config for") as caught:
        copick_core.open(folder)

    assert [w.filename for w in caught] == [__file__]
    assert 'root.save_config("config.json")' in str(caught[0].message)
    assert "membrane, ribosome" in str(caught[0].message)


def test_the_config_that_is_saved_opens_without_a_warning(folder, tmp_path):
    opened(folder).save_config(tmp_path / "config.json")

    root = copick_core.open(tmp_path / "config.json")

    assert [run.name for run in root.runs] == ["TS_1"]


def test_a_folder_that_cannot_be_written_to_is_only_read(folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere

    assert opened(folder).read_only


@pytest.mark.parametrize("packed", ["", "data"])
def test_an_archive_is_opened_whether_or_not_its_folder_was_packed(folder, tmp_path, packed):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder.parent if packed else folder, packed or None)

    root = opened(archive)

    assert root.read_only
    assert root.get_run("TS_1").picks[0].numpy()[0].tolist() == [[1, 2, 3]]


def test_a_url_of_a_project_is_opened():
    fill({"config_type": "filesystem", "overlay_root": "memory://guessed", "pickable_objects": OBJECTS})

    assert [run.name for run in opened("memory://guessed").runs] == ["TS_1"]


def test_a_url_without_a_suffix_may_be_a_config():
    content = {"config_type": "memory", "name": "by its content"}
    fsspec.filesystem("memory").pipe_file("/configs/mine", json.dumps(content).encode())

    assert copick_core.open("memory://configs/mine").config.name == "by its content"


def test_a_config_in_an_archive_is_opened(folder, tmp_path):
    (folder / "config.json").write_text(json.dumps({"config_type": "memory", "name": "packed"}))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)

    assert copick_core.open(f"zip://config.json::{archive}").config.name == "packed"


def test_the_only_config_of_a_folder_is_opened(folder):
    config = {"config_type": "filesystem", "overlay_root": ".", "pickable_objects": OBJECTS, "name": "the one"}
    (folder / "copick_config.json").write_text(json.dumps(config))
    (folder / "notes.json").write_text("[1, 2]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        root = copick_core.open(folder)

    assert root.config.name == "the one"
    assert [run.name for run in root.runs] == ["TS_1"]


def test_several_configs_of_a_folder_are_listed(folder):
    for name in ("a.json", "b.json"):
        (folder / name).write_text(json.dumps({"config_type": "memory"}))

    assert "the folder has several configurations: a.json, b.json. Open one." in error_of(folder)


def test_a_compose_volume_is_opened(tmp_path):
    (tmp_path / "volume" / "chunks").mkdir(parents=True)
    (tmp_path / "volume" / "jobs.json").write_text("{}")

    root = opened(tmp_path / "volume")

    assert (root.config.config_type, root.volume.root) == ("compose_volume", str(tmp_path / "volume"))


def test_a_place_that_nobody_can_open_is_told_with_what_each_backend_found(tmp_path, register):
    register(backend("frail", lambda path: 1 / 0))
    (tmp_path / "something.txt").write_text("else")

    message = error_of(tmp_path)

    assert "filesystem: nothing of its own there" in message
    assert "frail: ZeroDivisionError" in message
    assert "Open a config file, or write one" in message


def test_a_file_that_is_no_config_is_told_in_the_same_way(tmp_path):
    (tmp_path / "tomogram.mrc").write_bytes(bytes(1024))

    assert "no installed backend opens it" in error_of(tmp_path / "tomogram.mrc")


def test_a_place_that_several_backends_can_open_is_refused_with_their_names(folder, register):
    register(backend("another", lambda path: {}))

    message = error_of(folder)

    assert "several backends can open it: another, filesystem" in message
    assert "config_type" in message


def test_a_frail_backend_does_not_hide_another(folder, register):
    register(backend("frail", lambda path: 1 / 0))

    assert opened(folder).config.config_type == "filesystem"


@pytest.mark.parametrize("name", ["nowhere", "nowhere.json", "nowhere.zip"])
def test_a_misspelt_path_is_a_config_that_is_not_found(tmp_path, name):
    with pytest.raises(ConfigNotFoundError):
        copick_core.open(tmp_path / name)


def test_a_misspelt_url_is_a_config_that_is_not_found():
    with pytest.raises(ConfigNotFoundError):
        copick_core.open("memory://nothing/at/all")


def test_a_backend_that_cannot_be_loaded_hides_no_other_and_is_told_where_none_can_open_a_place(folder, monkeypatch, tmp_path):
    from copick_core import plugins
    from copick_core.errors import BackendError

    look = plugins.backends.look

    def broken(name):
        if name == "memory":
            raise BackendError(config_type=name, distributions=["theirs"], reason="it is only a test")
        return look(name)

    monkeypatch.setattr(plugins.backends, "look", broken)
    (tmp_path / "nothing").mkdir()

    assert [run.name for run in opened(folder).runs] == ["TS_1"]
    message = error_of(tmp_path / "nothing")
    assert "memory: broken, it is only a test" in message
    assert "filesystem: nothing of its own there" in message


@pytest.mark.parametrize(
    ("text", "is_config"),
    [
        ('{"config_type": "memory"}', True),
        ('\ufeff \n{"config_type": "memory"}', True),
        ("", True),
        ("[1]", True),
        ("x", False),
    ],
)
def test_a_file_without_a_suffix_is_a_config_if_it_begins_like_json(tmp_path, text, is_config):
    (tmp_path / "mine").write_text(text)

    assert config_file_at(str(tmp_path / "mine")) == (str(tmp_path / "mine") if is_config else None)


@pytest.mark.parametrize(
    ("content", "is_config"),
    [
        ({"config_type": "memory"}, True),
        ({"config_type": 5}, False),
        ({"pickable_objects": [], "overlay_root": "x"}, True),
        ({"pickable_objects": []}, False),
        ({"overlay_root": "x"}, False),
        ([], False),
        ("{", False),
    ],
)
def test_a_json_file_of_a_folder_is_a_config_if_it_names_a_backend_or_objects_and_a_place(tmp_path, content, is_config):
    (tmp_path / "a.JSON").write_text(content if isinstance(content, str) else json.dumps(content))
    (tmp_path / "b.json").mkdir()

    assert config_file_at(str(tmp_path)) == (str(tmp_path / "a.JSON") if is_config else None)
