"""docs/compose-volume.md is true: its commands and code run, and print what it says."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import pytest

import copick_core
from copick_core.__main__ import main
from support import volume_generator
from support.volumes import geometry

TEXT = (Path(__file__).parents[2] / "docs" / "compose-volume.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python|pycon)\n(.*?)```", TEXT, re.S)


def run(examples, names):
    """Run examples as the interpreter would; gives what each printed, and what the page says that it prints."""
    for example in examples:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(example.source, "compose-volume.md", "single"), names)
        yield output.getvalue(), example.want


def session():
    """Run the page in the working folder; gives what each command printed, and what the page says that it prints."""
    names: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(block, names)
        elif kind == "pycon":
            yield from run(doctest.DocTestParser().get_examples(block), names)
        else:
            for command in re.split(r"^\$ ", block, flags=re.M)[1:]:
                line, _, shown = command.partition("\n")
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    assert main(shlex.split(line)[3:]) == 0
                yield output.getvalue(), shown


def test_the_page_prints_what_it_says(tmp_path, monkeypatch):
    volume_generator.tour(tmp_path / "volume")
    monkeypatch.chdir(tmp_path)

    found = [*session()]

    assert [printed for printed, _ in found] == [said for _, said in found]
    assert len(found) > 10


@pytest.mark.parametrize("volume", ["tour", "sample"])
def test_the_session_corrects_and_publishes_on_every_volume(volume, request, tmp_path, monkeypatch):
    if volume == "tour":
        volume_generator.tour(tmp_path / "volume")
    else:
        request.getfixturevalue("sample").rename(tmp_path / "volume")
    monkeypatch.chdir(tmp_path)

    assert len([*session()]) > 10

    job = copick_core.open({"config_type": "compose_volume", "volume_root": "volume"}).get_run("CC7651")
    earlier, published = job.segmentations[-2:]
    assert (published.user_id, job.job.status.name) == ("ana", "MESHED")
    corrected = earlier.numpy()
    corrected[:5] = 0
    assert (published.numpy() == corrected).all()
    assert geometry(job.meshes[-1]).is_watertight
