"""``copick-core cache``: fill, show and clear."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import copick_core
from copick_layers.cache.commands import cache
from support.objects import OBJECTS


@pytest.fixture
def config(tmp_path):
    """A project with a cache: path of its config file."""
    content = {
        "config_type": "filesystem",
        "overlay_root": str(tmp_path / "project"),
        "pickable_objects": OBJECTS,
        "user_id": "ana",
        "wrappers": [{"name": "cache", "path": str(tmp_path / "cache")}],
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    run = copick_core.open(content).new_run("TS_1")
    run.new_picks("ribosome", "1").from_numpy([[1.0, 2.0, 3.0]])
    run.new_voxel_spacing(10.0).new_tomogram("wbp").from_numpy(np.arange(64, dtype="f4").reshape(4, 4, 4))
    return path


def run(*arguments):
    return CliRunner().invoke(cache, [str(argument) for argument in arguments])


def offline(config):
    content = json.loads(config.read_text())
    content["wrappers"][0]["offline"] = True
    return copick_core.open(content)


def test_what_was_prefetched_is_answered_offline(config, tmp_path):
    result = run("prefetch", "TS_1/", "-c", config)
    (tmp_path / "project").rename(tmp_path / "gone")

    found = offline(config).get_run("TS_1")

    assert result.output.startswith("2 entities, ")
    assert found.get_picks("ribosome")[0].numpy()[0].tolist() == [[1.0, 2.0, 3.0]]
    assert found.voxel_spacings[0].tomograms[0].numpy("2").shape == (1, 1, 1)


def test_prefetch_of_nothing_says_so(config):
    assert run("prefetch", "TS_9/", "-c", config).output == "0 entities, 0 bytes are in the cache\n"


def test_prefetch_needs_a_layer_with_a_cache(tmp_path):
    result = run("prefetch", "*/", "-c", tmp_path)

    assert result.exit_code == 1


def test_info_names_the_place_and_the_size(config, tmp_path):
    run("prefetch", "*/", "-c", config)

    shown = json.loads(run("info", "-c", config, "--json").output)

    assert [place["place"] for place in shown[0]["places"]] == [f"file://{tmp_path / 'project'}"]
    assert 0 < shown[0]["places"][0]["size"] < shown[0]["limit"]
    assert str(tmp_path / "cache") in run("info", "-c", config).output


def test_clear_deletes_what_is_kept_of_the_project(config):
    run("prefetch", "*/", "-c", config)

    run("clear", "-c", config)

    assert json.loads(run("info", "-c", config, "--json").output)[0]["places"] == []


def test_clear_leaves_other_projects_alone(config, tmp_path):
    run("prefetch", "*/", "-c", config)
    other = json.loads(config.read_text())
    other["overlay_root"] = str(tmp_path / "other")
    (tmp_path / "other.json").write_text(json.dumps(other))

    run("clear", "-c", tmp_path / "other.json")

    assert len(json.loads(run("info", "-c", config, "--json").output)[0]["places"]) == 1
    run("clear", "--path", tmp_path / "cache")
    assert json.loads(run("info", "-c", config, "--json").output)[0]["places"] == []


def test_prefetch_and_clear_tell_their_numbers_as_json(config):
    fetched = json.loads(run("prefetch", "TS_1/", "-c", config, "--json").output)
    kept = json.loads(run("info", "-c", config, "--json").output)[0]["places"][0]["size"]

    cleared = json.loads(run("clear", "-c", config, "--json").output)

    assert fetched["entities"] == 2
    assert fetched["bytes"] > 0
    assert cleared == {"deleted_bytes": kept}
