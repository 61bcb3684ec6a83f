"""Where the locations of a config lead, and what a saved config holds."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path

import pytest

import copick_core
from copick_core.errors import ConfigError

OBJECT = {"name": "ribosome", "is_particle": True}


def overlay_of(location: str) -> str:
    return copick_core.open({"config_type": "filesystem", "overlay_root": location}).root_overlay


@pytest.mark.skipif(os.name == "nt", reason="there, these are paths")
@pytest.mark.parametrize("location", [r"C:\data\project", "d:/data", r"\\server\share\project"])
def test_a_path_of_windows_is_refused_elsewhere(location: str) -> None:
    with pytest.raises(ConfigError, match=r"overlay_root: .* is a path of Windows") as caught:
        overlay_of(location)

    assert caught.value.source == "<dict>"


@pytest.mark.parametrize("location", ["~/project", "$HOME/project", "${HOME}/project"])
def test_the_home_folder_is_filled_in(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert overlay_of(location) == str(tmp_path / "project")


def test_the_name_of_the_user_is_filled_in(tmp_path: Path) -> None:
    assert overlay_of(f"{tmp_path}/$USER/data") == f"{tmp_path}/{getpass.getuser()}/data"


def test_another_variable_is_refused_by_its_name_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")

    with pytest.raises(ConfigError, match=r"overlay_root: the variable \$API_TOKEN") as caught:
        overlay_of("/data/$API_TOKEN/x")

    assert "secret" not in str(caught.value)


def test_a_dollar_within_a_name_is_no_variable(tmp_path: Path) -> None:
    assert overlay_of(f"{tmp_path}/cost_in_$HOME") == f"{tmp_path}/cost_in_$HOME"


def test_a_variable_in_a_url_stays_as_it_is() -> None:
    root = copick_core.open({"config_type": "filesystem", "overlay_root": "memory://$HOME/x"})

    assert root.config.overlay_root == "memory://$HOME/x"


def test_a_config_through_a_link_means_places_beside_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    file, link = tmp_path / "project" / "config.json", tmp_path / "link.json"
    file.write_text(json.dumps({"config_type": "filesystem", "overlay_root": "data"}))
    link.symlink_to(file)

    root = copick_core.open(link)
    root.save_config(link)

    assert root.root_overlay == str(tmp_path / "project" / "data")
    assert json.loads(file.read_text())["overlay_root"] == "data"
    assert link.is_symlink()


def test_a_saved_config_holds_what_was_set_and_read_and_nothing_else(tmp_path: Path) -> None:
    written = {
        "config_type": "filesystem",
        "name": "mine",
        "overlay_root": "data",
        "pickable_objects": [OBJECT | {"label": 1, "unknown": 7}],
        "unknown": {"key": None},
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(written))
    root = copick_core.open(path)
    root.save_config(path)
    assert json.loads(path.read_text()) == written

    root.new_object("membrane", is_particle=False)
    root.config.user_id = "ana"
    root.save_config(path)

    saved = json.loads(path.read_text())
    assert saved.pop("user_id") == "ana"
    assert [obj["name"] for obj in saved["pickable_objects"]] == ["ribosome", "membrane"]
    assert saved | {"pickable_objects": written["pickable_objects"]} == written


def test_null_arguments_of_a_filesystem_are_none(tmp_path: Path) -> None:
    content = {"overlay_root": str(tmp_path), "overlay_fs_args": None, "static_fs_args": None}

    assert copick_core.open({"config_type": "filesystem", **content}).config.overlay_fs_args == {}


def test_a_field_with_a_capital_is_hinted_at(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="user_ID: there is no such field.*user_id"):
        copick_core.open({"config_type": "filesystem", "overlay_root": str(tmp_path), "user_ID": "ana"})


def test_new_config_does_not_replace_a_config(tmp_path: Path) -> None:
    root = copick_core.new_config(tmp_path / "config.json", tmp_path / "data")
    root.new_object("added", is_particle=True)
    root.save_config(tmp_path / "config.json")

    with pytest.raises(FileExistsError, match=r"config\.json exists\. Open it with copick_core\.open"):
        copick_core.new_config(tmp_path / "config.json", tmp_path / "data")

    assert [o.name for o in copick_core.open(tmp_path / "config.json").pickable_objects] == ["added"]
    copick_core.new_config(tmp_path / "config.json", tmp_path / "data", overwrite=True)
    assert copick_core.open(tmp_path / "config.json").pickable_objects == []


def test_new_config_takes_a_user_and_a_session(tmp_path: Path) -> None:
    copick_core.new_config(tmp_path / "config.json", tmp_path / "data", user_id="ana", session_id="7")

    config = copick_core.open(tmp_path / "config.json").config
    assert (config.user_id, config.session_id) == ("ana", "7")


def test_no_text_that_is_shown_of_a_config_holds_a_password() -> None:
    from copick_backend_portal.config import CopickConfigCDP

    config = CopickConfigCDP(
        dataset_ids=[1], graphql_url="https://me:secret@host/graphql", s3_endpoint_url="http://me:secret@s3"
    )

    assert "https://me:***@host/graphql" in repr(config)
    assert "secret" not in repr(config) + str(config)
