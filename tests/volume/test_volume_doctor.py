"""What the doctor and the report on uploads find wrong in a compose volume, and torn databases."""

import json
import shutil
from datetime import datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from copick_backend_volume.doctor import examine
from copick_backend_volume.jobs import JobStore
from copick_backend_volume.places import Volume
from copick_core.errors import InvalidDataError, NotFoundError, ReadOnlyError
from copick_core.projects.doctor import doctor, repair
from support import volume_generator
from support.volumes import open_volume

# Uploads


def codes(generated, job):
    return {f.code for f in open_volume(generated.root).get_run(job).uploads.findings}


def test_good_uploads_have_no_findings(either):
    report = open_volume(either).get_run("4F09A2").uploads

    assert report.ok
    assert report.findings == ()
    assert report.dtype == np.uint16


def test_unpadded_numbers_are_reported(generated):
    generated.uploads("12E345", np.zeros((12, 20, 24), np.uint8), pattern="s{}.png")
    assert "order" in codes(generated, "12E345")


def test_truncated_slices_are_reported(generated):
    path = generated.root / "uploads/12E345/s_0001.png"
    path.write_bytes(path.read_bytes()[:200])

    report = open_volume(generated.root).get_run("12E345").uploads

    assert [f.code for f in report.findings] == ["unreadable"]
    assert not report.ok
    with pytest.raises(InvalidDataError, match="s_0001"):
        report.check()


def test_mixed_types_and_sizes_are_reported(generated):
    folder = generated.root / "uploads/12E345"
    Image.fromarray(np.full((20, 24), 600, np.uint16)).save(folder / "t1.png")
    Image.fromarray(np.zeros((20, 25), np.uint8)).save(folder / "t2.png")
    assert {"mixed-dtype", "mixed-size"} <= codes(generated, "12E345")


def test_colour_is_reported(generated):
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(generated.root / "uploads/12E345/t.png")
    assert "colour" in codes(generated, "12E345")


def test_files_of_operating_systems_are_reported_and_left_out(generated):
    for name in ("Thumbs.db", "DS_Store", "._s_0001.png"):
        (generated.root / "uploads/12E345" / name).write_bytes(b"x")
    report = open_volume(generated.root).get_run("12E345").uploads

    assert [f.code for f in report.findings] == ["junk"]
    assert len(report.slices) == 3


# The doctor


def test_the_doctor_finds_what_is_wrong(generated):
    generated.job("AAAAAA", "SEGMENTING")
    generated.job("BBBBBB", "MESHED", shape=[1, 2, 3])
    generated.image("BBBBBB")
    generated.save()

    found = {(f.job, f.code) for f in open_volume(generated.root).doctor()}

    assert {
        ("0FF0FF", "orphan"),
        ("AAAAAA", "stuck"),
        ("AAAAAA", "no-image"),
        ("BBBBBB", "shape-in-database"),
        ("123456", "incomplete-segmentation"),
        ("BADBAD", "bad-entry"),
    } <= found


def test_the_doctor_tells_how_many_of_all_jobs_it_has_examined(either):
    volume, steps = Volume(str(either)), []

    examine(volume, JobStore(volume), progress=lambda *step: steps.append(step))

    count = len(open_volume(either).jobs())
    assert steps == [(done, count) for done in range(1, count + 1)]


def test_stale_blocks_are_reported(generated):
    generated.mesh("CC7651", "1720196900", stale=True)

    assert "stale-blocks" in {f.code for f in open_volume(generated.root).doctor()}


def test_a_stale_block_in_the_sample_is_reported_by_name(sample):
    folder = sample / "meshed/CC7651/1720196900.zarr"
    shutil.copy(folder / "_255_0_0_0.stl", folder / "_255_0_16_0.stl")
    shutil.copy(folder / "_255_51_0_0.stl", folder / "_255_32_0_0.stl")

    found = [f for f in open_volume(sample).doctor() if f.code == "stale-blocks"]

    assert [f.severity for f in found] == ["error"]
    assert str(folder / "_255_0_0_0.stl") in found[0].files


def test_the_sample_has_no_stale_blocks(sample):
    assert open_volume(sample).doctor() == []


# Torn databases


def test_moved_aside_databases_are_recoverable_even_when_torn(either):
    entry = json.loads((either / "jobs.json").read_text())["CC7651"]
    text = json.dumps({"DEAD01": entry, "CC7651": entry}, indent=4)
    (either / "jobs.json.1720200000.25").write_text(text[:-40])

    found = open_volume(either).recoverable_jobs()

    assert [(r.job.id, r.lost) for r in found] == [("DEAD01", True)]
    assert "lost-job" in {f.code for f in open_volume(either).doctor()}


def test_a_job_that_the_app_has_lost_is_put_back(either):
    entries = json.loads((either / "jobs.json").read_text())
    (either / "jobs.json").rename(either / "jobs.json.1720200000.25")
    (either / "jobs.json").write_text("{}")
    root = open_volume(either, write_back=True)

    assert root.job("CC7651").in_database is False
    assert root.restore_job("CC7651").status.name == "MESHED"

    assert json.loads((either / "jobs.json").read_text()) == {"CC7651": entries["CC7651"]}
    assert "CC7651" not in {f.job for f in root.doctor() if f.code == "lost-job"}
    with pytest.raises(NotFoundError):
        root.restore_job("FFFFFF")
    with pytest.raises(ReadOnlyError):
        open_volume(either).restore_job("CC7651")


def test_a_torn_database_is_waited_for_and_never_moved(either):
    import threading

    path = either / "jobs.json"
    whole = path.read_text()
    path.write_text(whole[:100])
    writer = threading.Timer(0.2, lambda: path.write_text(whole))
    writer.start()

    jobs = open_volume(either).jobs()
    writer.join()

    assert "CC7651" in {j.id for j in jobs}
    assert [p.name for p in either.glob("jobs.json*")] == ["jobs.json"]


def test_a_database_that_stays_torn_is_an_error_and_stays(either):
    path = either / "jobs.json"
    path.write_text('{"CC7651": {')
    root = open_volume(either)
    root.volume_layer.jobs.patience = 0.05

    with pytest.warns(UserWarning, match="torn"):
        root.jobs()
    assert "torn-database" in {f.code for f in root.doctor()}
    assert path.read_text() == '{"CC7651": {'


def test_the_doctor_of_a_project_finds_what_the_doctor_of_the_volume_finds(generated):
    (generated.root / "jobs.json").write_text("{torn")
    root = open_volume(generated.root)

    found = [item.problem for item in doctor(root) if item.problem.id == "torn-database"]

    assert [(problem.severity, problem.repair) for problem in found] == [("error", None)]


def test_repairs_that_guess_nothing_are_offered_and_made_where_the_project_writes_back(generated):
    lost = json.loads((generated.root / "jobs.json").read_text())
    entry = lost.pop("CC7651")
    (generated.root / "jobs.json").write_text(json.dumps(lost))
    (generated.root / "jobs.json.1720000000.5").write_text(json.dumps({"CC7651": entry}))
    (generated.root / "segmented/.staging-old").mkdir()
    (generated.root / "models/CC7651/1720300000.json").write_text('{"published_by": "copick-backend-volume"}')
    mendable = {"lost-job", "remains", "unfinished-publication"}
    assert all(item.problem.repair is None for item in doctor(open_volume(generated.root)))
    root = open_volume(generated.root, write_back=True)
    found = doctor(root)
    assert {item.problem.id for item in found if item.problem.repair} == mendable

    left = repair(found)

    assert not mendable & {item.problem.id for item in left}
    assert not mendable & {item.problem.id for item in doctor(root)}
    assert json.loads((generated.root / "jobs.json").read_text())["CC7651"] == entry


def test_a_torn_database_is_repaired_by_what_is_whole_in_it(generated):
    text = (generated.root / "jobs.json").read_text()
    (generated.root / "jobs.json").write_text(text[: text.index('"123456"')])
    root = open_volume(generated.root, write_back=True)

    repair(doctor(root))

    assert {*json.loads((generated.root / "jobs.json").read_text())} == {"CC7651", "4F09A2", "12E345"}


def test_a_job_is_stuck_after_as_many_hours_as_are_asked_for(tmp_path):
    made = volume_generator.tour(tmp_path / "volume")
    made.job("12E345", "TRAINING", last_updated_at=(datetime.now() - timedelta(hours=4)).isoformat())
    made.save()
    root = open_volume(made.root)

    def found(**options):
        return [f.message.partition(". ")[0] for f in root.doctor(**options) if f.code == "stuck"]

    assert (found(), found(stuck_hours=5)) == ([], [])
    assert found(stuck_hours=3) == ["TRAINING, but no update for 4 h"]


def test_findings_are_errors_first_then_by_job_and_by_what_they_are(generated):
    findings = [(f.severity, f.job or "", f.code) for f in open_volume(generated.root).doctor()]

    assert findings == sorted(findings)
    assert {severity for severity, _, _ in findings} == {"error", "warning"}
