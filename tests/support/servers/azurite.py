"""Azurite, Microsoft's own stand-in for Azure's blobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from support.servers.process import MissingServerError, Server, executable

#: The account that Azurite's documents give to everybody.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_CONTAINER = "lab"


class Azurite(Server):
    """Azurite's blob service; a container is made on the first start."""

    signal = signal.SIGTERM  # it keeps what it has stored in memory for some seconds, as Azure does not

    def prepare(self) -> None:
        self._node = executable("node", package="nodejs")
        self._script = _script()
        (self.folder / "blobs").mkdir()

    def command(self) -> list[str]:
        where = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.folder / "blobs")]
        return [self._node, str(self._script), *where, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]

    def start(self) -> None:
        super().start()
        client = self.client()
        if not client.exists():
            client.create_container()
        client.close()

    @property
    def connection_string(self) -> str:
        """What Azure's tools are given."""
        endpoint = f"http://127.0.0.1:{self.port}/{_ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint};"

    def client(self) -> Any:
        """A client of the container, of Microsoft's own library."""
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_connection_string(self.connection_string, _CONTAINER)

    @property
    def url(self) -> str:
        return f"az://{_CONTAINER}/project"

    @property
    def fs_args(self) -> dict[str, Any]:
        return {"connection_string": self.connection_string}

    def read(self, path: str) -> bytes:
        with self.client() as client:
            return bytes(client.download_blob(f"project/{path}").readall())


def _script() -> Path:
    """Azurite's program, which .ci/full installs.

    Raises:
        MissingServerError: It is not there.
    """
    given = os.environ.get("COPICK_TEST_AZURITE")
    for folder in [Path(given)] if given else [Path(__file__).parents[3] / ".cache" / "azurite"]:
        script = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        if script.is_file():
            return script
    raise MissingServerError("Azurite is not installed (npm's azurite in .cache/azurite; .ci/full installs it)")
