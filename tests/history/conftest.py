"""A project with a history on local disk."""

from pathlib import Path
from typing import Any

import pytest

import copick_core
from copick_backend_icechunk.root import CopickRootIcechunk

OBJECTS = [{"name": "ribosome", "is_particle": True, "label": 1}, {"name": "membrane", "is_particle": False, "label": 2}]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Configuration of an empty project of alice."""
    root = str(tmp_path / "history")
    return {"config_type": "icechunk", "overlay_root": root, "user_id": "alice", "pickable_objects": OBJECTS}


@pytest.fixture
def root(config: dict[str, Any]) -> CopickRootIcechunk:
    """An empty project of alice."""
    return copick_core.open(config)


@pytest.fixture
def bob(config: dict[str, Any]) -> CopickRootIcechunk:
    """The same project as bob opens it."""
    return copick_core.open({**config, "user_id": "bob"})
