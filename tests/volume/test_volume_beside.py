"""Beside the app: what it does to a volume while we work on the same job is neither lost nor undone."""

import json
import os
import threading
import time
from datetime import datetime

import numpy as np
import pytest

import copick_core
from copick_backend_volume import convert as conversion
from copick_backend_volume import jobs as database
from copick_backend_volume import meshing
from copick_backend_volume.status import JobStatus
from copick_core.errors import ConflictError, InvalidDataError
from support import volume_app

JOB = "CC7651"
ONES = np.ones((12, 40, 30), np.uint8)


@pytest.fixture
def root(generated):
    return copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root), "write_back": True})


@pytest.fixture
def run(root):
    return root.get_run(JOB)


def app_sets(generated, job=JOB, **fields):
    """What the app does to an entry: read, change, truncate and write."""
    path = str(generated.root / "jobs.json")
    entries = volume_app.read(path)
    entries[job] |= {"last_updated_at": datetime.now().isoformat(), **fields}
    volume_app.write(path, entries)


def during(monkeypatch, module, name, act):
    """Let something happen while a function of ours is at work."""
    original = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: [act(), original(*args, **options)][1])


# Ids


def test_no_published_id_lies_in_the_future_and_each_is_later_than_the_one_before(run):
    ids = []
    for _ in range(3):
        ids.append(int(run.publish_segmentation(ONES, "tool").model_id))
        assert ids[-1] < time.time() - 1

    assert ids == sorted({*ids})


def test_the_app_never_comes_upon_a_published_id(run):
    ids = [int(run.publish_segmentation(ONES, "tool").model_id) for _ in range(2)]

    assert int(time.time()) > max(ids)


def test_an_id_far_in_the_future_is_a_conflict_that_names_it_and_nothing_is_published(generated, run):
    future = int(time.time()) + 3600
    (generated.root / f"models/{JOB}/{future}.json").write_text("{}")
    before = os.listdir(generated.root / f"segmented/{JOB}")

    start = time.monotonic()
    with pytest.raises(ConflictError, match=rf"{future}.* lies (3600|359\d) s in the future") as caught:
        run.publish_segmentation(ONES, "tool")

    assert time.monotonic() - start < 5
    assert caught.value.found == future
    assert os.listdir(generated.root / f"segmented/{JOB}") == before


def test_an_id_that_is_a_little_ahead_is_waited_for(generated, run):
    ahead = int(time.time()) + 1
    (generated.root / f"models/{JOB}/{ahead}.json").write_text("{}")

    published = run.publish_segmentation(ONES, "tool")

    assert int(published.model_id) == ahead + 1


def test_waiting_for_an_id_holds_up_nobody_else(generated, run, root):
    (generated.root / f"models/{JOB}/{int(time.time()) + 1}.json").write_text("{}")
    waiting = threading.Thread(target=run.publish_segmentation, args=(ONES, "tool"))
    waiting.start()

    start = time.monotonic()
    root.get_run("4F09A2").set_status("ANNOTATED")
    assert time.monotonic() - start < 1.5
    waiting.join()


# Statuses that the app sets while we work


@pytest.mark.parametrize("status", ["ANNOTATED", "TRAINING_QUEUED", "MESHING_QUEUED"])
def test_a_status_that_the_app_sets_while_we_mesh_stays_and_the_meshes_are_given(generated, run, monkeypatch, status):
    during(monkeypatch, meshing, "_write", lambda: app_sets(generated, status=f"JobStatus.{status}"))

    meshes = run.mesh("1720196800")

    assert run.job.status is JobStatus[status]
    assert [m.session_id for m in meshes] == ["1720196800"]


def test_a_status_that_the_app_sets_stays_also_if_meshing_fails(generated, run, monkeypatch):
    def fail():
        app_sets(generated, status="JobStatus.TRAINING_QUEUED")
        raise RuntimeError("out of luck")

    during(monkeypatch, meshing, "_write", fail)

    with pytest.raises(RuntimeError, match="out of luck"):
        run.mesh("1720196800")
    assert run.job.status is JobStatus.TRAINING_QUEUED


def test_meshing_that_fails_leaves_an_error_status_if_nobody_has_set_another(run, monkeypatch):
    def fail():
        raise RuntimeError("out of luck")

    during(monkeypatch, meshing, "_write", fail)

    with pytest.raises(RuntimeError):
        run.mesh("1720196800")
    assert run.job.status is JobStatus.MESH_ERROR


def uploaded(root):
    run = root.new_job("stack")
    run.add_slices(np.ones((3, 4, 5), np.uint8))
    run.finish_upload()
    return run


def test_a_conversion_that_fails_leaves_an_error_status_if_nobody_has_set_another(root, monkeypatch):
    def fail():
        raise RuntimeError("out of luck")

    run = uploaded(root)
    during(monkeypatch, conversion, "_write", fail)

    with pytest.raises(RuntimeError):
        run.convert()
    assert run.job.status is JobStatus.CONVERT_ERROR


def test_a_status_that_the_app_sets_while_we_convert_stays_and_the_image_is_told(generated, root, monkeypatch):
    run = uploaded(root)
    during(monkeypatch, conversion, "_write", lambda: app_sets(generated, run.name, status="JobStatus.ANNOTATED"))

    job = run.convert()

    assert (job.status, job.shape) == (JobStatus.ANNOTATED, (5, 4, 3))


def test_a_queued_job_is_meshed_here(run):
    run.request("mesh")

    assert [m.session_id for m in run.mesh()] == ["1720196900"]
    assert run.job.status is JobStatus.MESHED


# Writes of the app that cross ours


def crossing(monkeypatch, store, act, when="replace"):
    """Let the app write once, just before our file takes the place of the old one, or just after."""
    put, pending = store._put, [act]

    def crossed(*args):
        if when == "replace" and pending:
            pending.pop()()
        put(*args)
        if pending:
            pending.pop()()

    monkeypatch.setattr(store, "_put", crossed)


def stale_write(generated, **fields):
    """The app has read the database; gives what writes its change later."""
    path = str(generated.root / "jobs.json")
    entries = volume_app.read(path)
    entries[JOB] |= fields

    def write():
        entries[JOB]["last_updated_at"] = datetime.now().isoformat()
        volume_app.write(path, entries)

    return write


def test_a_status_that_the_app_writes_while_ours_is_on_its_way_wins_over_a_claim(generated, run, root, monkeypatch):
    store = root.volume_layer.jobs
    crossing(monkeypatch, store, lambda: app_sets(generated, status="JobStatus.TRAINING_QUEUED"))

    with pytest.raises(ConflictError, match="TRAINING_QUEUED"):
        store.update(JOB, status=JobStatus.MESHING, expected=JobStatus.MESHED)

    assert run.job.status is JobStatus.TRAINING_QUEUED


def test_progress_of_ours_does_not_undo_a_status_that_the_app_writes_at_the_same_time(generated, run, root, monkeypatch):
    store = root.volume_layer.jobs
    crossing(monkeypatch, store, lambda: app_sets(generated, status="JobStatus.ANNOTATED"))

    store.update(JOB, progress=0.5)

    assert (run.job.status, run.job.progress) == (JobStatus.ANNOTATED, 0.5)


def test_what_the_app_writes_beside_ours_does_not_undo_what_it_writes_after(generated, run, root, monkeypatch):
    """The app opens the file before ours takes its place, writes there late, and goes on with ours before we look."""
    store = root.volume_layer.jobs
    settle, pending = time.sleep, [True]
    entries = volume_app.read(str(generated.root / "jobs.json"))
    opened = (generated.root / "jobs.json").open("r+")

    def app_works(seconds):
        if pending:
            pending.pop()
            entries[JOB] |= {"status": "JobStatus.MESHING", "last_updated_at": datetime.now().isoformat()}
            opened.truncate(0)
            json.dump(entries, opened)
            opened.close()
            app_sets(generated, status="JobStatus.SEGMENTED")
        settle(seconds)

    monkeypatch.setattr(database.time, "sleep", app_works)

    store.update(JOB, progress=0.5)

    assert run.job.status is JobStatus.SEGMENTED


def test_a_title_that_the_app_writes_over_ours_does_not_undo_our_status(generated, run, root, monkeypatch):
    store = root.volume_layer.jobs
    crossing(monkeypatch, store, stale_write(generated, name="Renamed"), when="after")

    store.update(JOB, status=JobStatus.MESHING)

    assert (run.job.status, run.job.name) == (JobStatus.MESHING, "Renamed")


def test_an_older_state_that_the_app_writes_late_is_noticed_where_the_app_is_at_work(generated, root):
    store = root.volume_layer.jobs
    store.update("4F09A2", status=JobStatus.ANNOTATED)
    app_sets(generated, current_job_progress=0.5)
    late = threading.Timer(3 * database.SETTLE, stale_write(generated, name="Renamed"))
    late.start()

    store.update("4F09A2", status=JobStatus.MESHING)
    late.join()

    stored = json.loads((generated.root / "jobs.json").read_text())
    assert stored["4F09A2"]["status"] == "JobStatus.MESHING"
    assert stored[JOB]["name"] == "Renamed"


def test_alone_in_the_volume_nothing_waits_for_the_app(root):
    store = root.volume_layer.jobs
    store.update(JOB, progress=0.1)

    store.update(JOB, progress=0.2)

    assert not store._beside


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_database_is_kept(generated, run):
    os.chown(generated.root / "jobs.json", 1234, 2345)

    run.set_status("ANNOTATED")

    stat = (generated.root / "jobs.json").stat()
    assert (stat.st_uid, stat.st_gid) == (1234, 2345)


# A database that stays torn


@pytest.fixture(params=["cut", "brackets", "list", "empty"])
def torn(request, generated):
    """A volume whose database is damaged: the first entries are whole where it is cut."""
    path = generated.root / "jobs.json"
    text = path.read_text()
    path.write_text(
        {"cut": text[: text.index('"123456"') + 40], "brackets": "[" * 100_000, "list": "[1]", "empty": ""}[request.param]
    )
    return generated


def opened(volume):
    root = copick_core.open({"config_type": "compose_volume", "volume_root": str(volume.root), "write_back": True})
    with pytest.warns(UserWarning, match="torn"):
        root.jobs()
    return root


def test_a_torn_database_hides_no_job_and_is_told_once(torn):
    start = time.monotonic()
    root = opened(torn)
    names = [run.name for run in root.runs]
    jobs = root.jobs()

    assert {"CC7651", "4F09A2", "12E345", "123456", "0FF0FF"} <= {*names}
    assert all("torn" in job.problem for job in jobs)
    assert root.get_run(JOB).segmentations[0].numpy().any()
    assert time.monotonic() - start < 3.5


def test_jobs_of_a_torn_database_are_listed_also_where_orphans_are_not(torn):
    config = {"config_type": "compose_volume", "volume_root": str(torn.root), "include_orphans": False}

    with pytest.warns(UserWarning, match="torn"):
        assert JOB in [run.name for run in copick_core.open(config).runs]


def test_only_the_first_call_waits_for_a_database_that_stays_torn(torn):
    root = opened(torn)

    start = time.monotonic()
    root.jobs(), root.get_run(JOB).job, root.doctor(), root.recoverable_jobs()

    assert time.monotonic() - start < 1


def test_a_torn_database_is_an_error_for_who_would_write_it(torn):
    root = opened(torn)
    run = root.get_run(JOB)
    before = (torn.root / "jobs.json").read_bytes()

    with pytest.raises(InvalidDataError, match=r"`copick-core volume restore`"):
        run.set_status("ANNOTATED")
    assert (torn.root / "jobs.json").read_bytes() == before


@pytest.mark.parametrize("torn", ["cut"], indirect=True)
def test_what_is_whole_in_a_torn_database_is_recoverable_and_restored(torn):
    root = opened(torn)
    database = torn.root / "jobs.json"
    bytes_before = database.read_bytes()
    whole = [r.job.id for r in root.recoverable_jobs()]

    job = root.restore_job(JOB)

    assert whole == sorted(["CC7651", "4F09A2", "12E345"])
    assert job.status is JobStatus.MESHED
    assert {*json.loads(database.read_text())} == {*whole}
    assert [p.read_bytes() for p in torn.root.glob("jobs.json.[0-9]*")] == [bytes_before]
    assert root.get_run(JOB).job.status is JobStatus.MESHED


@pytest.mark.parametrize("torn", ["empty"], indirect=True)
def test_a_job_of_a_copy_that_was_moved_aside_is_restored_while_the_database_is_torn(torn):
    (torn.root / "jobs.json.1720000000.5").write_text(json.dumps(torn.entries))
    root = opened(torn)

    assert root.restore_job(JOB).status is JobStatus.MESHED
    assert {*json.loads((torn.root / "jobs.json").read_text())} == {JOB}


def test_a_database_that_is_a_folder_hides_no_job(generated):
    (generated.root / "jobs.json").rename(generated.root / "elsewhere")
    (generated.root / "jobs.json").mkdir()
    root = copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root)})

    with pytest.warns(UserWarning, match="folder"):
        assert root.get_run(JOB) is not None


def test_a_job_among_many_is_found_without_reading_the_database_again(generated, monkeypatch):
    for number in range(2000):
        generated.job(f"{number:06d}X")
    generated.save()
    os.utime(generated.root / "jobs.json", (1, 1))
    root = copick_core.open({"config_type": "compose_volume", "volume_root": str(generated.root)})
    run = root.get_run(JOB)
    assert run.job.status is JobStatus.MESHED
    monkeypatch.setattr(database, "parse", None)

    assert run.job.status is JobStatus.MESHED


def test_a_change_of_the_database_is_seen_at_once(generated, root, run):
    for status in ("ANNOTATED", "CONVERTED", "ANNOTATED", "CONVERTED"):
        app_sets(generated, status=f"JobStatus.{status}", last_updated_at="2024-07-05T16:35:11")
        assert run.job.status is JobStatus[status]


def test_a_job_that_the_app_loses_right_after_it_was_written_is_changed_as_it_was_written(generated, root):
    store = root.volume_layer.jobs
    store.update(JOB, name="Den")
    path = generated.root / "jobs.json"
    path.write_text(json.dumps({job: entry for job, entry in json.loads(path.read_text()).items() if job != JOB}))

    found = store.update(JOB, progress=0.5)

    assert (found.name, found.progress) == ("Den", 0.5)
    assert json.loads(path.read_text())[JOB]["name"] == "Den"
