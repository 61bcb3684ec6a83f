"""moto's S3 server, in a thread of this process: what it keeps is gone with it, so it is never restarted."""

from __future__ import annotations

from typing import Any

from support.s3_server import S3Server
from support.servers.process import Server


class Moto(Server):
    """An S3 server with one bucket."""

    restarts = False

    def prepare(self) -> None:
        self._server = S3Server()

    def start(self) -> None:
        self._server.__enter__()
        self._server.empty("lab")

    def kill(self) -> None:
        self._server.__exit__()

    @property
    def url(self) -> str:
        return "s3://lab"

    @property
    def fs_args(self) -> dict[str, Any]:
        return {"key": "someone", "secret": "do-not-tell", "client_kwargs": {"endpoint_url": self._server.url}}

    def read(self, path: str) -> bytes:
        import fsspec

        fs = fsspec.filesystem("s3", **self.fs_args, skip_instance_cache=True)
        return bytes(fs.cat_file(f"lab/{path}"))
