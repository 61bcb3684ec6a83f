"""The command ``volume`` at a terminal, in a pipe, and for scripts: progress bars and exit codes."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import click
import numpy as np
import pytest

from copick_backend_volume.cli.frame import confirm
from copick_core.__main__ import main
from support import volume_generator
from support.volume_files import write_mrc
from support.volumes import bound_by_modes

COMMAND = [sys.executable, "-m", "copick_core", "volume"]


@pytest.fixture
def volume(tmp_path):
    """A sound volume with something to convert and something to mesh."""
    made = volume_generator.tour(tmp_path / "volume")
    made.job("12E345", "UPLOADED")
    return made.save()


def arguments(action, volume):
    return {
        "doctor": ["doctor", str(volume.root)],
        "convert": ["convert", str(volume.root)],
        "mesh": ["mesh", str(volume.root), "--job", "CC7651"],
        "upload": ["upload", str(volume.root), str(volume.root / "uploads/4F09A2"), "--title", "again"],
        "publish": ["publish", str(volume.root), str(labels_of(volume)), "--job", "CC7651", "--tool", "x"],
        "annotate": ["annotate", str(volume.root), str(labels_of(volume)), "--job", "CC7651", "--slice", "3"],
        "cleanup": ["cleanup", str(volume.root), "--segmentations", "--yes"],
    }[action]


def labels_of(volume):
    return write_mrc(volume.root.parent / "labels.mrc", np.ones((12, 40, 30), np.int8))


def at_a_terminal(command):
    """Run a command whose standard error is a terminal: exit code, standard output, and what the terminal got."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=inner, text=True)
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    printed = process.communicate()[0]
    return process.returncode, printed, shown.decode()


@pytest.mark.parametrize(
    ("action", "title", "end"),
    [
        ("doctor", "examining", "3"),
        ("convert", "converting 12E345", "3"),
        ("mesh", "meshing CC7651", "1"),
        ("upload", "uploading ", "9"),
        ("publish", "publishing CC7651", "1"),
        ("annotate", "annotating CC7651", "1"),
        ("cleanup", "deleting", "1"),
    ],
)
def test_a_terminal_shows_progress_and_is_clean_afterwards(volume, action, title, end):
    code, printed, shown = at_a_terminal([*COMMAND, *arguments(action, volume)])

    assert code == 0
    assert re.search(rf"\r{title}.*:   0%\|", shown)
    assert f"| 0/{end} " in shown
    assert shown.split("\r")[-1] == ""
    assert shown.split("\r")[-2].strip() == ""
    assert "\r" not in printed


@pytest.mark.parametrize("action", ["doctor", "convert", "mesh", "upload", "publish", "annotate"])
def test_a_pipe_gets_results_only(volume, action):
    done = subprocess.run([*COMMAND, *arguments(action, volume)], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_without_tqdm_there_is_no_bar_and_no_error(volume, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)

    assert main(["volume", *arguments("doctor", volume)]) == 0
    assert capsys.readouterr().err == ""


def test_a_title_neither_breaks_lines_nor_commands_the_terminal(volume, capsys):
    volume.job("12E345", "UPLOADED", name="Ål\n\x1b[31mred")
    volume.save()

    assert main(["volume", "jobs", str(volume.root)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("  Ål??[31mred")


def test_exit_codes_are_zero_where_all_is_well(volume, capsys):
    for action in ("doctor", "convert", "mesh"):
        assert main(["volume", *arguments(action, volume)]) == 0
    assert main(["volume", "jobs", str(volume.root)]) == 0
    assert main(["volume", "convert", str(volume.root)]) == 0
    assert capsys.readouterr().out.endswith("nothing is UPLOADED\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["doctor", "elsewhere"], 1, "is it the right one?"),
        (["doctor", "nothing"], 1, "error: 'nothing' is not a folder"),
        (["jobs", "nothing"], 1, "not a folder"),
        (["convert", "volume", "--job", "CC7651"], 1, "it is MESHED"),
        (["convert", "volume", "--job", "FFFFFF"], 1, "FFFFFF"),
        (["convert", "volume", "--retry"], 2, "--retry needs --job"),
        (["mesh", "volume", "--job", "FFFFFF"], 1, "FFFFFF"),
        (["mesh", "volume", "--job", "CC7651", "--segmentation", "1"], 1, "segmentation '1'"),
        (["mesh", "volume", "--job", "4F09A2"], 1, "4F09A2"),
    ],
)
def test_exit_codes_are_not_zero_where_something_is_wrong(volume, tmp_path, monkeypatch, capsys, words, code, says):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    assert main(["volume", *words]) == code

    printed = capsys.readouterr()
    assert says in printed.out + printed.err


def test_a_folder_without_jobs_is_said_beside_an_empty_list(tmp_path, capsys):
    (tmp_path / "uploads").mkdir()

    assert main(["volume", "jobs", str(tmp_path)]) == 0

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"there are no jobs in {tmp_path}\n"


def test_a_volume_that_cannot_be_written_is_said(volume):
    for folder in [volume.root, *(path for path in volume.root.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)

    done = subprocess.run(
        [*bound_by_modes(), *COMMAND, *arguments("mesh", volume)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: [Errno 13] Permission denied: ")


def test_a_job_whose_process_died_is_named_with_the_command_that_goes_on(volume, capsys):
    volume.job("12E345", "CONVERTING")
    volume.save()
    (volume.root / ".staging-claim-12E345").touch()

    assert main(["volume", "doctor", str(volume.root)]) == 1
    command = next(line for line in capsys.readouterr().out.splitlines() if "stuck" in line).partition("python -m ")[2]
    assert subprocess.run(f"{sys.executable} -m {command}", shell=True, capture_output=True, check=False).returncode == 0
    assert main(["volume", "doctor", str(volume.root)]) == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"


def test_a_job_that_somebody_works_on_is_not_taken_over(volume, capsys):
    from copick_backend_volume.staging import lock

    volume.job("12E345", "CONVERTING", last_updated_at="2099-01-01T00:00:00")
    volume.save()
    descriptor = os.open(volume.root / ".staging-claim-12E345", os.O_RDWR | os.O_CREAT)
    assert lock(descriptor)

    assert main(["volume", "doctor", str(volume.root)]) == 0
    assert main(["volume", "convert", str(volume.root), "--job", "12E345", "--retry"]) == 1
    os.close(descriptor)
    assert main(["volume", "convert", str(volume.root), "--job", "12E345", "--retry"]) == 0


def test_locks_that_another_user_has_made_are_no_obstacle(volume):
    for name in ("jobs.json.lock", ".staging-claim-12E345"):
        (volume.root / name).touch()
        (volume.root / name).chmod(0o444)

    subprocess.run([*bound_by_modes(), *COMMAND, *arguments("convert", volume)], check=True)

    assert main(["volume", "doctor", str(volume.root)]) == 0


def test_a_job_that_failed_is_converted_again_when_that_is_asked_for(volume):
    volume.job("12E345", "CONVERT_ERROR")
    volume.uploads("12E345", np.zeros((2, 3, 4), np.uint8), "part{}.png")
    volume.save()

    assert main(["volume", "convert", str(volume.root), "--job", "12E345"]) == 1
    assert main(["volume", "convert", str(volume.root), "--job", "12E345", "--retry"]) == 1
    (volume.root / "uploads/12E345/part2.png").unlink()
    assert main(["volume", "convert", str(volume.root), "--job", "12E345", "--retry"]) == 0


def test_a_question_is_asked_beside_the_results_and_a_no_ends_the_command(monkeypatch, capsys):
    answers = io.StringIO("y\nn\n")
    answers.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", answers)

    confirm("Delete it?", yes=False)
    with pytest.raises(click.Abort):
        confirm("Delete it?", yes=False)
    confirm("Delete it?", yes=True)

    printed = capsys.readouterr()
    assert ("Delete it?" in printed.out, printed.err.count("Delete it?")) == (False, 2)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("publish", ["--job ID", "[required]", "[default: 255; x>=1]", "--project FILE"]),
        ("annotate", ["--job ID", "[default: 255; x>=1]", "--project FILE"]),
        ("mesh", ["--job ID", "[required]"]),
        ("rename", ["--job ID", "[required]"]),
    ],
)
def test_options_that_commands_share_tell_what_they_take(capsys, command, told):
    main(["volume", command, "--help"])

    help_text = " ".join(capsys.readouterr().out.split())
    assert [words for words in told if words not in help_text] == []
