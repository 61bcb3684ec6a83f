"""docs/compose-volume.md is true: its commands and code run beside an imitation of the app, and print what it says."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import warnings
from pathlib import Path

import pytest

import copick_core
from copick_backend_volume import publish
from copick_core.__main__ import main
from support import volume_generator
from support.volume_app_rounds import App
from support.volumes import geometry

TEXT = (Path(__file__).parents[2] / "docs" / "compose-volume.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python|pycon)\n(.*?)```|<!-- (app): (.*?) -->", TEXT, re.S)
#: What is another on each day and machine, and what stands for it when outputs are compared.
UNSTEADY = {
    r"\b(?!20240|1720)1[789]\d{8}\b": "«id»",
    r"\b(?!2024)20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?": "«time»",
    r" *\b[\d.]+ (bytes|kB|MB)": " «size»",
    r"jobs\.json\.\d+\.\d+": "jobs.json.«time»",
}


def steady(text):
    """A text without what is another on each day."""
    for pattern, stands_for in UNSTEADY.items():
        text = re.sub(pattern, stands_for, text)
    return text.replace(str(Path.cwd()), "/data")


def run(examples, names):
    """Run examples as the interpreter would; gives what each printed, and what the page says that it prints."""
    for example in examples:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(example.source, "compose-volume.md", "single"), names)
        yield output.getvalue(), example.want


def command(line):
    """What a command prints, errors and warnings with it, as at a terminal."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("default")
        main(shlex.split(line)[1:])
    return output.getvalue()


def session():
    """Run the page in the working folder; gives what each command printed, and what the page says that it prints."""
    names: dict[str, object] = {}
    app = App("volume")
    for kind, block, _, action in BLOCKS:
        if action:
            name, job = action.split()
            getattr(app, name)(job)
        elif kind == "python":
            exec(block, names)
        elif kind == "pycon":
            yield from run(doctest.DocTestParser().get_examples(block), names)
        else:
            for each in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, _, shown = each.partition("\n")
                yield command(line), shown
    assert app.wrong == []


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "new_job_id", lambda: "7B21D0")


def test_the_page_prints_what_it_says(tmp_path):
    volume_generator.tour(tmp_path / "volume")

    found = [*session()]

    assert [steady(printed) for printed, _ in found] == [steady(said) for _, said in found]
    assert len(found) > 25
    assert (tmp_path / "larva.png").stat().st_size > 1000


@pytest.mark.parametrize("volume", ["tour", "sample"])
def test_the_session_corrects_and_publishes_on_every_volume(volume, request, tmp_path):
    if volume == "tour":
        volume_generator.tour(tmp_path / "volume")
    else:
        request.getfixturevalue("sample").rename(tmp_path / "volume")

    assert len([*session()]) > 10

    job = copick_core.open({"config_type": "compose_volume", "volume_root": "volume"}).get_run("CC7651")
    earlier, published = job.segmentations[-2:]
    assert (published.user_id, job.job.status.name) == ("ana", "MESHED")
    corrected = earlier.numpy()
    corrected[:5] = 0
    assert (published.numpy() == corrected).all()
    assert geometry(job.meshes[-1]).is_watertight
