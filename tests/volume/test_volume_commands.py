"""The commands ``copick-core volume …`` as scripts and people use them: results, JSON, exit codes, dry runs and questions."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from copick_backend_volume.cli import volume as group
from copick_core.__main__ import main
from support import volume_generator
from support.volume_files import write_mrc
from support.volumes import open_volume, tree_hash

JOB, OLD, LATEST = "CC7651", "1720196800", "1720196900"
STACK = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)


@pytest.fixture
def volume(tmp_path, monkeypatch):
    made = volume_generator.tour(tmp_path / "volume")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def say(capsys):
    """Runs a command on the volume; gives its exit code, what it printed, and what went to standard error."""

    def run(action, *words):
        code = main(["volume", action, "volume", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def run_of(volume, job=JOB):
    return open_volume(volume.root).get_run(job)


def entry(volume, job=JOB):
    return json.loads((volume.root / "jobs.json").read_text())[job]


def slices(tmp_path):
    folder = tmp_path / "egg"
    folder.mkdir()
    for z, plane in enumerate(STACK):
        Image.fromarray(plane).save(folder / f"egg_{z}.png")
    return folder


# Help


@pytest.mark.parametrize("name", sorted(group.commands))
def test_the_help_of_each_command_has_an_example_that_is_understood(name):
    shown = CliRunner().invoke(group, [name, "--help"]).output
    examples = re.findall(r"^ +copick-core volume (.*)$", shown, re.M)

    assert examples
    for line in examples:
        words = shlex.split(line)
        assert words[0] == name
        group.commands[name].make_context(name, words[1:])  # a usage error would be raised


def test_each_command_prints_json_where_that_is_asked_for():
    assert [name for name, command in group.commands.items() if "as_json" not in {p.name for p in command.params}] == []


@pytest.mark.parametrize("name", ["upload", "restore", "cleanup"])
def test_each_command_that_deletes_or_restores_has_a_dry_run(name):
    assert "dry_run" in {param.name for param in group.commands[name].params}


# upload


def test_a_folder_is_uploaded_and_converted(volume, tmp_path, say):
    code, printed, _ = say("upload", slices(tmp_path), "--title", "Egg")
    job = printed.split(":")[0]

    assert (code, printed) == (0, f"{job}: 4 files, UPLOADED\n")
    assert entry(volume, job)["name"] == "Egg"
    assert (
        say("convert", "--json")[1]
        == json.dumps([{"job": job, "status": "CONVERTED", "shape_zyx": [4, 6, 5]}], indent=2) + "\n"
    )
    np.testing.assert_array_equal(run_of(volume, job).voxel_spacings[0].tomograms[0].numpy(), STACK)


def test_an_upload_is_titled_by_its_source_and_told_as_json(volume, tmp_path, say):
    write_mrc(tmp_path / "egg 2.mrc", STACK)

    told = json.loads(say("upload", "egg 2.mrc", "--voxel-size", "9,6,6", "--json")[1])

    assert (told["status"], told["files"][-1]) == ("UPLOADED", "egg_2_0003.png")
    assert entry(volume, told["job"])["name"] == "egg 2"
    assert run_of(volume, told["job"]).voxel_size_info.zyx == (9.0, 6.0, 6.0)


def test_a_dry_run_uploads_nothing(volume, tmp_path, say):
    folder = slices(tmp_path)
    before = tree_hash(volume.root)

    assert say("upload", folder, "--dry-run") == (0, "would add 4 files as a new job\n", "")
    assert tree_hash(volume.root) == before


def test_an_upload_that_would_be_spoilt_names_the_job_and_goes_on_with_it(volume, tmp_path, say):
    folder = slices(tmp_path)
    (folder / "egg_2.png").write_bytes(b"no image")

    code, _, told = say("upload", folder)
    job = told.split("--job ")[1].split()[0]

    assert code == 1
    assert "egg_2.png" in told
    Image.fromarray(STACK[2]).save(tmp_path / "better.png")
    assert say("upload", "--job", job)[0] == 1
    assert say("upload", "--job", job, "--replace", "egg_2.png", "better.png")[0] == 0
    assert entry(volume, job)["status"] == "JobStatus.UPLOADED"


def test_files_of_an_upload_are_deleted_only_with_a_yes(volume, say):
    words = ("upload", "--job", "12E345", "--delete", "part2.png", "--no-finish")

    code, _, told = say(*words)
    assert (code, "pass --yes" in told) == (2, True)
    assert (volume.root / "uploads/12E345/part2.png").exists()

    assert say(*words, "--dry-run")[1] == "would delete part2.png of job 12E345\n"
    assert (volume.root / "uploads/12E345/part2.png").exists()

    assert say(*words, "--yes")[0] == 0
    assert not (volume.root / "uploads/12E345/part2.png").exists()


def test_an_upload_that_was_refused_by_conversion_is_opened_again(volume, tmp_path, say):
    volume.job("12E345", "CONVERT_ERROR")
    volume.save()

    assert say("upload", "--job", "12E345", "--replace", "part1.png", volume.root / "uploads/12E345/part0.png")[0] == 0
    assert entry(volume, "12E345")["status"] == "JobStatus.UPLOADED"


# publish, annotate, mesh


@pytest.mark.parametrize("dtype", ["i1", "u2", "f4"])
def test_a_segmentation_in_a_file_is_published(volume, tmp_path, say, dtype):
    labels = np.zeros((12, 40, 30), dtype)
    labels[2:5, 3:9, 4:20] = 1
    write_mrc(tmp_path / "labels.mrc", labels)

    told = json.loads(say("publish", "labels.mrc", "--job", JOB, "--tool", "nnU-Net", "--json")[1])

    latest = run_of(volume).latest_segmentation
    assert (told["segmentation"], told["tool"]) == (latest.session_id, "nnU-Net")
    assert latest.from_tool
    np.testing.assert_array_equal(latest.numpy() > 0, labels > 0)


def test_a_correction_of_a_project_is_published_by_its_address(volume, tmp_path, say):
    config = {"config_type": "compose_volume", "volume_root": "volume", "overlay_root": "mine"}
    (tmp_path / "project.json").write_text(json.dumps(config))
    import copick_core

    run = copick_core.open("project.json").get_run(JOB)
    run.new_segmentation(1.0, "label-255", "1", False, user_id="ana").from_numpy(np.ones((12, 40, 30), np.uint8))
    address = f"{JOB}/label-255:ana/1@1.0"

    code, printed, err = say("publish", address, "--project", "project.json", "--job", JOB, "--tool", "ana")

    assert code == 0, err
    latest = run_of(volume).latest_segmentation
    assert printed == f"{JOB}: label-255 of segmentation {latest.session_id}\n"
    assert (latest.user_id, latest.from_tool) == ("ana", False)


def test_labels_that_are_no_whole_numbers_are_refused(volume, tmp_path, say):
    write_mrc(tmp_path / "labels.mrc", np.full((12, 40, 30), 0.5, np.float32))

    code, _, told = say("publish", "labels.mrc", "--job", JOB, "--tool", "x")

    assert (code, "whole numbers" in told) == (1, True)
    assert run_of(volume).latest_segmentation.session_id == LATEST


def test_masks_in_a_file_become_training_pairs(volume, tmp_path, say):
    write_mrc(tmp_path / "masks.mrc", np.ones((12, 40, 30), np.int8))

    assert say("annotate", "masks.mrc", "--job", JOB, "--slice", 3, "--slice", 8)[:2] == (0, f"{JOB}: 2 training pairs\n")
    assert [pair.z for pair in run_of(volume).training_pairs()[-2:]] == [3, 8]


def test_a_mesh_is_told_as_json(volume, say):
    told = json.loads(say("mesh", "--job", JOB, "--reduction", 1, "--json")[1])

    assert told == [{"job": JOB, "segmentation": LATEST, "object": "label-255"}]


# jobs


def test_jobs_are_told_as_json(volume, say):
    told = json.loads(say("jobs", "--json")[1])

    assert [(job["job"], job["status"]) for job in told] == [("12E345", "UPLOADING"), ("4F09A2", "CONVERTED"), (JOB, "MESHED")]


def test_everything_about_one_job_is_told(volume, say):
    _, printed, _ = say("jobs", "--job", JOB)
    rows = dict(line.split(maxsplit=1) for line in printed.splitlines())
    told = json.loads(say("jobs", "--job", JOB, "--json")[1])

    assert rows["latest_segmentation"] == told["latest_segmentation"] == LATEST
    assert rows["unused_pairs"] == "1720197050"
    assert rows["uploads"] == "12 files: burrow_0000.png, burrow_0001.png … burrow_0011.png"
    assert told["bytes"]["chunks"] > 0


# restore, set-status, rename


def lose(volume, *jobs, copy=True):
    path = volume.root / "jobs.json"
    if copy:
        (volume.root / "jobs.json.1720200000.25").write_text(path.read_text())
    path.write_text(json.dumps({job: e for job, e in json.loads(path.read_text()).items() if job not in jobs}))


def test_lost_jobs_are_restored_after_a_look(volume, say):
    lose(volume, JOB, "4F09A2")
    before = tree_hash(volume.root)

    looked = say("restore", "--dry-run")
    assert looked[1].splitlines() == [
        f"would restore {job} from {volume.root}/jobs.json.1720200000.25" for job in ("4F09A2", JOB)
    ]
    assert tree_hash(volume.root) == before

    assert [row["status"] for row in json.loads(say("restore", "--json")[1])] == ["CONVERTED", "MESHED"]
    assert entry(volume)["name"] == "Burrow"
    assert say("restore")[:2] == (0, "no job is lost\n")


def test_orphans_are_restored_where_that_is_asked_for(volume, say):
    lose(volume, JOB, copy=False)

    assert say("restore")[1] == "no job is lost; 1 with folders only: see --orphans\n"
    assert say("restore", "--orphans")[1] == f"{JOB}: MESHED from its folders\n"
    assert entry(volume)["shape"] == [30, 40, 12]


@pytest.mark.parametrize(("job", "says"), [(JOB, "stands in the database"), ("FFFFFF", "neither a folder")])
def test_what_is_not_lost_cannot_be_restored(volume, say, job, says):
    code, _, told = say("restore", "--job", job)

    assert (code, says in told) == (1, True)


def test_a_torn_database_is_restored(volume, say):
    text = (volume.root / "jobs.json").read_text()
    (volume.root / "jobs.json").write_text(text[:-30])
    command = [sys.executable, "-m", "copick_core", "volume", "restore", "volume"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "restored" not in done.stderr
    assert {*json.loads((volume.root / "jobs.json").read_text())} == {JOB, "4F09A2"}
    assert subprocess.run([*command, "--orphans"], capture_output=True, text=True, check=True).stdout == (
        "12E345: UPLOADING from its folders\n"
    )


def test_a_status_is_set_if_it_may_follow_or_by_force(volume, say):
    assert say("set-status", "UPLOADED", "--job", JOB)[0] == 1
    assert say("set-status", "nonsense", "--job", JOB)[0] == 1
    assert say("set-status", "annotated", "--job", JOB)[:2] == (0, f"{JOB}: ANNOTATED\n")
    assert json.loads(say("set-status", "MESHED", "--job", JOB, "--force", "--json")[1])["status"] == "MESHED"


def test_a_job_is_renamed(volume, say):
    assert say("rename", "Den", "--job", JOB)[:2] == (0, f"{JOB}: Den\n")
    assert entry(volume)["name"] == "Den"


# cleanup


def test_a_cleanup_asks_lists_and_deletes(volume, say):
    words = ("cleanup", "--segmentations")
    _, printed, _ = say(*words, "--dry-run")
    assert f"segmented/{JOB}/{OLD}.zarr" in printed
    assert printed.splitlines()[-1].startswith("would delete ")

    code, _, told = say(*words)
    assert (code, "pass --yes" in told) == (2, True)
    assert (volume.root / f"segmented/{JOB}/{OLD}.zarr").is_dir()

    assert say(*words, "--yes")[0] == 0
    assert not (volume.root / f"segmented/{JOB}/{OLD}.zarr").exists()


def test_a_cleanup_without_options_deletes_nothing_that_a_job_has(volume, say):
    (volume.root / "download_cache").mkdir()

    told = json.loads(say("cleanup", "--yes", "--json")[1])

    assert [(row["part"], row["job"]) for row in told["removals"]] == [("caches", None)]
    assert told["deleted"]
    assert sorted(os.listdir(volume.root / "segmented" / JOB)) == [f"{OLD}.zarr", f"{LATEST}.zarr"]


# Mistakes


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["upload"], 2, "name what is to be uploaded"),
        (["set-status", "nonsense", "--job", JOB], 1, "possible: PENDING, UPLOADING"),
        (["upload", "nothing"], 1, "There is no file nothing"),
        (["upload", "--delete", "a"], 2, "need --job"),
        (["upload", "--job", "FFFFFF", "volume/uploads/12E345/part0.png"], 1, "FFFFFF"),
        (["upload", "--job", JOB, "volume/uploads/12E345/part0.png"], 1, "it is MESHED"),
        (["upload", "volume/uploads/12E345", "--voxel-size", "1,2"], 2, "nor three"),
        (["publish", "nothing.mrc", "--job", JOB, "--tool", "x"], 1, "nothing.mrc"),
        (["publish", "volume/jobs.json", "--job", JOB, "--tool", "x"], 1, "no installed format"),
        (["publish", "volume/jobs.json", "--job", "FFFFFF", "--tool", "x"], 1, "FFFFFF"),
        (["annotate", "volume/jobs.json", "--job", JOB], 2, "--slice"),
        (["jobs", "--job", "FFFFFF"], 1, "FFFFFF"),
        (["set-status", "MESHED", "--job", "FFFFFF"], 1, "FFFFFF"),
        (["rename", "x"], 2, "--job"),
        (["cleanup", "--keep", "0"], 2, "--keep"),
        (["cleanup", "--job", "FFFFFF", "--yes"], 1, "FFFFFF"),
    ],
)
def test_mistakes_are_one_line_with_the_way_out_and_nothing_is_changed(volume, say, words, code, says):
    before = tree_hash(volume.root)

    found, _, told = say(words[0], *words[1:])

    assert (found, told.count("\n")) == (code, 1)
    assert told.startswith("error: ")
    assert says in told
    assert tree_hash(volume.root) == before


# What is printed, word by word


def published(say, tmp_path, *words, dtype=np.int8, value=3):
    write_mrc(tmp_path / "labels.mrc", np.full((12, 40, 30), value, dtype))
    return say("publish", "labels.mrc", "--job", JOB, "--tool", "ana", *words)


def test_jobs_are_listed_line_by_line(volume, say):
    (volume.root / "chunks" / "0FF0FF").mkdir()

    columns = [re.split("  +", line) for line in say("jobs")[1].splitlines()]

    assert columns == [
        ["0FF0FF", "(not in the database)", "-", "-"],
        ["12E345", "UPLOADING", "-", "2024-07-07 16:24:13", "Half uploaded"],
        ["4F09A2", "CONVERTED", "9x17x25", "2024-07-06 17:24:14", "Egg, scan 2"],
        ["CC7651", "MESHED", "12x40x30", "2024-07-05 16:35:11", "Burrow"],
    ]


def test_a_volume_without_jobs_says_so(tmp_path, volume, say):
    shutil.rmtree(volume.root)
    (volume.root / "chunks").mkdir(parents=True)

    assert say("jobs") == (0, "", "there are no jobs in volume\n")
    assert say("jobs", "--json")[1] == "[]\n"


def test_all_that_is_known_of_a_job_is_listed_name_by_name(volume, say):
    told = json.loads(say("jobs", "--job", "12E345", "--json")[1])
    lines = say("jobs", "--job", "12E345")[1].splitlines()

    assert told["uploads"] == ["part0.png", "part1.png", "part2.png"]
    assert (told["voxel_size"], told["latest_mesh"], told["models"]) == (None, None, [])
    assert lines[:3] == [
        "job                   12E345",
        "title                 Half uploaded",
        "status                UPLOADING",
    ]
    assert "uploads               part0.png, part1.png, part2.png" in lines
    assert "models                -" in lines
    assert "voxel_size            -" in lines
    assert lines[-1].startswith("bytes                 uploads ")


@pytest.mark.parametrize(
    "words",
    [
        ["jobs"],
        ["jobs", "--job", JOB],
        ["restore"],
        ["cleanup", "--yes"],
        ["convert"],
        ["doctor"],
        ["rename", "x", "--job", JOB],
    ],
    ids=lambda words: " ".join(words),
)
def test_json_is_indented_by_two(volume, say, words):
    out = say(*words, "--json")[1]

    assert out == json.dumps(json.loads(out), indent=2) + "\n"


def test_a_publication_keeps_labels_or_makes_them_one_value(volume, tmp_path, say):
    values = []
    for words in ([], ["--value", 7], ["--keep-labels"]):
        assert published(say, tmp_path, *words)[0] == 0
        values.append(run_of(volume).latest_segmentation.numpy().max())

    assert values == [255, 7, 3]


def test_a_publication_is_of_a_tool_unless_a_person_made_it(volume, tmp_path, say):
    published(say, tmp_path)
    by_tool = run_of(volume).latest_segmentation.from_tool
    told = json.loads(published(say, tmp_path, "--person", "--json")[1])

    assert (by_tool, run_of(volume).latest_segmentation.from_tool) == (True, False)
    assert told == {
        "job": JOB,
        "segmentation": run_of(volume).latest_segmentation.session_id,
        "object": "label-255",
        "tool": "ana",
    }


def test_training_pairs_are_told_as_json_with_their_labels(volume, tmp_path, say):
    write_mrc(tmp_path / "masks.mrc", np.full((12, 40, 30), 3, np.int8))

    told = json.loads(say("annotate", "masks.mrc", "--job", JOB, "--slice", 3, "--keep-labels", "--json")[1])
    say("annotate", "masks.mrc", "--job", JOB, "--slice", 4, "--value", 9)

    kept, made = run_of(volume).training_pairs()[-2:]
    assert told == {"job": JOB, "pairs": [kept.id]}
    assert (kept.mask.max(), made.mask.max()) == (3, 9)


def test_a_mesh_is_made_as_it_is_told(volume, say, monkeypatch):
    given = {}

    def mesh(self, segmentation=None, **options):
        given.update(options, segmentation=segmentation)
        return []

    monkeypatch.setattr("copick_backend_volume.root.CopickRunVolume.mesh", mesh)
    say("mesh", "--job", JOB, "--segmentation", OLD, "--reduction", 3, "--max-error", 2, "--downsample", 4, "--retry")
    progress = given.pop("progress")
    first = dict(given)
    say("mesh", "--job", JOB)

    assert first == {"segmentation": OLD, "reduction": 3.0, "max_error": 2.0, "downsample": 4, "retry": True}
    assert (given["segmentation"], given["reduction"], given["max_error"]) == (None, None, None)
    assert (given["downsample"], given["retry"]) == (1, False)
    assert callable(progress)


def test_a_mesh_is_told_line_by_line(volume, say):
    assert say("mesh", "--job", JOB, "--reduction", 1)[1] == f"{JOB}: label-255 of segmentation {LATEST}\n"


def test_an_upload_that_is_planned_is_told_as_json(volume, tmp_path, say):
    folder = slices(tmp_path)

    told = json.loads(say("upload", folder, "--title", "Egg", "--dry-run", "--json")[1])
    changed = say(
        "upload", folder, "--job", "12E345", "--delete", "part1.png", "--replace", "part2.png", "x.png", "--dry-run"
    )[1]

    assert told == {"job": None, "title": "Egg", "changes": ["add 4 files"]}
    assert changed == "would delete part1.png, replace part2.png by x.png, add 4 files of job 12E345\n"


def test_an_upload_goes_on_until_it_is_finished(volume, tmp_path, say):
    folder = slices(tmp_path)

    code, out, _ = say("upload", folder, "--no-finish", "--title", "Egg")
    job = out.split(":")[0]
    assert (code, out) == (0, f"{job}: 4 files, UPLOADING\n")
    done = json.loads(say("upload", "--job", job, "--delete", "egg_3.png", "--yes", "--json")[1])

    assert done == {"job": job, "status": "UPLOADED", "files": [], "changes": ["delete egg_3.png"]}


def test_an_upload_that_would_be_spoilt_is_finished_by_force(volume, tmp_path, say):
    folder = slices(tmp_path)
    (folder / "egg_2.png").write_bytes(b"no image")

    code, _, told = say("upload", folder)
    job = told.split("--job ")[1].split()[0]
    way_out = f'copick-core volume upload "volume" --job {job} --replace NAME FILE, --delete NAME or --force'
    assert (code, f"Job {job} stays UPLOADING; go on with {way_out}" in told) == (1, True)
    assert say("upload", "--job", job, "--force")[:2] == (0, f"{job}: UPLOADED\n")


def test_one_voxel_size_is_that_of_all_axes(volume, tmp_path, say):
    job = json.loads(say("upload", slices(tmp_path), "--voxel-size", "13.5", "--json")[1])["job"]

    assert run_of(volume, job).voxel_size_info.zyx == (13.5, 13.5, 13.5)


@pytest.mark.parametrize("size", ["x", "1,2", "1,2,3,4"])
def test_a_voxel_size_is_one_number_or_three(volume, tmp_path, say, size):
    code, _, told = say("upload", slices(tmp_path), "--voxel-size", size)

    assert code == 2
    assert f"'{size}' is neither one number nor three, Z,Y,X, in angstrom" in " ".join(told.replace("│", " ").split())


def test_what_cannot_be_converted_is_told_and_the_others_are_converted(volume, tmp_path, say):
    say("upload", slices(tmp_path), "--title", "Egg")
    (job,) = {*json.loads((volume.root / "jobs.json").read_text())} - {JOB, "4F09A2", "12E345"}

    code, out, told = say("convert", "--job", JOB, "--job", job)

    assert (code, out) == (1, f"{job}: shape (z, y, x) (4, 6, 5)\n")
    assert told.startswith(f"error: {JOB}: ")
    assert say("convert")[:2] == (0, "nothing is UPLOADED\n")
    rows = json.loads(say("convert", "--job", JOB, "--json")[1])
    assert [(row["job"], "CONVERTING starts from UPLOADED" in row["error"]) for row in rows] == [(JOB, True)]
    assert say("convert", "--retry")[0] == 2


def test_a_job_whose_copy_is_taken_away_meanwhile_is_restored_from_its_folders(volume, say, monkeypatch):
    from copick_core.errors import NotFoundError

    lose(volume, JOB)

    def gone(self, job_id):
        raise NotFoundError(key=job_id, layer="volume")

    monkeypatch.setattr("copick_backend_volume.root.CopickRootVolume.restore_job", gone)

    assert say("restore", "--json")[1] == (
        json.dumps([{"job": JOB, "from": f"{volume.root}/jobs.json.1720200000.25", "status": "MESHED"}], indent=2) + "\n"
    )


def test_a_job_that_has_folders_only_is_told_in_a_dry_run(volume, say):
    lose(volume, JOB, copy=False)

    assert say("restore", "--orphans", "--dry-run")[1] == f"would restore {JOB} from its folders\n"
    assert say("restore", "--job", JOB, "--dry-run", "--json")[1] == (
        json.dumps([{"job": JOB, "from": "its folders"}], indent=2) + "\n"
    )


def test_a_job_is_changed_and_told_as_json(volume, say):
    renamed = json.loads(say("rename", "Den", "--job", JOB, "--json")[1])
    set_back = json.loads(say("set-status", "annotated", "--job", JOB, "--json")[1])

    assert (renamed["title"], renamed["status"]) == ("Den", "MESHED")
    assert (set_back["title"], set_back["status"]) == ("Den", "ANNOTATED")


def test_a_cleanup_lists_what_it_deletes_with_its_size_and_reason(volume, say):
    (volume.root / "download_cache").mkdir()
    (volume.root / "download_cache" / "a.zip").write_bytes(b"x" * 2000)

    lines = say("cleanup", "--dry-run")[1].splitlines()
    told = json.loads(say("cleanup", "--dry-run", "--json")[1])

    place, why = f"{volume.root}/download_cache", "the app makes its downloads again"
    assert lines == [f"caches         -            2.0 kB  {place} ({why})", "would delete 2.0 kB"]
    row = {"part": "caches", "job": None, "path": place, "bytes": 2000, "why": why}
    assert told == {"deleted": False, "bytes": 2000, "removals": [row]}
    assert say("cleanup", "--yes")[1].splitlines() == [lines[0], "deleted 2.0 kB"]
    assert say("cleanup", "--yes")[1] == "deleted 0 bytes\n"


def test_a_cleanup_is_of_the_jobs_and_keeps_as_many_segmentations_as_it_is_told(volume, say):
    def planned(*words):
        told = json.loads(say("cleanup", "--segmentations", "--uploads", "--dry-run", "--json", *words)[1])
        return {(row["part"], row["job"]) for row in told["removals"]}

    every = {("segmentations", JOB), ("uploads", JOB), ("uploads", "4F09A2")}
    assert planned() == every
    assert planned("--keep", 2) == every - {("segmentations", JOB)}
    assert planned("--job", "4F09A2") == {("uploads", "4F09A2")}


def test_the_doctor_counts_errors_and_warnings_and_its_exit_code_says_whether_there_are_any(volume, say):
    assert say("doctor") == (0, "0 errors, 0 warnings\n", "")
    (volume.root / "chunks" / "4F09A2" / "0.0.0").unlink()
    (volume.root / "chunks" / "0FF0FF").mkdir()

    code, out, _ = say("doctor")
    found = json.loads(say("doctor", "--json")[1])

    assert code == 1
    assert out.splitlines()[0].startswith("error    4F09A2    incomplete-image: 1 chunks of the image are missing")
    assert out.splitlines()[-1] == "1 error, 1 warning"
    assert len(found) == 2


def test_a_job_is_stuck_after_as_many_hours_as_the_doctor_is_told(volume, say):
    volume.job(JOB, "TRAINING")
    volume.save()

    assert "stuck" in say("doctor")[1]
    assert "stuck" not in say("doctor", "--stuck-hours", 1e9)[1]
