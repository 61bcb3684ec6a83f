"""Listing a local project reads each directory once and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import listing_project
from support.audit import count_events
from support.description import write_config
from support.tracing import can_trace, count_system_calls

RUNS = 20


@pytest.fixture
def project(tmp_path: Path) -> list[str]:
    """The config and the root of a project, as arguments of the enumerating program."""
    root = tmp_path / "project"
    listing_project.make_listing_project(root, RUNS)
    return [str(write_config(tmp_path / "config.json", root)), str(root)]


def test_each_directory_is_listed_once_and_no_file_is_opened(project: list[str]) -> None:
    enumerating = [listing_project.__file__, "copick_core", *project]

    counts = count_events(enumerating, inside=Path(project[1]))

    assert counts == {"listings": 1 + listing_project.DIRECTORIES_PER_RUN * RUNS}


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not here or may not trace")
def test_a_run_costs_at_most_26_system_calls(project: list[str]) -> None:
    program = [sys.executable, listing_project.__file__]

    enumerating = count_system_calls([*program, "copick_core", *project])
    opening = count_system_calls([*program, "copick_core-open", *project])

    assert sum(enumerating.values()) - sum(opening.values()) <= 26 * RUNS
