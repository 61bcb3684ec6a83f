"""The commands ``new-config cryoet_data_portal`` and ``portal-cache``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from copick_core.__main__ import main

NEW = ["new-config", "cryoet_data_portal"]


@pytest.fixture
def config(portal, tmp_path):
    """A config file on the small portal."""
    path = tmp_path / "portal.json"
    path.write_text(json.dumps(portal.config(10001, overlay_root=str(tmp_path / "overlay"))))
    return str(path)


def test_new_config_writes_a_project(portal, tmp_path, capsys):
    path = tmp_path / "new.json"

    code = main(
        [
            "new-config",
            "cryoet_data_portal",
            "--dataset-id",
            "10001",
            "--output",
            str(path),
            "--graphql-url",
            portal.graphql.url,
        ]
    )

    assert code == 0
    assert "4 objects" in capsys.readouterr().out
    assert json.loads(path.read_text())["dataset_ids"] == [10001]


@pytest.mark.parametrize(
    ("ids", "datasets"),
    [(["--deposition-id", "2"], [10001]), (["--deposition-id", "2", "--dataset-id", "10002"], [10001, 10002])],
)
def test_new_config_takes_depositions(portal, tmp_path, ids, datasets):
    path = tmp_path / "new.json"

    assert main(["new-config", "cryoet_data_portal", *ids, "--output", str(path), "--graphql-url", portal.graphql.url]) == 0

    assert json.loads(path.read_text())["dataset_ids"] == datasets


def test_new_config_without_ids_says_what_to_give(tmp_path, capsys):
    assert main(["new-config", "cryoet_data_portal", "--output", str(tmp_path / "new.json")]) == 2

    assert "--dataset-id or a --deposition-id" in capsys.readouterr().err


def test_new_config_says_why_it_failed(tmp_path, capsys):
    address = "http://127.0.0.1:9/graphql"

    code = main(
        ["new-config", "cryoet_data_portal", "--dataset-id", "1", "--output", str(tmp_path / "x"), "--graphql-url", address]
    )

    assert code == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_cache_info_lists_what_is_kept_without_asking(portal, config, capsys):
    import copick_core

    assert len(copick_core.from_file(config).runs) == 3
    portal.reset()

    assert main(["portal-cache", "info", config]) == 0

    output = capsys.readouterr().out
    assert "fresh" in output
    assert "1 answers" in output
    assert portal.graphql.requests == 0


def test_cache_clear_deletes_what_is_kept(portal, config, tmp_path, capsys):
    import copick_core

    assert len(copick_core.from_file(config).runs) == 3
    (tmp_path / "overlay/.copick_cache/portal_of_another.json").write_text("{}")

    assert main(["portal-cache", "clear", config]) == 0
    assert "1 answers deleted" in capsys.readouterr().out
    assert main(["portal-cache", "clear", "--all", config]) == 0
    assert not list((tmp_path / "overlay/.copick_cache").glob("portal_*"))


def test_cache_of_a_project_that_keeps_nothing(tmp_path, capsys):
    path = tmp_path / "memory.json"
    path.write_text('{"config_type": "memory"}')

    assert main(["portal-cache", "info", str(path)]) == 0
    assert "No layer" in capsys.readouterr().out


def test_the_cache_is_shown_and_cleared_as_json(portal, config, capsys):
    import copick_core

    assert len(copick_core.from_file(config).runs) == 3

    assert main(["portal-cache", "info", config, "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)
    assert main(["portal-cache", "clear", config, "--json"]) == 0

    assert [answer["stale"] for answer in kept["answers"]] == [False]
    assert Path(kept["answers"][0]["file"]).parent in {Path(folder) for folder in kept["folders"]}
    assert json.loads(capsys.readouterr().out) == {"deleted_answers": 1}


def test_the_cache_of_a_project_that_keeps_nothing_is_an_empty_list(tmp_path, capsys):
    path = tmp_path / "memory.json"
    path.write_text('{"config_type": "memory"}')

    assert main(["portal-cache", "info", str(path), "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == []
