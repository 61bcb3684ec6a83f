"""Layers and projects on real servers keep their contracts: the whole kit before a release, what writes files always."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from copick_backend_fs.layer import open_layer
from copick_core.testing import BackendTests, LayerTests
from copick_core.testing.layer_storage import FileChecks
from copick_core.testing.layer_writes import RevisionChecks, ThreadChecks
from support.places import Place, Servers
from support.servers import MissingServerError


class OnServer:
    """A new, empty project of a server for each test."""

    name: ClassVar[str]
    examples = 3
    steps = 10
    servers: Servers

    @pytest.fixture(autouse=True)
    def _servers(self, servers: Servers) -> None:
        self.servers = servers

    def new_place(self) -> Place:
        try:
            return self.servers.place(self.name)
        except MissingServerError as error:
            pytest.skip(str(error))


class LayerOnServer(OnServer):
    @pytest.fixture
    def layer(self, _servers: None) -> Any:
        self.place = self.new_place()
        return self.reopen(None)

    def reopen(self, layer: Any, *, read_only: bool = False) -> Any:
        return open_layer("overlay", self.place.url, self.place.fs_args, read_only=read_only, **self.place.fields)


class ProjectOnServer(OnServer):
    examples = 2
    steps = 6
    whole_volumes = False

    @pytest.fixture(autouse=True)
    def _places(self) -> None:
        self.places: dict[Any, Place] = {}

    def make_config(self, folder: Any, name: str) -> dict[str, Any]:
        if (folder, name) not in self.places:
            self.places[folder, name] = self.new_place()
        config = self.places[folder, name].config()
        del config["user_id"], config["pickable_objects"]
        return config


class WritingChecks(ThreadChecks, RevisionChecks, FileChecks):
    """What the kit checks of writing files: whole, on condition, from several threads."""


@pytest.mark.full
class TestWritingOverSSH(LayerOnServer, WritingChecks):
    name = "ssh"


@pytest.mark.full
class TestWritingOverSMB(LayerOnServer, WritingChecks):
    name = "smb"


@pytest.mark.full
class TestWritingToAzure(LayerOnServer, WritingChecks):
    name = "az"


@pytest.mark.full
class TestWritingToAzureOverAdlfs(LayerOnServer, WritingChecks):
    name = "az over adlfs"


@pytest.mark.full
class TestSSH(LayerOnServer, LayerTests):
    name = "ssh"


@pytest.mark.full
class TestSMB(LayerOnServer, LayerTests):
    name = "smb"
    case_sensitive = False
    any_run_name = False


@pytest.mark.full
class TestAzure(LayerOnServer, LayerTests):
    name = "az"


@pytest.mark.full
class TestAzureOverAdlfs(LayerOnServer, LayerTests):
    name = "az over adlfs"


@pytest.mark.full
class TestProjectOverSSH(ProjectOnServer, BackendTests):
    name = "ssh"


@pytest.mark.full
class TestProjectOverSMB(ProjectOnServer, BackendTests):
    name = "smb"
    any_run_name = False


@pytest.mark.full
class TestProjectOnAzure(ProjectOnServer, BackendTests):
    name = "az"
