"""What a project in a bucket is guessed from."""

import pytest

import copick_core
from copick_core.errors import ConfigError
from copick_core.testing import samples
from copick_core.tree import layout
from copick_core.tree.keys import PicksKey, RunKey

BUCKET = "lab"


@pytest.fixture
def place(server, monkeypatch):
    """A bucket that the environment says how to reach, as a user has set it up."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return server


def put_runs(server, count):
    files = {}
    for number in range(count):
        key = PicksKey(f"TS_{number:03}", "ribosome" if number else "membrane", "ana", "1")
        files[f"project/{layout.path(key)}"] = samples.picks_json(0, key.run)
        files[f"project/{layout.marker(RunKey(key.run))}"] = b"meta"
    server.put(BUCKET, files)


def opened(url):
    with pytest.warns(UserWarning, match="Write a config for"):
        return copick_core.open(url)


def test_a_project_in_a_bucket_is_opened_with_the_objects_of_its_file_names(place):
    put_runs(place, 3)

    root = opened(f"s3://{BUCKET}/project")

    assert [o.name for o in root.pickable_objects] == ["membrane", "ribosome"]
    assert [picks.pickable_object_name for picks in root.get_run("TS_001").picks] == ["ribosome"]


def test_a_large_project_in_a_bucket_takes_as_few_requests_as_one_of_eight_runs(place):
    put_runs(place, 8)
    with place.counting() as few:
        opened(f"s3://{BUCKET}/project")
    put_runs(place, 60)

    with place.counting() as many:
        root = opened(f"s3://{BUCKET}/project")

    assert sum(many.values()) <= sum(few.values()) <= 50
    assert root.config.description == "Objects are those of 8 of 60 runs."


def test_a_bucket_without_a_project_is_told_in_a_few_requests(place):
    place.put(BUCKET, {"else/notes.txt": b"x"})

    with place.counting() as requests, pytest.raises(ConfigError, match="there is no file s3://lab/else"):
        copick_core.open(f"s3://{BUCKET}/else")

    assert sum(requests.values()) <= 12
