"""A project of the reference, static under an overlay in which we edit, read again by the reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import copick_core
from copick_core.models import CopickLocation, CopickPoint
from support.comparison import differences
from support.description import write_config
from support.folders import files_of
from support.libraries import Library
from support.reference_scripts.dump import Dump

pytestmark = [pytest.mark.reference, pytest.mark.slow]

SHAPE = (13, 17, 11)


@pytest.fixture(scope="module")
def static(reference_written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that the reference wrote."""
    project = tmp_path_factory.mktemp("edited") / "static"
    shutil.copytree(reference_written.with_name("project"), project)
    return project


@pytest.fixture(scope="module")
def static_at_first(static: Path) -> dict[str, bytes | None]:
    return files_of(static)


@pytest.fixture(scope="module")
def edited(static: Path, static_at_first: dict[str, bytes | None]) -> Path:
    """The config of the static project under an overlay in which we have edited."""
    config = write_config(static.with_name("config.json"), static.with_name("overlay"), static=static)
    root = copick_core.from_file(str(config))
    rng = np.random.default_rng(3)

    run = root.get_run("TS_001")
    copied = run.new_picks("ribosome", "1", "alice", exist_ok=True)
    copied.points = [
        *copied.points,
        CopickPoint(location=CopickLocation(x=1.5, y=0.1 + 0.2, z=1 / 3), score=0.7),
    ]
    copied.store()
    run.new_picks("proteasome", "44", "carol").from_numpy(rng.uniform(size=(5, 3)))
    labels = run.new_segmentation(10.0, "edited", "1", True, "carol")
    labels.from_numpy(rng.integers(0, 3, size=SHAPE))
    tomogram = run.get_voxel_spacing(10.0).new_tomogram("filtered")
    tomogram.from_numpy(rng.normal(size=SHAPE).astype(np.float32))
    new_run = root.new_run("TS_555")
    new_run.new_voxel_spacing(10.0)
    new_run.new_picks("ribosome", "1", "alice").from_numpy(rng.uniform(size=(2, 3)))
    return config


@pytest.fixture(scope="module")
def read_by_the_reference(reference: Library, edited: Path) -> Dump:
    return reference.dump(edited)


def test_both_libraries_read_the_edited_project_the_same(ours: Library, edited: Path, read_by_the_reference: Dump) -> None:
    assert differences(read_by_the_reference, ours.dump(edited)) == []


def test_the_reference_reads_the_edited_copy_after_the_static_original(read_by_the_reference: Dump) -> None:
    path = "runs/TS_001/picks/alice/1/ribosome"
    original, copy = (read_by_the_reference.records[f"{path}#{number}"] for number in (0, 1))

    assert (original["read_only"], copy["read_only"]) == (True, False)
    assert copy["points"][:-1] == original["points"]
    assert copy["points"][-1] == {
        "location": [1.5, 0.1 + 0.2, 1 / 3],
        "transformation": np.eye(4).tolist(),
        "instance_id": 0,
        "score": 0.7,
    }


@pytest.mark.parametrize(
    "path",
    [
        "runs/TS_001/picks/carol/44/proteasome#0",
        "runs/TS_001/segmentations/multilabel 10.000/carol/1/edited#0",
        "runs/TS_001/spacings/10.000/tomograms/filtered#0",
        "runs/TS_555/picks/alice/1/ribosome#0",
    ],
)
def test_the_reference_finds_new_entities_in_our_overlay(read_by_the_reference: Dump, path: str) -> None:
    assert read_by_the_reference.records[path]["read_only"] is False


def test_editing_and_reading_leave_the_static_project_as_it_was(
    ours: Library, edited: Path, static: Path, static_at_first: dict[str, bytes | None]
) -> None:
    ours.dump(edited)

    assert files_of(static) == static_at_first
