"""Places on real servers where a project can be written: each server, over each library that reaches it."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.objects import OBJECTS
from support.servers import Azurite, MissingServerError, Moto, OpenSSH, Samba, Server

_numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """An empty project on a server.

    Attributes:
        name: The protocol, and the library where there are two.
        server: The server.
        folder: Folder of the project, below the server's.
        fields: Further fields of the configuration.
    """

    name: str
    server: Server
    folder: str
    fs_args: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.folder}"

    def config(self, **fields: Any) -> dict[str, Any]:
        """A configuration of the project."""
        return {
            "config_type": "filesystem",
            "pickable_objects": OBJECTS,
            "user_id": "alice",
            "overlay_root": self.url,
            "overlay_fs_args": dict(self.fs_args),
            **self.fields,
            **fields,
        }

    def read(self, path: str) -> bytes:
        """Read a file of the project past everything that is tested."""
        return self.server.read(f"{self.folder}/{path}")


#: Of each place: the server, the library that reaches it, further arguments of its location, further fields of the
#: configuration.
KINDS: dict[str, tuple[type[Server], str, str, dict[str, Any]]] = {
    "ssh": (OpenSSH, "sshfs", "fs_args", {}),
    "smb": (Samba, "smbclient", "fs_args", {}),
    "az": (Azurite, "obstore", "fs_args", {}),
    "az over adlfs": (Azurite, "adlfs", "fs_args", {"obstore": False}),
    "s3": (Moto, "obstore", "fs_args", {}),
    "s3 over s3fs": (Moto, "s3fs", "fs_args", {"obstore": False}),
}


class Servers:
    """The servers of one run of the tests: each is started when it is first wanted, and serves many projects."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[type[Server], Server] = {}

    def running(self, cls: type[Server]) -> Server:
        """A server that runs.

        Raises:
            MissingServerError: It is not installed.
        """
        server = self._running.get(cls)
        if server is None:
            folder = self._folder / cls.__name__.lower()
            folder.mkdir(exist_ok=True)  # what is not installed is wanted by every test anew
            server = self._running[cls] = cls(folder)
            server.start()
        return server

    def place(self, name: str) -> Place:
        """A new, empty project.

        Raises:
            MissingServerError: Its server, or what reaches it, is not installed.
        """
        cls, library, arguments, fields = KINDS[name]
        if importlib.util.find_spec(library) is None:
            raise MissingServerError(f"{library} is not installed")
        server = self.running(cls)
        return Place(name, server, f"project-{next(_numbers)}", getattr(server, arguments), fields)

    def stop(self) -> None:
        """Stop all of them."""
        for server in self._running.values():
            server.kill()


def documented() -> dict[str, list[str]]:
    """The table of places in the documents: the cells of each row, by its first."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    lines = page.partition("| place | a file is replaced |")[2].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in itertools.takewhile(bool, lines)]
    return {name: cells for name, *cells in rows}
