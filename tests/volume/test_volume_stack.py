"""A compose volume as a static layer of a stack has all that it has by itself."""

import json
import pickle

import numpy as np
import pytest

import copick_core
from copick_backend_volume.root import CopickRootVolume, CopickRunVolume
from copick_backend_volume.status import JobStatus
from copick_core.errors import ConfigError, NotFoundError, ReadOnlyError
from support import volume_generator


@pytest.fixture
def second(tmp_path):
    """Another volume, with one job."""
    made = volume_generator.GeneratedVolume(tmp_path / "second")
    made.job("EEEEEE", "CONVERTED", [30, 40, 12])
    made.image("EEEEEE")
    return made.save()


def stack_of(*volumes, **fields):
    static = [{"config_type": "compose_volume", "volume_root": str(volume), **fields} for volume in volumes]
    return copick_core.open({"config_type": "stack", "overlay": {"config_type": "memory"}, "static": static})


def test_jobs_models_uploads_and_pairs_are_there_in_a_stack(either):
    root = stack_of(either)
    run = root.get_run("CC7651")

    assert isinstance(root, CopickRootVolume)
    assert run.job.status is JobStatus.MESHED
    assert [m.id for m in run.models] == ["1720196800", "1720196900"]
    assert len(run.training_pairs("1720196900")) == 4
    assert run.uploads.slices
    assert run.freshness().mesh_is_stale is False
    assert {job.id for job in root.jobs()} == {run.name for run in root.runs}
    assert root.recoverable_jobs() == []


def test_each_run_is_of_its_own_volume(generated, second):
    root = stack_of(generated.root, second.root)

    assert root.get_run("EEEEEE").job.shape_zyx == (12, 40, 30)
    assert root.job("EEEEEE").status is JobStatus.CONVERTED
    assert {job.id for job in root.jobs()} >= {"EEEEEE", "CC7651"}
    assert {f.job for f in root.doctor()} >= {"BADBAD"}
    with pytest.raises(NotFoundError):
        root.job("FFFFFF")


def test_a_segmentation_is_published_into_the_volume_of_its_run(generated, second):
    root = stack_of(generated.root, second.root, write_back=True)

    published = root.get_run("EEEEEE").publish_segmentation(np.ones((12, 40, 30), np.uint8), "tool")

    assert (second.root / "segmented/EEEEEE" / f"{published.model_id}.zarr" / ".zarray").exists()
    assert not (generated.root / "segmented/EEEEEE").exists()
    assert root.get_run("EEEEEE").job.status is JobStatus.SEGMENTED


def test_without_write_back_a_stack_writes_nothing_into_its_volumes(generated):
    with pytest.raises(ReadOnlyError):
        stack_of(generated.root).get_run("CC7651").mesh()


def test_a_run_of_another_layer_has_no_job(generated):
    root = stack_of(generated.root)
    run = root.new_run("mine")

    assert isinstance(run, CopickRunVolume)
    assert run.job is None
    assert run.models == []


@pytest.mark.parametrize("stacked", [False, True])
def test_an_overlay_inside_a_volume_is_refused(generated, tmp_path, stacked):
    (tmp_path / "link").symlink_to(generated.root)
    overlay = {"overlay_root": str(tmp_path / "link" / "overlay")}
    volume = {"config_type": "compose_volume", "volume_root": str(generated.root)}
    nested = {"config_type": "stack", "overlay": {"config_type": "filesystem", **overlay}, "static": [volume]}

    with pytest.raises(ConfigError, match="inside the volume"):
        copick_core.open(nested if stacked else {**volume, **overlay})
    assert not (generated.root / "overlay").exists()


@pytest.mark.parametrize("stacked", [False, True])
def test_a_relative_overlay_is_the_same_place_when_the_config_is_saved_elsewhere(generated, tmp_path, stacked):
    volume = {"config_type": "compose_volume", "volume_root": "volume"}
    volume["overlay"] = {"config_type": "filesystem", "overlay_root": "mine"}
    config = {"config_type": "stack", "overlay": volume} if stacked else volume
    file, elsewhere = generated.root.parent / "config.json", tmp_path / "other" / "config.json"
    file.write_text(json.dumps(config))
    elsewhere.parent.mkdir()
    root = copick_core.open(file)

    root.save_config(file)
    root.save_config(elsewhere)

    saved = json.loads(file.read_text())
    assert (saved["overlay"] if stacked else saved)["overlay"] == volume["overlay"]
    assert copick_core.open(elsewhere).layers.overlay.root == root.layers.overlay.root == str(file.parent / "mine")


LOG = {"name": "log"}


def test_a_volume_behind_a_wrapper_has_all_that_it_has_without(generated):
    root = stack_of(generated.root, wrappers=[LOG], write_back=True)
    run = root.get_run("CC7651")

    assert isinstance(run, CopickRunVolume)
    assert run.job.status is JobStatus.MESHED
    assert [s.model_id for s in run.segmentations] == run._volume.segmentation_ids("CC7651")
    assert all(s.from_tool for s in run.segmentations)
    assert all(mesh.blocks() for mesh in run.meshes)
    assert root.layers.static[0].statistics["list"].count > 0


def test_an_overlay_of_a_volume_may_be_a_reference(generated, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"config_type": "filesystem", "overlay_root": "mine", "wrappers": [LOG]}))
    root = copick_core.open(
        {
            "config_type": "compose_volume",
            "volume_root": str(generated.root),
            "overlay": {"config": str(tmp_path / "mine.json")},
        }
    )

    root.new_run("EXTRA")

    assert (tmp_path / "mine" / "ExperimentRuns" / "EXTRA").is_dir()
    assert root.layers.overlay.statistics["ensure"].count == 1


def test_a_history_over_a_volume_has_both_commits_and_jobs(either, tmp_path):
    overlay = {"config_type": "icechunk", "overlay_root": str(tmp_path / "history"), "user_id": "alice"}
    static = [{"config_type": "compose_volume", "volume_root": str(either)}]
    objects = [{"name": "ribosome", "is_particle": True}]
    config = {"config_type": "stack", "overlay": overlay, "static": static, "pickable_objects": objects}
    root = pickle.loads(pickle.dumps(copick_core.open(config)))
    run = root.get_run("CC7651")

    with root.transaction("first look"):
        run.new_picks("ribosome", "1", "alice").from_numpy([[1, 2, 3]])
    before = root.as_of(root.history()[0].id)
    run.delete_picks("ribosome")

    assert run.job.status is JobStatus.MESHED
    assert root.history(limit=2)[1].message == "alice: first look"
    assert [len(p.points) for p in before.get_run("CC7651").picks if p.user_id == "alice"] == [1]
    assert before.get_run("CC7651").job.status is JobStatus.MESHED
