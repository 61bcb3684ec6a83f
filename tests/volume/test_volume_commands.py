"""The commands ``copick-core volume …`` as scripts and people use them: results, JSON, exit codes, dry runs and questions."""

import json
import os
import re
import shlex
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
