"""Whatever either library wrote, both read the same entities and values of it, bit by bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.comparison import differences
from support.description import write_config
from support.folders import files_of
from support.libraries import Library

pytestmark = [pytest.mark.reference, pytest.mark.slow]


def test_a_shipped_project_of_real_data_reads_the_same(
    reference: Library, ours: Library, shipped_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shipped_project.parent)  # the reference takes relative roots from here

    assert differences(reference.dump(shipped_project), ours.dump(shipped_project)) == []


def test_a_project_written_by_the_reference_reads_the_same(reference: Library, ours: Library, reference_written: Path) -> None:
    assert differences(reference.dump(reference_written), ours.dump(reference_written)) == []


def test_a_project_written_by_us_reads_the_same(reference: Library, ours: Library, our_written: Path) -> None:
    assert differences(reference.dump(our_written), ours.dump(our_written)) == []


@pytest.mark.parametrize("static", ["reference_written", "our_written"])
@pytest.mark.parametrize("overlay", ["reference_overlay", "our_overlay"])
def test_an_overlay_over_a_static_project_reads_the_same(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    reference: Library,
    ours: Library,
    static: str,
    overlay: str,
) -> None:
    roots = [Path(request.getfixturevalue(name)).with_name("project") for name in (overlay, static)]
    config = write_config(tmp_path / "pair.json", roots[0], static=roots[1])

    assert differences(reference.dump(config), ours.dump(config)) == []


def test_a_project_with_links_reads_the_same(
    reference: Library, ours: Library, reference_written: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(reference_written.with_name("project") / "ExperimentRuns" / "TS_001", elsewhere)
    run = tmp_path / "project" / "ExperimentRuns" / "TS_001"
    (run / "VoxelSpacing10.000").mkdir(parents=True)
    (run / "Picks").mkdir()
    (run / "VoxelSpacing10.000" / "wbp.zarr").symlink_to(elsewhere / "VoxelSpacing10.000" / "wbp.zarr")
    (run / "Picks" / "alice_1_ribosome.json").symlink_to(elsewhere / "Picks" / "alice_1_ribosome.json")
    (run / "Meshes").symlink_to(elsewhere / "Meshes")
    run.with_name("TS_002").symlink_to(elsewhere)
    config = write_config(tmp_path / "config.json", tmp_path / "project")

    assert differences(reference.dump(config), ours.dump(config)) == []


def test_a_project_with_foreign_files_reads_the_same(
    reference: Library, ours: Library, reference_written: Path, tmp_path: Path
) -> None:
    shutil.copytree(reference_written.with_name("project"), tmp_path / "project")
    run = tmp_path / "project" / "ExperimentRuns" / "TS_001"
    for name in ("notes.txt", ".hidden_1_ribosome.json", "alice_1_ribosome.json.bak"):
        (run / "Picks" / name).write_text("foreign")
    for folder in (".cache.zarr", "scratch", "no-level.txt"):
        (run / "VoxelSpacing10.000" / folder).mkdir()
        (run / "Segmentations" / folder).mkdir()
    (run.parent / ".snapshots").mkdir()
    (run.parent / "README.md").write_text("foreign")
    config = write_config(tmp_path / "config.json", tmp_path / "project")

    assert differences(reference.dump(config), ours.dump(config)) == []


def test_reading_changes_nothing_in_a_project(ours: Library, shipped_project: Path) -> None:
    before = files_of(shipped_project.parent / "reference_project")

    ours.dump(shipped_project)

    assert files_of(shipped_project.parent / "reference_project") == before
