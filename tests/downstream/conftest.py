"""The two environments of the released tools; skipped where they cannot be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.downstream import BY_NAME, Tool, environment
from support.environments import IndexUnreachableError

SAMPLE: tuple[Tool, ...] = tuple(
    BY_NAME[name] for name in ("copick-utils", "copick-shared-ui", "napari-copick", "copick-mcp", "copick")
)


def made(kind: str) -> Path:
    try:
        return environment(kind, SAMPLE)
    except IndexUnreachableError as error:
        pytest.skip(f"the environment of released tools cannot be made: {error}")


@pytest.fixture(scope="session")
def reference_env() -> Path:
    return made("reference")


@pytest.fixture(scope="session")
def dropin_env() -> Path:
    return made("dropin")
