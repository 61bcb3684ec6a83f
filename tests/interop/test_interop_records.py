"""Records of runs: the reference reads past them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import copick_core
from copick_core.layers.provenance import recording
from copick_core.projects.copying import copy_store
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


def test_the_reference_reads_past_provenance(reference: Library, our_written: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(our_written.with_name("project"), project)
    config = write_config(tmp_path / "config.json", project)
    before = reference.dump(config)
    root = copick_core.from_file(str(config))
    with recording("detector", arguments={"threshold": 0.5}):
        for run in root.runs:
            for file in (*run.picks, *run.meshes):
                file.load()
                file.store()
            for volume in (*run.segmentations, *(t for s in run.voxel_spacings for t in s.tomograms)):
                with volume._replace_store() as store:
                    copy_store(volume.zarr(), store)

    stored = [*project.rglob("*.json"), *project.rglob("*.glb"), *project.rglob("*.zarr/.zattrs")]
    assert {path.suffix or path.name for path in stored if b"detector" in path.read_bytes()} == {".json", ".glb", ".zattrs"}
    changed = differences(reference.dump(config), before)
    assert [line for line in changed if ": attributes: " not in line] == []
    assert all("copick_provenance" in line for line in changed)
