"""A volume with something of everything, and a project over it."""

from __future__ import annotations

import pytest

from support import volume_generator
from support.volumes import open_volume


@pytest.fixture
def volume(tmp_path):
    return volume_generator.tour(tmp_path / "volume")


@pytest.fixture
def root(volume):
    return open_volume(volume.root, write_back=True)
