"""A clean-up deletes what was asked for and nothing else, and never what somebody works on or anything is made from."""

import json
import os

import pytest

from copick_core.errors import InvalidDataError, ReadOnlyError
from support import volume_generator
from support.volumes import open_volume, tree_hash

JOB, OLD, LATEST = "CC7651", "1720196800", "1720196900"
ALL = ("remains", "caches", "databases", "segmentations", "uploads")


@pytest.fixture
def volume(tmp_path):
    """A volume in which there is something of each part to clean up."""
    made = volume_generator.tour(tmp_path / "volume")
    (made.root / "segmented/.staging-dead").mkdir()
    (made.root / "download_cache").mkdir()
    (made.root / "download_cache/a.zip").write_bytes(b"x" * 10)
    (made.root / "jobs.json.1720000000.5").write_bytes((made.root / "jobs.json").read_bytes())
    return made


def paths(volume, planned):
    return [os.path.relpath(removal.path, volume.root) for removal in planned]


def planned(volume, *parts, **options):
    return open_volume(volume.root).plan_cleanup(parts, **options)


EXPECTED = {
    "remains": ["segmented/.staging-dead"],
    "caches": ["download_cache"],
    "databases": ["jobs.json.1720000000.5"],
    "segmentations": [f"segmented/{JOB}/{OLD}.zarr"],
    "uploads": [
        *(f"uploads/4F09A2/egg_{z:03d}.png" for z in range(9)),
        *(f"uploads/{JOB}/burrow_{z:04d}.png" for z in range(12)),
    ],
}


@pytest.mark.parametrize("part", ALL)
def test_each_part_deletes_what_it_says_and_nothing_else(volume, part):
    before = {os.path.relpath(path, volume.root) for path in volume.root.rglob("*")}
    root = open_volume(volume.root, write_back=True)

    done = root.clean_up(root.plan_cleanup([part]))

    after = {os.path.relpath(path, volume.root) for path in volume.root.rglob("*")} - {"jobs.json.lock"}
    assert paths(volume, done) == EXPECTED[part]
    assert {path for path in before - after if os.path.dirname(path) not in before - after} == {*EXPECTED[part]}
    assert after <= before


def test_a_plan_changes_nothing_and_tells_sizes(volume):
    before = tree_hash(volume.root)

    found = planned(volume, *ALL)

    assert tree_hash(volume.root) == before
    assert {removal.part for removal in found} == {*ALL}
    assert next(r.size for r in found if r.part == "caches") == 10


def test_the_latest_meshes_stay_with_their_segmentation(volume):
    volume.model(JOB, "1720197000")
    volume.segmentation(JOB, "1720197000")

    assert paths(volume, planned(volume, "segmentations")) == [f"segmented/{JOB}/{OLD}.zarr"]


def test_an_unfinished_segmentation_does_not_count_as_the_latest(volume):
    volume.segmentation(JOB, "1720197000", skip=[(0, 0, 0)])

    assert paths(volume, planned(volume, "segmentations")) == [f"segmented/{JOB}/{OLD}.zarr"]


def test_as_many_segmentations_stay_as_are_to_be_kept(volume):
    assert planned(volume, "segmentations", keep=2) == []


def test_what_was_published_goes_with_its_description_and_models_stay(volume):
    root = open_volume(volume.root, write_back=True)
    first = root.get_run(JOB).publish_segmentation(volume.masks[JOB, OLD], "ana")
    root.get_run(JOB).publish_segmentation(volume.masks[JOB, OLD], "ana")

    root.clean_up(root.plan_cleanup(["segmentations"]))

    assert not (volume.root / f"models/{JOB}/{first.session_id}.json").exists()
    assert (volume.root / f"models/{JOB}/{OLD}.model").exists()
    assert root.doctor() == [f for f in root.doctor() if f.code == "remains"]


@pytest.mark.parametrize("status", ["SEGMENTING", "MESHING_QUEUED", "TRAINING"])
def test_what_somebody_works_on_is_left_alone(volume, status):
    volume.job(JOB, status, [30, 40, 12])
    volume.save()

    assert {removal.job for removal in planned(volume, "segmentations", "uploads")} == {"4F09A2"}


def test_a_job_that_somebody_has_begun_to_work_on_since_the_plan_is_left_alone(volume):
    root = open_volume(volume.root, write_back=True)
    found = root.plan_cleanup(["segmentations"])
    volume.job(JOB, "SEGMENTING", [30, 40, 12])
    volume.save()

    assert root.clean_up(found) == []
    assert (volume.root / f"segmented/{JOB}/{OLD}.zarr").is_dir()


def test_uploads_of_a_job_without_a_whole_image_stay(volume):
    (volume.root / "chunks/4F09A2/0.0.0").unlink()

    assert {removal.job for removal in planned(volume, "uploads")} == {JOB}


def test_a_copy_of_the_database_in_which_a_job_is_lost_stays(volume):
    entries = json.loads((volume.root / "jobs.json").read_text())
    del entries[JOB]
    (volume.root / "jobs.json").write_text(json.dumps(entries))

    assert planned(volume, "databases") == []


def test_copies_stay_while_the_database_is_torn(volume):
    (volume.root / "jobs.json").write_text("{")

    with pytest.warns(UserWarning, match="torn"):
        assert planned(volume, "databases") == []


def test_one_job_can_be_cleaned_up_alone(volume):
    assert {removal.job for removal in planned(volume, *ALL, jobs=["4F09A2"])} == {"4F09A2"}


def test_the_mark_of_a_process_that_died_stays_for_the_doctor(volume):
    volume.job("12E345", "CONVERTING")
    volume.save()
    (volume.root / ".staging-claim-12E345").touch()

    assert paths(volume, planned(volume, "remains")) == ["segmented/.staging-dead"]


def test_parts_are_checked_and_only_projects_that_write_back_delete(volume):
    with pytest.raises(InvalidDataError, match="models"):
        planned(volume, "models")
    with pytest.raises(InvalidDataError, match="keep"):
        planned(volume, "segmentations", keep=0)
    with pytest.raises(ReadOnlyError):
        open_volume(volume.root).clean_up(planned(volume, *ALL))
