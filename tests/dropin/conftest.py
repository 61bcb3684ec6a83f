"""The interpreter of the drop-in, for all its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dropin import interpreter


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the drop-in beside what this one has; nothing is installed into this one."""
    return interpreter(tmp_path_factory.mktemp("dropin"))
