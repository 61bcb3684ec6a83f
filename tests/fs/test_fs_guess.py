"""What a project in a bucket is guessed from."""

import os
import shutil

import pytest

import copick_core
from copick_backend_fs.guess import REMOTE_RUNS, guess
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


# ---------------------------------------------------------------------------------------------------------------- folders


def written(folder, *names):
    """A project of empty files and folders; those of volumes end in .zarr."""
    for name in names:
        path = folder / "ExperimentRuns" / "TS_1" / name
        if name.endswith(".zarr"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    return str(folder)


def objects(found):
    return [(row["name"], row["is_particle"], row["label"]) for row in found["pickable_objects"]]


def test_objects_with_picks_filaments_or_a_map_are_particles_and_those_of_surfaces_are_not(tmp_path):
    path = written(
        tmp_path,
        "Picks/alice_1_ribosome.json",
        "Filaments/alice_1_actin.json",
        "Meshes/alice_1_membrane.glb",
        "Segmentations/10.000_alice_1_vesicle.zarr",
        "Segmentations/10.000_alice_1_all-multilabel.zarr",
    )
    (tmp_path / "Objects" / "proteasome.zarr").mkdir(parents=True)

    assert objects(guess(path)) == [
        ("actin", True, 1),
        ("membrane", False, 2),
        ("proteasome", True, 3),
        ("ribosome", True, 4),
        ("vesicle", False, 5),
    ]


def test_names_that_no_object_can_have_are_passed_over_without_a_word(tmp_path, recwarn):
    path = written(tmp_path, "Picks/alice_1_ribosome.json", "Picks/alice_1_my object.json", "Picks/alice_1_-.json")

    assert objects(guess(path)) == [("ribosome", True, 1)]
    assert [str(one.message) for one in recwarn if "sanitized" in str(one.message).lower()] == []


def test_all_runs_of_a_folder_are_looked_at_and_of_a_bucket_a_few(tmp_path, place):
    for number in range(REMOTE_RUNS + 1):
        run = tmp_path / "ExperimentRuns" / f"TS_{number}" / "Picks"
        run.mkdir(parents=True)
        (run / f"alice_1_object-{number}.json").write_bytes(b"")
    put_runs(place, REMOTE_RUNS + 1)

    here, there = guess(str(tmp_path)), guess(f"s3://{BUCKET}/project/")

    assert (len(here["pickable_objects"]), here["description"], here["name"]) == (REMOTE_RUNS + 1, "", tmp_path.name)
    assert there["description"] == f"Objects are those of {REMOTE_RUNS} of {REMOTE_RUNS + 1} runs."
    assert (there["overlay_root"], there["name"]) == (f"s3://{BUCKET}/project/", "project")


def test_what_cannot_be_written_to_is_only_read(tmp_path, monkeypatch):
    path = written(tmp_path / "p", "Picks/alice_1_ribosome.json")
    archive = shutil.make_archive(str(tmp_path / "p"), "zip", tmp_path / "p")

    packed = guess(archive)
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    protected = guess(path)

    assert (packed["static_root"], packed["name"]) == (f"zip://::{archive}", "p.zip")
    assert objects(packed) == objects(protected) == [("ribosome", True, 1)]
    assert protected["static_root"] == path
    assert not {"overlay_root"} & (packed.keys() | protected.keys())
