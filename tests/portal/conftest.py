"""Fixtures for projects on the CryoET Data Portal: one loopback portal for all tests, and caches of their own."""

from __future__ import annotations

import pytest

pytest.importorskip("moto.server")
pytest.importorskip("copick_backend_portal")

from support.portal_loopback import LoopbackPortal, content
from support.portals import open_project


@pytest.fixture(scope="session")
def filled_portal():
    """One portal for the session."""
    portal = content.fill(LoopbackPortal())
    yield portal
    portal.stop()


@pytest.fixture
def portal(filled_portal, tmp_path, monkeypatch):
    """The portal without counts and faults; answers are kept below the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    filled_portal.reset()
    yield filled_portal
    filled_portal.reset()


@pytest.fixture
def overlay(tmp_path):
    """Folder of the overlay."""
    return tmp_path / "overlay"


@pytest.fixture
def root(portal, overlay):
    """A project on the two usual datasets."""
    return open_project(portal, overlay)
