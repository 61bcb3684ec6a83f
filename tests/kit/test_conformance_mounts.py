"""The kit on mounts that refuse some calls, each of which is a FUSE file system of our own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from copick_backend_fs.layer import open_layer
from copick_core.testing import LayerTests
from copick_core.testing.layer_storage import FileChecks
from copick_core.testing.layer_writes import RevisionChecks, ThreadChecks
from support.odd_mount import missing, mounted

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.filterwarnings("ignore:The file system of"),  # once for each; tests/fs/test_fs_mounts.py sees them
]


@pytest.fixture(scope="class")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A mount for all tests of a class."""
    with mounted(tmp_path_factory.mktemp("mounted"), request.cls.refusals) as mount:
        yield mount


class OnMount:
    refusals: ClassVar[dict[str, str]]
    examples = 3
    steps = 10

    @pytest.fixture
    def layer(self, place: Path) -> Any:
        self.folder = place / f"project-{len([*place.iterdir()])}"
        self.folder.mkdir()
        return self.reopen(None)

    def reopen(self, layer: Any, *, read_only: bool = False) -> Any:
        with warnings.catch_warnings():
            return open_layer("overlay", str(self.folder), read_only=read_only)


class WritingChecks(ThreadChecks, RevisionChecks, FileChecks):
    """What the kit checks of writing files: whole, on condition, from several threads."""


@pytest.mark.slow
class TestWritingWhereFoldersAreNotRenamed(OnMount, WritingChecks):
    refusals: ClassVar = {"rename_folder": "EPERM", "link": "ENOSYS"}


@pytest.mark.full
class TestFoldersAreNotSynced(OnMount, LayerTests):
    refusals: ClassVar = {"fsyncdir": "EINVAL"}


@pytest.mark.full
class TestTimesAreNotSet(OnMount, LayerTests):
    refusals: ClassVar = {"utimens": "EPERM"}


@pytest.mark.full
class TestPermissionsAreNotSet(OnMount, LayerTests):
    refusals: ClassVar = {"chmod": "EPERM"}


@pytest.mark.full
class TestFoldersAreNotRenamed(OnMount, LayerTests):
    refusals: ClassVar = {"rename_folder": "EPERM", "link": "ENOSYS"}
