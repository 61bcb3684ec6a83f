"""A project that is served."""

from __future__ import annotations

import pytest

from copick_view.server.serving import Server


@pytest.fixture
def served(layered):
    """The project of `layered`, served: (root, server)."""
    root, _ = layered
    with Server(root) as server:
        yield root, server
