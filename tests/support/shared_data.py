"""Where the real data for tests lies: ``COPICK_TEST_DATA``, else ``../shared/data`` beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]


def data_file(name: str) -> Path | None:
    """Return the path of a data file, or None where the data is absent."""
    folder = Path(os.environ.get("COPICK_TEST_DATA") or _REPOSITORY.parent / "shared" / "data")
    path = folder / name
    return path if path.is_file() else None


def shared(name: str) -> Path:
    """Return the path of a data file, or skip the test where the data is absent."""
    path = data_file(name)
    if path is None:
        pytest.skip(f"the shared test data ({name}) is not here; set COPICK_TEST_DATA")
    return path
