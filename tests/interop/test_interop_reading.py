"""Whatever either library wrote, both read the same entities and values of it, bit by bit."""

from __future__ import annotations

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


def test_reading_changes_nothing_in_a_project(ours: Library, shipped_project: Path) -> None:
    before = files_of(shipped_project.parent / "reference_project")

    ours.dump(shipped_project)

    assert files_of(shipped_project.parent / "reference_project") == before
