"""Every finding of the doctor has an example here; those that need no guess are mended by ``--repair``, after asking."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from numcodecs import Delta, Zlib
from PIL import Image

from copick_backend_volume import doctor as doctor_module
from copick_backend_volume import uploads as uploads_module
from copick_backend_volume.cli import volume as command
from copick_core.projects.doctor import doctor, repair
from support import volume_generator
from support.syncs import assert_synced, content_of, recorded_syncs
from support.volumes import geometry, open_volume

JOB, MODEL = "CC7651", "1720196900"
DOCS = Path(__file__).parents[2] / "docs" / "compose-volume.md"


def edit(volume, job, **fields):
    path = volume.root / "jobs.json"
    entries = json.loads(path.read_text())
    entries[job] |= fields
    path.write_text(json.dumps(entries))


def forget(volume, job, *, copy):
    path = volume.root / "jobs.json"
    entries = json.loads(path.read_text())
    if copy:
        (volume.root / "jobs.json.1720200000.25").write_text(path.read_text())
    del entries[job]
    path.write_text(json.dumps(entries))


def cut(volume, place, length):
    path = volume.root / place
    path.write_bytes(path.read_bytes()[:length])


def remove(volume, place):
    path = volume.root / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def write(volume, place, content):
    path = volume.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def torn(volume):
    text = (volume.root / "jobs.json").read_text()
    (volume.root / "jobs.json").write_text(text[: text.rindex('"created_at"')])


def abandoned(volume, job, status):
    edit(volume, job, status=f"JobStatus.{status}")
    (volume.root / f".staging-claim-{job}").touch()


def stale_block(volume):
    volume.mesh(JOB, MODEL, stale=True)
    folder = volume.root / f"meshed/{JOB}/{MODEL}.zarr"
    os.utime(folder / "_255_8_0_0.stl", (1_720_000_000,) * 2)


def replaced_by_a_file(volume):
    remove(volume, "models")
    (volume.root / "models").write_text("oops")


def image(volume, name, pixels):
    path = volume.root / "uploads/12E345" / name
    Image.fromarray(pixels).save(path)


def zipped(volume, content):
    with zipfile.ZipFile(volume.root / "uploads/12E345/z.zip", "w") as archive:
        archive.writestr(*content)


GREY = np.arange(480, dtype=np.uint8).reshape(20, 24)
SEGMENTATION = f"segmented/{JOB}/{MODEL}.zarr"
MESH = f"meshed/{JOB}/{MODEL}.zarr"
#: What makes the doctor find each thing, in a sound volume.
EXAMPLES = {
    "torn-database": torn,
    "unsafe-id": lambda v: edit_key(v, "../x"),
    "link": lambda v: (v.root / f"segmented/{JOB}/1720196950.zarr").symlink_to(v.root),
    "odd-place": replaced_by_a_file,
    "no-volume": lambda v: [remove(v, name) for name in sorted(os.listdir(v.root))],
    "lost-job": lambda v: forget(v, "4F09A2", copy=True),
    "remains": lambda v: (v.root / "segmented/.staging-dead").mkdir(),
    "orphan": lambda v: forget(v, "4F09A2", copy=False),
    "bad-entry": lambda v: edit(v, "4F09A2", created_at="yesterday"),
    "stuck": lambda v: abandoned(v, "12E345", "CONVERTING"),
    "unfinished-publication": lambda v: write(
        v, f"models/{JOB}/1720300000.json", b'{"published_by": "copick-backend-volume"}'
    ),
    "broken-array": lambda v: write(v, f"{SEGMENTATION}/.zarray", b"{"),
    "no-image": lambda v: remove(v, f"chunks/{JOB}"),
    "incomplete-image": lambda v: remove(v, f"chunks/{JOB}/0.0.0"),
    "shape-in-database": lambda v: edit(v, JOB, shape=[1, 2, 3]),
    "damaged-chunk": lambda v: cut(v, f"chunks/{JOB}/1.1.0", 40),
    "incomplete-segmentation": lambda v: remove(v, f"{SEGMENTATION}/0.0.0"),
    "shape-mismatch": lambda v: v.segmentation(JOB, "1720196850", np.zeros((3, 4, 5), np.uint64)),
    "broken-mesh": lambda v: cut(v, f"{MESH}/255.combined.obj", 300),
    "broken-block": lambda v: cut(v, f"{MESH}/_255_0_0_0.stl", 300),
    "stale-blocks": stale_block,
    "no-combined-mesh": lambda v: [remove(v, f"{MESH}/255.combined.{form}") for form in ("stl", "obj")],
    "broken-description": lambda v: write(v, f"models/{JOB}/{MODEL}.json", b"["),
    "unpaired": lambda v: v.pair(JOB, "1720196830", only="img"),
    "unreadable-pair": lambda v: cut(v, f"training/{JOB}/seg1720196720.png", 60),
    "junk": lambda v: write(v, "uploads/12E345/Thumbs.db", b"x"),
    "unreadable": lambda v: cut(v, "uploads/12E345/part1.png", 60),
    "order": lambda v: image(v, "part10.png", GREY),
    "mixed-size": lambda v: image(v, "part3.png", GREY[:5]),
    "mixed-dtype": lambda v: image(v, "part3.png", GREY.astype(np.uint16)),
    "duplicate": lambda v: shutil.copy(v.root / "uploads/12E345/part1.png", v.root / "uploads/12E345/part3.png"),
    "colour": lambda v: image(v, "part3.png", np.stack([GREY] * 3, -1)),
    "pages": lambda v: Image.fromarray(GREY).save(
        v.root / "uploads/12E345/part3.tif", save_all=True, append_images=[Image.fromarray(GREY)]
    ),
    "zip": lambda v: write(v, "uploads/12E345/z.zip", b"no zip"),
}
#: Those that only DICOM can have, which tests/volume/test_volume_formats.py makes.
OF_DICOM = {"series", "mixed-kinds", "same-position", "anisotropic", "no-dicom-reader"}
#: What is mended, and what there is afterwards.
MENDED = {
    "torn-database",
    "lost-job",
    "remains",
    "stuck",
    "unfinished-publication",
    "incomplete-image",
    "shape-in-database",
    "damaged-chunk",
    "broken-mesh",
    "broken-block",
    "stale-blocks",
    "no-combined-mesh",
    "junk",
}


def edit_key(volume, key):
    path = volume.root / "jobs.json"
    entries = json.loads(path.read_text())
    entries[key] = entries[JOB]
    path.write_text(json.dumps(entries))


@pytest.fixture
def volume(tmp_path):
    """A sound volume, of which the doctor has nothing to say."""
    return volume_generator.tour(tmp_path / "volume")


def codes(volume):
    from copick_backend_volume.doctor import examine
    from copick_backend_volume.jobs import JobStore
    from copick_backend_volume.places import Volume

    place = Volume(str(volume.root))
    return {finding.code for finding in examine(place, JobStore(place))}


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_doctor_finds_an_example_of_everything_that_it_looks_for(volume, code):
    assert codes(volume) == set()

    EXAMPLES[code](volume)

    assert code in codes(volume)


def test_there_is_an_example_of_everything_that_the_doctor_can_find():
    source = Path(doctor_module.__file__).read_text()
    in_uploads = Path(uploads_module.__file__).read_text()
    possible = {*re.findall(r'Finding\(\s*"([a-z-]+)"', source), "link", "odd-place"}
    possible |= {*re.findall(r'"([a-z-]+)",\s*"(?:error|warning)"', in_uploads)} - {"empty", "error"}

    assert possible | {"no-dicom-reader"} == EXAMPLES.keys() | OF_DICOM


def test_the_page_lists_every_finding_and_which_are_mended():
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| (yes|) *\|$", DOCS.read_text(), re.M)

    assert {code for code, _ in rows} == EXAMPLES.keys() | OF_DICOM
    assert {code for code, mended in rows if mended} == MENDED


@pytest.mark.parametrize("code", sorted(EXAMPLES.keys() - {"no-volume"}))
def test_what_needs_no_guess_is_mended_and_everything_else_is_left_alone(volume, code):
    EXAMPLES[code](volume)
    root = open_volume(volume.root, write_back=True)

    repair(doctor(root))

    assert (code in codes(volume)) == (code not in MENDED)


def test_a_project_that_does_not_write_back_offers_no_repair(volume):
    EXAMPLES["junk"](volume)

    assert [found.problem.repair for found in doctor(open_volume(volume.root))] == [None]


# What is there afterwards


def mend(volume):
    root = open_volume(volume.root, write_back=True)
    assert repair(doctor(root)) == []
    return open_volume(volume.root).get_run(JOB)


@pytest.mark.parametrize("code", ["incomplete-image", "damaged-chunk"])
def test_an_image_is_made_whole_from_its_uploads(volume, code):
    EXAMPLES[code](volume)

    run = mend(volume)

    np.testing.assert_array_equal(run.voxel_spacings[0].tomograms[0].numpy(), volume.images[JOB])
    assert run.job.status.name == "MESHED"


def test_an_image_is_not_mended_from_other_uploads_than_it_was_made_from(volume):
    EXAMPLES["damaged-chunk"](volume)
    path = volume.root / f"uploads/{JOB}/burrow_0003.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    before = (volume.root / f"chunks/{JOB}/1.1.0").read_bytes()

    (left,) = repair(doctor(open_volume(volume.root, write_back=True)))

    assert "not what its image was made from" in left.problem.message
    assert (volume.root / f"chunks/{JOB}/1.1.0").read_bytes() == before


@pytest.mark.parametrize(
    "codecs",
    [{"compressors": Zlib()}, {"compressors": None}, {"filters": Delta("u1"), "compressors": volume_generator.CODEC}],
    ids=["zlib", "raw", "filter"],
)
def test_an_image_that_another_program_has_encoded_is_not_mended(volume, codecs):
    folder = volume.root / f"chunks/{JOB}"
    zarr.create_array(
        folder, data=volume.images[JOB].transpose(), chunks=(16, 16, 16), zarr_format=2, overwrite=True, fill_value=0, **codecs
    )
    (folder / "0.0.0").unlink()

    assert [found.problem.repair for found in doctor(open_volume(volume.root, write_back=True))] == [None]


def test_a_damaged_segmentation_is_not_mended(volume):
    cut(volume, f"{SEGMENTATION}/0.0.0", 40)

    assert [found.problem.repair for found in doctor(open_volume(volume.root, write_back=True))] == [None]


@pytest.mark.parametrize("form", ["stl", "obj"])
def test_a_whole_mesh_is_written_again_from_its_other_format(volume, form):
    path = volume.root / f"{MESH}/255.combined.{form}"
    whole = open_volume(volume.root).get_run(JOB).latest_mesh.mesh.bounds.tolist()
    other = (volume.root / f"{MESH}/255.combined.{'obj' if form == 'stl' else 'stl'}").read_bytes()
    cut(volume, f"{MESH}/255.combined.{form}", 200)

    mesh = mend(volume).latest_mesh

    assert mesh.mesh.bounds.tolist() == whole
    assert len(geometry(mesh).faces) == 12
    assert path.stat().st_size > 200
    assert (volume.root / f"{MESH}/255.combined.{'obj' if form == 'stl' else 'stl'}").read_bytes() == other


REPAIRED = {
    "damaged-chunk": f"chunks/{JOB}/1.1.0",
    "broken-mesh": f"{MESH}/255.combined.obj",
}


@pytest.mark.parametrize("code", REPAIRED)
def test_what_is_written_again_is_on_disk_before_it_takes_its_place(volume, code):
    file = volume.root / REPAIRED[code]
    EXAMPLES[code](volume)

    with recorded_syncs(lambda: content_of(file)) as syncs:
        mend(volume)

    assert_synced(syncs, file)


@pytest.mark.parametrize("code", ["stale-blocks", "broken-block", "no-combined-mesh"])
def test_a_mesh_is_made_again_from_its_segmentation(volume, code):
    EXAMPLES[code](volume)

    mesh = mend(volume).latest_mesh

    assert geometry(mesh).is_watertight
    np.testing.assert_allclose(mesh.mesh.bounds, [[4.5, 9.5, 2.5], [19.5, 29.5, 8.5]], atol=1e-4)


def test_a_mesh_whose_segmentation_is_not_whole_is_not_made_again(volume):
    EXAMPLES["stale-blocks"](volume)
    remove(volume, f"{SEGMENTATION}/0.0.0")

    assert all(found.problem.repair is None for found in doctor(open_volume(volume.root, write_back=True)))


@pytest.mark.parametrize(
    ("job", "working", "after"),
    [("12E345", "CONVERTING", "UPLOADED"), (JOB, "MESHING", "MESHED"), ("4F09A2", "MESHING", "CONVERTED")],
)
def test_a_job_whose_process_of_ours_died_goes_back_to_what_it_was(volume, job, working, after):
    abandoned(volume, job, working)

    mend(volume)

    assert open_volume(volume.root).job(job).status.name == after
    assert not (volume.root / f".staging-claim-{job}").exists()


def test_a_job_that_the_app_may_work_on_is_not_set_back(volume):
    edit(volume, JOB, status="JobStatus.SEGMENTING", last_updated_at="2024-01-01T00:00:00")

    assert [(f.problem.id, f.problem.repair) for f in doctor(open_volume(volume.root, write_back=True))] == [("stuck", None)]


def test_the_shape_of_the_image_is_entered(volume):
    EXAMPLES["shape-in-database"](volume)

    assert mend(volume).job.shape_zyx == (12, 40, 30)


# The command


def run(volume, *words, answer=None):
    return CliRunner().invoke(command, ["doctor", str(volume.root), *words], input=answer)


def test_repair_asks_and_does_nothing_without_a_yes(volume):
    EXAMPLES["junk"](volume)

    refused = run(volume, "--repair", answer="n\n")

    assert (volume.root / "uploads/12E345/Thumbs.db").exists()
    assert "will delete" in refused.stderr
    assert "(--repair mends it)" in refused.stdout
    assert run(volume, "--repair", answer="y\n").exit_code == 0
    assert not (volume.root / "uploads/12E345/Thumbs.db").exists()


def test_repair_without_anybody_to_ask_says_what_to_pass(volume):
    EXAMPLES["junk"](volume)

    done = run(volume, "--repair")

    assert done.exit_code == 2
    assert "pass --yes" in done.stderr
    assert (volume.root / "uploads/12E345/Thumbs.db").exists()


def test_repair_with_yes_tells_what_is_left(volume):
    EXAMPLES["damaged-chunk"](volume)
    EXAMPLES["unpaired"](volume)

    done = run(volume, "--repair", "--yes")

    assert done.exit_code == 0
    assert "1 problem left" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 errors, 1 warning"


def test_findings_are_json_where_that_is_asked_for(volume):
    EXAMPLES["unreadable"](volume)

    done = run(volume, "--json")

    (found,) = json.loads(done.stdout)
    assert (done.exit_code, found["id"], found["severity"]) == (1, "unreadable", "error")
    assert "part1.png" in found["message"]
