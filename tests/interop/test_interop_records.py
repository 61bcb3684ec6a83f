"""Records of runs: the reference reads past them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import copick_core
from support.comparison import differences
from support.description import write_config
from support.libraries import Library

pytestmark = [pytest.mark.reference, pytest.mark.slow]


def test_the_reference_reads_a_project_with_reviews_as_one_without(
    reference: Library, our_written: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(our_written.with_name("project"), project)
    config = write_config(tmp_path / "config.json", project)
    before = reference.dump(config)
    root = copick_core.from_file(str(config))
    for run in root.runs:
        root.reviews.set(run.name, "done", "ribosome", by="alice")

    assert [*project.glob("ExperimentRuns/*/.reviews.json")]
    assert differences(reference.dump(config), before) == []
