"""What is written into a volume of the app survives a power cut: on disk first, then at its place, then its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from support.syncs import assert_published, assert_synced, content_of, identity_of, recorded_syncs

JOB = "CC7651"
SEGMENTATION = "1720196800"
LABELS = np.ones((12, 40, 30), np.uint8)


@pytest.fixture
def root(generated):
    return copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root), "write_back": True})


@pytest.fixture
def uploaded(root):
    run = root.new_job("stack")
    run.add_slices(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    run.finish_upload()
    return run


def test_the_database_is_on_disk_before_it_takes_its_place_and_its_folder_afterwards(generated, root):
    database = generated.root / "jobs.json"
    old = database.read_bytes()

    with recorded_syncs(database.read_bytes) as syncs:
        root.get_run(JOB).set_status("ANNOTATED")

    new = database.read_bytes()
    assert [(s.path.parent, s.content, s.seen) for s in syncs[:1]] == [(generated.root, new, old)]
    assert [tuple(s) for s in syncs[1:]] == [(generated.root, None, new)]


def test_a_torn_database_is_on_disk_aside_before_it_is_replaced(tmp_path, generated):
    database = generated.root / "jobs.json"
    torn = database.read_bytes()[:-40]
    database.write_bytes(torn)
    job = next(iter(JobStore(Volume(str(generated.root)), patience=0).recoverable())).job.id

    with recorded_syncs(database.read_bytes) as syncs:
        JobStore(Volume(str(generated.root)), writable=True, patience=0, settle=0).restore(job)

    aside = [s for s in syncs if s.content == torn]
    assert [(s.path.parent, s.seen) for s in aside] == [(generated.root, torn)]
    assert (generated.root, None, database.read_bytes()) in [tuple(s) for s in syncs]


@pytest.mark.parametrize("again", [False, True], ids=["new", "over another"])
def test_an_image_is_on_disk_before_it_takes_its_place(uploaded, again):
    target = Path(uploaded.root.volume.chunks(uploaded.name))
    if again:
        uploaded.convert(chunks=(4, 4, 2))
        uploaded.set_status("UPLOADED", force=True)

    with recorded_syncs(lambda: identity_of(target)) as syncs:
        uploaded.convert(chunks=(2, 2, 2))

    assert len([*target.iterdir()]) == 3 * 2 * 2 + 1
    assert_published(syncs, target)


def test_a_segmentation_is_on_disk_before_it_takes_its_place(root):
    segmented = Path(root.volume.folder("segmented", JOB))

    with recorded_syncs(lambda: {p.name: p.stat().st_ino for p in segmented.iterdir()}) as syncs:
        published = root.get_run(JOB).publish_segmentation(LABELS, "tool")

    target = Path(root.volume.segmentation(JOB, published.model_id))
    assert_published([s._replace(seen=s.seen.get(target.name)) for s in syncs], target)


def test_what_tells_of_a_segmentation_is_on_disk_before_the_segmentation_takes_its_place(root):
    segmented, models = (Path(root.volume.folder(kind, JOB)) for kind in ("segmented", "models"))

    with recorded_syncs(lambda: {p.name for p in [*segmented.iterdir(), *models.iterdir()]}) as syncs:
        published = root.get_run(JOB).publish_segmentation(LABELS, "tool")

    sidecar = Path(root.volume.sidecar(JOB, published.model_id))
    described = [s for s in syncs if s.content == sidecar.read_bytes()]
    assert [sidecar.name in s.seen for s in described] == [False]
    placed = [s for s in syncs if s.path == models]
    assert [(sidecar.name in s.seen, published.model_id in s.seen) for s in placed] == [(True, False)]


@pytest.mark.parametrize("model", [SEGMENTATION, "1720196900"])
def test_meshes_are_on_disk_before_they_take_their_place(root, model):
    target = Path(root.volume.meshes(JOB, model))

    with recorded_syncs(lambda: identity_of(target)) as syncs:
        values = root.get_run(JOB).mesh(model, block=16)

    names = {path.name for path in target.iterdir()}
    assert values
    assert {name.rpartition(".")[2] for name in names} >= {"stl", "obj"}
    assert_published(syncs, target)


@pytest.mark.parametrize("given", ["array", "files"])
def test_slices_are_on_disk_before_they_take_their_places_and_their_folder_afterwards(root, generated, given):
    run = root.new_job("stack")
    folder = Path(root.volume.folder("uploads", run.name))
    files = [generated.root / f"uploads/12E345/s_{z:04d}.png" for z in range(2)]

    with recorded_syncs(lambda: len([*folder.iterdir()])) as syncs:
        names = run.add_slices(files if given == "files" else np.full((2, 4, 5), 7, np.uint8))

    contents = [(folder / name).read_bytes() for name in names]
    assert [(s.content, s.seen) for s in syncs[:2]] == [(content, 0) for content in contents]
    assert [tuple(s) for s in syncs[2:]] == [(folder, None, 2)]


def test_an_upload_that_is_replaced_is_on_disk_before_it_takes_its_place(root, generated):
    uploads = generated.root / "uploads/12E345"
    old, new = ((uploads / f"s_000{z}.png").read_bytes() for z in (0, 1))

    with recorded_syncs(lambda: content_of(uploads / "s_0000.png")) as syncs:
        root.get_run("12E345").replace_upload("s_0000.png", uploads / "s_0001.png")

    assert [(s.content, s.seen) for s in syncs] == [(new, old), (None, new)]
    assert syncs[-1].path == uploads


def test_the_voxel_size_of_an_upload_is_on_disk_before_it_takes_its_place(root):
    run = root.new_job("stack")
    note = Path(root.volume.voxel_note(run.name))

    with recorded_syncs(lambda: content_of(note)) as syncs:
        run.add_slices(np.ones((2, 4, 5), np.uint8), voxel_size=7.5)

    assert_synced(syncs, note)


def test_training_pairs_and_notes_of_voxel_sizes_are_on_disk_and_their_folders_too(root):
    training, notes = Path(root.volume.folder("training", JOB)), Path(root.volume.root) / ".copick"

    with recorded_syncs(lambda: None) as syncs:
        (pair,) = root.get_run(JOB).add_training_pairs(LABELS, [3])
        run = root.new_job("stack")
        run.add_slices(np.zeros((1, 4, 5), np.uint8), voxel_size=13.5)

    written = {s.content for s in syncs}
    names = (f"img{pair.id}.png", f"seg{pair.id}.png", f"meta{pair.id}.json")
    assert {(training / name).read_bytes() for name in names} <= written
    assert (notes / f"{run.name}.json").read_bytes() in written
    assert {training, notes} <= {s.path for s in syncs if s.content is None}
